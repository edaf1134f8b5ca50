"""A log as it was read: encoded, checked, not yet split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from recdistill.data.interactions import (
    Interactions,
    first_of_each,
    last_of_each,
    pair_csr,
    pair_keys,
    sorted_order,
)
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.registry import nearest

if TYPE_CHECKING:
    from recdistill.features import Features

TRAIN, TEST, VALID = 0, 1, 2
SPLIT_NAMES = {"train": TRAIN, "test": TEST, "valid": VALID}
DUPLICATES = {
    "last": "the last of each by {by} is kept",
    "first": "the first of each by {by} is kept",
    "sum": "each is kept once, with its values added up",
}
REPEATED = "repeated (user, item) rows"


@dataclass(frozen=True, eq=False)
class Log:
    """All rows in the order of the file, or, by `ordered`, of (user, item, time).

    Repeated pairs are still here: which of them counts depends on the part of the split that they fall into.
    """

    users: Vocab
    """Sorted ids, so that the order of rows is the order of ids."""
    items: Vocab
    user_rows: np.ndarray
    """int32 (n_rows,)"""
    item_rows: np.ndarray
    """int32 (n_rows,)"""
    times: np.ndarray | None = None
    """Seconds, int64 or float64."""
    values: np.ndarray | None = None
    """float32, the ratings."""
    split: np.ndarray | None = None
    """int8: 0 train, 1 test, 2 valid."""
    notes: tuple[str, ...] = ()
    source: str = "log"
    item_features: Features | None = None
    """What is known of items beside their use, as it was read; rows of items that no one used included."""
    user_features: Features | None = None
    duplicates: str = "last"
    """Which row of a repeated (user, item) counts within a part: "last" or "first" by time or place, or "sum"."""

    def __post_init__(self) -> None:
        if self.duplicates not in DUPLICATES:
            raise ConfigError(f"duplicates: {self.duplicates!r}. {nearest(self.duplicates, DUPLICATES)}")
        for what, vocab in (("user", self.users), ("item", self.items)):
            if len(vocab) == 1:
                raise DataError(
                    f"{self.source}: only one {what} ({vocab.ids().tolist()[0]!r}) in {self.n_rows} rows; "
                    f"at least two are needed. Check which column is {what}_id."
                )
        if self.n_rows == 0:
            raise DataError(f"{self.source}: no rows below the header. Give a log with at least two users and items.")
        if self.split is not None:
            for name in ("train", "test"):
                if not (self.split == SPLIT_NAMES[name]).any():
                    raise DataError(
                        f"{self.source}: the split column has no {name} rows; mark some as {name!r} "
                        f"({SPLIT_NAMES[name]}), or leave the split column out to have the log split."
                    )

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n_items(self) -> int:
        return len(self.items)

    @property
    def n_rows(self) -> int:
        return len(self.user_rows)

    def ordered(self) -> Log:
        """This log with its rows sorted by (user, item, time, place in the file), and a note on repeated ones.

        It is sorted once; a log that is in order is not copied.
        """
        return self if self._in_order else self._ordered

    def csr(self) -> csr_matrix:
        """Binary float32 (n_users, n_items) of the distinct pairs of all rows, indices sorted."""
        return pair_csr(self.user_rows, self.item_rows, (self.n_users, self.n_items))

    def keys(self) -> np.ndarray:
        """int64 (n_rows,), one number for each (user, item); ascending where the log is ordered."""
        return pair_keys(self.user_rows, self.item_rows, self.n_items)

    def take(self, rows: np.ndarray) -> Log:
        """Some of the rows, by a mask or by their places, under the same vocabularies, without their split column."""
        taken = replace(self, split=None, **self._columns_at(rows))
        return _marked(taken) if self._in_order and rows.dtype == bool else taken

    def unique(self) -> Log:
        """Each (user, item) once and in order, by the rule of `duplicates`, whatever the split column says."""
        log = self.ordered()
        keys = log.keys()
        kept = first_of_each(keys) if self.duplicates == "first" else last_of_each(keys)
        taken = log.take(kept)
        if self.duplicates == "sum" and not (self.values is None and kept.all()):
            return _marked(replace(taken, values=_sums(log.values, kept)))
        return taken

    def interactions(self) -> Interactions:
        """The whole log as one train part, for those who measure nothing."""
        log = self.unique()
        rows = log.user_rows.astype(np.int64), log.item_rows.astype(np.int64)
        return Interactions(
            self.users,
            self.items,
            *rows,
            log.times,
            log.values,
            log.notes,
            self.source,
            self.item_features,
            self.user_features,
        )

    @property
    def _in_order(self) -> bool:
        """Whether it is known to be; `_marked` says so."""
        return "marked" in vars(self)

    @cached_property
    def _ordered(self) -> Log:
        log = self
        if not self._is_sorted():
            order = sorted_order(self.user_rows, self.item_rows, self.n_items, self.times)
            split = None if self.split is None else self.split[order]
            log = replace(self, split=split, **self._columns_at(order))
        note = log._note_on_repeated_rows()
        return _marked(replace(log, notes=(*log.notes, *note)))

    def _is_sorted(self) -> bool:
        """By (user, item), and by time where these are equal."""
        users, items = self.user_rows, self.item_rows
        if (users[1:] < users[:-1]).any():
            return False
        same = users[1:] == users[:-1]
        if (items[1:] < items[:-1])[same].any():
            return False
        same &= items[1:] == items[:-1]
        return self.times is None or not (self.times[1:] < self.times[:-1])[same].any()

    def _note_on_repeated_rows(self) -> tuple[str, ...]:
        """Of a log that is in order; none where one is there from before."""
        if any(REPEATED in note for note in self.notes):
            return ()
        keys = self.keys() if self.split is None else np.sort(self.keys() * len(SPLIT_NAMES) + self.split)
        repeated = self.n_rows - int(last_of_each(keys).sum())
        where = "" if self.split is None else ", within the same part of the split"
        rule = DUPLICATES[self.duplicates].format(by="place in the file" if self.times is None else "time")
        return (f"{repeated:,} {REPEATED}{where}: {rule}",) if repeated else ()

    def _columns_at(self, rows: np.ndarray) -> dict[str, Any]:
        columns = {name: getattr(self, name) for name in ("user_rows", "item_rows", "times", "values")}
        return {name: None if column is None else column[rows] for name, column in columns.items()}


def _marked(log: Log) -> Log:
    vars(log)["marked"] = True
    return log


def _sums(values: np.ndarray | None, last: np.ndarray) -> np.ndarray:
    """float32 sums over runs that end where `last` is set; rows without values count 1 each."""
    ends = np.flatnonzero(last)
    if values is None:
        return np.diff(ends, prepend=-1).astype(np.float32)
    starts = np.append(0, ends[:-1] + 1)
    return np.add.reduceat(values.astype(np.float64), starts).astype(np.float32) if len(ends) else values
