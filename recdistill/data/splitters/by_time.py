"""Two cuts in time through the whole log."""

from __future__ import annotations

import numpy as np

from recdistill.data.log import TEST, TRAIN, VALID, Log
from recdistill.data.parts import refuse_missing_parts
from recdistill.data.per_user import DROPPED, first_of_pairs
from recdistill.data.split import Split
from recdistill.data.splitters.base import checked_shares, require_times, split_by


def global_time(log: Log, valid: float = 0.1, test: float = 0.1) -> Split:
    """Two cuts in time: nothing later than a cut lies before it; rows of the same time fall on one side together.

    A pair that comes again after a cut counts where it came first; its later rows are dropped.
    """
    shares = checked_shares("global_time", valid, test)
    require_times("global_time", log, "ratio")
    log = log.ordered()
    times = require_times("global_time", log, "ratio")
    valid_from, test_from = _cuts(times, valid, test)
    parts = np.full(log.n_rows, TRAIN, dtype=np.int8)
    parts[times >= valid_from] = VALID
    parts[times >= test_from] = TEST
    again = _drop_later_rows(log, parts)
    wanted = (TRAIN, *(part for part, share in shares.items() if share > 0))
    refuse_missing_parts(log, parts, wanted, "Too few rows or too few different times; use ratio, or other shares.")
    note = f"global time: train before {_date(valid_from)}, valid before {_date(test_from)}, test from then on"
    notes = (note,) + ((f"{again:,} rows after a cut repeat a pair from before it: dropped",) if again else ())
    return split_by(log, parts, "global_time", *notes)


def _drop_later_rows(log: Log, parts: np.ndarray) -> int:
    """Drops rows of a pair that is in an earlier part: what was used before a cut stays there, nothing reaches back."""
    first = first_of_pairs(log)
    if first.all():
        return 0
    at = np.flatnonzero(first)
    later = parts != np.repeat(parts[at], np.diff(np.append(at, log.n_rows)))
    parts[later] = DROPPED
    return int(later.sum())


def _cuts(times: np.ndarray, valid: float, test: float) -> tuple[float, float]:
    """Where valid and test begin; without valid, both at once."""
    shares = (1 - valid - test, 1 - test)
    first, second = (min(round(len(times) * share), len(times) - 1) for share in shares)
    ordered = np.partition(times, (first, second))
    return ordered[first] if valid > 0 else ordered[second], ordered[second]


def _date(time: float) -> str:
    """Readable where it is a time of our days in seconds."""
    return str(np.datetime64(int(time), "s")) if 0 < time < 2**32 else f"{time:.0f}"
