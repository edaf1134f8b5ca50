"""Who lost what between teacher and student: differences of NDCG@k by users and by wanted items, with their spread.

NDCG@k of a user is a sum over hits, so that the difference of two models is split exactly among the wanted items, and
among the users: the shares of users' groups sum to 1, and those of items' groups where no item is in two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recdistill.analysis.attributes import attributes
from recdistill.evaluation.agreement import overlap
from recdistill.evaluation.compare import compare
from recdistill.evaluation.groups import POPULARITY, history_groups, popularity_groups
from recdistill.evaluation.ranking import contains, hits_of

if TYPE_CHECKING:
    from recdistill.data.splits import Split
    from recdistill.evaluation.evaluator import Evaluation

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MOST_NAMED = 5
"""Items that are named for the hits that were lost on them, and for those gained."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One model's lists on the test part, for each seed; m users in the order of the evaluation."""

    values: Floats
    """(seeds, m) NDCG@k"""
    parts: tuple[Floats, ...]
    """For each seed (hits,): what each hit adds to its user's NDCG@k."""
    users: tuple[Ints, ...]
    """For each seed (hits,): whose hit it is, a place among the m users."""
    items: tuple[Ints, ...]
    """For each seed (hits,): its item row."""

    @classmethod
    def of(cls, by_seed: Mapping[int, Evaluation], split: Split, k: int) -> Measured:
        discount = 1.0 / np.log2(np.arange(2, k + 2))
        ideals, parts, users, items = np.cumsum(discount), [], [], []
        for found in by_seed.values():
            held = split.test.take(found.held_index)
            hits = hits_of(found.items[:, :k], held.relevant)
            user, rank = np.nonzero(hits)
            ideal = ideals[np.minimum(held.relevant_count, k) - 1]
            parts.append(discount[rank] / ideal[user])
            users.append(user)
            items.append(found.items[user, rank])
        values = np.stack([found.per_user[f"ndcg@{k}"] for found in by_seed.values()])
        return cls(values, tuple(parts), tuple(users), tuple(items))

    def of_items(self, members: np.ndarray) -> Floats:
        """(seeds, m): what hits on these items (n_items,) bool add to each user's NDCG@k."""
        m = self.values.shape[1]
        return np.stack(
            [
                np.bincount(user[members[item]], part[members[item]], minlength=m)
                for part, user, item in zip(self.parts, self.users, self.items, strict=True)
            ]
        )


def losses(
    split: Split,
    teacher: Mapping[int, Evaluation],
    student: Mapping[int, Evaluation],
    *,
    k: int,
    names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The differences student - teacher on test as they stand in diagnosis.json: all users, then groups of them by
    length of the history and attributes, then wanted items by popularity and attributes, then single items.

    A share is of the total difference, None where that is within the spread: parts of nothing sure say nothing.
    `names` (n_items) is how items are called.
    """
    before, after = Measured.of(teacher, split, k), Measured.of(student, split, k)
    index = next(iter(teacher.values())).held_index
    total = compare(after.values, before.values)
    whole = float((after.values - before.values).mean(0).sum()) if total.beyond_spread else None
    shared = np.mean([overlap(student[seed].items, teacher[seed].items, k) for seed in teacher], axis=0)
    everyone = np.ones(before.values.shape[1], bool)
    moved = (after.values - before.values).mean(0)
    users = [_user_row(name, members, before, after, shared, whole) for name, members in _by_history(split, index)]
    return {
        "metric": f"ndcg@{k}",
        "seeds": len(teacher),
        "total": _user_row("all", everyone, before, after, shared, whole),
        "users_who": {
            "lose": float((moved < 0).mean()),
            "gain": float((moved > 0).mean()),
            "same": float((moved == 0).mean()),
        },
        "by_history": users,
        "by_user": _by_user_attribute(split, index, before, after, shared, whole),
        **_by_items(split, index, before, after, whole),
        "items": _single_items(split, before, after, names),
    }


def _by_history(split: Split, index: Ints) -> list[tuple[str, np.ndarray]]:
    lengths = np.diff(split.histories(split.test).indptr)[index]
    none = [("no history", lengths == 0)] if (lengths == 0).any() else []
    return [*none, *history_groups(lengths)]


def _by_user_attribute(
    split: Split, index: Ints, before: Measured, after: Measured, shared: Floats, whole: float | None
) -> list[dict[str, Any]]:
    rows = split.test.user_rows[index]
    weight = np.bincount(rows[rows >= 0], minlength=split.train.n_users)
    found = []
    for one in attributes(split.train.user_features, split.train.users, weight):
        groups = [(name, np.append(members, False)[rows]) for name, members in one.groups]  # -1 is nobody
        told = [_user_row(name, members, before, after, shared, whole) for name, members in groups]
        found.append({"attribute": one.name, "overlapping": one.overlapping, "groups": told})
    return found


def _user_row(
    name: str, members: np.ndarray, before: Measured, after: Measured, shared: Floats, whole: float | None
) -> dict[str, Any]:
    """`members` (m,) bool."""
    found = _compared(before.values[:, members], after.values[:, members])
    share = None if whole is None else float((after.values - before.values).mean(0)[members].sum() / whole)
    agree = float(shared[members].mean()) if members.any() else None
    size = {"users": int(members.sum()), "share_of_users": float(members.mean())}
    return {"group": name, **size, **found, "share": share, "overlap": agree}


def _compared(before: Floats, after: Floats) -> dict[str, Any]:
    """(seeds, users) each; nulls where there is no user."""
    if not before.size:
        names = ("teacher", "student", "difference", "standard_error")
        return {**dict.fromkeys(names), "seeds_same_sign": False, "beyond_spread": False}
    row = compare(after, before).as_row("student", "teacher", "")
    kept = ("difference", "standard_error", "seeds_same_sign", "beyond_spread")
    means = {"teacher": float(before.mean()), "student": float(after.mean())}
    return means | {name: row[name] for name in kept}


def _by_items(
    split: Split, index: Ints, before: Measured, after: Measured, whole: float | None
) -> dict[str, list[dict[str, Any]]]:
    """`by_popularity` and `by_item`: what hits on a group's items add, over the users who want one of them."""
    held = split.test.take(index)
    relevant, n_items = held.relevant, split.train.n_items
    place = popularity_groups(np.bincount(split.train.item_rows, minlength=n_items))

    all_wanted = int(held.relevant_count.sum())

    def row(name: str, members: np.ndarray) -> dict[str, Any]:
        wants = np.asarray(relevant[:, members].getnnz(axis=1)) > 0
        old, new = before.of_items(members), after.of_items(members)
        wanted = int(relevant[:, members].nnz)
        return {
            "group": name,
            "items": int(members.sum()),
            "users": int(wants.sum()),
            "wanted": wanted,
            "share_of_wanted": wanted / all_wanted,
            **_compared(old[:, wants], new[:, wants]),
            **_hits(before, after, members, n_items),
            "share": None if whole is None else float((new - old).mean(0).sum() / whole),
        }

    unknown = all_wanted - relevant.nnz
    by_popularity = [row(name, place == at) for at, name in enumerate(POPULARITY)]
    if unknown:
        by_popularity.append({"group": "new", "wanted": unknown, "share_of_wanted": unknown / all_wanted})
    weight = np.asarray(relevant.getnnz(axis=0))
    by_item = [
        {"attribute": one.name, "overlapping": one.overlapping, "groups": [row(*group) for group in one.groups]}
        for one in attributes(split.train.item_features, split.train.items, weight)
    ]
    return {"by_popularity": by_popularity, "by_item": by_item}


def _hits(before: Measured, after: Measured, members: np.ndarray, n_items: int) -> dict[str, float]:
    """Counts of hits, means over seeds: the teacher's, those of them that the student lost, and what it gained."""
    rows = []
    for seed in range(len(before.users)):
        old, new = (_keys(one, seed, members, n_items) for one in (before, after))
        kept = int(contains(new, old).sum())
        rows.append((len(old), len(old) - kept, len(new) - kept))
    hits, lost, gained = (float(column) for column in np.mean(rows, axis=0))
    return {"teacher_hits": hits, "lost": lost, "gained": gained}


def _keys(one: Measured, seed: int, members: np.ndarray, n_items: int) -> Ints:
    """Each hit as one number, sorted."""
    inside = members[one.items[seed]]
    return np.sort(one.users[seed][inside] * n_items + one.items[seed][inside])


def _single_items(split: Split, before: Measured, after: Measured, names: Sequence[str] | None) -> dict[str, Any]:
    """Items by their net hits of all seeds: where most were lost, and where most were gained."""
    n_items = split.train.n_items
    old, new = (np.bincount(np.concatenate(one.items), minlength=n_items) / len(one.items) for one in (before, after))
    net = new - old
    popularity = np.bincount(split.train.item_rows, minlength=n_items)
    order = np.argsort(net, kind="stable")
    told = names if names is not None else [str(one) for one in split.train.items.ids().tolist()]

    def row(item: int) -> dict[str, Any]:
        return {
            "item": told[item], "train_rows": int(popularity[item]), "teacher_hits": float(old[item]),
            "student_hits": float(new[item]),
        }  # fmt: skip

    return {
        "lost": [row(item) for item in order[:MOST_NAMED].tolist() if net[item] < 0],
        "gained": [row(item) for item in order[::-1][:MOST_NAMED].tolist() if net[item] > 0],
    }
