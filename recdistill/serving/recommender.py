"""What a program embeds: an artifact that takes external ids, or titles, and gives external ids back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import numpy as np

from recdistill import artifact
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.retrieval.exact import top_k
from recdistill.serving.base import Scorer
from recdistill.serving.histories import Histories

Unknown = Literal["skip", "raise"]
SHOWN = 10
"""Items that an error names."""


class Recommendation(NamedTuple):
    item_id: Any
    score: float
    rank: int
    """From 1."""
    title: str | None = None
    """Where the artifact knows one."""


class Recommender:
    """Answers from arrays that never change, so that threads may share one."""

    def __init__(
        self, scorer: Scorer, items: Vocab, users: Vocab | None = None, titles: artifact.Titles | None = None
    ) -> None:
        self.scorer, self.items, self.users, self._titles = scorer, items, users, titles

    @classmethod
    def load(cls, folder: str | Path, *, verify: bool = True) -> Recommender:
        """From an artifact; `verify=False` skips the checksums. Raises ArtifactError for anything but a whole one."""
        found = artifact.load(folder, verify=verify)
        return cls(found.scorer, found.items, found.users, found.titles)

    @overload
    def recommend(
        self, history: Iterable[Any] | None = ..., user: Any = ..., k: int = ..., with_scores: Literal[False] = ...,
        exclude: Iterable[Any] = ..., unknown: Unknown = ...,
    ) -> list[Any]: ...  # fmt: skip
    @overload
    def recommend(
        self, history: Iterable[Any] | None = ..., user: Any = ..., k: int = ..., *, with_scores: Literal[True],
        exclude: Iterable[Any] = ..., unknown: Unknown = ...,
    ) -> list[Recommendation]: ...  # fmt: skip
    def recommend(
        self,
        history: Iterable[Any] | None = None,
        user: Any = None,
        k: int = 10,
        with_scores: bool = False,
        exclude: Iterable[Any] = (),
        unknown: Unknown = "skip",
    ) -> list[Any]:
        """Item ids, best first, none from the history or `exclude`; fewer than k only where fewer are left.

        An entry that is no id may be an item's exact title, where no other item has it. `user` matters to models with a
        user table alone. Unknown ids are skipped, or refused with `unknown="raise"`.
        With neither a history nor a known user the answer is what is popular.
        """
        return self.recommend_batch(
            [() if history is None else history], k, users=None if user is None else [user], with_scores=with_scores,
            exclude=[exclude], unknown=unknown,
        )[0]  # fmt: skip

    def recommend_batch(
        self,
        histories: Sequence[Iterable[Any]],
        k: int = 10,
        *,
        users: Sequence[Any] | None = None,
        with_scores: bool = False,
        exclude: Sequence[Iterable[Any]] | None = None,
        unknown: Unknown = "skip",
    ) -> list[list[Any]]:
        """One answer for each history, the same as asked for one by one; `users` and `exclude` go along with them."""
        if unknown not in ("skip", "raise"):
            raise ConfigError(f"unknown={unknown!r}: must be 'skip' or 'raise'.")
        bags = self._bags(histories, "history", unknown)
        seen = bags if exclude is None else _union(bags, self._bags(exclude, "exclude", unknown))
        items, scores = top_k(self.scorer, bags, self._user_rows(users, unknown), k, seen)
        return [self._answer(rows, values, with_scores) for rows, values in zip(items, scores, strict=True)]

    def unknown(self, item_ids: Iterable[Any]) -> list[Any]:
        """Those of the ids (or titles) that are not in the catalogue."""
        given = list(item_ids)
        return [one for one, row in zip(given, self._rows(given, "item_ids"), strict=True) if row < 0]

    def titles(self, item_ids: Iterable[Any]) -> list[str | None]:
        """What each item is called; None where that is not known."""
        rows = self.items.rows(list(item_ids)).tolist()
        return [self._titles[row] if self._titles is not None and row >= 0 else None for row in rows]

    def find(self, text: str) -> list[tuple[Any, str | None]]:
        """Ids and titles of the items whose title holds `text`, whatever the case: the nearest to it first.

        A catalogue without titles is searched by its ids.
        """
        titles = artifact.Titles.of(map(str, self.items.ids().tolist())) if self._titles is None else self._titles
        rows = titles.holding(text)
        ids = self.items.ids(rows).tolist()
        return list(zip(ids, self.titles(ids), strict=True))

    def _answer(self, rows: np.ndarray, scores: np.ndarray, with_scores: bool) -> list[Any]:
        kept = rows >= 0
        ids = self.items.ids(rows[kept]).tolist()
        if not with_scores:
            return ids
        titles = [None if self._titles is None else self._titles[row] for row in rows[kept].tolist()]
        answers = zip(ids, scores[kept].tolist(), titles, strict=True)
        return [Recommendation(item, score, rank, title) for rank, (item, score, title) in enumerate(answers, 1)]

    def _bags(self, lists: Sequence[Iterable[Any]], what: str, unknown: Unknown) -> Histories:
        given = [_listed(one, what) for one in lists]
        flat = [one for ids in given for one in ids]
        users = np.repeat(np.arange(len(given)), [len(ids) for ids in given])
        rows = self._rows(flat, what)
        if unknown == "raise" and (rows < 0).any():
            missing = flat[int(np.argmin(rows))]
            raise DataError(f"{what}: no item {missing!r} among {len(self.items)}. Leave it out, or unknown='skip'.")
        return Histories.from_pairs(users[rows >= 0], rows[rows >= 0], len(given))

    def _rows(self, given: list[Any], what: str) -> np.ndarray:
        """Rows of ids, and of exact titles where they are no ids; -1 where they are neither."""
        rows = self.items.rows(given)
        if self._titles is None:
            return rows
        for place in np.flatnonzero(rows < 0).tolist():
            found = self._titles.rows(given[place]) if isinstance(given[place], str) else []
            if len(found) > 1:
                ids = ", ".join(map(repr, self.items.ids(found[:SHOWN]).tolist())) + (", …" if found[SHOWN:] else "")
                raise DataError(f"{what}: {len(found)} items have the title {given[place]!r}: {ids}. Give one's id.")
            if found:
                rows[place] = found[0]
        return rows

    def _user_rows(self, users: Sequence[Any] | None, unknown: Unknown) -> np.ndarray | None:
        if users is None:
            return None
        rows = np.full(len(users), -1, np.int64) if self.users is None else self.users.rows(users)
        if unknown == "raise" and (rows < 0).any():
            known = "this model knows people by their history alone" if self.users is None else "not a user it has seen"
            raise DataError(f"user {users[int(np.argmin(rows))]!r}: {known}. Give a history, or unknown='skip'.")
        return rows


def _union(first: Histories, second: Histories) -> Histories:
    if len(second) != len(first):
        raise DataError(f"exclude: {len(second)} lists for {len(first)} histories; give one for each.")
    users = np.concatenate([first.users, second.users])
    return Histories.from_pairs(users, np.concatenate([first.items, second.items]), len(first))


def _listed(ids: Iterable[Any], what: str) -> list[Any]:
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise DataError(f"{what}: must be a list of item ids, found {ids!r}. Write [{ids!r}].")
    return ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
