"""What is in a log, and what each way to split it would make of it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recdistill.data.interactions import HeldOut
from recdistill.data.log import Log
from recdistill.data.per_user import first_of_pairs
from recdistill.data.splits import SPLITS, Split
from recdistill.data.spread import Bin, Spread, are_dates, concentration, gini, over_time, ratings, spelled, top_share
from recdistill.errors import RecdistillError

SCHEMA_VERSION = 1
SAME = {"per_user": "ratio"}
"""Names of one and the same split; it is described once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Popularity:
    """How the rows are shared out among the items."""

    spread: Spread
    top_tenth: float
    """The share of all pairs that goes to the most popular tenth of the items."""
    gini: float
    curve: list[tuple[float, float]]
    """(share of the items, the most popular first; share of the pairs that they get)."""
    most: list[tuple[str, int]]
    """The most popular items by title or id, and their pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    first: str
    last: str
    dates: bool
    """False where times are an order and no dates."""
    by: str
    """day, month, year, or step where they are no dates."""
    rows: tuple[Bin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """Rows of a (user, item) that is there before."""

    rows: int
    pairs: int
    """Pairs that come more than once."""
    most: int
    """How often the most frequent pair comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitShape:
    """What one way to split, with its own defaults, makes of the log."""

    name: str
    skipped: str = ""
    """Why it cannot be made; the numbers are then 0."""
    train: int = 0
    valid: int = 0
    test: int = 0
    test_users: int = 0
    cold_users: int = 0
    """Test users that train does not know."""
    cold_rows: int = 0
    """Test rows whose item train does not know."""
    no_history: int = 0
    """Test users of whom nothing usable is known: they are answered with popularity."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Everything that `recdistill data describe` tells."""

    source: str
    users: int
    items: int
    rows: int
    pairs: int
    """Different (user, item)."""
    density: float
    """The share of all possible pairs that occur."""
    histories: Spread
    """Different items of each user."""
    popularity: Popularity
    times: Times | None
    ratings: tuple[Bin, ...] | None
    mean_rating: float | None
    duplicates: Duplicates
    splits: tuple[SplitShape, ...]
    features: dict[str, dict[str, dict[str, Any]]]
    """`items` and `users`, where there are such tables: column to kind, missing (of those in the log), levels."""
    notes: tuple[str, ...]
    """What the reader took, and what it decided on the way."""
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def describe(log: Log, *, splits: Iterable[str] | None = None) -> Description:
    """Count a log through; `splits` names those that are tried, without it all that are registered."""
    log = log.ordered()
    starts = np.flatnonzero(first_of_pairs(log))
    often = np.diff(np.append(starts, log.n_rows))
    per_user = np.bincount(log.user_rows[starts], minlength=log.n_users)
    per_item = np.bincount(log.item_rows[starts], minlength=log.n_items)
    return Description(
        source=log.source,
        users=log.n_users,
        items=log.n_items,
        rows=log.n_rows,
        pairs=len(starts),
        density=len(starts) / (log.n_users * log.n_items),
        histories=Spread.of(per_user[per_user > 0]),
        popularity=_popularity(log, per_item),
        times=None if log.times is None else _times(log.times),
        ratings=None if log.values is None else ratings(log.values),
        mean_rating=None if log.values is None else float(log.values.mean(dtype=np.float64)),
        duplicates=Duplicates(
            rows=log.n_rows - len(starts), pairs=int((often > 1).sum()), most=int(often.max(initial=1))
        ),
        splits=tuple(shape_of(log, name) for name in (SPLITS if splits is None else splits) if name not in SAME),
        features=_features(log),
        notes=log.notes,
    )


def shape_of(log: Log, name: str) -> SplitShape:
    """The sizes of a split and what in its test part is cold; why it cannot be made, where it cannot."""
    split = SPLITS[name]
    _, *settings = inspect.signature(split).parameters.values()
    if any(setting.default is setting.empty for setting in settings):
        return SplitShape(name=name, skipped="it needs more than the log")
    try:
        return _shape(name, split(log))
    except RecdistillError as fault:
        return SplitShape(name=name, skipped=str(fault).removeprefix(f"{log.source}: "))


def _shape(name: str, split: Split) -> SplitShape:
    test = split.test
    return SplitShape(
        name=name,
        train=split.train.n_rows,
        valid=0 if split.valid is None else _rows(split.valid),
        test=_rows(test),
        test_users=len(test),
        cold_users=int((test.user_rows < 0).sum()),
        cold_rows=_rows(test) - int(test.relevant.nnz),
        no_history=int((np.diff(split.histories(test).indptr) == 0).sum()),
        notes=split.notes,
    )


def _rows(held: HeldOut) -> int:
    return int(held.relevant_count.sum())


def _popularity(log: Log, counts: np.ndarray, most: int = 10) -> Popularity:
    used = counts[counts > 0]
    best = np.argsort(-counts, kind="stable")[:most]
    ids = [str(item) for item in log.items.ids(best).tolist()]
    titles = log.item_features.titles(log.items.subset(best)) if log.item_features is not None else None
    named = [title or item for title, item in zip(titles or [None] * len(ids), ids, strict=True)]
    return Popularity(
        spread=Spread.of(used),
        top_tenth=top_share(used),
        gini=gini(used),
        curve=concentration(used),
        most=[(name, int(counts[row])) for name, row in zip(named, best, strict=True)],
    )


def _times(times: np.ndarray) -> Times:
    dates = are_dates(times)
    by, rows = over_time(times, dates=dates)
    first, last = (spelled(float(end), date=dates) for end in (times.min(), times.max()))
    return Times(first=first, last=last, dates=dates, by=by, rows=rows)


def _features(log: Log) -> dict[str, dict[str, dict[str, Any]]]:
    """Missing counts are those among the users and items of the log; what no one used does not count."""
    tables = {"items": (log.item_features, log.items), "users": (log.user_features, log.users)}
    return {of: table.of(vocab).describe() for of, (table, vocab) in tables.items() if table is not None}
