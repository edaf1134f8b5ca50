"""Where teacher and student disagree: whose lists differ most in what they are worth, by title."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recdistill.evaluation.agreement import agreement
from recdistill.evaluation.examples import ItemNames, examples

if TYPE_CHECKING:
    from recdistill.data.splits import Split
    from recdistill.evaluation.evaluator import Evaluation

LARGEST_LOSSES = 3
WANTED = 8
"""Wanted items that are named of a person."""


def disagreement(
    split: Split, teacher: Mapping[int, Evaluation], student: Mapping[int, Evaluation], *, k: int
) -> dict[str, Any]:
    """Mean agreement of the lists, and the people with the largest losses and the largest gain, of seed 0.

    Who is shown is chosen by the difference of NDCG@k among people with a history, by lot where it is equal. No id
    of a person goes along.
    """
    first, second = next(iter(teacher.values())), next(iter(student.values()))
    moved = second.per_user[f"ndcg@{k}"] - first.per_user[f"ndcg@{k}"]
    known = np.diff(split.histories(split.test).indptr)[first.held_index] > 0
    by_lot = np.random.default_rng(0).permutation(len(moved))
    order = np.lexsort((by_lot, moved))
    worst = [int(at) for at in order if known[at] and moved[at] < 0][:LARGEST_LOSSES]
    best = [int(at) for at in order[::-1] if known[at] and moved[at] > 0][:1]
    features = split.train.item_features
    titles = None if features is None else features.titles(split.train.items)
    people = examples(split, {"teacher": first, "student": second}, titles, people=[*worst, *best])
    names = ItemNames(split, titles)
    for at, person in zip([*worst, *best], people, strict=True):
        wanted = split.test.relevant[first.held_index[at]].indices
        person["wanted"] = names.of(wanted[:WANTED])
        person["difference"] = float(moved[at])
    by_seed = [agreement(student[seed].items, teacher[seed].items, k) for seed in teacher]
    return {
        "agreement": {name: float(np.mean([row[name] for row in by_seed])) for name in by_seed[0]},
        "examples": people,
    }
