"""A user is what self-attention makes of the last items in their order: the form of sequence models."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from recdistill.errors import DataError
from recdistill.serving.base import Scorer, check_shape
from recdistill.serving.histories import Histories, places_from_end, weighted
from recdistill.tables.codecs import TILE_BYTES, CodedTable

EPSILON = 1e-6
INPUT_SCALE = 10.0
"""History rows start at a root mean square of .1 a number; blocks work on numbers of about 1."""
NEVER = np.float32(-1e9)


@dataclass(frozen=True, eq=False, kw_only=True)
class SelfAttentionScorer(Scorer):
    """u = the last place after every block, of length 1; score = scale · u·V_i + bias_i (Kang and McAuley, 2018).

    A block: x + attention to the places before + a rectified layer. Beside the content of the items their distance
    counts. The last items alone are looked at, as many as there are distances; where a history's order is not known
    its items are taken by their rows, and the answer is one of many. Weights of a history are left out of account.
    Without a history popularity is the score.
    """

    form: ClassVar[str] = "self_attention"
    table_fields: ClassVar[tuple[str, ...]] = ("item_table", "history_table")
    array_fields: ClassVar[tuple[str, ...]] = (
        "history_weight", "item_bias", "popularity", "attention", "distance", "norms", "widen", "widen_bias", "narrow",
        "narrow_bias",
    )  # fmt: skip

    item_table: CodedTable
    """V"""
    history_table: CodedTable | None = None
    """What a history is made of; None where V times `history_weight` stands for it."""
    history_weight: np.ndarray | None = None
    item_bias: np.ndarray | None = None
    popularity: np.ndarray | None = None
    attention: np.ndarray
    """(blocks, 4, d, d) queries, keys, values, way out"""
    distance: np.ndarray
    """(blocks, heads, places) added to the score of an item so many places before"""
    norms: np.ndarray
    """(blocks, 2, d)"""
    widen: np.ndarray
    """(blocks, h, d)"""
    widen_bias: np.ndarray
    narrow: np.ndarray
    """(blocks, d, h)"""
    narrow_bias: np.ndarray
    scale: float = 1.0

    def __post_init__(self) -> None:
        n_items, d = self.item_table.shape
        if self.history_table is not None:
            check_shape("history_table", self.history_table.shape, (n_items, d))
        for name in ("history_weight", "item_bias", "popularity"):
            array = getattr(self, name)
            if array is not None:
                check_shape(name, array.shape, (n_items,))
        if self.distance.ndim != 3 or self.widen.ndim != 3 or not self.distance.size:
            raise DataError("a self-attention scorer needs `distance` (blocks, heads, places) and `widen` of 3 axes.")
        blocks, heads, _ = self.distance.shape
        wide = self.widen.shape[1]
        if d % heads:
            raise DataError(f"a self-attention scorer has {heads} heads for {d} dimensions; they must divide them.")
        check_shape("attention", self.attention.shape, (blocks, 4, d, d))
        check_shape("norms", self.norms.shape, (blocks, 2, d))
        check_shape("widen", self.widen.shape, (blocks, wide, d))
        check_shape("widen_bias", self.widen_bias.shape, (blocks, wide))
        check_shape("narrow", self.narrow.shape, (blocks, d, wide))
        check_shape("narrow_bias", self.narrow_bias.shape, (blocks, d))

    @property
    def n_items(self) -> int:
        return len(self.item_table)

    @property
    def vectors(self) -> bool:
        return True

    @property
    def ordered(self) -> bool:
        return True

    @property
    def dimension(self) -> int:
        return self.item_table.shape[1]

    @property
    def length(self) -> int:
        """The most items of a history that are looked at."""
        return self.distance.shape[2]

    def user_vectors(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        """(batch, dimension) float32; the same bits for a user whatever the batch. 0 without a history."""
        users = np.zeros((len(histories), self.dimension), np.float32)
        if len(histories.items) and histories.items.max() >= self.n_items:
            raise DataError(
                f"histories: item row {histories.items.max()} is outside a catalogue of {self.n_items} items."
            )
        places = histories.places
        if places is None:
            places = places_from_end(histories.indptr, np.arange(len(histories.items)))
        widths = padded_lengths(np.minimum(histories.lengths, self.length))
        for width in np.unique(widths[histories.lengths > 0]).tolist():
            members = np.flatnonzero((widths == width) & (histories.lengths > 0))
            at_once = max(1, TILE_BYTES // (4 * width * max(self.widen.shape[1], 3 * self.dimension)))
            for start in range(0, len(members), at_once):
                some = members[start : start + at_once]
                users[some] = self._encoded(_rows_by_place(histories, places, some, width, self.length))
        return users

    def queries(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        return self.user_vectors(histories, user_rows) * np.float32(self.scale)

    def item_vectors(self) -> np.ndarray:
        items = self.item_table.matrix()
        return items if self.scale == 1.0 else items * np.float32(self.scale)

    def score(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        scores: np.ndarray = self.queries(histories, user_rows) @ self.item_table.matrix().T
        if self.item_bias is not None:
            scores += self.item_bias.astype(np.float32)
        return self._with_popularity(scores, histories, user_rows)

    def _encoded(self, rows: np.ndarray) -> np.ndarray:
        """(batch, d) of item rows (batch, width), the last at the end, -1 where there is none.

        Products are taken user by user, all of one shape, so that a user's bits do not depend on the others.
        """
        there = rows >= 0
        x = self._inputs(np.where(there, rows, 0))
        for block, weights in enumerate(self._blocks):
            x = self._block(x, there, weights, last=block + 1 == len(self._blocks))
        users: np.ndarray = x[:, -1]
        length = np.sqrt(np.square(users).sum(axis=1, keepdims=True))
        return users / np.where(length == 0, np.float32(1), length)

    def _inputs(self, rows: np.ndarray) -> np.ndarray:
        flat = rows.ravel()
        table = self.item_table if self.history_table is None else self.history_table
        own = None if self.history_weight is None else self.history_weight[flat]
        found = weighted(table.rows(flat), own) * np.float32(INPUT_SCALE)
        return found.reshape(*rows.shape, self.dimension)

    def _block(self, x: np.ndarray, there: np.ndarray, weights: _Block, *, last: bool) -> np.ndarray:
        """x: (batch, width, d); of the last block the last place alone is wanted."""
        batch, width, d = x.shape
        asking = slice(width - 1, width) if last else slice(width)
        heads = weights.distance.shape[0]
        normed = _root_mean_square(x) * weights.norms[0]

        def by_head(some: np.ndarray, matrix: np.ndarray) -> np.ndarray:
            return (some @ matrix.T).reshape(batch, some.shape[1], heads, d // heads).transpose(0, 2, 1, 3)

        queries = by_head(normed[:, asking], weights.attention[0])
        keys, values = by_head(normed, weights.attention[1]), by_head(normed, weights.attention[2])
        scores = queries @ keys.transpose(0, 1, 3, 2) / np.float32(math.sqrt(d // heads))
        back = np.arange(width)[asking, None] - np.arange(width)
        scores += weights.distance[:, np.clip(back, 0, self.length - 1)]
        scores += np.where((back >= 0) & there[:, None, :], np.float32(0), NEVER)[:, None]
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed = (scores @ values).transpose(0, 2, 1, 3).reshape(batch, -1, d)
        x = x[:, asking] + mixed @ weights.attention[3].T
        hidden = (_root_mean_square(x) * weights.norms[1]) @ weights.widen.T + weights.widen_bias
        np.maximum(hidden, 0, out=hidden)
        x += hidden @ weights.narrow.T + weights.narrow_bias
        return x

    @cached_property
    def _blocks(self) -> list[_Block]:
        """In single precision, whatever they are stored in."""
        names = ("attention", "distance", "norms", "widen", "widen_bias", "narrow", "narrow_bias")
        whole = [np.ascontiguousarray(getattr(self, name), np.float32) for name in names]
        return [_Block(*parts) for parts in zip(*whole, strict=True)]


@dataclass(frozen=True, slots=True)
class _Block:
    """The arrays of one block, float32."""

    attention: np.ndarray
    distance: np.ndarray
    norms: np.ndarray
    widen: np.ndarray
    widen_bias: np.ndarray
    narrow: np.ndarray
    narrow_bias: np.ndarray


def padded_length(length: int) -> int:
    """The next power of two, at least 4: few shapes for all lengths."""
    return max(4, 1 << max(0, length - 1).bit_length())


def padded_lengths(lengths: np.ndarray) -> np.ndarray:
    """`padded_length` of each."""
    powers = np.array([padded_length(length) for length in range(int(lengths.max(initial=0)) + 1)])
    return powers[lengths]


def _rows_by_place(histories: Histories, places: np.ndarray, users: np.ndarray, width: int, most: int) -> np.ndarray:
    """(users, width) item rows, the last at the end; -1 before the first of at most `most`."""
    rows = np.full((len(users), width), -1, np.int64)
    part = Histories(histories.indptr, histories.items, None, places).take(users)
    assert part.places is not None
    kept = part.places < most
    rows[part.users[kept], width - 1 - part.places[kept]] = part.items[kept]
    return rows


def _root_mean_square(x: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
    return scaled
