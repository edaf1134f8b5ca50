"""What is left out of a log before it is split; each filter says in a note what it removed."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from recdistill.data.core import core_members
from recdistill.data.log import REPEATED, SPLIT_NAMES, Log
from recdistill.data.per_user import first_of_pairs
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.registry import nearest

Ids = Iterable[Any] | str | Path
"""External ids, or a text file with one id in each line."""
Moment = str | int | float | datetime.date
"""An ISO date or time (2024, 2024-05, 2024-05-31, 2024-05-31T12:00; UTC unless it says otherwise), or seconds."""

SETTINGS = (
    "min_rating", "since", "until", "users", "items", "without_users", "without_items", "duplicates", "core",
    "user_core", "item_core", "transform", "cap",
)  # fmt: skip
"""What `apply` takes, in the order in which it is applied."""


def apply(log: Log, settings: Mapping[str, Any]) -> Log:
    """The filters that the settings name, always in this order.

    `min_rating`; `since`, `until`; only `users`, `items`; `without_users`, `without_items`; `duplicates`; `core` (or
    `user_core`, `item_core`) of what the others left; `cap` and `transform` of the values.
    """
    for name in settings:
        if name not in SETTINGS:
            raise ConfigError(f"no filter {name!r}. {nearest(name, SETTINGS)}")
    asked = {name: settings.get(name) for name in SETTINGS}
    if asked["min_rating"] is not None:
        log = rating_at_least(log, asked["min_rating"])
    if asked["since"] is not None or asked["until"] is not None:
        log = dates(log, since=asked["since"], until=asked["until"])
    if asked["users"] is not None or asked["items"] is not None:
        log = only(log, users=asked["users"], items=asked["items"])
    if asked["without_users"] is not None or asked["without_items"] is not None:
        log = without(log, users=asked["without_users"], items=asked["without_items"])
    if asked["duplicates"] is not None:
        log = duplicates(log, asked["duplicates"])
    sides = [asked["core"] if asked[name] is None else asked[name] for name in ("user_core", "item_core")]
    if sides != [None, None]:
        log = core(log, users=sides[0] or 0, items=sides[1] or 0)
    if asked["transform"] is not None or asked["cap"] is not None:
        log = values(log, transform=asked["transform"], cap=asked["cap"])
    return log


def rating_at_least(log: Log, threshold: float) -> Log:
    """Rows below the threshold are no sign of liking."""
    if log.values is None:
        raise DataError(f"{log.source}: min_rating needs a rating column. Name one by columns=.")
    _check_number("min_rating", threshold)
    return _kept(log, log.values >= threshold, f"min_rating {threshold:g}")


def core(log: Log, users: int = 5, items: int = 5) -> Log:
    """Users with at least so many different items, items with at least so many users, counted again until all have.

    0 leaves that side alone. It is counted over the whole log, test rows included, as published splits are.
    """
    for name, value in (("users", users), ("items", items)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ConfigError(f"core: {name}={value!r}; it must be a whole number, at least 0.")
    log = log.ordered()
    first = first_of_pairs(log)
    pairs = [rows if first.all() else rows[first] for rows in (log.user_rows, log.item_rows)]
    stay = core_members(pairs[0], pairs[1], (log.n_users, log.n_items), (users, items))
    sides = ((users, "different items for each user"), (items, "users for each item"))
    bounds = " and ".join(f"{least} {what}" for least, what in sides if least)
    name = f"core of at least {bounds or 'nothing'} (counted over the whole log, test rows included)"
    return _kept(log, stay[0][log.user_rows] & stay[1][log.item_rows], name)


def duplicates(log: Log, keep: Literal["last", "first", "sum"] = "last") -> Log:
    """Which of a repeated (user, item) counts within a part of the split; no row goes here, they are counted."""
    told = tuple(note for note in log.notes if REPEATED not in note)
    log = replace(log, duplicates=keep, notes=told).ordered()  # which counts them
    none = () if any(REPEATED in note for note in log.notes) else (f"duplicates {keep}: no (user, item) is repeated",)
    return replace(log, notes=(*log.notes, *none))


def dates(log: Log, since: Moment | None = None, until: Moment | None = None) -> Log:
    """Rows from `since` on and before `until`."""
    start, end = (None if moment is None else seconds_of(moment, f"dates: {name}")
                  for name, moment in (("since", since), ("until", until)))  # fmt: skip
    if log.times is None:
        raise DataError(f"{log.source}: since and until need a timestamp column. Name one by columns=.")
    if start is not None and end is not None and start >= end:
        raise ConfigError(f"dates: since={since!r} is not before until={until!r}; no time lies between them.")
    mask = np.ones(log.n_rows, dtype=bool)
    if start is not None:
        mask &= log.times >= start
    if end is not None:
        mask &= log.times < end
    told = [f"{name} {moment}" for name, moment in (("since", since), ("until", until)) if moment is not None]
    return _kept(log, mask, " ".join(told) or "dates")


def only(log: Log, users: Ids | None = None, items: Ids | None = None) -> Log:
    """Rows of these users and of these items."""
    return _listed(log, users, items, keep=True)


def without(log: Log, users: Ids | None = None, items: Ids | None = None) -> Log:
    """Rows of neither these users nor these items."""
    return _listed(log, users, items, keep=False)


def values(log: Log, transform: Literal["log"] | None = None, cap: float | None = None) -> Log:
    """Counts cut at `cap`, then log(1 + count).

    Where repeated pairs are summed, the sum is what is cut and transformed: each row holds what it adds to the result
    of those before it, so that any part of a split that begins a pair's rows sums up to the right value.
    """
    if transform not in (None, "log"):
        raise ConfigError(f"values: transform={transform!r}; it is 'log', or left out.")
    if cap is not None:
        _check_number("values: cap", cap)
    summed = log.duplicates == "sum"
    if summed:
        log = log.ordered()
    if log.values is None and not summed:
        raise DataError(f"{log.source}: cap and transform need a rating column, or duplicates='sum' to count rows.")
    plain = np.ones(log.n_rows, np.float32) if log.values is None else log.values
    if transform == "log" and plain.min() <= -1:
        raise DataError(f"{log.source}: the log of 1 + {plain.min():g} is not a number; the least value must be > -1.")
    changed = _increments(log, plain, transform, cap) if summed else _transformed(plain, transform, cap)
    told = ([] if cap is None else [f"cut at {cap:g}"]) + (["log(1 + value)"] if transform else [])
    note = f"values: {', then '.join(told) or 'as they are'}"
    return replace(log, values=changed.astype(np.float32), notes=(*log.notes, note))


def seconds_of(moment: Moment, at: str) -> float:
    """Seconds since 1970 of an ISO date or time, or of a number of seconds."""
    cure = f"{at}={moment!r}; give an ISO date such as 2024-05-31, a time such as 2024-05-31T12:00, or seconds."
    if isinstance(moment, bool):
        raise ConfigError(cure)
    if isinstance(moment, int | float) and np.isfinite(moment):
        return moment
    try:
        if isinstance(moment, str) and re.fullmatch(r"\d{4}(-\d\d)?", moment):
            return int(np.datetime64(moment, "s").astype(np.int64))
        if isinstance(moment, str) and re.fullmatch(r"-?\d{5,}(\.\d+)?", moment):
            return float(moment)
        when = datetime.datetime.fromisoformat(str(moment))
    except ValueError:
        raise ConfigError(cure) from None
    return (when if when.tzinfo else when.replace(tzinfo=datetime.UTC)).timestamp()


def _listed(log: Log, users: Ids | None, items: Ids | None, *, keep: bool) -> Log:
    word = "only" if keep else "without"
    mask, told = np.ones(log.n_rows, dtype=bool), []
    for what, vocab, rows, given in (
        ("users", log.users, log.user_rows, users),
        ("items", log.items, log.item_rows, items),
    ):
        if given is None:
            continue
        ids = _ids_of(given, f"{word} {what}")
        found = vocab.rows(ids)
        members = np.zeros(len(vocab), dtype=bool)
        members[found[found >= 0]] = True
        mask &= members[rows] if keep else ~members[rows]
        unknown = int((found < 0).sum())
        told.append(f"{len(ids):,} listed {what}" + (f" ({unknown:,} of them unknown)" if unknown else ""))
    return _kept(log, mask, f"{word} {' and '.join(told)}" if told else word)


def _ids_of(given: Ids, at: str) -> list[Any]:
    if not isinstance(given, str | Path):
        return list(dict.fromkeys(given.tolist() if isinstance(given, np.ndarray) else given))
    path = Path(given)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8 text"
        raise DataError(f"{path}: {at} cannot be read ({reason}); give a text file with one id in each line.") from None
    return list(dict.fromkeys(line for line in map(str.strip, lines) if line))


def _kept(log: Log, mask: np.ndarray, name: str) -> Log:
    """The rows of the mask under vocabularies of what is left, with a note on what is not; refuses to leave too few."""
    if mask.all():
        return replace(log, notes=(*log.notes, f"{name}: none of {log.n_rows:,} rows is left out"))
    at = np.flatnonzero(mask)  # places are taken three times as fast as a mask
    users, items = _Side.of(log.users, log.user_rows[at]), _Side.of(log.items, log.item_rows[at])
    split = None if log.split is None else log.split[at]
    _refuse_too_few(log, users.left, items.left, split, f"{name} leaves {len(at):,} of {log.n_rows:,} rows")
    note = (
        f"{name}: {log.n_rows - len(at):,} of {log.n_rows:,} rows are left out, and with them "
        f"{log.n_users - users.left:,} users and {log.n_items - items.left:,} items"
    )
    return replace(
        log.take(at), users=users.vocab, items=items.vocab, user_rows=users.rows, item_rows=items.rows, split=split,
        notes=(*log.notes, note),
    )  # fmt: skip


@dataclass(frozen=True)
class _Side:
    """Users or items that are left, and the rows under the vocabulary of these."""

    vocab: Vocab
    rows: np.ndarray

    @classmethod
    def of(cls, vocab: Vocab, rows: np.ndarray) -> _Side:
        here = np.bincount(rows, minlength=len(vocab)) > 0
        if here.all():
            return cls(vocab, rows)
        return cls(vocab.subset(np.flatnonzero(here)), (np.cumsum(here, dtype=rows.dtype) - 1)[rows])

    @property
    def left(self) -> int:
        return len(self.vocab)


def _refuse_too_few(log: Log, users: int, items: int, split: np.ndarray | None, found: str) -> None:
    if min(users, items) < 2:
        raise DataError(
            f"{log.source}: {found}, with {users} users and {items} items; at least two of each are needed. "
            "Ask for less."
        )
    for part in ("train", "test"):
        if split is not None and not (split == SPLIT_NAMES[part]).any():
            raise DataError(f"{log.source}: {found}, none of them of the part {part}. Ask for less.")


def _transformed(plain: np.ndarray, transform: str | None, cap: float | None) -> np.ndarray:
    cut = plain.astype(np.float64) if cap is None else np.minimum(plain, np.float64(cap))
    return np.log1p(cut) if transform == "log" else cut


def _increments(log: Log, plain: np.ndarray, transform: str | None, cap: float | None) -> np.ndarray:
    """What each row adds to the transformed sum of the rows of its pair (and part of a given split) before it."""
    part = np.zeros(log.n_rows, np.int8) if log.split is None else log.split
    place = np.cumsum(first_of_pairs(log)) * 3 + part
    order = np.argsort(place, kind="stable")
    place = place[order]
    starts = np.append(True, place[1:] != place[:-1])
    sums = np.cumsum(plain[order].astype(np.float64))
    before = (sums - plain[order])[starts]  # of all earlier pairs
    result = _transformed(
        sums - np.repeat(before, np.diff(np.append(np.flatnonzero(starts), len(sums)))), transform, cap
    )
    previous = np.where(starts, 0.0, np.append(0.0, result[:-1]))
    found = np.empty(log.n_rows)
    found[order] = result - previous
    return found


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise ConfigError(f"{name}={value!r}; it must be a number.")
