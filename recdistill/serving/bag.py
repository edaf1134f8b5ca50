"""A user is a bag of items: the form of two-tower models, of singular vectors and, with a bias alone, of popularity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from recdistill.errors import DataError
from recdistill.serving.base import Scorer, check_rows, check_shape
from recdistill.serving.histories import Histories, bag_sums, weighted
from recdistill.tables.codecs import DECODED_BYTES, CodedTable, Vector


@dataclass(frozen=True, eq=False, kw_only=True)
class BagScorer(Scorer):
    """u = Σ_history weight_i · H_i / n^power + user row; score = scale · u·V_i + bias_i.

    Where the history has weights of its own they multiply its items', and their sum stands for n.
    With no history and no user row popularity is the score; without it u is zero, and the bias decides.
    """

    form: ClassVar[str] = "bag"
    table_fields: ClassVar[tuple[str, ...]] = ("item_table", "history_table", "user_table")
    array_fields: ClassVar[tuple[str, ...]] = ("history_weight", "item_bias", "popularity", "place_weight")
    vector_fields: ClassVar[tuple[str, ...]] = ("history_weight", "item_bias", "popularity")

    item_table: CodedTable | None = None
    """V; None where the bias alone ranks."""
    history_table: CodedTable | None = None
    """H; None where it is tied: V is read in its place, in memory once."""
    user_table: CodedTable | None = None
    history_weight: Vector | None = None
    item_bias: Vector | None = None
    popularity: Vector | None = None
    place_weight: np.ndarray | None = None
    """(places,) what an item of a history counts by its place from the end; the last stands for all before it. Where
    places are not known all count the same."""
    normalize: bool = False
    """Whether u is brought to length 1."""
    history_power: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.item_table is None:
            others = (self.history_table, self.user_table, self.popularity)
            if self.item_bias is None or any(other is not None for other in others):
                raise DataError("a bag scorer needs an item table, or a bias and no table at all.")
            check_shape("item_bias", self.item_bias.shape, (self.n_items,))
            return
        n_items, dimension = self.item_table.shape
        if self.history_table is not None:
            check_shape("history_table", self.history_table.shape, (n_items, dimension))
        if self.user_table is not None:
            check_shape("user_table", self.user_table.shape, (len(self.user_table), dimension))
        for name, array in self._arrays().items():
            if name != "place_weight":
                check_shape(name, array.shape, (n_items,))
        if self.place_weight is not None and (self.place_weight.ndim != 1 or not len(self.place_weight)):
            raise DataError(f"place_weight has the shape {self.place_weight.shape}; it needs a number for each place.")

    @property
    def n_items(self) -> int:
        if self.item_table is not None:
            return len(self.item_table)
        return 0 if self.item_bias is None else len(self.item_bias)

    @property
    def vectors(self) -> bool:
        return self.item_table is not None

    @property
    def dimension(self) -> int:
        return 0 if self.item_table is None else self.item_table.shape[1]

    @property
    def ordered(self) -> bool:
        return self.place_weight is not None

    def user_vectors(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        """(batch, dimension) float32; the same bits for a user whatever the batch."""
        bags = self.item_table if self.history_table is None else self.history_table
        if bags is None:
            return np.zeros((len(histories), 0), np.float32)
        users = bag_sums(bags, self.history_weight, self._placed(histories), self._bags)
        if self.history_power:
            users /= self._divisors(histories)[:, None]
        if self.user_table is not None and user_rows is not None:
            user_rows = check_rows(user_rows, self.user_table, len(histories))
            known = np.flatnonzero(user_rows >= 0)
            users[known] += self.user_table.rows(user_rows[known])
        if self.normalize:
            length = np.sqrt(np.square(users).sum(axis=1, keepdims=True))
            users /= np.where(length == 0, np.float32(1), length)
        return users

    def queries(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        return self.user_vectors(histories, user_rows) * np.float32(self.scale)

    def query_of(self, items: np.ndarray, user_row: int = -1) -> np.ndarray:
        bags = self._bags
        if bags is None or bags.shape[1] < 2 or not len(items):
            return super().query_of(items, user_row)
        user: np.ndarray = np.add.reduce(bags.take(items, axis=0), axis=0)
        if self.history_power:
            user /= self._powers[len(items)]
        if self.user_table is not None and user_row >= 0:
            user += self.user_table.rows(np.array([user_row]))[0]
        if self.normalize:
            length = np.sqrt(np.add.reduce(np.square(user)))
            if length:
                user /= length
        user *= np.float32(self.scale)
        return user

    def shares(self, history: Histories, user_row: int, item: int) -> tuple[np.ndarray, float, float]:
        bias = 0.0 if self.item_bias is None else float(self.item_bias[item])
        bags = self.item_table if self.history_table is None else self.history_table
        if self.item_table is None or bags is None:
            return np.zeros(len(history.items)), 0.0, bias
        rows = np.array([user_row])
        if self.popularity is not None and self.unknown(history, rows)[0]:
            return np.zeros(0), 0.0, float(np.float32(self.popularity[item]))
        target = self.item_table.rows(np.array([item]))[0].astype(np.float64) * self.scale
        own = None if self.history_weight is None else self.history_weight[history.items]
        parts = weighted(bags.rows(history.items), own).astype(np.float64)
        placed = self._placed(history)
        if placed.weights is not None:
            parts *= placed.weights[:, None]
        if self.history_power:
            parts /= self._divisors(history)[0]
        user = np.zeros(self.dimension)
        if self.user_table is not None and user_row >= 0:
            user += self.user_table.rows(rows)[0]
        length = float(np.linalg.norm(parts.sum(axis=0) + user)) if self.normalize else 1.0
        target /= length or 1.0
        return parts @ target, float(user @ target), bias

    def prefix(self, dimension: int) -> BagScorer:
        """The model of the first `dimension` numbers of every vector; it ranks well where these were trained as one
        (`TwoTower(nested=…)`) or carry the most, as singular vectors do. Raises ConfigError for another number than 1
        to the dimension, and for tables of codes that cannot be cut."""
        from recdistill.serving.prefix import first_numbers

        return first_numbers(self, dimension)

    def _placed(self, histories: Histories) -> Histories:
        """Weighed by place, where both weights and places are known."""
        if self.place_weight is None or histories.places is None:
            return histories
        by_place = self.place_weight.astype(np.float32)[np.minimum(histories.places, len(self.place_weight) - 1)]
        own = by_place if histories.weights is None else by_place * histories.weights
        return replace(histories, weights=own)

    @cached_property
    def _bags(self) -> np.ndarray | None:
        """The history table times its weights, where a decoded table is kept."""
        table = self.item_table if self.history_table is None else self.history_table
        if table is None or table.decoded is None:
            return None
        if self.history_weight is not None and table.decoded.nbytes > DECODED_BYTES:
            return None
        return weighted(table.decoded, self.history_weight)

    def _divisors(self, histories: Histories) -> np.ndarray:
        """(batch,) float32: n^power."""
        if histories.weights is None:
            return self._powers[histories.lengths]
        totals = histories.totals
        return (np.where(totals > 0, totals, 1) ** self.history_power).astype(np.float32)

    @cached_property
    def _powers(self) -> np.ndarray:
        return (np.maximum(np.arange(self.n_items + 1), 1) ** self.history_power).astype(np.float32)

    def item_vectors(self) -> np.ndarray:
        if self.item_table is None:
            return np.zeros((self.n_items, 0), np.float32)
        items = self.item_table.matrix()
        return items if self.scale == 1.0 else items * np.float32(self.scale)

    def score(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        scores = np.zeros((len(histories), self.n_items), np.float32)
        if self.item_table is not None:
            np.matmul(self.queries(histories, user_rows), self.item_table.matrix().T, out=scores)
        if self.item_bias is not None:
            scores += self.item_bias.astype(np.float32)
        return self._with_popularity(scores, histories, user_rows)
