"""Every way to split a log, by name."""

from __future__ import annotations

from collections.abc import Callable

from recdistill.data.concatenate import concatenate
from recdistill.data.log import Log
from recdistill.data.order import are_places
from recdistill.data.split import HISTORIES, Split
from recdistill.data.splitters.by_time import global_time
from recdistill.data.splitters.each_user import leave_last_n, per_user, random, ratio
from recdistill.data.splitters.folds import user_folds
from recdistill.data.splitters.given import given, given_logs
from recdistill.registry import Registry

__all__ = [
    "HISTORIES", "SPLITS", "Split", "concatenate", "default", "default_name", "given", "given_logs", "global_time",
    "leave_last_n", "per_user", "random", "ratio", "user_folds",
]  # fmt: skip

SPLITS: Registry[Callable[..., Split]] = Registry("split")
"""By name; each takes a log and its own settings."""
for _split in (given, global_time, ratio, per_user, leave_last_n, random, user_folds):
    SPLITS.register(_split.__name__, _split)


def default(log: Log) -> Split:
    """The given split if there is one, else by global time if there are times, else per user; where times are places in
    each user's own order, which say nothing across users, the last rows of each."""
    return SPLITS[default_name(log)](log)


def default_name(log: Log) -> str:
    if log.split is not None:
        return "given"
    if log.times is None:
        return "per_user"
    return "leave_last_n" if are_places(log.user_rows, log.times) else "global_time"
