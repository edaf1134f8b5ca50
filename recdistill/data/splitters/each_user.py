"""Some rows of each user, or some rows of all."""

from __future__ import annotations

import numpy as np

from recdistill.data.log import TEST, TRAIN, VALID, Log
from recdistill.data.parts import refuse_missing_parts
from recdistill.data.per_user import DROPPED, first_of_pairs, seeded_parts, share_counts, timed_parts
from recdistill.data.split import Split
from recdistill.data.splitters.base import checked_by, checked_seed, checked_shares, require_times, split_by
from recdistill.errors import ConfigError


def ratio(log: Log, valid: float = 0.1, test: float = 0.1, by: str = "seed", seed: int = 0) -> Split:
    """A share of each user's rows, at least one: drawn by the seed, or the last ones by time.

    Users with fewer than 3 keep all theirs in train.
    """
    return _ratio("ratio", log, valid, test, by, seed)


def per_user(log: Log, valid: float = 0.1, test: float = 0.1, seed: int = 0) -> Split:
    """`ratio` by the seed."""
    return _ratio("per_user", log, valid, test, "seed", seed)


def leave_last_n(log: Log, n: int = 1, valid: int = 1) -> Split:
    """Each user's last n pairs by time are test, the `valid` before them valid; users with too few keep all in train.

    At test a user is made of train and valid rows, and neither is recommended.
    """
    for name, value, least in (("n", n, 1), ("valid", valid, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"leave_last_n: {name}={value!r}; it must be a whole number, at least {least}.")
    require_times("leave_last_n", log, "ratio")
    log = log.ordered()
    counts = _pairs_of_each(log)
    enough = counts > n + valid
    parts = timed_parts(log, counts, {TEST: np.where(enough, n, 0), VALID: np.where(enough, valid, 0)})
    wanted = (TRAIN, TEST, VALID) if valid else (TRAIN, TEST)
    refuse_missing_parts(log, parts, wanted, f"No user has {n + valid + 1} different items; leave fewer.")
    few, again = int((~enough & (counts > 0)).sum()), int((parts == DROPPED).sum())
    note = f"leave last {n}: each user's last {n} rows by time are test, the {valid} before them valid"
    notes = [note, f"{few:,} users with fewer than {n + valid + 1} rows keep all in train"] if few else [note]
    both = {"history": "train+valid", "exclude": "train+valid"} if valid else {}
    return split_by(log, parts, "leave_last_n", *notes, *_dropped(again), **both)


def random(log: Log, valid: float = 0.1, test: float = 0.1, seed: int = 0) -> Split:
    """Rows at random over the whole log, whoever they are of."""
    shares = checked_shares("random", valid, test)
    checked_seed("random", seed)
    log = log.ordered().unique()
    order = np.random.default_rng(seed).permutation(log.n_rows)
    parts, start = np.full(log.n_rows, TRAIN, dtype=np.int8), 0
    for part, share in shares.items():
        end = start + round(share * log.n_rows)
        parts[order[start:end]] = part
        start = end
    wanted = (TRAIN, *(part for part, share in shares.items() if share > 0))
    refuse_missing_parts(log, parts, wanted, "Too few rows; give a larger log, or other shares.")
    return split_by(log, parts, "random", f"random rows, seed {seed}: valid {valid:g}, test {test:g} of all")


def _ratio(name: str, log: Log, valid: float, test: float, by: str, seed: int) -> Split:
    shares = checked_shares(name, valid, test)
    checked_seed(name, seed)
    checked_by(name, by, log)
    log = log.ordered() if by == "time" else log.ordered().unique()
    counts = _pairs_of_each(log)
    take = share_counts(counts, shares)
    if by == "time":
        parts = timed_parts(log, counts, take)
        note = f"per user, the last by time: valid {valid:g}, test {test:g} of each user's rows"
    else:
        parts = seeded_parts(log.user_rows, counts, take, seed)
        note = f"per user, seed {seed}: valid {valid:g}, test {test:g} of each user's rows"
    wanted = (TRAIN, *(part for part, share in shares.items() if share > 0))
    refuse_missing_parts(log, parts, wanted, "No user has 3 rows; give a larger log, or a split column.")
    return split_by(log, parts, name, note, *_dropped(int((parts == DROPPED).sum())))


def _pairs_of_each(log: Log) -> np.ndarray:
    """Different items of each user, of an ordered log."""
    return np.bincount(log.user_rows[first_of_pairs(log)], minlength=log.n_users)


def _dropped(again: int) -> tuple[str, ...]:
    return (f"{again:,} rows after a user's cut repeat a pair from before it: dropped",) if again else ()
