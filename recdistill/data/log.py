"""A log as it was read: encoded, checked, not yet split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recdistill.data.interactions import Interactions, last_of_each, pair_keys, sorted_order
from recdistill.data.vocab import Vocab
from recdistill.errors import DataError

TRAIN, TEST, VALID = 0, 1, 2
SPLIT_NAMES = {"train": TRAIN, "test": TEST, "valid": VALID}


@dataclass(frozen=True, eq=False)
class Log:
    """All rows, sorted by (user, item, time).

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

    def __post_init__(self) -> None:
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

    def keys(self) -> np.ndarray:
        """int64 (n_rows,), one number for each (user, item); ascending."""
        return pair_keys(self.user_rows, self.item_rows, self.n_items)

    def take(self, mask: np.ndarray) -> Log:
        """Some of the rows under the same vocabularies, without their split column."""
        columns: dict[str, Any] = {name: getattr(self, name) for name in ("user_rows", "item_rows", "times", "values")}
        taken: dict[str, Any] = {name: None if column is None else column[mask] for name, column in columns.items()}
        return replace(self, split=None, **taken)

    def unique(self) -> Log:
        """Each (user, item) once, the last by time or by place in the file, whatever the split column says."""
        return self.take(last_of_each(self.keys()))

    def interactions(self) -> Interactions:
        """The whole log as one train part, for those who measure nothing."""
        log = self.unique()
        rows = log.user_rows.astype(np.int64), log.item_rows.astype(np.int64)
        return Interactions(self.users, self.items, *rows, log.times, log.values, self.notes, self.source)


def sorted_log(log: Log) -> Log:
    """`log` with its rows in order, and with a note on how many of them are repeated."""
    order = sorted_order(log.user_rows, log.item_rows, log.n_items, log.times)
    ordered = log.take(order)
    split = None if log.split is None else log.split[order]
    where = "" if split is None else ", within the same part of the split"
    keys = ordered.keys() if split is None else np.sort(ordered.keys() * 3 + split)
    repeated = int((~last_of_each(keys)).sum())
    by = "place in the file" if log.times is None else "time"
    note = (f"{repeated:,} repeated (user, item) rows{where}: the last of each by {by} is kept",) if repeated else ()
    return replace(ordered, split=split, notes=(*log.notes, *note))
