"""A split whose catalogue also has items that train never saw: those of a table, whatever the test part asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from recdistill.data.interactions import HeldOut, Interactions, Unseen
from recdistill.data.split import Split
from recdistill.data.vocab import Vocab
from recdistill.errors import DataError

if TYPE_CHECKING:
    from recdistill.features import Features


def widened(split: Split, items: Vocab) -> Split:
    """`split` with the catalogue `items`: those of train, in their order, then new ones.

    Relevant items of the test part that are among the new ones can now be ranked, and hit. What a person is made of,
    and what is hidden from them, stay items that train knows.
    """
    train = split.train
    if not np.array_equal(items.rows(train.items.ids()), np.arange(train.n_items)):
        raise DataError(
            "widened: the catalogue must begin with the items of train, in their order. Append the new ones."
        )
    wide = {part: _wide(getattr(split, part), train, items) for part in ("valid", "test", "seen")}
    if split.test is split.valid:
        wide["valid"] = wide["test"]
    elif wide["valid"] is not None:  # as a history it is what train knows
        assert split.valid is not None
        wide["valid"] = replace(split.valid, **_columns(split.valid, len(items)))
    return replace(split, train=replace(train, items=items), **wide)  # type: ignore[arg-type]


def new_items(train: Interactions) -> Features | None:
    """What the table beside the log says of items that train has not; None where it has no such.

    Where train's ids are numbers, rows of items whose ids are none are left out: a catalogue has ids of one kind.
    """
    features = train.item_features
    if features is None:
        return None
    ids = features.ids.ids()
    new = train.items.rows(ids) < 0
    if train.items.kind != "utf8" and features.ids.kind == "utf8":
        new &= np.array([is_number(one) for one in ids], dtype=bool)
    return features.of(Vocab(ids[new])) if new.any() else None


def is_number(one: str) -> bool:
    """Whether an id is a whole number as it is spelled."""
    return one.removeprefix("-").isdecimal() and str(int(one)) == one


def _wide(held: HeldOut | None, train: Interactions, items: Vocab) -> HeldOut | None:
    """Its unseen items that are in the catalogue among its relevant ones; the others stay apart."""
    if held is None:
        return None
    columns = _columns(held, len(items))
    if held.unseen is None:
        return replace(held, **columns)
    rows = items.rows(held.unseen.items.ids())
    there, gone = np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0)
    placed = csr_matrix(
        (np.ones(len(there), np.float32), (np.arange(len(there)), rows[there])), shape=(len(there), len(items))
    )
    relevant = (columns["relevant"] + held.unseen.relevant[:, there] @ placed).tocsr()
    relevant.sort_indices()
    left = Unseen(held.unseen.items.subset(gone), held.unseen.relevant[:, gone].tocsr()) if len(gone) else None
    return replace(held, **{**columns, "relevant": relevant, "relevant_times": None, "unseen": left})


def _columns(held: HeldOut, n_items: int) -> dict[str, Any]:
    """Its matrices with more columns."""
    more = n_items - held.relevant.shape[1]

    def wide(matrix: csr_matrix | None) -> csr_matrix | None:
        if matrix is None:
            return None
        return csr_matrix((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], matrix.shape[1] + more))

    return {"relevant": wide(held.relevant), "history": wide(held.history)}
