"""From what people write to rows: ids of items and users, or exact titles; what is neither is refused in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence, Sized
from itertools import chain
from typing import Any, Literal

import numpy as np

from recdistill.artifact import Titles
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.serving.histories import Histories

Unknown = Literal["raise", "skip", "popular"]
UNKNOWN = ("raise", "skip", "popular")
SHOWN = 10
"""Items that an error names."""


class Lookup:
    """The ids and titles of one catalogue, and the ids of the people that its model has rows of."""

    def __init__(self, items: Vocab, users: Vocab | None, titles: Titles | None, *, ordered: bool) -> None:
        """ordered: histories keep the order that they are given in."""
        self.items, self.users, self.titles, self.ordered = items, users, titles, ordered

    def bags(self, lists: Sequence[list[Any]], what: str, unknown: Unknown) -> Histories:
        """Of the items that are known; `what` is what an error calls a list."""
        rows = self.known_rows(list(chain.from_iterable(lists)), what, unknown)
        users = np.repeat(np.arange(len(lists)), [len(ids) for ids in lists])
        kept = rows >= 0
        if not kept.all():
            users, rows = users[kept], rows[kept]
        return Histories.from_pairs(users, rows, len(lists), ordered=self.ordered)

    def weighted(self, lists: Sequence[list[Any]], weights: Sequence[Iterable[float]]) -> Histories:
        """Of items that count: those with a weight above 0."""
        flat = []
        for place, (ids, given) in enumerate(zip(lists, weights, strict=True)):
            own = np.asarray(_numbers(given, place), np.float64)
            if len(own) != len(ids):
                raise DataError(f"weights: {len(own)} for a history of {len(ids)} items; give one for each.")
            if not np.isfinite(own).all() or (own < 0).any():
                raise DataError(
                    f"weights: must be finite and 0 or more, found {own[~((own >= 0) & (own < math.inf))][0]}."
                )
            flat.append(own)
        values = np.concatenate([*flat, np.zeros(0)])
        rows = self.known_rows(list(chain.from_iterable(lists)), "history", "skip")
        users = np.repeat(np.arange(len(lists)), [len(ids) for ids in lists])
        known = rows >= 0
        all_of_them = Histories.from_pairs(
            users[known], rows[known], len(lists), values[known].astype(np.float32), ordered=self.ordered
        )
        assert all_of_them.weights is not None
        return all_of_them.where(all_of_them.weights > 0)

    def row(self, item: Any, what: str) -> int:
        return int(self.known_rows([item], what, "raise")[0])

    def known_rows(self, given: list[Any], what: str, unknown: Unknown) -> np.ndarray:
        """As `rows`; with "raise" what is unknown is refused."""
        rows = self.items.rows_of_known(given)
        if rows is not None:
            return rows
        rows = self.rows(given, what)
        if unknown == "raise" and (rows < 0).any():
            missing = given[int(np.argmin(rows))]
            cure = (
                "Search by a part of its title: find, or /items?q= over HTTP."
                if what == "item"
                else "Leave it out, or unknown='skip'."
            )
            raise DataError(f"{what}: no item {missing!r} among {len(self.items):,}. {cure}")
        return rows

    def rows(self, given: list[Any], what: str) -> np.ndarray:
        """Rows of ids, and of exact titles where they are no ids; -1 where they are neither."""
        rows = self.items.rows(given)
        if self.titles is None:
            return rows
        for place in np.flatnonzero(rows < 0).tolist():
            found = self.titles.rows(given[place]) if isinstance(given[place], str) else []
            if len(found) > 1:
                ids = ", ".join(map(repr, self.items.ids(found[:SHOWN]).tolist())) + (", …" if found[SHOWN:] else "")
                raise DataError(f"{what}: {len(found)} items have the title {given[place]!r}: {ids}. Give one's id.")
            if found:
                rows[place] = found[0]
        return rows

    def user_rows(self, users: Sequence[Any] | None, unknown: Unknown) -> np.ndarray | None:
        """-1 for those whom the model has no row of."""
        if users is None:
            return None
        rows = np.full(len(users), -1, np.int64) if self.users is None else self.users.rows(users)
        if unknown == "raise" and (rows < 0).any():
            known = "this model knows people by their history alone" if self.users is None else "not a user it has seen"
            raise DataError(f"user {users[int(np.argmin(rows))]!r}: {known}. Give a history, or unknown='skip'.")
        return rows


def check_unknown(unknown: str) -> None:
    if unknown not in UNKNOWN:
        raise ConfigError(f"unknown={unknown!r}: must be one of {', '.join(map(repr, UNKNOWN))}.")


def filled(ids: Iterable[Any]) -> bool:
    return not isinstance(ids, Sized) or len(ids) > 0


def listed(ids: Iterable[Any], what: str) -> list[Any]:
    """As a list; a single id is refused."""
    if isinstance(ids, list):
        return ids
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise DataError(f"{what}: must be a list of item ids, found {ids!r}. Write [{ids!r}].")
    return ids.tolist() if isinstance(ids, np.ndarray) else list(ids)


def _numbers(given: Iterable[float], place: int) -> list[float]:
    try:
        return [float(one) for one in given]
    except (TypeError, ValueError):
        raise DataError(f"weights: of history {place} must be a list of numbers, found {given!r}.") from None
