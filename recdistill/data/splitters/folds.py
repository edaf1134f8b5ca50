"""People never seen in training: folds of users, each one's rows in a history and a held part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.data.log import TEST, TRAIN, VALID, Log
from recdistill.data.parts import held_part
from recdistill.data.per_user import AT_LEAST, first_of_pairs, seeded_parts, share_counts, timed_parts
from recdistill.data.split import Split
from recdistill.data.splitters.base import checked_by, checked_seed, checked_train, whole
from recdistill.errors import ConfigError, DataError

LEAST_FOLDS = 3
"""With fewer nobody would be left to train on beside the test and the valid people."""
NOBODY = -1


@dataclass(frozen=True)
class _People:
    """Rows of users of the log."""

    test: np.ndarray
    valid: np.ndarray
    seen: np.ndarray
    """Of train, one for each of test."""


def user_folds(log: Log, folds: int = 10, fold: int = 0, held: float = 0.2, seed: int = 0, by: str = "seed") -> Split:
    """People of fold `fold` are the test people, of the next one the valid people: none of their rows is in train.

    A share `held` of each one's rows is asked for (drawn, or the last by time), the others are the history. As many
    people of train, matched by the length of their history, give the same share away: `Split.seen`, so that what is
    lost on people never seen can be told at equal lengths. People with fewer than 3 rows stay in train.
    """
    _check(folds, fold, held)
    checked_seed("user_folds", seed)
    checked_by("user_folds", by, log)
    log = log.ordered() if by == "time" else log.ordered().unique()
    counts = np.bincount(log.user_rows[first_of_pairs(log)], minlength=log.n_users)
    given = share_counts(counts, {TEST: held})[TEST]
    people = _people(counts, counts - given, folds, fold, np.random.default_rng([seed, 1]))
    if not len(people.test) or not len(people.valid):
        raise DataError(
            f"{log.source}: {int((counts >= AT_LEAST).sum())} users have the {AT_LEAST} rows that user_folds needs, "
            f"too few for {folds} folds. Give a larger log, or fewer folds."
        )
    of_user = np.full(log.n_users, NOBODY, dtype=np.int8)
    of_user[people.test], of_user[people.valid], of_user[people.seen] = TEST, VALID, TRAIN
    take = {TEST: np.where(of_user == NOBODY, 0, given)}
    asked = timed_parts(log, counts, take) if by == "time" else seeded_parts(log.user_rows, counts, take, seed)
    how = "the last by time" if by == "time" else "drawn"
    note = (
        f"user folds: {len(people.test):,} test people (fold {fold} of {folds}, seed {seed}), {len(people.valid):,} "
        f"valid people, none of whose rows is in train; {held:.0%} of each one's rows are asked for ({how}), the "
        "others are the history"
    )
    return _split(log, of_user[log.user_rows], asked, note)


def _check(folds: int, fold: int, held: float) -> None:
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < LEAST_FOLDS:
        raise ConfigError(f"user_folds: folds={folds!r}; it must be a whole number, at least {LEAST_FOLDS}.")
    if isinstance(fold, bool) or not isinstance(fold, int) or not 0 <= fold < folds:
        raise ConfigError(f"user_folds: fold={fold!r}; with {folds} folds it goes from 0 to {folds - 1}.")
    if not 0 < held < 1:
        raise ConfigError(f"user_folds: held={held}; it must lie between 0 and 1.")


def _people(counts: np.ndarray, lengths: np.ndarray, folds: int, fold: int, generator: np.random.Generator) -> _People:
    """`counts`, `lengths` (n_users,): rows of each user, and of these the history."""
    drawn = generator.permutation(np.flatnonzero(counts >= AT_LEAST))
    of_fold = np.arange(len(drawn)) % folds
    test, valid = of_fold == fold, of_fold == (fold + 1) % folds
    seen = _matched(lengths, drawn[test], drawn[~test & ~valid])
    return _People(drawn[test], drawn[valid], seen)


def _matched(lengths: np.ndarray, test: np.ndarray, others: np.ndarray) -> np.ndarray:
    """One of `others` for each of `test`, the nearest by length that is still free; all where they are fewer.

    Both go up by length. A wish that is taken goes to the next one up, near the end to the next one down.
    """
    pool = others[np.argsort(lengths[others], kind="stable")]  # of equal lengths in the order that was drawn
    found, wanted = lengths[pool], np.sort(lengths[test])
    number = min(len(pool), len(test))
    if number == 0:
        return pool
    wanted = wanted[np.linspace(0, len(wanted) - 1, number).round().astype(np.int64)]
    above = np.searchsorted(found, wanted).clip(max=len(pool) - 1)
    below = np.maximum(above - 1, 0)
    place = np.where(np.abs(wanted - found[below]) < np.abs(found[above] - wanted), below, above)
    upwards = np.arange(number)
    place = np.maximum.accumulate(place - upwards) + upwards
    return pool[np.minimum(place, len(pool) - number + upwards)]


def _split(log: Log, whose: np.ndarray, asked: np.ndarray, note: str) -> Split:
    """`whose`: TEST, VALID, TRAIN for the seen people, NOBODY for all others; `asked`: TEST where a row is held out."""
    unseen = (whose == TEST) | (whose == VALID)
    known = checked_train(log, ~unseen & (asked == TRAIN), "user_folds")
    test, valid = (
        held_part(log, (whose == part) & (asked == TEST), known, (whose == part) & (asked == TRAIN))
        for part in (TEST, VALID)
    )
    given_away = (whose == TRAIN) & (asked == TEST)
    seen = held_part(log, given_away, known) if given_away.any() else None
    return whole(known.train, valid, test, "user_folds", note, *_matched_note(known.train, test, seen), seen=seen)


def _matched_note(train: Interactions, test: HeldOut, seen: HeldOut | None) -> tuple[str, ...]:
    if seen is None:
        return ("nobody of train is left to compare the test people with",)
    assert test.history is not None
    mean = test.history.nnz / len(test)
    of_train = np.bincount(train.user_rows, minlength=train.n_users)[seen.user_rows].mean()
    return (
        f"{len(seen):,} seen people are matched to the test people by length of history: {of_train:.1f} rows on "
        f"average against {mean:.1f}; what is asked of them is not in train",
    )
