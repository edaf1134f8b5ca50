"""Claim: items that training never saw are ranked by their features: 5 × chance, twice the popularity of their genre.

    python benchmarks/cold_items.py             (d = 128, the default epochs)
    python benchmarks/cold_items.py --quick     (d = 64, 15 epochs: to see that it runs; writes nothing)

A seeded tenth of the items of ml-1m-lcfn leaves train altogether; what is asked for are their test rows. Of each user
the train rows are hidden, and nothing else. On these items' valid rows are chosen: the share of the items that are
ranked by their features alone in a training step, by recall among the new items; and how far new items stand back, so
that their share of the top 20 comes nearest to their share of the valid rows.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from common import log_path, write
from scipy.sparse import csr_matrix

from recdistill.data.interactions import HeldOut, Interactions, binary_csr
from recdistill.data.log import TEST, TRAIN, VALID
from recdistill.data.readers import read_interactions
from recdistill.data.split import Split
from recdistill.data.vocab import Vocab
from recdistill.evaluation.evaluator import evaluate_scorer
from recdistill.features import Features, read_features
from recdistill.features.table import Kind
from recdistill.models.two_tower import TwoTower
from recdistill.retrieval.exact import top_k
from recdistill.serving.bag import BagScorer
from recdistill.serving.base import Scorer
from recdistill.serving.histories import Histories

LOG = "ml-1m-lcfn"
KINDS: dict[str, Kind] = {"director": "category", "actors": "list"}
"""Names as wholes; the table has them in strings that look like texts."""
SHARE, K = 0.1, 20
DROPOUTS, MARGINS = (0.1, 0.3), (-0.25, 0.0, 0.25, 0.5)
RECALL, NDCG = f"recall@{K}", f"ndcg@{K}"


@dataclass(frozen=True)
class Data:
    """Train without the cold items, and what is asked; columns are the warm items, then the cold ones."""

    train: Interactions
    features: Features
    cold: Features
    items: Vocab
    asked: dict[tuple[str, str], HeldOut]
    """By part, valid or test, and whose rows count: warm, cold or all."""

    @property
    def n_warm(self) -> int:
        return self.train.n_items

    def train_rows(self, held: HeldOut) -> csr_matrix:
        """(m, all items)"""
        rows = self.train.csr()[held.user_rows]
        return csr_matrix((rows.data, rows.indices, rows.indptr), shape=(len(held), len(self.items)))

    def split(self, part: str, rows: str) -> Split:
        """The whole catalogue, of which the log has used the warm items alone."""
        whole = replace(self.train, items=self.items, item_features=None)
        return Split(whole, None, self.asked[part, rows], "given")


def load(seed: int) -> Data:
    path = log_path(LOG)
    log = read_interactions(path, split_column="split")
    features = read_features(path.with_name("items.parquet"), kinds=KINDS)
    is_cold = np.zeros(log.n_items, dtype=bool)
    is_cold[np.random.default_rng(seed).choice(log.n_items, round(SHARE * log.n_items), replace=False)] = True
    in_train = (log.split == TRAIN) & ~is_cold[log.item_rows]
    users = np.flatnonzero(np.bincount(log.user_rows[in_train], minlength=log.n_users))
    order = np.concatenate([np.flatnonzero(~is_cold), np.flatnonzero(is_cold)])
    column = np.argsort(order)
    row = np.full(log.n_users, -1)
    row[users] = np.arange(len(users))
    warm, cold = (log.items.subset(np.flatnonzero(mask)) for mask in (~is_cold, is_cold))
    user_rows, item_rows = row[log.user_rows], column[log.item_rows]
    train = Interactions.from_rows(
        log.users.subset(users), warm, user_rows[in_train], item_rows[in_train], source=log.source
    )
    asked = {}
    for name, part in (("valid", VALID), ("test", TEST)):
        for rows, mask in (("all", is_cold | True), ("cold", is_cold), ("warm", ~is_cold)):
            chosen = (log.split == part) & mask[log.item_rows] & (user_rows >= 0)
            asked[name, rows] = _held(user_rows[chosen], item_rows[chosen], train, len(order))
    return Data(replace(train, item_features=features), features, features.of(cold), log.items.subset(order), asked)


def _held(user_rows: np.ndarray, item_rows: np.ndarray, train: Interactions, n_items: int) -> HeldOut:
    users, places = np.unique(user_rows, return_inverse=True)
    pairs = np.unique(places * n_items + item_rows)
    relevant = binary_csr(pairs // n_items, pairs % n_items, (len(users), n_items))
    return HeldOut(train.users.ids(users), users, relevant, np.diff(relevant.indptr))


def genre_popularity(data: Data) -> BagScorer:
    """Warm items by their rows, cold ones by the mean of the warm items that share a genre with them."""
    counts = np.bincount(data.train.item_rows, minlength=data.n_warm)
    genres = data.features.of(data.items).columns["genres"].array()
    level = {name: at for at, name in enumerate(data.features.columns["genres"].levels())}
    has = np.zeros((len(genres), len(level)), dtype=bool)
    for row, names in enumerate(genres):
        has[row, [level[name] for name in names or ()]] = True
    shares = has[data.n_warm :].astype(int) @ has[: data.n_warm].T.astype(int) > 0
    means = shares @ counts / np.maximum(shares.sum(axis=1), 1)
    return BagScorer(item_bias=np.concatenate([counts, means]).astype(np.float32))


def among_all(scorer: Scorer, data: Data, part: str, rows: str, metric: str) -> float:
    """All items ranked but those of train, `rows` being what counts."""
    split = data.split(part, rows)
    return evaluate_scorer(scorer, split, split.test, metrics=(metric,)).metrics[metric]


def among_cold(scorer: Scorer, data: Data, part: str) -> float:
    """Recall of the cold items' rows where nothing but cold items is ranked."""
    held = data.asked[part, "cold"]
    histories = Histories.from_csr(data.train_rows(held))
    cold = np.arange(data.n_warm, len(data.items))
    found, _ = top_k(scorer, histories, held.user_rows, K, only=cold)
    hit = np.asarray(held.relevant[np.arange(len(held))[:, None], found].todense())
    return float((hit.sum(axis=1) / held.relevant_count).mean())


def chance(data: Data, part: str) -> dict[str, float]:
    """Expected recall of a random order."""
    held = data.asked[part, "cold"]
    seen = np.diff(data.train.csr().indptr)[held.user_rows]
    return {"all": float((K / (len(data.items) - seen)).mean()), "cold": K / (len(data.items) - data.n_warm)}


def shares(scorer: Scorer, data: Data, part: str) -> tuple[float, float]:
    """Of the cold items in the top 20 and in what is asked."""
    held = data.asked[part, "all"]
    histories = Histories.from_csr(data.train_rows(held))
    found, _ = top_k(scorer, histories, held.user_rows, K, histories)
    return float((found >= data.n_warm).mean()), data.asked[part, "cold"].relevant.nnz / held.relevant.nnz


def figures(scorer: Scorer, data: Data, part: str) -> dict[str, float]:
    found = {
        "cold_recall_among_all": among_all(scorer, data, part, "cold", RECALL),
        "cold_recall_among_cold": among_cold(scorer, data, part),
        "warm_ndcg_among_all": among_all(scorer, data, part, "warm", NDCG),
        "ndcg_of_all_rows": among_all(scorer, data, part, "all", NDCG),
    }
    found["cold_share_of_top"], found["cold_share_of_rows"] = shares(scorer, data, part)
    return found


def warm_alone(model: TwoTower, data: Data, part: str) -> float:
    """NDCG of the warm items' rows where no cold item is ranked."""
    held = data.asked[part, "warm"]
    split = Split(data.train, None, replace(held, relevant=held.relevant[:, : data.n_warm]), "given")
    return evaluate_scorer(model.scorer, split, split.test, metrics=(NDCG,)).metrics[NDCG]


def choose(models: dict[float, TwoTower], data: Data) -> tuple[dict[str, float], dict[str, Any]]:
    """Dropout and margin by the valid rows, and what was seen of each there."""
    seen = {
        dropout: {"warm_ndcg_alone": warm_alone(model, data, "valid"), **figures(widened(model, data), data, "valid")}
        for dropout, model in models.items()
    }
    best = max(seen, key=lambda dropout: seen[dropout]["cold_recall_among_cold"])
    gaps = {}
    for margin in MARGINS:
        top, rows = shares(widened(models[best], data, margin), data, "valid")
        gaps[margin] = abs(top - rows)
    margin = min(gaps, key=gaps.__getitem__)
    return {"feature_dropout": best, "margin": margin}, {"by_dropout": seen, "gap_of_shares_by_margin": gaps}


def widened(model: TwoTower, data: Data, margin: float = 0.0) -> Scorer:
    whole = model.extended(data.features, margin=margin)
    assert whole.train_vocab.items == data.items
    return whole.scorer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small and short; writes nothing")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0, help="which items are cold, and where training starts")
    options = parser.parse_args()
    data = load(options.seed)
    settings: dict[str, Any] = {"dim": 64, "epochs": 15} if options.quick else {"dim": options.dim}
    seconds: dict[str, float] = {}

    def fitted(**more: Any) -> TwoTower:
        start = time.perf_counter()
        model = TwoTower(**settings, **more).fit(data.train, seed=options.seed)
        seconds[str(more.get("feature_dropout", "without"))] = round(time.perf_counter() - start, 1)
        return model

    without = fitted()
    models = {dropout: fitted(item_features=True, feature_dropout=dropout) for dropout in DROPOUTS}
    chosen, valid = choose(models, data)
    model = models[chosen["feature_dropout"]]
    reached = figures(widened(model, data, chosen["margin"]), data, "test")
    by_chance, by_genre = chance(data, "test"), figures(genre_popularity(data), data, "test")
    result = {
        "data": {"log": LOG, "users": data.train.n_users, "warm_items": data.n_warm, "cold_items": len(data.cold)},
        "settings": settings | chosen | {"seed": options.seed},
        "features": [note.partition(": ")[2] for note in model.notes],
        "fit_seconds": seconds,
        "test": {
            "two_tower": reached,
            "chance": by_chance,
            "genre_popularity": by_genre,
            "times_chance": {
                "among_all": reached["cold_recall_among_all"] / by_chance["all"],
                "among_cold": reached["cold_recall_among_cold"] / by_chance["cold"],
            },
            "times_genre_popularity_among_cold": (
                reached["cold_recall_among_cold"] / by_genre["cold_recall_among_cold"]
            ),
            "warm_ndcg_alone": {
                "with_features": warm_alone(model, data, "test"),
                "without": warm_alone(without, data, "test"),
            },
        },
        "valid": valid | {"warm_ndcg_alone_without": warm_alone(without, data, "valid")},
    }
    print(json.dumps(result, indent=2))
    if not options.quick:
        write("cold_items", result)


if __name__ == "__main__":
    main()
