"""What a distilled student trained through its codes is compared with at equal bytes: ways that train nothing more.

Each way gives the models within a budget that it can make of a finished teacher, student, or float student of the same
shape; which of a way's models stands for it is chosen on valid. A way that can make none at this size is impossible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from recdistill.compression.convert import converted
from recdistill.compression.sizes import NARROWEST, bag_bytes, widest
from recdistill.errors import ConfigError
from recdistill.models.svd_cut import teacher_svd
from recdistill.registry import Registry
from recdistill.serving.scorers import BagScorer, EnsembleScorer, RerankedScorer, Scorer
from recdistill.tables.codec_names import MIXED, WITH_STEPS
from recdistill.tables.codecs import CodedTable

PLAIN = ("fp16", "int8", "int4", "int3", "int2", "binary")
"""Codecs of one number for each value."""
COARSE = ("int8", "int4", "int3", "int2")
"""With which something else is combined."""
PARTS = (64, 48, 32, 24, 16, 12, 8, 6, 4)
"""Bytes of a product-quantised row."""
SHARES = (75, 50, 25)
"""Percent of the rows that are left where rows are pruned."""
KEPT = (64, 48, 32, 24, 16, 12, 8, 6, 4, 2)
"""Values of a sparse row."""
CAST_TO = "int4"
"""The fewest bits that cost a finished student little (ml-1m, d=64, NDCG@20: -.0013; 3 bits -.0036)."""


class Rival(NamedTuple):
    scorer: Scorer
    what: str
    """In a few words: `d=24, fp16`."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a run has of one seed."""

    teacher: Scorer
    student: Scorer
    """In floats, at the run's own dimension."""
    wide: Scorer | None = None
    """A distilled student in floats, of the shape that was chosen for the budget."""
    castable: Scorer | None = None
    """The same, as wide as fits the budget in the bits that a cast loses little in; none: `wide` is."""

    @property
    def history_only(self) -> BagScorer | None:
        """The teacher without its table of users, at its full width; None where it has no vectors of items. Of an
        ensemble the first member that has some, of two stages the one that retrieves."""
        teacher = self.teacher.base if isinstance(self.teacher, RerankedScorer) else self.teacher
        for one in teacher.members if isinstance(teacher, EnsembleScorer) else (teacher,):
            if isinstance(one, BagScorer) and one.item_table is not None:
                return replace(one, user_table=None, popularity=teacher.popularity)
        return None


Way = Callable[[Sources, int], Iterator[Rival]]


def svd(sources: Sources, limit: int) -> Iterator[Rival]:
    """The teacher's item-to-item map cut by SVD, in half floats."""
    yield from _cut(sources, limit, ("fp16",))


def svd_cast(sources: Sources, limit: int) -> Iterator[Rival]:
    """The same with more dimensions of fewer bits."""
    yield from _cut(sources, limit, COARSE)


def teacher_cast(sources: Sources, limit: int) -> Iterator[Rival]:
    """The teacher without its table of users, cast."""
    if sources.history_only is not None:
        yield from _cast(sources.history_only, limit, f"d={sources.history_only.dimension}")


def student_cast(sources: Sources, limit: int) -> Iterator[Rival]:
    """The distilled student in floats, cast after training."""
    for student, whose in _students(sources):
        yield from _cast(student, limit, whose)


def product(sources: Sources, limit: int) -> Iterator[Rival]:
    """Product quantisation after training."""
    for scorer, whose in _all(sources):
        yield from _first(scorer, [f"pq{m}" for m in PARTS if m <= scorer.dimension], limit, whose)


def dimensions(sources: Sources, limit: int) -> Iterator[Rival]:
    """Dimensions pruned by their energy, in half floats and in fewer bits."""
    for scorer, whose in _all(sources):
        for codec in ("fp16", *COARSE):
            dim = min(_widest(scorer, codec, limit), scorer.dimension)
            if dim >= NARROWEST:
                small = converted(pruned(scorer, dim), codec, seed=0).scorer
                if small.nbytes <= limit:
                    yield Rival(small, f"{whose}, {dim} of {scorer.dimension} dimensions, {codec}")


def rows(sources: Sources, limit: int) -> Iterator[Rival]:
    """The rows of the least popular items pruned, which their biases rank; the others in half floats or fewer bits."""
    for scorer, whose in _all(sources):
        for share in SHARES:
            yield from _first(scorer, [f"{codec}_dims{share}_0" for codec in ("fp16", *WITH_STEPS)], limit, whose)


def magnitude(sources: Sources, limit: int) -> Iterator[Rival]:
    """The largest values of each row, in half floats with their columns."""
    for scorer, whose in _all(sources):
        yield from _first(scorer, [f"sparse{k}" for k in KEPT if k < scorer.dimension], limit, whose)


RIVALS: Registry[Way] = Registry("way to a small model")
for _name, _way in (
    ("svd", svd), ("svd_cast", svd_cast), ("teacher_cast", teacher_cast), ("student_cast", student_cast),
    ("product", product), ("pruned_dimensions", dimensions), ("pruned_rows", rows), ("pruned_values", magnitude),
):  # fmt: skip
    RIVALS.register(_name, _way)


def pruned(scorer: BagScorer, dim: int) -> BagScorer:
    """The scorer with the `dim` dimensions that carry most of what users times items add up to."""
    tables = {name: table.matrix() for name in scorer.table_fields if (table := getattr(scorer, name)) is not None}
    items = tables["item_table"]
    history = tables.get("history_table", items)
    energy = np.sqrt(np.square(items, dtype=np.float64).mean(0) * np.square(history, dtype=np.float64).mean(0))
    kept = np.sort(np.argsort(-energy, kind="stable")[:dim])
    return replace(scorer, **{name: CodedTable.of(table[:, kept]) for name, table in tables.items()})  # type: ignore[arg-type]


def _cut(sources: Sources, limit: int, codecs: tuple[str, ...]) -> Iterator[Rival]:
    try:
        like = teacher_svd(sources.teacher, NARROWEST)
    except ConfigError:  # a teacher without a map of items, or with fewer dimensions
        return
    most = sources.teacher.dimension if sources.history_only is not None else like.n_items - 1
    for codec in codecs:
        dim = min(_widest(like, codec, limit), most)
        if dim >= NARROWEST:
            small = converted(teacher_svd(sources.teacher, dim), codec, seed=0).scorer
            if small.nbytes <= limit:
                yield Rival(small, f"d={dim}, {codec}")


def _cast(scorer: BagScorer, limit: int, whose: str) -> Iterator[Rival]:
    for codecs in (PLAIN, MIXED):
        yield from _first(scorer, list(codecs), limit, whose)


def _first(scorer: BagScorer, codecs: list[str], limit: int, whose: str) -> Iterator[Rival]:
    """By the first codec, the most precise, that fits."""
    for codec in codecs:
        if _bytes(scorer, codec, scorer.dimension) <= limit:
            small = converted(scorer, codec, seed=0).scorer
            if small.nbytes <= limit:
                yield Rival(small, f"{whose}, {codec}")
                return


def _students(sources: Sources) -> list[tuple[BagScorer, str]]:
    """Those with vectors of items, and how they are told apart: the run's own may have two tables, and as many
    dimensions as the one that is cast well."""
    found = ((sources.student, "d"), (sources.wide, "d"), (sources.castable, "one table, d"))
    return [
        (one, f"{name}={one.dimension}")
        for one, name in found
        if isinstance(one, BagScorer) and one.item_table is not None
    ]


def _all(sources: Sources) -> list[tuple[BagScorer, str]]:
    teacher = sources.history_only
    own = [] if teacher is None else [(teacher, f"teacher, d={teacher.dimension}")]
    return own + [(student, f"student, {whose}") for student, whose in _students(sources)]


def _widest(like: BagScorer, codec: str, limit: int) -> int:
    """The most dimensions that a scorer with these tables and arrays may have."""
    return widest(lambda dim: _bytes(like, codec, dim), limit, most=1024)


def _bytes(like: BagScorer, codec: str, dim: int) -> int:
    """Of a scorer with the same tables and arrays, `dim` wide."""
    tables, vectors = (
        sum(getattr(like, name) is not None for name in names) for names in (like.table_fields, like.vector_fields)
    )
    return bag_bytes(like.n_items, codec, dim, tables=tables, vectors=vectors)
