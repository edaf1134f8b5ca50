"""Several models answer as one: their scores, or the places they give, are averaged user by user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, Self, cast

import numpy as np

from recdistill.errors import DataError
from recdistill.registry import nearest
from recdistill.serving.base import Scorer, check_shape
from recdistill.serving.histories import Histories
from recdistill.serving.products import RoundedTable
from recdistill.tables.codecs import CodedTable

By = Literal["score", "rank"]
WAYS = ("score", "rank")
SETTINGS = ("form", "codecs", "by", "group_ends", "members")


@dataclass(frozen=True, eq=False, kw_only=True)
class EnsembleScorer(Scorer):
    """score = m + s · standardised(Σ_members w · z), with m and s mean and spread of the first member's scores.

    z are a member's scores less their mean by their spread over the catalogue (by score), or -log of the place that it
    gives an item, standardised alike (by rank). All of it is taken for each user, so that a softmax over the answer is
    as sharp as over the first member's. Who is unknown to all members gets popularity, which they leave to the whole.
    """

    form: ClassVar[str] = "ensemble"
    array_fields: ClassVar[tuple[str, ...]] = ("weights", "popularity")
    whole_fields: ClassVar[tuple[str, ...]] = ("weights",)

    members: tuple[Scorer, ...]
    weights: np.ndarray
    """w, float32 (groups of history length, members)"""
    group_ends: tuple[int, ...] = ()
    """Of every group but the last its longest history."""
    by: By = "score"
    popularity: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not self.members:
            raise DataError("an ensemble needs at least one member.")
        check_shape("weights", self.weights.shape, (len(self.group_ends) + 1, len(self.members)))
        if not (self.weights >= 0).all() or not (self.weights.sum(axis=1) > 0).all():
            raise DataError(f"weights must be 0 or more, and more than 0 in sum, found {self.weights.tolist()}.")
        if self.by not in WAYS:
            raise DataError(f"'by' must be one of {', '.join(WAYS)}, found {self.by!r}.")
        if list(self.group_ends) != sorted(set(self.group_ends)):
            raise DataError(f"group_ends must rise, found {list(self.group_ends)}.")
        if any(member.n_items != self.n_items for member in self.members):
            raise DataError(
                f"members rank {[member.n_items for member in self.members]} items; they must rank the same."
            )
        if len({rows for member in self.members if (rows := member.table_rows("user_table"))}) > 1:
            raise DataError("members know different numbers of users by id; they must be fitted on one log.")
        if self.popularity is not None:
            check_shape("popularity", self.popularity.shape, (self.n_items,))

    @property
    def n_items(self) -> int:
        return self.members[0].n_items

    @property
    def vectors(self) -> bool:
        return False

    @property
    def ordered(self) -> bool:
        return any(member.ordered for member in self.members)

    @property
    def dimension(self) -> int:
        return self.members[0].dimension

    @property
    def parameters(self) -> int:
        own = self.weights.size + (0 if self.popularity is None else self.popularity.size)
        return own + sum(member.parameters for member in self.members)

    @property
    def user_table(self) -> CodedTable | None:
        """That of the first member that knows users by id."""
        found = (member._tables().get("user_table") for member in self.members)
        return next((table for table in found if table is not None), None)

    def table_rows(self, name: str) -> int:
        return max(member.table_rows(name) for member in self.members)

    def score(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        """The same bits for a user whatever the batch."""
        mixed, levels = self._mixed(histories, user_rows)
        standardise(mixed)
        mixed *= _spread_of(levels[0])[:, None]
        mixed += levels[0].mean[:, None]
        return self._with_popularity(mixed, histories, user_rows)

    def _mixed(self, histories: Histories, user_rows: np.ndarray | None) -> tuple[np.ndarray, list[Level]]:
        """Σ_members w · z, (batch, n_items) float32, and the level of each member."""
        weights = self._weights_of(histories)
        mixed, levels = np.zeros((len(histories), self.n_items), np.float32), []
        for member in range(len(self.members)):
            scores, level = self.standardised(member, histories, user_rows)
            scores *= weights[:, member, None]
            mixed += scores
            levels.append(level)
        return mixed, levels

    def _weights_of(self, histories: Histories) -> np.ndarray:
        """(batch, members)"""
        found: np.ndarray = self.weights[np.searchsorted(self.group_ends, histories.lengths)]
        return found

    def standardised(self, member: int, histories: Histories, user_rows: np.ndarray | None) -> tuple[np.ndarray, Level]:
        """z of one member, (batch, n_items) float32, and the level of its scores."""
        table = self._rounded[member]
        scorer = self.members[member]
        if table is None:
            scores = scorer.score(histories, user_rows)
        else:  # a product whose last bits depend on the batch would not do
            scores = table.times(scorer.queries(histories, user_rows))
            if scorer.item_bias is not None:
                scores += scorer.item_bias.astype(np.float32)
        if self.by == "score":
            return scores, standardise(scores)
        level = standardise(scores.copy())
        places(scores)
        standardise(scores)
        return scores, level

    @cached_property
    def _rounded(self) -> list[RoundedTable | None]:
        return [RoundedTable(_item_table(member)) if member.vectors else None for member in self.members]

    def quantized(self, codec: str) -> Self:
        small = super().quantized(codec)
        return replace(small, members=tuple(member.quantized(codec) for member in self.members))

    def arrays(self) -> dict[str, np.ndarray]:
        """As of every scorer; those of the members are named `<n>.<array>`."""
        of_members = {f"{n}.{name}": array for n, member in enumerate(self.members)
                      for name, array in member.arrays().items()}  # fmt: skip
        return of_members | self._own_arrays()

    def config(self) -> dict[str, Any]:
        members = [member.config() for member in self.members]
        codecs: dict[str, str] = {}
        for member in members:
            for table, codec in member["codecs"].items():
                codecs[table] = codec if codecs.get(table, codec) == codec else f"{codecs[table]}, {codec}"
        own = {"by": self.by, "group_ends": list(self.group_ends)}
        return {"form": self.form, "codecs": codecs, **own, "members": members}

    @classmethod
    def from_arrays(cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        from recdistill.serving.scorers import scorer_from_arrays

        described, ends = _checked(config)
        parts: list[dict[str, np.ndarray]] = [{} for _ in described]
        own: dict[str, np.ndarray] = {}
        for name, array in arrays.items():
            number, dot, rest = name.partition(".")
            if dot and number.isdecimal() and int(number) < len(parts):
                parts[int(number)][rest] = array
            elif name in cls.array_fields:
                own[name] = array
            else:
                raise DataError(f"array {name!r} is not part of a scorer of the form {cls.form!r}.")
        if "weights" not in own:
            raise DataError(f"a scorer of the form {cls.form!r} lacks the array 'weights'.")
        members = tuple(scorer_from_arrays(one, part) for one, part in zip(described, parts, strict=True))
        return cls(members=members, group_ends=ends, by=cast(By, config["by"]), **own)


class Level(NamedTuple):
    """Of each user's scores over the catalogue, float32 (batch,)."""

    mean: np.ndarray
    spread: np.ndarray
    """Standard deviation; 0 where all scores are the same."""


def standardise(scores: np.ndarray) -> Level:
    """In place: each row less its mean, by its standard deviation; rows that are all the same become 0.

    Row by row in double precision, so that no row depends on those beside it and nothing large is copied.
    """
    level = Level(np.empty(len(scores), np.float32), np.empty(len(scores), np.float32))
    for place, row in enumerate(scores):
        wide = row.astype(np.float64)
        mean = np.add.reduce(wide) / len(wide)
        wide -= mean
        spread = np.sqrt(np.add.reduce(np.square(wide)) / len(wide))
        if spread <= EVEN * abs(mean):
            wide[:] = spread = 0.0
        else:
            wide /= spread or 1.0
        scores[place], level.mean[place], level.spread[place] = wide, mean, spread
    return level


def _spread_of(level: Level) -> np.ndarray:
    """1 where there is none: where one model is silent, the others are not."""
    return np.where(level.spread > 0, level.spread, np.float32(1))


EVEN = 2.0**-22
"""A spread that is so small beside the mean is float32's rounding."""


def places(scores: np.ndarray) -> None:
    """In place: -log of the place of each score in its row, 1 for the largest; equal scores share the better place."""
    n_items = scores.shape[1]
    by_place = -np.log(np.arange(1, n_items + 1)).astype(np.float32)
    for row in scores:
        above = n_items - np.searchsorted(np.sort(row), row, side="right")
        row[:] = by_place[above]


def _item_table(scorer: Scorer) -> CodedTable:
    table: CodedTable = scorer.item_table  # type: ignore[attr-defined]
    return table


def _checked(config: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], tuple[int, ...]]:
    """The members' configs and the group ends; JSON could hold anything."""
    for name in config:
        if name not in SETTINGS:
            raise DataError(f"a scorer of the form 'ensemble' has no setting {name!r}. {nearest(name, SETTINGS)}")
    if missing := sorted(set(SETTINGS) - set(config)):
        raise DataError(f"a scorer of the form 'ensemble' lacks the settings {missing}.")
    members, ends = config["members"], config["group_ends"]
    if not isinstance(members, list) or not all(isinstance(member, Mapping) for member in members):
        raise DataError(f"members must be a list of scorers' configs, found {members!r}.")
    if not isinstance(ends, list) or not all(type(end) is int and end >= 0 for end in ends):
        raise DataError(f"group_ends must be whole numbers from 0, found {ends!r}.")
    return members, tuple(ends)
