"""For whom a model is good: by popularity of the wanted item, by length of the history, and for the cold ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from recdistill.data.interactions import HeldOut
from recdistill.data.splits import Split
from recdistill.evaluation.evaluator import Evaluation
from recdistill.evaluation.ranking import hits_of, ndcg, recall

Ints = npt.NDArray[np.int64]
POPULARITY = ("head", "mid", "tail")


def groups(evaluation: Evaluation, split: Split, held: HeldOut | None = None, k: int = 20) -> dict[str, Any]:
    """`popularity`, `history` and `cold` as they stand in report.json; `held` is the part that was evaluated.

    Popularity: an item's group, see `popularity_groups`; recall@k counts only the relevant items of the group, over
    the users who have such. `share_of_relevant` is of the relevant rows known to train, `share_of_recommended` of the
    top k.
    History: terciles of the number of rows that make up a user (those with none are cold).
    Cold: users who are not in train and have no history beside it, and relevant rows whose item training has never
    seen, which nobody can hit.
    A mean over no user is null. k is cut to the length of the lists.
    """
    held = split.test if held is None else held
    k = min(k, evaluation.items.shape[1])
    kept = evaluation.held_index
    relevant, count = held.relevant[kept], held.relevant_count[kept]
    hits = hits_of(evaluation.items, relevant)
    values = {f"recall@{k}": recall(hits, count, k), f"ndcg@{k}": ndcg(hits, count, k)}

    group_of_item = popularity_groups(np.bincount(split.train.item_rows, minlength=split.train.n_items))
    top = evaluation.items[:, :k]
    history = np.diff(split.histories(held).indptr)[kept]
    cold = (held.user_rows[kept] < 0) & (history == 0)
    unknown = count - np.diff(relevant.indptr)
    return {
        "popularity": [
            _popularity_row(name, group_of_item == place, hits[:, :k], top, relevant)
            for place, name in enumerate(POPULARITY)
        ],
        "history": [{"group": name, **_means(values, members)} for name, members in history_groups(history)],
        "cold": {
            **_means(values, cold),
            "relevant_unknown": int(unknown.sum()),
            "share_of_relevant": float(unknown.sum() / count.sum()),
            "users_with_unknown": int(np.count_nonzero(unknown)),
        },
    }


def popularity_groups(popularity: Ints) -> npt.NDArray[np.int8]:
    """0 head, 1 mid, 2 tail for each item: going down by train rows, a group takes items until it holds a third of all.

    The item on a border belongs to the group above it. Equally popular items go by row.
    """
    order = np.argsort(-popularity, kind="stable")
    before = np.cumsum(popularity[order]) - popularity[order]
    groups = np.empty(len(popularity), dtype=np.int8)
    groups[order] = np.minimum(3 * before // max(int(popularity.sum()), 1), 2)
    return groups


def history_groups(lengths: Ints) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """Name and members (m,) bool of each tercile of the lengths above 0; fewer than three where lengths coincide."""
    some = lengths[lengths > 0]
    if len(some) == 0:
        return []
    cuts = np.unique([*np.quantile(some, [1 / 3, 2 / 3], method="inverted_cdf"), some.max()]).tolist()
    found = []
    for place, upper in enumerate(cuts):
        lower = cuts[place - 1] + 1 if place else 1
        if place == 0:
            name = f"≤ {upper} rows"
        elif place == len(cuts) - 1:
            name = f"≥ {lower} rows"
        else:
            name = f"{lower}-{upper} rows" if lower < upper else f"{upper} rows"
        found.append((name, (lengths >= lower) & (lengths <= upper)))
    return found


def _popularity_row(name: str, members: np.ndarray, hits: np.ndarray, top: Ints, relevant: Any) -> dict[str, Any]:
    """`members` (n_items,) bool, `hits` and `top` (m, k)."""
    recommended = members[top] & (top >= 0)
    wanted = np.asarray(relevant[:, members].getnnz(axis=1))
    some = wanted > 0
    found = (hits & recommended).sum(axis=1)[some] / wanted[some]
    return {
        "group": name,
        "items": int(members.sum()),
        "users": int(some.sum()),
        "share_of_relevant": float(wanted.sum() / max(relevant.nnz, 1)),
        "share_of_recommended": float(recommended.sum() / max(np.count_nonzero(top >= 0), 1)),
        f"recall@{top.shape[1]}": float(found.mean()) if len(found) else None,
    }


def _means(values: dict[str, np.ndarray], members: np.ndarray) -> dict[str, Any]:
    users = int(members.sum())
    means = {name: float(per_user[members].mean()) if users else None for name, per_user in values.items()}
    return {"users": users} | means
