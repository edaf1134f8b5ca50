"""What a program embeds: an artifact that takes external ids, or titles, and gives external ids back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from recdistill import artifact
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.retrieval.exact import check_k
from recdistill.retrieval.kinds import FLAT
from recdistill.retrieval.scores import Products, scores_of
from recdistill.retrieval.single import Single
from recdistill.retrieval.subset import Subset
from recdistill.serving.additions import with_vectors
from recdistill.serving.answers import ItemFilter, Output, Recommendation, check_output, table
from recdistill.serving.base import Scorer
from recdistill.serving.explain import Explanation, Share, explain
from recdistill.serving.finder import Finder, Retriever
from recdistill.serving.histories import Histories
from recdistill.serving.lookup import Lookup, Unknown, check_unknown, filled, listed
from recdistill.serving.similar import most_like

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Explanation", "ItemFilter", "Recommendation", "Recommender", "Share"]

PLAIN = (list, tuple)


class Recommender:
    """Answers from arrays that never change, so that threads may share one."""

    def __init__(
        self,
        scorer: Scorer,
        items: Vocab,
        users: Vocab | None = None,
        titles: artifact.Titles | None = None,
        retriever: Retriever | None = None,
        origin: artifact.Artifact | None = None,
    ) -> None:
        """A `retriever` over the scorer's items finds them; its answers are scored and ordered exactly. Without one the
        whole catalogue is looked at. `origin` is asked what the model has learned from features."""
        if retriever is not None and retriever.kind == FLAT and len(retriever) == len(items):
            retriever = None  # it would look at the whole catalogue, too
        self.scorer, self.items, self.users, self._titles, self.retriever = scorer, items, users, titles, retriever
        self._origin, self._ordered = origin, scorer.ordered
        self._lookup, self._finder = Lookup(items, users, titles, ordered=self._ordered), Finder(scorer, retriever)

    @classmethod
    def load(cls, folder: str | Path, *, dim: int | None = None, verify: bool = True) -> Recommender:
        """From an artifact, with the index that it may hold; `verify=False` skips the checksums. `dim` is one of the
        sizes that a nested model was trained at; below the whole one the catalogue is looked at without an index.
        Raises ArtifactError for anything but a whole artifact, ConfigError for a size that it has not."""
        found = artifact.load(folder, verify=verify)
        if dim is not None:
            from recdistill.serving.prefix import at_dim

            found = at_dim(found, dim)
        return cls(found.scorer, found.items, found.users, found.titles, found.retriever, found)

    @overload
    def recommend(
        self, history: Iterable[Any] | None = ..., user: Any = ..., k: int = ..., *, exclude: Iterable[Any] = ...,
        only: ItemFilter | Iterable[Any] | None = ..., weights: Iterable[float] | None = ..., unknown: Unknown = ...,
        with_scores: Literal[False] = ...,
    ) -> list[Any]: ...  # fmt: skip
    @overload
    def recommend(
        self, history: Iterable[Any] | None = ..., user: Any = ..., k: int = ..., *, exclude: Iterable[Any] = ...,
        only: ItemFilter | Iterable[Any] | None = ..., weights: Iterable[float] | None = ..., unknown: Unknown = ...,
        with_scores: Literal[True],
    ) -> list[Recommendation]: ...  # fmt: skip
    def recommend(
        self,
        history: Iterable[Any] | None = None,
        user: Any = None,
        k: int = 10,
        *,
        exclude: Iterable[Any] = (),
        only: ItemFilter | Iterable[Any] | None = None,
        weights: Iterable[float] | None = None,
        unknown: Unknown = "popular",
        with_scores: bool = False,
    ) -> list[Any]:
        """Item ids, best first, none from the history or `exclude`; fewer than k only where fewer are left.

        A history is given the oldest item first, which matters to models that look at the order (`scorer.ordered`).
        An entry that is no id may be an item's exact title, where no other item has it. `user` matters to models with a
        user table alone. `only` are the items that may come, best prepared by `filter`. `weights` say how much each
        item of the history counts, 0 or more; of a repeated item the last does.
        Unknown ids are left out, or refused with `unknown="raise"`. Whoever gives neither a history nor a user is
        answered with what is popular; so is one of whom nothing is known, unless `unknown="skip"`: then nothing comes.
        """
        check_unknown(unknown)
        if weights is None:
            answer = self._quickly(history, user, k, exclude, only, with_scores)
            if answer is not None:
                return answer
        return self.recommend_batch(
            [() if history is None else history], k, users=None if user is None else [user], exclude=[exclude],
            only=only, weights=None if weights is None else [weights], unknown=unknown, with_scores=with_scores,
        )[0]  # fmt: skip

    @overload
    def recommend_batch(
        self, histories: Sequence[Iterable[Any]], k: int = ..., *, users: Sequence[Any] | None = ...,
        exclude: Sequence[Iterable[Any]] | None = ..., only: ItemFilter | Iterable[Any] | None = ...,
        weights: Sequence[Iterable[float]] | None = ..., unknown: Unknown = ..., with_scores: bool = ...,
        output: Literal["lists"] = ...,
    ) -> list[list[Any]]: ...  # fmt: skip
    @overload
    def recommend_batch(
        self, histories: Sequence[Iterable[Any]], k: int = ..., *, users: Sequence[Any] | None = ...,
        exclude: Sequence[Iterable[Any]] | None = ..., only: ItemFilter | Iterable[Any] | None = ...,
        weights: Sequence[Iterable[float]] | None = ..., unknown: Unknown = ..., output: Literal["arrow"],
    ) -> pa.Table: ...  # fmt: skip
    @overload
    def recommend_batch(
        self, histories: Sequence[Iterable[Any]], k: int = ..., *, users: Sequence[Any] | None = ...,
        exclude: Sequence[Iterable[Any]] | None = ..., only: ItemFilter | Iterable[Any] | None = ...,
        weights: Sequence[Iterable[float]] | None = ..., unknown: Unknown = ..., output: Literal["pandas"],
    ) -> pd.DataFrame: ...  # fmt: skip
    def recommend_batch(
        self,
        histories: Sequence[Iterable[Any]],
        k: int = 10,
        *,
        users: Sequence[Any] | None = None,
        exclude: Sequence[Iterable[Any]] | None = None,
        only: ItemFilter | Iterable[Any] | None = None,
        weights: Sequence[Iterable[float]] | None = None,
        unknown: Unknown = "popular",
        with_scores: bool = False,
        output: Output = "lists",
    ) -> Any:
        """One answer for each history, the same as asked for one by one; `users`, `exclude` and `weights` go along with
        them, `only` holds for all.

        `output="arrow"` or `"pandas"` gives one table: `history` (which one of the batch), `user_id` where users were
        given, `item_id`, `score`, `rank` from 1, and `title` where there are titles.
        """
        check_unknown(unknown)
        check_output(output, with_scores)
        lists = [listed(one, "history") for one in histories]
        for name, given in (("users", users), ("exclude", exclude), ("weights", weights)):
            if given is not None and len(given) != len(lists):
                raise DataError(f"{name}: {len(given)} lists for {len(lists)} histories; give one for each.")
        lookup = self._lookup
        seen = lookup.bags(lists, "history", unknown)
        bags = seen if weights is None else lookup.weighted(lists, weights)
        if exclude is not None and any(map(filled, exclude)):
            seen = _union(seen, lookup.bags([listed(one, "exclude") for one in exclude], "exclude", unknown))
        user_rows = lookup.user_rows(users, unknown)
        rows, scores = self.recommend_rows(bags, k, user_rows=user_rows, exclude=seen, only=self._subset(only, unknown))
        if unknown == "skip":
            gave = np.array([bool(one) for one in lists], bool)
            gave |= np.array([users is not None and users[place] is not None for place in range(len(lists))], bool)
            rows[gave & self.scorer.unknown(bags, user_rows)] = -1
        if output == "lists":
            return self._lists(rows, scores, with_scores)
        return table(
            rows, scores, self.items, users, None if self._titles is None else self._titles.__getitem__, output
        )

    def recommend_rows(
        self,
        histories: Histories,
        k: int = 10,
        *,
        user_rows: np.ndarray | None = None,
        exclude: Histories | None = None,
        only: Subset | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same by rows of `items` and `users`: item rows int64 and scores float32 (batch, k), -1 and -inf where no
        more are left. Nothing is left out but `exclude`."""
        return self._finder.best(histories, user_rows, k, exclude, only)

    def recommend_rows_of_one(self, rows: np.ndarray, k: int = 10, *, user_row: int = -1) -> np.ndarray:
        """Item rows int64, best first, for one history of rows, sorted and distinct, or, where `scorer.ordered`, the
        oldest first; none of them comes back. The door for programs that keep rows: nothing is checked but k."""
        if self._single is None or not len(rows) or self._ordered:
            history = Histories.from_lists([rows]) if self._ordered else Histories(np.array([0, len(rows)]), rows)
            found = self.recommend_rows(history, k, user_rows=np.array([user_row]), exclude=history)[0][0]
            return found[found >= 0]
        check_k(k, len(self.items))
        return self._single.best_items(self.scorer.query_of(rows, user_row), k, rows)

    def filter(self, item_ids: Iterable[Any], unknown: Unknown = "skip") -> ItemFilter:
        """The items that alone may come, to be given as `only`; unknown ids are left out, or refused with "raise"."""
        given = listed(item_ids, "filter")
        rows = self._lookup.known_rows(given, "filter", unknown)
        return ItemFilter(np.unique(rows[rows >= 0]), self.items)

    def similar(
        self,
        item: Any,
        k: int = 10,
        *,
        exclude: Iterable[Any] = (),
        only: ItemFilter | Iterable[Any] | None = None,
        with_scores: bool = False,
    ) -> list[Any]:
        """Ids of the items most like an item (or title), best first; scores are cosines of their vectors, or what an
        item-to-item model says. Raises DataError for an item that is not known."""
        row = self._lookup.row(item, "item")
        check_k(k, len(self.items))
        hidden = self._lookup.known_rows(listed(exclude, "exclude"), "exclude", "skip")
        subset = self._subset(only, "skip")
        rows, scores = most_like(self.scorer, row, k, hidden[hidden >= 0], None if subset is None else subset.penalty)
        return self._answer(rows, scores, with_scores)

    def explain(
        self, history: Iterable[Any], item: Any, user: Any = None, weights: Iterable[float] | None = None
    ) -> Explanation:
        """Where the item's score for this person comes from: the share of every history item, the largest first, of the
        person's own row, and of the item alone. Shares, `user` and `bias` add up to the score of `recommend`."""
        lookup, lists = self._lookup, [listed(history, "history")]
        row = self._lookup.row(item, "item")
        bags = lookup.bags(lists, "history", "skip") if weights is None else lookup.weighted(lists, [weights])
        user_rows = lookup.user_rows(None if user is None else [user], "skip")
        parts = explain(self.scorer, bags, -1 if user_rows is None else int(user_rows[0]), row)
        ids = self.items.ids(bags.items[: len(parts.shares)]).tolist()
        shares = sorted(map(Share, ids, parts.shares.tolist()), key=lambda one: -one.share)
        return Explanation(self._id(row), parts.score, tuple(shares), parts.user, parts.bias)

    def with_items(
        self,
        ids: Iterable[Any],
        vectors: np.ndarray,
        *,
        bias: np.ndarray | None = None,
        titles: Sequence[str | None] | None = None,
    ) -> Recommender:
        """A recommender that knows new items, too, by vectors (new, dimension) of the kind that `scorer.item_vectors()`
        gives, length included; this one stays as it is. Without a `bias` they get the median one. An index is left
        behind: build one for the new catalogue."""
        new = list(ids)
        for name, given in (("vectors", vectors), ("titles", titles)):
            if given is not None and len(given) != len(new):
                raise DataError(f"with_items: {len(given)} {name} for {len(new)} ids; give one for each.")
        items = Vocab([*self.items.ids().tolist(), *new])
        if items.kind != self.items.kind and len(self.items):
            raise DataError(f"with_items: the ids must be {self.items.kind}, as those that there are.")
        called = None
        if titles is not None or self._titles is not None:
            old = [None] * len(self.items) if self._titles is None else self._titles
            called = artifact.Titles.of([*old, *([None] * len(new) if titles is None else titles)])
        return Recommender(with_vectors(self.scorer, vectors, bias), items, self.users, called, None, self._origin)

    def with_features(self, items: Any, *, margin: float = 0.0) -> Recommender:
        """A recommender that knows the new ones of `items`, too, by their features alone: a path, a frame or whatever
        else `read_features` takes; those that it has keep what was learned of them. `margin` is how far new items stand
        back. Raises ConfigError where the model has not learned from features, DataError where no item is new."""
        from recdistill.features import Features, read_features
        from recdistill.models.cold_items import cold_items

        item_map = None if self._origin is None else self._origin.item_map
        if item_map is None:
            raise ConfigError(
                "with_features: this model has not learned from features. Train it with item_features = true, or give "
                "vectors: with_items."
            )
        features = items if isinstance(items, Features) else read_features(items)
        learned = item_map.encoder.columns
        if not set(learned) & set(features.columns):
            raise DataError(
                f"{features.source}: has none of the columns that the model learned from, {list(learned)}; found "
                f"{list(features.columns)}. Name one as it was."
            )
        new = cold_items(item_map, self.items, features, margin=margin)
        return self.with_items(new.ids, new.vectors, bias=new.bias, titles=features.titles(Vocab(new.ids)))

    def unknown(self, item_ids: Iterable[Any]) -> list[Any]:
        """Those of the ids (or titles) that are not in the catalogue."""
        given = list(item_ids)
        return [one for one, row in zip(given, self._lookup.rows(given, "item_ids"), strict=True) if row < 0]

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

    def _quickly(self, history: Any, user: Any, k: int, exclude: Any, only: Any, with_scores: bool) -> list[Any] | None:
        """The answer in the plain case, in a twentieth of the time: every id known and in its own spelling, a small
        catalogue, no filter but a prepared one; None otherwise."""
        single, penalty = self._single, None
        if single is None or type(k) is not int or not 0 < k <= single.n_items or not isinstance(history, PLAIN):
            return None
        if only is not None:
            subset = only.of(self.items) if isinstance(only, ItemFilter) else None
            if subset is None or subset.scores(self.scorer) is not None:
                return None
            penalty = subset.penalty
        rows = self.items.rows_of_known(history)
        if rows is None or not len(rows):
            return None
        given, rows = rows, distinct(rows, single.n_items)
        hidden = rows
        if type(exclude) is not tuple or exclude:
            more = self.items.rows_of_known(exclude) if isinstance(exclude, PLAIN) else None
            if more is None:
                return None
            hidden = np.concatenate([rows, more])
        user_row = -1
        if user is not None:
            user_row = -1 if self.users is None else int(self.users.rows([user])[0])
            if user_row < 0:
                return None
        query = self._query_in_order(given, user_row) if self._ordered else self.scorer.query_of(rows, user_row)
        if with_scores:
            return self._answer(*single.best(query, k, hidden, penalty=penalty), with_scores=True)
        ids: list[Any] = self.items.ids().take(single.best_items(query, k, hidden, penalty)).tolist()
        return ids

    def _query_in_order(self, rows: np.ndarray, user_row: int) -> np.ndarray:
        history = Histories.from_pairs(np.zeros(len(rows), np.int64), rows, 1, ordered=True)
        return self.scorer.queries(history, np.array([user_row]))[0]

    @cached_property
    def _single(self) -> Single | None:
        if self.retriever is not None:
            return None
        source = scores_of(self.scorer)
        return source.single if isinstance(source, Products) else None

    def _lists(self, rows: np.ndarray, scores: np.ndarray, with_scores: bool) -> list[list[Any]]:
        if with_scores or (rows.size and rows.min() < 0):
            answers = zip(rows, scores, strict=True)
            return [self._answer(one[one >= 0], values[one >= 0], with_scores) for one, values in answers]
        lists: list[list[Any]] = self.items.ids(rows).tolist()
        return lists

    def _answer(self, rows: np.ndarray, scores: np.ndarray, with_scores: bool) -> list[Any]:
        ids: list[Any] = self.items.ids(rows).tolist()
        if not with_scores:
            return ids
        titles = [None if self._titles is None else self._titles[row] for row in rows.tolist()]
        answers = zip(ids, scores.tolist(), range(1, len(ids) + 1), titles, strict=True)
        return list(map(Recommendation._make, answers))

    def _id(self, row: int) -> Any:
        return self.items.ids(np.array([row])).tolist()[0]

    def _subset(self, only: ItemFilter | Iterable[Any] | None, unknown: Unknown) -> Subset | None:
        if only is None:
            return None
        return (only if isinstance(only, ItemFilter) else self.filter(only, unknown)).of(self.items)


def distinct(rows: np.ndarray, n_items: int) -> np.ndarray:
    """Sorted and each once."""
    if n_items > 100_000:
        return np.unique(rows)
    there = np.zeros(n_items, bool)
    there[rows] = True
    return there.nonzero()[0]


def _union(first: Histories, second: Histories) -> Histories:
    users = np.concatenate([first.users, second.users])
    return Histories.from_pairs(users, np.concatenate([first.items, second.items]), len(first))
