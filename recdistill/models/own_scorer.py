"""How somebody's model answers: live, by its own code, and by what of it can be served without that code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from recdistill.models.fold_in_map import with_fold_in
from recdistill.models.own_bag import as_bag
from recdistill.models.own_model import OwnModel
from recdistill.models.popularity import log_counts
from recdistill.serving.base import Scorer
from recdistill.serving.histories import Histories

if TYPE_CHECKING:
    from recdistill.data.interactions import Interactions
    from recdistill.serving.scorers import BagScorer

BATCH = 1024
SAME = 1e-5
"""Of the longest vector: how far two may lie apart that are the same but for rounding."""


class Served(NamedTuple):
    """What a service can answer with, and how that is less than the model itself."""

    scorer: BagScorer | None
    """None: nothing, since the model has no vectors."""
    less: str
    """Nothing where both give the same answers."""


@dataclass(frozen=True, eq=False, kw_only=True)
class OwnScorer(Scorer):
    """Asks the model itself; people of whom it knows nothing get `strangers`, or what is popular."""

    form: ClassVar[str] = "own"

    own: OwnModel
    popular: np.ndarray
    strangers: Scorer | None = None
    """Answers for people without a row, of a model that knows people by their rows."""
    looks_at_order: bool = False

    @property
    def n_items(self) -> int:
        return self.own.n_items

    @property
    def vectors(self) -> bool:
        return self.own.vectors

    @property
    def dimension(self) -> int:
        return self.item_vectors().shape[1] if self.vectors else 0

    @property
    def ordered(self) -> bool:
        return self.looks_at_order

    @property
    def popularity(self) -> np.ndarray | None:
        return self.popular

    @cached_property
    def _items(self) -> tuple[np.ndarray, np.ndarray | None]:
        with self.own.asking():
            bias = self.own.item_bias()
            items = self.own.plain("item_vectors", self.own.item_vectors())
        return items, None if bias is None else self.own.plain("item_bias", bias)

    @property
    def item_bias(self) -> np.ndarray | None:
        return self._items[1] if self.vectors else None

    def item_vectors(self) -> np.ndarray:
        return self._items[0] if self.vectors else super().item_vectors()

    @property
    def nbytes(self) -> int:
        return 4 * self.parameters

    @property
    def parameters(self) -> int:
        return sum(one.numel() for one in self.own.model.parameters()) if self.own.is_module else 0

    def unknown(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        alone = histories.lengths == 0
        return alone & (np.asarray(user_rows) < 0) if self.own.user_id and user_rows is not None else alone

    def user_vectors(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        if not self.vectors:
            return super().user_vectors(histories, user_rows)
        found = np.zeros((len(histories), self.dimension), np.float32)
        known = self._known(histories, user_rows)
        if self.strangers is not None and not known.all():
            found[~known] = self.strangers.user_vectors(histories.take(np.flatnonzero(~known)))
        found[known] = self._asked("user_vectors", histories, user_rows, np.flatnonzero(known))
        return found

    def score(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        if self.vectors:
            scores: np.ndarray = self.user_vectors(histories, user_rows) @ self.item_vectors().T
            scores = scores if self.item_bias is None else scores + self.item_bias
        else:
            known = np.flatnonzero(self._known(histories, user_rows))
            scores = np.tile(self.popular.astype(np.float32), (len(histories), 1))
            scores[known] = self._asked("score", histories, user_rows, known)
        return self._with_popularity(scores, histories, user_rows)

    def quantized(self, codec: str) -> Self:
        raise self.own.refused(
            f"its own code cannot be stored as {codec}; compress what is served of it: rd.compress(model.served(), …)"
        )

    def config(self) -> dict[str, Any]:
        return {"form": self.form, "codecs": {}}

    @classmethod
    def from_arrays(cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        raise NotImplementedError

    def _known(self, histories: Histories, user_rows: np.ndarray | None) -> np.ndarray:
        """(batch,) bool: who the model itself can be asked about."""
        if not self.own.user_id:
            return np.ones(len(histories), bool)
        return np.zeros(len(histories), bool) if user_rows is None else np.asarray(user_rows) >= 0

    def _asked(self, what: str, histories: Histories, user_rows: np.ndarray | None, places: np.ndarray) -> np.ndarray:
        """Of the users at these places of the batch, a few at a time."""
        if self.ordered and histories.places is None and len(histories.items):
            raise self.own.refused("looks at the order of a history, which is not known here; the log needs times")
        rows = None if user_rows is None else np.asarray(user_rows)[places]
        people, found = histories.take(places), []
        ask = self.own.user_vectors if what == "user_vectors" else self.own.scores
        with self.own.asking():
            for start in range(0, len(places), BATCH):
                part = slice(start, start + BATCH)
                told = self.own.of_histories(people.take(part), None if rows is None else rows[part])
                found.append(self.own.plain(what, ask(*told)))
        width = self.dimension if what == "user_vectors" else self.n_items
        if found and found[0].shape[1] != width:
            raise self.own.refused(f"user_vectors have {found[0].shape[1]} columns, item_vectors {width}")
        return np.concatenate(found) if found else np.zeros((0, width), np.float32)


def live_and_served(own: OwnModel, train: Interactions, *, ordered: bool) -> tuple[Scorer, Served]:
    """What answers here, and what can be served: the same where the model is a bag of the history or a user table."""
    popular = log_counts(train)
    live = OwnScorer(own=own, popular=popular, looks_at_order=ordered)
    if not own.vectors:
        live.score(train.histories(np.arange(min(2, train.n_users)), ordered=ordered), np.arange(min(2, train.n_users)))
        return live, Served(
            None,
            "it gives scores by its own code and no vectors, so a service without torch cannot ask it; distil it into "
            "rd.TwoTower(user_id=False)",
        )
    rows = np.arange(train.n_users)
    histories = train.histories(rows, ordered=ordered)
    users = live.user_vectors(histories, rows)
    listens = own.user_id and not _same(users, live.user_vectors(histories, np.zeros_like(rows)))
    if not listens and not ordered and (bag := as_bag(live, train, popular)) is not None:
        return bag, Served(bag, "")
    table = replace(
        with_fold_in(users, live.item_vectors(), live.item_vectors(), train, normalize=False, scale=1.0),
        item_bias=live.item_bias,
    )
    if own.user_id and _same(users, live.user_vectors(Histories.empty(len(rows)), rows)):
        return table, Served(table, "")
    live = replace(live, strangers=table if own.user_id else None)
    return live, Served(
        table,
        f"its user vectors are code that is no bag of the history: a service has those of the {train.n_users:,} users "
        "of the training log as they were, and places others by a linear map of their history",
    )


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    longest = max(float(np.linalg.norm(a, axis=1).max(initial=0.0)), 1e-12)
    return bool(np.abs(a - b).max(initial=0.0) <= SAME * longest)
