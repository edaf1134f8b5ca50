"""A table of features: one row for each id, one typed column for each thing that is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.data.vocab import Vocab
from recdistill.errors import DataError

if TYPE_CHECKING:
    from recdistill.features.statistics import Statistics

Kind = Literal["number", "category", "list", "text", "vector"]
TYPES: dict[str, pa.DataType] = {
    "number": pa.float64(),
    "category": pa.large_string(),
    "list": pa.large_list(pa.large_string()),
    "text": pa.large_string(),
}
"""How the values of a kind are held; a vector is a fixed-size list of float32."""


@dataclass(frozen=True, eq=False)
class Feature:
    """One column; null is "not known", and nothing else is: no NaN, no empty string, no empty list."""

    kind: Kind
    values: pa.Array

    def __post_init__(self) -> None:
        kind = self.values.type
        vector = pa.types.is_fixed_size_list(kind) and kind.value_type == pa.float32()
        if not (vector if self.kind == "vector" else kind == TYPES.get(self.kind)):
            raise DataError(f"a feature of the kind {self.kind!r} cannot be held as {kind}. Read the table again.")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def missing(self) -> int:
        return int(self.values.null_count)

    @property
    def dimension(self) -> int | None:
        """Numbers in a vector; None for other kinds."""
        return int(self.values.type.list_size) if self.kind == "vector" else None

    def take(self, rows: np.ndarray) -> Feature:
        """Rows in any order; -1 is not known."""
        return Feature(self.kind, self.values.take(pa.array(rows, mask=rows < 0)))

    def levels(self) -> dict[str, int]:
        """What a category or a list holds, and in how many rows, the most frequent first; empty for other kinds."""
        if self.kind not in ("category", "list"):
            return {}
        values = self.values if self.kind == "category" else _each_once(self.values)
        counted = pc.value_counts(values.drop_null()).to_pylist()
        return {
            one["values"]: one["counts"] for one in sorted(counted, key=lambda one: (-one["counts"], one["values"]))
        }

    def array(self) -> np.ndarray:
        """Numbers (n,) float64 or vectors (n, dimension) float32, NaN where not known; other kinds (n,) as objects."""
        if self.kind == "number":
            return self.values.to_numpy(zero_copy_only=False)
        if self.kind == "vector":
            whole = np.full((len(self), self.dimension or 0), np.nan, dtype=np.float32)
            known = self.values.is_valid().to_numpy(zero_copy_only=False)
            whole[known] = self.values.drop_null().flatten().to_numpy().reshape(-1, whole.shape[1])
            return whole
        found = np.empty(len(self), dtype=object)
        found[:] = self.values.to_pylist()
        return found


@dataclass(frozen=True, eq=False)
class Features:
    """Columns over the rows of a vocabulary; ids that no log knows may be among them."""

    ids: Vocab
    columns: dict[str, Feature]
    title: str | None = None
    """The column that people know an item by."""
    source: str = "features"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, column in self.columns.items():
            if len(column) != len(self.ids):
                raise DataError(f"{self.source}: column {name!r} has {len(column)} rows for {len(self.ids)} ids.")
        if self.title is not None and self.title not in self.columns:
            raise DataError(f"{self.source}: no column {self.title!r} for titles; found {list(self.columns)}.")

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        told = ", ".join(f"{name}: {column.kind}" for name, column in self.columns.items())
        return f"Features({len(self)} ids; {told})"

    def of(self, vocab: Vocab) -> Features:
        """The same columns for the ids of `vocab`, in its order; an id without a row is missing in every column."""
        rows = self.ids.rows(vocab.ids())
        return replace(self, ids=vocab, columns={name: column.take(rows) for name, column in self.columns.items()})

    def titles(self, vocab: Vocab) -> list[str | None] | None:
        """A title for each id of `vocab`, None where it is not known; None altogether without a column of titles."""
        if self.title is None:
            return None
        found: list[str | None] = self.columns[self.title].take(self.ids.rows(vocab.ids())).values.to_pylist()
        return found

    def joined(self, other: Features) -> Features:
        """The columns of both for the ids of either; a column that both have is refused."""
        if both := [name for name in other.columns if name in self.columns]:
            raise DataError(
                f"{other.source}: the columns {both} are in {self.source} too. Leave them out of one, or rename them."
            )
        ids = _union(self.ids, other.ids)
        columns = self.of(ids).columns | other.of(ids).columns
        source = self.source if self.source == other.source else f"{self.source}, {other.source}"
        return Features(ids, columns, self.title or other.title, source, (*self.notes, *other.notes))

    def without(self, names: Iterable[str]) -> Features:
        """The other columns."""
        gone = set(names)
        left = {name: column for name, column in self.columns.items() if name not in gone}
        return replace(self, columns=left, title=None if self.title in gone else self.title)

    def describe(self) -> dict[str, dict[str, Any]]:
        """For each column its kind and how many rows lack it; of categories and lists the number of levels, of vectors
        the number of dimensions."""
        found: dict[str, dict[str, Any]] = {}
        for name, column in self.columns.items():
            found[name] = {"kind": column.kind, "missing": column.missing}
            if column.kind in ("category", "list"):
                flat = column.values if column.kind == "category" else pc.list_flatten(column.values)
                found[name]["levels"] = pc.count_distinct(flat).as_py()
            if column.kind == "vector":
                found[name]["dimension"] = column.dimension
        return found

    def statistics(self) -> dict[str, Statistics]:
        """Levels, means and deviations of these rows and no others.

        For what a model is told ask `features.of(train.items)`, never the whole table: it knows items of later.
        """
        return self._statistics

    def save(self, path: str | Path) -> None:
        """One Arrow IPC file, with the kinds in its schema."""
        from recdistill.features.stored import save

        save(self, Path(path))

    @staticmethod
    def load(path: str | Path) -> Features:
        from recdistill.features.stored import load

        return load(Path(path))

    @cached_property
    def _statistics(self) -> dict[str, Statistics]:
        from recdistill.features.statistics import statistics

        return {name: statistics(column) for name, column in self.columns.items()}


def _each_once(lists: pa.Array) -> pa.Array:
    """All values of all lists, a value that one list holds twice counted once."""
    coded = pc.list_flatten(lists).dictionary_encode()
    rows, codes = pc.list_parent_indices(lists).to_numpy(), coded.indices.to_numpy()
    size = max(len(coded.dictionary), 1)
    pairs = np.sort(rows * size + codes)
    return coded.dictionary.take(pa.array(pairs[np.diff(pairs, prepend=-1) > 0] % size))


def _union(first: Vocab, second: Vocab) -> Vocab:
    """The ids of `first`, then those that only `second` has; as strings where one of both has strings that need it."""
    new = second.ids(np.flatnonzero(first.rows(second.ids()) < 0)).tolist()
    ids = first.ids().tolist()
    if len({type(one) for one in (*ids, *new)}) > 1:
        ids, new = [str(one) for one in ids], [str(one) for one in new]
    return Vocab(ids + new)
