"""A few test people and what models recommend to them, picked by a rule that does not look at how good that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from recdistill.data.splits import Split
    from recdistill.evaluation.evaluator import Evaluation

QUANTILES = (0.25, 0.5, 0.75)
"""Of the length of the history: whose lists are shown."""
SHOWN = 5
"""Items of a history and of each list."""
DEPTH = 20
"""How far down a list hits are counted."""


def examples(
    split: Split,
    evaluations: Mapping[str, Evaluation],
    titles: Sequence[str | None] | None = None,
    *,
    people: Sequence[int] | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Rows for report.json: at each quartile of history length one tested person, drawn where several are as long.

    `evaluations` are of the test part; `people` are other places among them. Nothing that would tell who a person is
    goes along: no id, only a count of rows.
    """
    first = next(iter(evaluations.values()))
    lengths = np.diff(split.histories(split.test).indptr)[first.held_index]
    names = ItemNames(split, titles)
    shown = chosen_people(lengths, seed) if people is None else people
    return [
        _example(split, evaluations, names, at, int(lengths[at]), np.random.default_rng([seed, place]))
        for place, at in enumerate(shown)
    ]


def chosen_people(lengths: np.ndarray, seed: int = 0) -> list[int]:
    """Places in `lengths` at the quartiles of those above 0; fewer where that is the same person."""
    some = np.flatnonzero(lengths > 0)
    if not len(some):
        return []
    by_lot = np.random.default_rng(seed).permutation(len(some))
    order = some[np.lexsort((by_lot, lengths[some]))]
    places = [int(order[round(q * (len(order) - 1))]) for q in QUANTILES]
    return list(dict.fromkeys(places))


class ItemNames:
    """How items are called in a report: by title, else by id."""

    def __init__(self, split: Split, titles: Sequence[str | None] | None) -> None:
        self.items, self.titles = split.train.items, titles

    def all(self) -> list[str]:
        return self.of(np.arange(len(self.items)))

    def of(self, rows: np.ndarray) -> list[str]:
        ids = self.items.ids(rows).tolist()
        titles = [None if self.titles is None else self.titles[row] for row in rows.tolist()]
        return [str(one) if title is None else title for one, title in zip(ids, titles, strict=True)]


def _example(
    split: Split,
    evaluations: Mapping[str, Evaluation],
    names: ItemNames,
    at: int,
    length: int,
    generator: np.random.Generator,
) -> dict[str, Any]:
    held_at = int(next(iter(evaluations.values())).held_index[at])
    wanted = split.test.relevant[held_at].indices
    used, by_time = _used(split, held_at, generator)
    depth = min(DEPTH, *(found.items.shape[1] for found in evaluations.values()))
    lists: dict[str, list[dict[str, Any]]] = {}
    hits_in_depth = {}
    for name, found in evaluations.items():
        top = found.items[at, :depth]
        top = top[top >= 0]
        hits = np.isin(top, wanted).tolist()
        hits_in_depth[name] = sum(hits)
        shown = zip(names.of(top[:SHOWN]), hits[:SHOWN], strict=True)
        lists[name] = [{"item": item, "hit": hit} for item, hit in shown]
    return {
        "history_rows": length,
        "test_rows": int(split.test.relevant_count[held_at]),
        "used": names.of(used),
        "by_time": by_time,
        "lists": lists,
        "depth": depth,
        "hits": hits_in_depth,
    }


def _used(split: Split, held_at: int, generator: np.random.Generator) -> tuple[np.ndarray, bool]:
    """Item rows of a person's history: the latest of train first, or some drawn from it where no time is known."""
    train, user = split.train, -1 if split.test.history is not None else int(split.test.user_rows[held_at])
    mine = slice(*np.searchsorted(train.user_rows, [user, user + 1]).tolist()) if user >= 0 else slice(0, 0)
    if train.times is not None and mine.stop > mine.start:
        latest = np.argsort(train.times[mine], kind="stable")[::-1][:SHOWN]
        return train.item_rows[mine][latest], True
    history = split.histories(split.test)[held_at].indices
    return np.sort(generator.permutation(history)[:SHOWN]), False
