"""Two stages as one scorer: a base model retrieves, a small network ranks what it found again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from recdistill.errors import DataError
from recdistill.registry import nearest
from recdistill.serving.base import Scorer, check_shape
from recdistill.serving.histories import Histories
from recdistill.serving.perceptron import Perceptron
from recdistill.serving.products import RoundedTable
from recdistill.tables.codecs import TILE_BYTES, CodedTable, Vector

SETTINGS = ("form", "codecs", "depth", "unit", "base", "network")
OF_PAIRS = 3
"""Features of a user and an item beside the product of their vectors and what is known of the item: the base's score,
the place it gives, and the length of the history."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RerankedScorer(Scorer):
    """score = the base's + unit · correction for the `depth` best items by the base that are not in the history.

    All other items keep the base's order below these; items of the history keep the base's score. Who is unknown to the
    base is answered by it alone.
    """

    form: ClassVar[str] = "reranked"
    array_fields: ClassVar[tuple[str, ...]] = ("item_facts",)

    base: Scorer
    network: Perceptron
    """From the features of a user and an item (see `pair_features`) to the correction."""
    item_facts: np.ndarray
    """(n_items, facts), each column of mean 0 and spread 1: bias and log popularity."""
    depth: int
    unit: float = 1.0
    """What a correction of 1 is worth in scores of the base."""

    def __post_init__(self) -> None:
        if isinstance(self.base, RerankedScorer):
            raise DataError("a reranked scorer cannot be the base of another.")
        if self.item_facts.ndim != 2:
            raise DataError(f"item_facts must have two dimensions, found the shape {self.item_facts.shape}.")
        check_shape("item_facts", self.item_facts.shape, (self.n_items, self.item_facts.shape[1]))
        want = width(self.base, self.item_facts)
        if (self.network.inputs, self.network.outputs) != (want, 1):
            raise DataError(
                f"the network must lead from {want} features to one correction; it leads from {self.network.inputs} "
                f"to {self.network.outputs}."
            )
        if not 1 <= self.depth <= self.n_items:
            raise DataError(f"depth must be from 1 to {self.n_items}, the number of items, found {self.depth}.")
        if not 0 < self.unit < np.inf:
            raise DataError(f"unit must be above 0, found {self.unit}.")

    @property
    def n_items(self) -> int:
        return self.base.n_items

    @property
    def vectors(self) -> bool:
        return False

    @property
    def ordered(self) -> bool:
        return self.base.ordered

    @property
    def dimension(self) -> int:
        return self.base.dimension

    @property
    def popularity(self) -> Vector | None:
        return self.base.popularity

    @property
    def parameters(self) -> int:
        return self.base.parameters + self.network.parameters

    @property
    def user_table(self) -> CodedTable | None:
        table: CodedTable | None = getattr(self.base, "user_table", None)
        return table

    def table_rows(self, name: str) -> int:
        return self.base.table_rows(name)

    def unknown(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        return self.base.unknown(histories, user_rows)

    def score(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        """The same bits for a user whatever the batch."""
        scores = self.base_scores(histories, user_rows)
        known = np.flatnonzero(~self.unknown(histories, user_rows))
        step = max(1, TILE_BYTES // (16 * self.depth * self.network.inputs))
        for start in range(0, len(known), step):
            users = known[start : start + step]
            part, rows = histories.take(users), None if user_rows is None else np.asarray(user_rows)[users]
            pool = retrieved(scores[users], part, self.depth)
            features = pair_features(self.base, self.item_facts, part, rows, pool)
            corrections = self.network(features).reshape(pool.items.shape) * np.float32(self.unit)
            scores[users] = _placed(scores[users], part, pool, corrections)
        return scores

    def base_scores(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        """Those of the base, (batch, n_items) float32, the same bits for a user whatever the batch."""
        if self._rounded is None:
            return self.base.score(histories, user_rows)
        scores = self._rounded.times(self.base.queries(histories, user_rows))
        if self.base.item_bias is not None:
            scores += self.base.item_bias.astype(np.float32)
        return self.base._with_popularity(scores, histories, user_rows)

    @cached_property
    def _rounded(self) -> RoundedTable | None:
        """A product whose last bits depend on the batch would not do."""
        return RoundedTable(self.base.item_table) if self.base.vectors else None  # type: ignore[attr-defined]

    def quantized(self, codec: str) -> Self:
        small = super().quantized(codec)
        return replace(small, base=self.base.quantized(codec), network=self.network.quantized(codec))

    def arrays(self) -> dict[str, np.ndarray]:
        """As of every scorer; those of the two stages are named `base.<array>` and `network.<array>`."""
        stages = {"base": self.base.arrays(), "network": self.network.arrays()}
        inside = {f"{stage}.{name}": array for stage, arrays in stages.items() for name, array in arrays.items()}
        return inside | self._own_arrays()

    def config(self) -> dict[str, Any]:
        base = self.base.config()
        own = {"depth": self.depth, "unit": self.unit, "network": self.network.codecs}
        return {"form": self.form, "codecs": base["codecs"], **own, "base": base}

    @classmethod
    def from_arrays(cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        from recdistill.serving.scorers import scorer_from_arrays

        base, layers, depth, unit = _checked(config)
        parts: dict[str, dict[str, np.ndarray]] = {"base": {}, "network": {}}
        own: dict[str, np.ndarray] = {}
        for name, array in arrays.items():
            stage, dot, rest = name.partition(".")
            if dot and stage in parts:
                parts[stage][rest] = array
            elif name in cls.array_fields:
                own[name] = array
            else:
                raise DataError(f"array {name!r} is not part of a scorer of the form {cls.form!r}.")
        if "item_facts" not in own:
            raise DataError(f"a scorer of the form {cls.form!r} lacks the array 'item_facts'.")
        found, network = scorer_from_arrays(base, parts["base"]), Perceptron.from_arrays(layers, parts["network"])
        return cls(base=found, network=network, depth=depth, unit=unit, **own)


class Pool(NamedTuple):
    """What the first stage gives to the second."""

    items: np.ndarray
    """int64 (batch, depth) item rows, best first; -1 where fewer are left."""
    scores: np.ndarray
    """float32 (batch, depth) the base's, -inf where there is no item."""


def retrieved(scores: np.ndarray, histories: Histories, depth: int) -> Pool:
    """The items with the highest scores (batch, n_items) that are not in the history."""
    from recdistill.retrieval.selection import best_of_pairs, fixed_order, floor_of_kth

    left = scores.copy()
    left[histories.users, histories.items] = -np.inf
    floor = np.maximum(floor_of_kth(left, depth), np.finfo(np.float32).min)
    users, items = np.nonzero(left >= floor[:, None])
    order = fixed_order(scores.shape[1])
    return Pool(*best_of_pairs(users, items, left[users, items], len(left), depth, order))


def width(base: Scorer, item_facts: np.ndarray) -> int:
    """How many features a pair has."""
    return (base.dimension if base.vectors else 0) + item_facts.shape[1] + OF_PAIRS


def pair_features(
    base: Scorer,
    item_facts: np.ndarray,
    histories: Histories,
    user_rows: np.ndarray | None,
    pool: Pool,
    turn: np.ndarray | None = None,
) -> np.ndarray:
    """float32 (batch · depth, width): what the second stage knows of each user and retrieved item.

    The product u∘v of their vectors, each brought to length √d, where the base has vectors; the facts of the item; the
    base's score by its mean and spread over the user's pool, the place in the pool, and the length of the history.
    `turn` (d, d) rotates the vectors first.
    """
    there = pool.items >= 0
    batch, depth = pool.items.shape
    items = np.where(there, pool.items, 0)
    d = base.dimension if base.vectors else 0
    found = np.zeros((batch, depth, width(base, item_facts)), np.float32)
    if d:
        users = _of_length_root(base.user_vectors(histories, user_rows))
        rows = base.item_table.rows(items.ravel())  # type: ignore[attr-defined]
        if turn is not None:
            users, rows = users @ turn, rows @ turn
        np.multiply(users[:, None], _of_length_root(rows).reshape(batch, depth, d), out=found[..., :d])
    facts = item_facts.shape[1]
    found[..., d : d + facts] = item_facts[items]
    found[..., d + facts] = _standardised(pool.scores, there)
    found[..., d + facts + 1] = np.log1p(np.arange(depth)) - np.log1p(depth / 2)
    found[..., d + facts + 2] = (np.log1p(histories.lengths) / 2 - 1)[:, None]
    found[~there] = 0
    return found.reshape(batch * depth, -1)


def _of_length_root(rows: np.ndarray) -> np.ndarray:
    """Each of length √d; rows of zeros stay."""
    length = np.sqrt(np.square(rows).sum(axis=1, keepdims=True) / np.float32(rows.shape[1]))
    scaled: np.ndarray = rows / np.where(length == 0, np.float32(1), length)
    return scaled


def _standardised(scores: np.ndarray, there: np.ndarray) -> np.ndarray:
    """(batch, depth) less the mean, by the spread, of those that are there; no row depends on those beside it."""
    found = np.zeros(scores.shape, np.float32)
    for row, kept, out in zip(scores, there, found, strict=True):
        values = row[kept].astype(np.float64)
        if len(values):
            values -= np.add.reduce(values) / len(values)
            spread = np.sqrt(np.add.reduce(np.square(values)) / len(values))
            out[kept] = values / (spread or 1.0)
    return found


def _placed(scores: np.ndarray, histories: Histories, pool: Pool, corrections: np.ndarray) -> np.ndarray:
    """The base's scores (batch, n_items) with the pool's corrected ones above those of all other items."""
    there = pool.items >= 0
    users = np.nonzero(there)[0]
    above = np.where(there, pool.scores + corrections, np.inf)
    floor = np.nextafter(above.min(axis=1, initial=np.inf), np.float32(-np.inf))
    rest = np.ones(scores.shape, bool)
    rest[users, pool.items[there]] = False
    rest[histories.users, histories.items] = False
    highest = np.where(rest, scores, -np.inf).max(axis=1)
    down = np.maximum(highest - floor, 0)[:, None]  # as little as keeps all of them below
    moved = np.where(rest, np.minimum(scores - down, floor[:, None]), scores)
    moved[users, pool.items[there]] = above[there]
    return moved


def _checked(config: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, str], int, float]:
    """The base's config, the codecs of the network, depth and unit; JSON could hold anything."""
    for name in config:
        if name not in SETTINGS:
            raise DataError(f"a scorer of the form 'reranked' has no setting {name!r}. {nearest(name, SETTINGS)}")
    if missing := sorted(set(SETTINGS) - set(config)):
        raise DataError(f"a scorer of the form 'reranked' lacks the settings {missing}.")
    base, network, depth, unit = (config[name] for name in ("base", "network", "depth", "unit"))
    if not isinstance(base, Mapping) or not isinstance(network, Mapping):
        raise DataError(f"base and network must be objects, found {base!r} and {network!r}.")
    if type(depth) is not int:
        raise DataError(f"depth must be a whole number, found {depth!r}.")
    if isinstance(unit, bool) or not isinstance(unit, (int, float)):
        raise DataError(f"unit must be a number, found {unit!r}.")
    return base, network, depth, float(unit)
