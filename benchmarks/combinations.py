"""Distillation against pruning against quantisation against all of their combinations, at equal bytes.

    python benchmarks/combinations.py [--log ml-1m-lcfn] [--budgets 125kB 60kB] [--seeds 3] [--cells TEXT …]

The eight students {labels alone, distilled} × {half floats, few bits} × {whole, half of it pruned while training}, and
two whose popular items have more bits than the others, are trained through what they are stored as, each as wide as the
budget lets it be. Of each three candidates are trained for
half of the epochs with seed 0; the best on valid is trained to the end with every seed. Beside them wide students in
floats, alone and distilled, which are quantised, pruned or both after their training, the better of two ways on valid.
One ensemble of seed 0 teaches. Every figure is kept in combinations-LOG.cells.json beside the result as it is made, and
the same command goes on from there, also on another machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from common import RESULTS, WORK, log_path, write

import recdistill as rd
from recdistill.compression import trials
from recdistill.compression.convert import converted
from recdistill.compression.rivals import pruned
from recdistill.compression.sizes import size_in_bytes, student_bytes, widest
from recdistill.data import splits
from recdistill.evaluation.evaluator import evaluate_scorer
from recdistill.serving.bag import BagScorer
from recdistill.serving.scorers import Scorer
from recdistill.tables.codec_names import MIXED

METRIC = "ndcg@20"
SHARE, SHORT = 0.5, 0.5
"""Of the table that is pruned; of the epochs of a candidate."""
Settings = dict[str, Any]
TAUGHT: tuple[Settings, ...] = tuple(dict(one) for one in trials.DISTILLED[:3])
ALONE: tuple[Settings, ...] = tuple(dict(one) for one in trials.ALONE[:3])
FORMS: dict[tuple[str, str], tuple[Settings, ...]] = {
    ("floats", "whole"): ({"codec": "fp16"},),
    ("floats", "pruned"): ({"codec": "fp16", "pruned_by": "values"}, {"codec": "fp16", "pruned_by": "dimensions"}),
    ("bits", "whole"): ({"codec": "int4"}, {"codec": "int3"}),
    ("mixed", "whole"): tuple({"codec": codec} for codec in MIXED[:2]),
    ("bits", "pruned"): ({"codec": "int4", "pruned_by": "values"}, {"codec": "int3", "pruned_by": "dimensions"}),
}
CELLS = [(taught, *form) for taught in ("alone", "distilled") for form in FORMS]


@dataclass(frozen=True)
class Bench:
    """A log, a place for what is made, and what was measured so far."""

    split: rd.Split
    folder: Path
    kept: Path
    """The file of what was measured."""
    done: dict[str, Any] = field(default_factory=dict)
    known: Path | None = None
    """Where knowledge is that was extracted before; none: in the folder, made when it is asked for."""

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What stands under the key, made now where nothing does."""
        if key not in self.done:
            start = time.perf_counter()
            self.done[key] = make()
            self.kept.write_text(json.dumps(self.done, indent=1) + "\n")
            print(f"{key}: {self.done[key]}, {time.perf_counter() - start:.0f} s", flush=True)
        return self.done[key]

    @cached_property
    def knowledge(self) -> rd.Knowledge:
        """Of an ensemble, which is measured when it is made."""
        if self.known is not None:
            return rd.Knowledge.load(self.known)
        if not (self.folder / "knowledge").is_dir() or "teacher" not in self.done:
            teacher = rd.Ensemble(members=("two_tower", "ease")).fit(self.split.train, self.split.valid, seed=0)
            self.once("teacher", lambda: self.measured(teacher.scorer))
            rd.Knowledge.extract(teacher, self.split.train, path=self.folder / "knowledge")
        return rd.Knowledge.load(self.folder / "knowledge")

    def student(self, taught: str, seed: int, settings: Settings) -> rd.TwoTower:
        model = rd.TwoTower(**{"user_id": False, "table": "tied", **settings})
        if taught == "alone":
            return model.fit(self.split.train, seed=seed)
        return rd.distill(self.knowledge, student=model, on=self.split.train, seed=seed)

    def measured(self, scorer: Scorer) -> dict[str, Any]:
        found: dict[str, Any] = {"bytes": scorer.nbytes}
        for part, held in (("valid", self.split.valid), ("test", self.split.test)):
            assert held is not None
            found[part] = round(evaluate_scorer(scorer, self.split, held, metrics=(METRIC,)).metrics[METRIC], 5)
        return found


def fitting(form: Settings, n_items: int, limit: int) -> Settings:
    """The form as wide as the budget lets it be."""
    by = form.get("pruned_by")

    def weighs(dim: int) -> int:
        kept = max(1, round((1 - SHARE) * dim))  # as training rounds
        codec = f"{form['codec']}_sparse{kept}" if by == "values" else form["codec"]
        return student_bytes(n_items, codec, kept if by == "dimensions" else dim)

    return {**form, "dim": widest(weighs, limit, most=640)} | ({"pruned": SHARE} if by else {})


def candidates(taught: str, form: tuple[str, str], n_items: int, limit: int) -> list[Settings]:
    """Three: every form with the first settings, the rest of them with the first form."""
    settings = ALONE if taught == "alone" else TAUGHT
    forms = [fitting(one, n_items, limit) for one in FORMS[form]]
    return [{**forms[0], **one} for one in settings[: 4 - len(forms)]] + [{**one, **settings[0]} for one in forms[1:]]


def trained(bench: Bench, cell: tuple[str, str, str], budget: str, seeds: int) -> dict[str, Any]:
    """One of those that are trained through what they are stored as."""
    taught, *form = cell
    tried = candidates(taught, (form[0], form[1]), bench.split.train.n_items, size_in_bytes(budget))

    def short(settings: Settings) -> Any:
        return bench.measured(bench.student(taught, 0, {**settings, "epochs_share": SHORT}).scorer)["valid"]

    name = f"{budget} {' '.join(cell)}"
    reached = [bench.once(f"{name} {json.dumps(one)}", lambda one=one: short(one)) for one in tried]  # type: ignore[misc]
    chosen = tried[max(range(len(tried)), key=lambda place: reached[place])]
    rows = [
        bench.once(f"{name} seed {seed} {json.dumps(chosen)}",
                   lambda seed=seed: bench.measured(bench.student(taught, seed, chosen).scorer))  # type: ignore[misc]
        for seed in range(seeds)
    ]  # fmt: skip
    tries = [{"settings": one, "valid": valid} for one, valid in zip(tried, reached, strict=True)]
    return {"chosen": chosen, "tried": tries, **summed(rows)}


def afterwards(scorer: BagScorer, limit: int) -> Iterator[tuple[str, str, Scorer]]:
    """What is made of a finished student: which cell it is of, in a few words how, and the scorer."""
    n, dim = scorer.n_items, scorer.dimension

    def most(codec: str) -> str:
        return codec.format(widest(lambda kept: student_bytes(n, codec.format(kept), dim), limit, most=dim))

    yield "bits whole", "int4", converted(scorer, "int4", seed=0).scorer
    for bits, sparse, narrow in (("floats", "fp16_sparse{}", "fp16"), ("bits", "int4_sparse{}", "int8")):
        yield f"{bits} pruned", most(sparse), converted(scorer, most(sparse), seed=0).scorer
        width = widest(lambda d, codec=narrow: student_bytes(n, codec, d), limit, most=dim)  # type: ignore[misc]
        yield f"{bits} pruned", f"{width} dimensions, {narrow}", converted(pruned(scorer, width), narrow, seed=0).scorer


def converted_students(bench: Bench, taught: str, budget: str, seeds: int) -> dict[str, Any]:
    """By cell: the best way on valid, mean over seeds, that a student in floats is brought within the budget."""
    limit = size_in_bytes(budget)
    found: dict[str, Any] = {}
    for codec in ("int4", *MIXED[:2]):
        shape = fitting({"codec": codec}, bench.split.train.n_items, limit)
        settings = {"dim": shape["dim"], **(ALONE if taught == "alone" else TAUGHT)[0]}

        def one_seed(seed: int, codec: str = codec, settings: Settings = settings) -> list[Any]:
            scorer = bench.student(taught, seed, settings).scorer
            assert isinstance(scorer, BagScorer)
            if codec == "int4":
                ways = list(afterwards(scorer, limit))
            else:
                ways = [("mixed whole", codec, converted(scorer, codec, seed=0).scorer)]
            rows = [(cell, how, bench.measured(small)) for cell, how, small in ways]
            return [*rows, ("before", "floats", bench.measured(scorer))] if codec == "int4" else rows

        name = f"{budget} {taught} afterwards {'' if codec == 'int4' else codec + ' '}seed"
        rows = [bench.once(f"{name} {seed}", lambda seed=seed: one_seed(seed)) for seed in range(seeds)]  # type: ignore[misc]
        for way in zip(*rows, strict=True):
            cell, how, _ = way[0]
            here = {"how": f"d={settings['dim']}, {how}", **summed([one[2] for one in way])}
            if cell not in found or here["valid"] > found[cell]["valid"]:
                found[cell] = here
    return found


def summed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    means = {part: round(statistics.fmean(row[part] for row in rows), 5) for part in ("valid", "test")}
    return {"bytes": rows[0]["bytes"], **means, "by_seed": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="ml-1m-lcfn")
    parser.add_argument("--budgets", nargs="+", default=["125kB", "60kB"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cells", nargs="+", default=[""], help="only those whose name holds one of these, unwritten")
    options = parser.parse_args()
    folder = WORK / f"combinations-{options.log}"
    folder.mkdir(parents=True, exist_ok=True)
    kept = RESULTS / f"combinations-{options.log}.cells.json"
    split = splits.given(rd.read_interactions(log_path(options.log), split_column="split"))
    bench = Bench(split, folder, kept, json.loads(kept.read_text()) if kept.is_file() else {})
    budgets: dict[str, Any] = {}
    for budget in options.budgets:
        wanted = [cell for cell in CELLS if any(text in " ".join(cell) for text in options.cells)]
        during = {" ".join(cell): trained(bench, cell, budget, options.seeds) for cell in wanted}
        if options.cells == [""]:
            after = {
                taught: converted_students(bench, taught, budget, options.seeds) for taught in ("alone", "distilled")
            }
            budgets[budget] = {"trained": during, "afterwards": after}
    if budgets:
        told = {"log": options.log, "seeds": options.seeds, "teacher": bench.done["teacher"], "budgets": budgets}
        write(f"combinations-{options.log}", told)


if __name__ == "__main__":
    main()
