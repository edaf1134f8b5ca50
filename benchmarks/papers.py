"""Claim: the methods do what their papers say: URRD and IR-RRD on CiteULike in the papers' own terms.

    python benchmarks/papers.py [--epochs 1000] [--only student urrd ir_rrd] [--seeds 0] [--factor 2]

The protocol of DE-RRD's and IR-RRD's public logs: matrix factorisation with a table of users, BPR summed over batches
of 1,024 pairs with a fresh uniform negative each, vectors from N(0, .01), Adam 1e-3 with weight decay 1e-3 on all,
up to 1,000 epochs, stopped after 20 without a better valid H@5; teacher d = 200, of seed 0, students d = 20. The test
item is ranked among 499 items, drawn once, that the user has in no part. Each cut-off is read at its own best epoch on
valid.

The objectives are the package's, and means: the papers' sums are these times users · K of a batch. IR-RRD's items are
those of a batch, used and drawn: with the used ones alone it stopped at .4786 on valid in place of .4882. With a
factor λ is so many times the papers'; what that gives stands apart.
Results are written as they come, and a training that is stopped goes on from its last tenth epoch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import RESULTS, WORK, log_path, write
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from recdistill.candidates.source import Source
from recdistill.data.interactions import Interactions
from recdistill.data.vocab import Vocab
from recdistill.distillation.student import StudentScores, Vectors
from recdistill.knowledge.store import Knowledge
from recdistill.objectives.knowledge.ir_rrd import IRRRD, IRRRDConfig
from recdistill.objectives.knowledge.rrd import RRD
from recdistill.objectives.labels.bpr import BPR

TEACHER_DIM, STUDENT_DIM, BATCH, RATE, DECAY, PATIENCE = 200, 20, 1024, 1e-3, 1e-3, 20
NEGATIVES, CUTS = 499, (5, 10)
PUBLISHED = {
    "student": {"H@5": 0.4486, "N@5": 0.3353, "H@10": 0.5559, "N@10": 0.3686},
    "urrd": {"H@5": 0.4698, "N@5": 0.3554, "H@10": 0.5727, "N@10": 0.3879},
    "ir_rrd": {"H@5": 0.4947, "N@5": 0.3747, "H@10": 0.5951, "N@10": 0.4072},
    "teacher": {"H@5": 0.5135},
}
SETTINGS = {"urrd": (1e-3, 40, 10.0), "ir_rrd": (5e-4, 20, 10.0)}
"""λ, K = L, and the temperature of the draw by rank."""
OF = 150
"""Of a list what is drawn from: at temperature 10 the rest has less than 1e-6 of the chance."""


class Log:
    """Train pairs, and for valid and test one item each with 499 that the user has in no part."""

    def __init__(self, name: str) -> None:
        frame = pd.read_parquet(log_path(name))
        part = {split: frame[frame.split == split].sort_values(["user_id", "item_id"]) for split in (0, 1, 2)}
        users, items = Vocab(np.unique(frame.user_id)), Vocab(np.unique(frame.item_id))
        rows = users.rows(part[0].user_id.to_numpy()), items.rows(part[0].item_id.to_numpy())
        self.train = Interactions(users, items, *(row.astype(np.int64) for row in rows))
        draw = np.random.default_rng(0)
        every = pd.concat(list(part.values()))
        key = np.sort(users.rows(every.user_id.to_numpy()) * len(items) + items.rows(every.item_id.to_numpy()))
        self.asked = {
            "valid": self._asked(part[2], key, draw),
            "test": self._asked(part[1], key, draw),
        }

    def _asked(self, part: pd.DataFrame, taken: np.ndarray, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
        """User rows (m,), and items (m, 500), the wanted one first."""
        users = self.train.users.rows(part.user_id.to_numpy()).astype(np.int64)
        wanted = self.train.items.rows(part.item_id.to_numpy()).astype(np.int64)
        others = np.empty((len(users), NEGATIVES), np.int64)
        for place, user in enumerate(users):
            drawn = np.empty(0, np.int64)
            while len(drawn) < NEGATIVES:
                more = draw.integers(self.train.n_items, size=2 * NEGATIVES)
                keys = user * self.train.n_items + more
                at = np.minimum(np.searchsorted(taken, keys), len(taken) - 1)
                drawn = np.concatenate([drawn, more[taken[at] != keys]])
                _, first = np.unique(drawn, return_index=True)
                drawn = drawn[np.sort(first)]
            others[place] = drawn[:NEGATIVES]
        return torch.from_numpy(users), torch.from_numpy(np.column_stack([wanted, others]))


class Tables(nn.Module):
    def __init__(self, log: Log, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.users = nn.Parameter(torch.randn(log.train.n_users, dim, generator=generator) * 0.01)
        self.items = nn.Parameter(torch.randn(log.train.n_items, dim, generator=generator) * 0.01)


@torch.no_grad()
def measured(model: Tables, asked: tuple[Tensor, Tensor]) -> dict[str, float]:
    """H@k and N@k of the wanted item among the 500; a tie counts against it by half."""
    users, items = asked
    places = torch.empty(len(users), dtype=torch.float64)
    for start in range(0, len(users), 64):
        part = slice(start, start + 64)
        scores = torch.bmm(model.items[items[part]], model.users[users[part]][:, :, None])[:, :, 0]
        above = (scores[:, 1:] > scores[:, :1]).sum(1) + 0.5 * (scores[:, 1:] == scores[:, :1]).sum(1)
        places[part] = above.double()
    found: dict[str, float] = {}
    for cut in CUTS:
        hit = places < cut
        found[f"H@{cut}"] = float(hit.double().mean())
        found[f"N@{cut}"] = float(torch.where(hit, 1.0 / torch.log2(places + 2.0), 0.0).mean())
    return found


def trained(
    log: Log, name: str, dim: int, epochs: int, taught: URRD | IR | None = None, seed: int = 0
) -> tuple[Tables, dict[str, Any]]:
    """The tables at the best valid H@5, and each cut-off's test value at its own best epoch on valid."""
    generator = torch.Generator().manual_seed(seed)
    model, objective = Tables(log, dim, generator), BPR()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, weight_decay=DECAY, fused=True)
    users, items = torch.from_numpy(log.train.user_rows), torch.from_numpy(log.train.item_rows)
    pairs = users * log.train.n_items + items
    best: dict[str, tuple[float, float, int]] = {}
    kept, waited, start = [one.detach().clone() for one in model.parameters()], 0, time.perf_counter()
    first, second = torch.zeros(BATCH, 1, dtype=torch.int64), torch.ones(BATCH, 1, dtype=torch.int64)
    place = WORK / "papers" / f"{name}-{seed}-{epochs}.going.safetensors"
    done, earlier = 0, 0.0
    if place.is_file():
        tensors = load_tensors(place)
        with safe_open(place, "pt") as stored:
            told = json.loads(stored.metadata()["told"])
        done, waited, earlier = told["epoch"], told["waited"], told["seconds"]
        best = {metric: tuple(value) for metric, value in told["best"].items()}
        put(model, optimizer, kept, generator, tensors)
    for epoch in range(done + 1, epochs + 1):
        negatives = fresh_negatives(users, pairs, log.train.n_items, generator)
        if taught is not None:
            taught.draw(generator)
        for rows in torch.randperm(len(users), generator=generator).split(BATCH):
            owners, lower = model.users[users[rows]], model.items[negatives[rows]]
            scores = torch.stack([(owners * model.items[items[rows]]).sum(1), (owners * lower).sum(1)], 1)
            n = len(rows)
            loss = n * objective(scores, first[:n], second[:n])
            if taught is not None:
                loss = loss + taught.loss(model, users[rows], items[rows], negatives[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        valid, waited = measured(model, log.asked["valid"]), waited + 1
        better = any(metric not in best or value > best[metric][0] for metric, value in valid.items())
        test = measured(model, log.asked["test"]) if better else {}
        for metric, value in valid.items():
            if metric not in best or value > best[metric][0]:
                best[metric] = value, test[metric], epoch
                if metric == "H@5":
                    waited, kept = 0, [one.detach().clone() for one in model.parameters()]
        if epoch % 10 == 0 or waited >= PATIENCE:
            line = f"{name}, seed {seed}: {epoch} loss {float(loss):.1f} valid H@5 {valid['H@5']:.4f}"
            print(
                line,
                f"best {best['H@5'][0]:.4f} test there {best['H@5'][1]:.4f} {time.perf_counter() - start:.0f} s",
                flush=True,
            )
            told = {"epoch": epoch, "waited": waited, "best": best, "seconds": earlier + time.perf_counter() - start}
            save_tensors(taken(model, optimizer, kept, generator), place, {"told": json.dumps(told)})
        if waited >= PATIENCE:
            break
    place.unlink(missing_ok=True)
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), kept, strict=True):
            parameter.copy_(value)
    return model, {
        "test": {metric: round(value[1], 4) for metric, value in best.items()},
        "valid": {metric: round(value[0], 4) for metric, value in best.items()},
        "best_epoch": {metric: value[2] for metric, value in best.items()},
        "epochs": epoch,
        "seconds": round(earlier + time.perf_counter() - start, 1),
    }


def taken(model: Tables, optimizer: Any, kept: list[Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """All that a training goes on from."""
    found = {"generator": generator.get_state()}
    for place, parameter in enumerate(model.parameters()):
        found |= {f"now {place}": parameter.detach(), f"best {place}": kept[place]}
        found |= {f"{name} {place}": value for name, value in optimizer.state[parameter].items()}
    return {name: value.contiguous().clone() for name, value in found.items()}


@torch.no_grad()
def put(
    model: Tables, optimizer: Any, kept: list[Tensor], generator: torch.Generator, from_: dict[str, Tensor]
) -> None:
    generator.set_state(from_["generator"])
    for place, parameter in enumerate(model.parameters()):
        parameter.copy_(from_[f"now {place}"])
        kept[place].copy_(from_[f"best {place}"])
        optimizer.state[parameter] = {name: from_[f"{name} {place}"] for name in ("step", "exp_avg", "exp_avg_sq")}


def fresh_negatives(users: Tensor, pairs: Tensor, n_items: int, generator: torch.Generator) -> Tensor:
    """One item for each pair that its user has not used; what is drawn among the used is drawn again."""
    drawn = torch.randint(n_items, (len(users),), generator=generator)
    while True:
        keys = users * n_items + drawn
        used = pairs[torch.searchsorted(pairs, keys).clamp_max(len(pairs) - 1)] == keys
        if not used.any():
            return drawn
        drawn[used] = torch.randint(n_items, (int(used.sum()),), generator=generator)


class Lists:
    """Of every row of one side what stands above and what below, drawn anew in each epoch, as in the papers."""

    def __init__(self, best: np.ndarray, used: csr_matrix, k: int, temperature: float) -> None:
        """best (rows, n): the other side's rows, best first, -1 after the end; used (rows, others): the train pairs."""
        self.best, self.k, self.temperature = torch.from_numpy(best.astype(np.int64)), k, temperature
        self.others = used.shape[1]
        rows = np.repeat(np.arange(used.shape[0], dtype=np.int64), np.diff(used.indptr))
        self.used = torch.from_numpy(np.sort(rows * self.others + used.indices))

    def draw(self, generator: torch.Generator) -> None:
        """k by rank without repetition, the better first; k evenly, those masked that are used or listed."""
        listed = self.best >= 0
        waits = torch.rand(listed.shape, generator=generator).clamp_(1e-7, 1 - 1e-7).log_().neg_()
        keys = -waits.log_() - torch.arange(listed.shape[1]) / self.temperature
        places = keys.masked_fill_(~listed, -torch.inf).topk(self.k, 1).indices.sort(1).values
        above, counts = self.best.gather(1, places), listed.gather(1, places)
        below = torch.randint(self.others, above.shape, generator=generator)
        keys = torch.arange(len(below))[:, None] * self.others + below
        wrong = self.used[torch.searchsorted(self.used, keys).clamp_max(len(self.used) - 1)] == keys
        ranked = above.where(counts, -1).sort(1).values
        at = torch.searchsorted(ranked, below).clamp_max(self.k - 1)
        wrong |= ranked.gather(1, at) == below
        self.items = torch.cat([above.clamp_min(0), below], 1)
        self.mask = torch.cat([counts, ~wrong], 1)

    def told(self, own: Tensor, other: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
        """Scores (n, 2k) of the rows' lists by their vectors, the lists as places, and their masks."""
        scores = StudentScores(Vectors(own[rows], other, torch.zeros(len(other)))).at(self.items[rows])
        places = torch.arange(2 * self.k).expand_as(scores)
        return scores, places[:, : self.k], places[:, self.k :], self.mask[rows, : self.k], self.mask[rows, self.k :]


class URRD:
    def __init__(self, known: Knowledge, log: Log, factor: float) -> None:
        self.weight, k, temperature = SETTINGS["urrd"]
        self.weight *= factor
        self.users = Lists(unseen_lists(known, log), log.train.csr(), k, temperature)
        self.objective = RRD()

    def draw(self, generator: torch.Generator) -> None:
        self.users.draw(generator)

    def loss(self, model: Tables, users: Tensor, items: Tensor, negatives: Tensor) -> Tensor:
        """λ times the sum over the users of a batch, each once, and the places of a list."""
        asked = users.unique()
        scores, above, below, above_mask, below_mask = self.users.told(model.users, model.items, asked)
        told = self.objective(scores, above, below, interesting_mask=above_mask, uninteresting_mask=below_mask)
        return self.weight * len(asked) * self.users.k * told


class IR:
    """Beside the users of a batch its items, used and drawn, each once."""

    def __init__(self, known: Knowledge, log: Log, factor: float) -> None:
        assert known.item_lists is not None
        self.weight, k, temperature = SETTINGS["ir_rrd"]
        self.weight *= factor
        self.users = Lists(unseen_lists(known, log), log.train.csr(), k, temperature)
        self.items = Lists(known.item_lists, log.train.csr().T.tocsr(), k, temperature)

    def draw(self, generator: torch.Generator) -> None:
        self.users.draw(generator)
        self.items.draw(generator)

    def loss(self, model: Tables, users: Tensor, items: Tensor, negatives: Tensor) -> Tensor:
        owners, things = users.unique(), torch.cat([items, negatives]).unique()
        scores, above, below, above_mask, below_mask = self.users.told(model.users, model.items, owners)
        of_items, item_above, item_below, ia_mask, ib_mask = self.items.told(model.items, model.users, things)
        # one mean over users and one over items: each is given its own number of terms
        objective = IRRRD(IRRRDConfig(item_weight=len(things) / len(owners)))
        told = objective(
            scores, above, below, of_items, item_above, item_below, interesting_mask=above_mask,
            uninteresting_mask=below_mask, item_interesting_mask=ia_mask, item_uninteresting_mask=ib_mask,
        )  # fmt: skip
        return self.weight * len(owners) * self.users.k * told


def unseen_lists(known: Knowledge, log: Log) -> np.ndarray:
    """(n_users, OF) item rows, best first, -1 after the end."""
    lists = Source(known, log.train.csr()).lists(OF, unseen=True)
    held = np.arange(lists.items.shape[1]) < lists.counts[:, None]
    return np.where(held, lists.items.astype(np.int64), -1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="citeulike-t-derrd-loo")
    parser.add_argument("--epochs", type=int, default=1000)
    names = ["student", "urrd", "ir_rrd"]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of the students")
    parser.add_argument("--factor", type=float, default=1.0, help="of the papers' λ")
    options = parser.parse_args()
    log, folder = Log(options.log), WORK / "papers"
    folder.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"log": options.log, "epochs": options.epochs, "published": PUBLISHED, "models": {}}
    if (RESULTS / "papers.json").is_file():  # models that this call does not train stay as they were measured
        earlier = json.loads((RESULTS / "papers.json").read_text())
        if all(earlier[name] == result[name] for name in ("log", "epochs")):
            result["models"] = earlier["models"]
    stored = folder / f"teacher-{options.epochs}.safetensors"
    if stored.is_file():
        arrays = load_file(stored)
        print("teacher from", stored.name)
    else:
        teacher, found = trained(log, "teacher", TEACHER_DIM, options.epochs)
        arrays = {name: value.detach().numpy() for name, value in teacher.named_parameters()}
        arrays |= {f"test {metric}": np.array(value) for metric, value in found["test"].items()}
        save_file(arrays, stored)
    result["models"]["teacher"] = {"test": {n[5:]: round(float(v), 4) for n, v in arrays.items() if n[:5] == "test "}}
    write("papers", result)
    known = Knowledge.from_vectors(arrays["users"], arrays["items"], log.train, top_k=500, temperature=1.0)
    known = known.with_item_lists(log.train, OF)
    ways: dict[str, Callable[[], URRD | IR | None]] = {
        "student": lambda: None,
        "urrd": lambda: URRD(known, log, options.factor),
        "ir_rrd": lambda: IR(known, log, options.factor),
    }
    for seed in options.seeds:
        for name in options.only:
            called = name if options.factor == 1 else f"{name}, {options.factor:g} λ"
            of_model = result["models"].setdefault(called, {"by_seed": {}})
            _, of_model["by_seed"][str(seed)] = trained(log, called, STUDENT_DIM, options.epochs, ways[name](), seed)
            tests = [one["test"] for _, one in sorted(of_model["by_seed"].items())]
            of_model["test"] = {m: round(statistics.fmean(test[m] for test in tests), 4) for m in tests[0]}
            write("papers", result)


if __name__ == "__main__":
    main()
