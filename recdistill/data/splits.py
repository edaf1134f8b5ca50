"""A log in three parts: fitted on, chosen by, measured on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, vstack

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.data.log import TEST, TRAIN, VALID, Log
from recdistill.data.parts import (
    held_part,
    hold_out_part,
    refuse_missing_parts,
    seeded_parts,
    train_part,
    without_pairs_before,
)
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.registry import Registry

HISTORIES = ("train", "train+valid")


@dataclass(frozen=True, eq=False)
class Split:
    """Train, valid and test; vocabularies and all that training sees come from the train rows alone."""

    train: Interactions
    valid: HeldOut | None
    test: HeldOut
    name: str
    """Which split: given, global_time, per_user."""
    history: str = "train"
    """What a user is made of when test is scored: "train" or "train+valid"."""
    exclude: str = "train"
    """What may not be recommended at test: "train" or "train+valid"."""
    users_left_out: int = 0
    """Users of train without a test row: nothing to measure them by."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for setting in ("history", "exclude"):
            if getattr(self, setting) not in HISTORIES:
                raise ConfigError(f"split.{setting}: {getattr(self, setting)!r}; it is 'train' or 'train+valid'.")

    def histories(self, held: HeldOut) -> csr_matrix:
        """(m, n_items): the items that each user of `held` is made of; empty for one whom train does not know."""
        return self._rows_of(held, self.history)

    def excluded(self, held: HeldOut) -> csr_matrix:
        """(m, n_items): the items that may not be recommended to each user of `held`."""
        return self._rows_of(held, self.exclude)

    def hold_out(self, share: float = 0.1, seed: int = 0) -> Split:
        """A split for choosing settings: a seeded share of each user's train rows is its valid and its test part.

        Users with fewer than 3 rows keep theirs; the vocabularies stay; the true test part is not in it.
        """
        if not 0 < share < 1:
            raise ConfigError(f"hold_out: share={share}; it must lie between 0 and 1.")
        train, valid = hold_out_part(self.train, share, seed)
        note = f"settings are chosen on a seeded {share:.0%} of each user's train rows ({valid.relevant.nnz:,} rows)"
        left_out = train.n_users - len(valid)
        return replace(self, train=train, valid=valid, test=valid, users_left_out=left_out, notes=(*self.notes, note))

    def selection(self, seed: int = 0) -> Split:
        """Where settings are chosen: this split where it has valid rows, else `hold_out`."""
        return self if self.valid is not None else self.hold_out(seed=seed)

    def save(self, folder: str | Path) -> None:
        """Writes the folder that `load` reads."""
        from recdistill.data.stored_split import save_split

        save_split(self, Path(folder))

    @staticmethod
    def load(folder: str | Path) -> Split:
        from recdistill.data.stored_split import load_split

        return load_split(Path(folder))

    @cached_property
    def _train_and_nobody(self) -> csr_matrix:
        """Train rows and, last, an empty one for the users who are not there."""
        empty = csr_matrix((1, self.train.n_items), dtype=np.float32)
        return vstack([self.train.csr(), empty], format="csr", dtype=np.float32)

    def _rows_of(self, held: HeldOut, which: str) -> csr_matrix:
        own = self._train_and_nobody[held.user_rows]  # -1 is the last row, the empty one
        if which == "train" or self.valid is None or held is self.valid:
            return own
        places = Vocab(self.valid.user_ids).rows(held.user_ids)
        nobody = csr_matrix((1, self.train.n_items), dtype=np.float32)
        also = vstack([self.valid.relevant, nobody], format="csr", dtype=np.float32)[places]
        both = own.maximum(also).tocsr()
        both.sort_indices()
        return both


def given(log: Log) -> Split:
    """The split that a column of the log names."""
    if log.split is None:
        raise DataError(f"{log.source}: no split column was read. Pass split_column=, or split by time or per user.")
    return _split_by(log, log.split, "given", "given by the split column of the log")


def global_time(log: Log, valid: float = 0.1, test: float = 0.1) -> Split:
    """Two cuts in time: nothing later than a cut lies before it; rows of the same time fall on one side together.

    A pair that comes again after a cut counts where it came first; its later rows are dropped.
    """
    shares = _checked_shares("global_time", valid, test)
    if log.times is None:
        raise DataError(f"{log.source}: global_time needs a timestamp column. Name one by columns=, or use per_user.")
    valid_from, test_from = _cuts(log.times, valid, test)
    parts = np.full(log.n_rows, TRAIN, dtype=np.int8)
    parts[log.times >= valid_from] = VALID
    parts[log.times >= test_from] = TEST
    kept, again = without_pairs_before(log, parts)
    parts[~kept] = -1
    refuse_missing_parts(log, parts, shares, "Too few rows or too few different times; use per_user, or other shares.")
    note = f"global time: train before {_date(valid_from)}, valid before {_date(test_from)}, test from then on"
    notes = (note,) + ((f"{again:,} rows after a cut repeat a pair from before it: dropped",) if again else ())
    return _split_by(log, parts, "global_time", *notes)


def per_user(log: Log, valid: float = 0.1, test: float = 0.1, seed: int = 0) -> Split:
    """A seeded share of each user's rows, at least one; users with fewer than 3 keep all theirs in train."""
    shares = _checked_shares("per_user", valid, test)
    log = log.unique()
    parts = seeded_parts(log.user_rows, log.n_users, shares, seed)
    refuse_missing_parts(log, parts, shares, "No user has 3 rows; give a larger log, or a split column.")
    note = f"per user, seed {seed}: valid {valid:g}, test {test:g} of each user's rows"
    return _split_by(log, parts, "per_user", note)


def default(log: Log) -> Split:
    """The given split if there is one, else by global time if there are times, else per user."""
    return SPLITS["given" if log.split is not None else "global_time" if log.times is not None else "per_user"](log)


SPLITS: Registry[Callable[..., Split]] = Registry("split")
"""By name; each takes a log and its own settings."""
SPLITS.register("given", given)
SPLITS.register("global_time", global_time)
SPLITS.register("per_user", per_user)


def _split_by(log: Log, parts: np.ndarray, name: str, *notes: str) -> Split:
    """`parts` holds TRAIN, TEST or VALID for each row of the log; any other number drops the row."""
    train = train_part(log, parts == TRAIN)
    if min(train.n_users, train.n_items) < 2:
        raise DataError(
            f"{log.source}: the train part of the split {name} has {train.n_users} users and {train.n_items} items; "
            "at least two of each are needed. Give a larger log, or more train rows."
        )
    valid = held_part(log, parts == VALID, train) if (parts == VALID).any() else None
    test = held_part(log, parts == TEST, train)
    left_out = train.n_users - int((test.user_rows >= 0).sum())
    return Split(train, valid, test, name, users_left_out=left_out, notes=(*notes, *_counted(train, test)))


def _counted(train: Interactions, test: HeldOut) -> tuple[str, ...]:
    """What a reader of the numbers should know of the test part."""
    rows, known = int(test.relevant_count.sum()), test.relevant.nnz
    at = test.user_rows >= 0
    seen = int(train.csr()[test.user_rows[at]].multiply(test.relevant[np.flatnonzero(at)]).nnz)
    counts = (
        (int((~at).sum()), f"of {len(test):,} test users are not in train (cold)"),
        (rows - known, f"of {rows:,} test rows are of items that are not in train (cold); they count as relevant"),
        (seen, f"of {rows:,} test rows are in train too; what train holds is not recommended, yet they count"),
    )
    return tuple(f"{count:,} {what}" for count, what in counts if count)


def _cuts(times: np.ndarray, valid: float, test: float) -> tuple[float, float]:
    """Where valid and test begin; without valid, both at once."""
    ordered = np.sort(times)
    places = [round(len(times) * (1 - valid - test)), round(len(times) * (1 - test))]
    first, second = (ordered[min(place, len(times) - 1)] for place in places)
    return (first if valid > 0 else second), second


def _date(time: float) -> str:
    """Readable where it is a time of our days in seconds."""
    return str(np.datetime64(int(time), "s")) if 0 < time < 2**32 else f"{time:.0f}"


def _checked_shares(split: str, valid: float, test: float) -> dict[int, float]:
    if not (0 <= valid < 1 and 0 < test < 1 and valid + test < 1):
        raise ConfigError(f"{split}: valid={valid}, test={test}; valid must be >= 0, test > 0, both together < 1.")
    return {TEST: test, VALID: valid}
