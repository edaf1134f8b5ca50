"""From the part of each row to a split, and the checks that every splitter shares."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.data.log import TEST, TRAIN, VALID, Log
from recdistill.data.parts import TrainPart, held_part, train_part
from recdistill.data.split import Split
from recdistill.errors import ConfigError, DataError

BY = ("seed", "time")


def split_by(log: Log, parts: np.ndarray, name: str, *notes: str, **settings: Any) -> Split:
    """`parts` holds TRAIN, TEST or VALID for each row of an ordered log; any other number drops the row."""
    known = checked_train(log, parts == TRAIN, name)
    valid = held_part(log, parts == VALID, known) if (parts == VALID).any() else None
    return whole(known.train, valid, held_part(log, parts == TEST, known), name, *notes, **settings)


def checked_train(log: Log, mask: np.ndarray, name: str) -> TrainPart:
    """The train part, with at least two users and items in it."""
    known = train_part(log, mask)
    train = known.train
    if min(train.n_users, train.n_items) < 2:
        raise DataError(
            f"{log.source}: the train part of the split {name} has {train.n_users} users and {train.n_items} items; "
            "at least two of each are needed. Give a larger log, or more train rows."
        )
    return known


def whole(train: Interactions, valid: HeldOut | None, test: HeldOut, name: str, *notes: str, **settings: Any) -> Split:
    """The split of these parts, with notes on what a reader of its numbers should know."""
    left_out = train.n_users - int((test.user_rows >= 0).sum())
    split = Split(train, valid, test, name, users_left_out=left_out, **settings)
    return replace(split, notes=(*notes, *_cold(test), *split.no_history_note()))


def checked_shares(split: str, valid: float, test: float) -> dict[int, float]:
    if not (0 <= valid < 1 and 0 < test < 1 and valid + test < 1):
        raise ConfigError(f"{split}: valid={valid}, test={test}; valid must be >= 0, test > 0, both together < 1.")
    return {TEST: test, VALID: valid}


def checked_seed(split: str, seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"{split}: seed={seed!r}; it must be a whole number, at least 0.")
    return seed


def checked_by(split: str, by: str, log: Log) -> str:
    """How rows of a user are taken: "seed" or, where the log has times, "time"."""
    if by not in BY:
        raise ConfigError(f"{split}: by={by!r}; it is 'seed' or 'time'.")
    if by == "time":
        require_times(split, log, "by='seed'")
    return by


def require_times(split: str, log: Log, other: str) -> np.ndarray:
    if log.times is None:
        raise DataError(f"{log.source}: {split} needs a timestamp column. Name one by columns=, or use {other}.")
    return log.times


def _cold(test: HeldOut) -> tuple[str, ...]:
    rows, known = int(test.relevant_count.sum()), test.relevant.nnz
    unknown = 0 if test.history is not None else int((test.user_rows < 0).sum())
    counts = (
        (unknown, f"of {len(test):,} test users are not in train (cold)"),
        (rows - known, f"of {rows:,} test rows are of items that are not in train (cold); they count as relevant"),
    )
    return tuple(f"{count:,} {what}" for count, what in counts if count)
