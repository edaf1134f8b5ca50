"""What every trained model becomes when it answers: named arrays, a small config and scores, without torch."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from recdistill.errors import ConfigError, DataError
from recdistill.registry import nearest
from recdistill.serving.histories import Histories
from recdistill.tables.codecs import CODECS, CodedTable, CodedVector, Vector, half
from recdistill.tables.codecs.vector import vector_of


@dataclass(frozen=True, eq=False, kw_only=True)
class Scorer(ABC):
    """Its fields are tables (`CodedTable`), plain arrays and settings; saving, bytes and codecs follow from them."""

    form: ClassVar[str]
    table_fields: ClassVar[tuple[str, ...]] = ()
    array_fields: ClassVar[tuple[str, ...]] = ()
    whole_fields: ClassVar[tuple[str, ...]] = ()
    """Arrays that no codec halves."""
    vector_fields: ClassVar[tuple[str, ...]] = ()
    """Arrays of one number for each item, which stand in eight bits beside tables of few bits."""

    @property
    @abstractmethod
    def n_items(self) -> int: ...

    @property
    @abstractmethod
    def vectors(self) -> bool:
        """Whether a score is a product of a user's and an item's vector, plus the item's bias."""

    @property
    @abstractmethod
    def dimension(self) -> int: ...

    @property
    def ordered(self) -> bool:
        """Whether scores depend on the order of a history; who asks then gives `Histories` with places."""
        return False

    @property
    def item_bias(self) -> Vector | None:
        """(n_items,) what is added to every score of an item, where there is such."""
        return None

    @property
    def popularity(self) -> Vector | None:
        """(n_items,) the scores of people of whom nothing is known, where the form itself has none for them.

        They are the answer alone: neither a bias is added nor do user vectors say the same.
        """
        return None

    def unknown(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        """(batch,) bool: who has neither a history nor a row in the user table."""
        alone = histories.lengths == 0
        if user_rows is None or not self.table_rows("user_table"):
            return alone
        return alone & (np.asarray(user_rows) < 0)

    def _with_popularity(self, scores: np.ndarray, histories: Histories, user_rows: np.ndarray | None) -> np.ndarray:
        if self.popularity is not None:
            scores[self.unknown(histories, user_rows)] = self.popularity.astype(np.float32)
        return scores

    @abstractmethod
    def score(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        """(batch, n_items) float32. `user_rows` are rows of the user table, -1 for people who are not in it."""

    def user_vectors(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        """(batch, dimension) float32."""
        raise ConfigError(f"a scorer of the form {self.form!r} has no user vectors; ask it for scores.")

    def item_vectors(self) -> np.ndarray:
        """(n_items, dimension) float32 such that score = user · item + bias."""
        raise ConfigError(f"a scorer of the form {self.form!r} has no item vectors; ask it for scores.")

    def queries(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        """User vectors with every factor folded in, so that score = query · stored item row + bias."""
        return self.user_vectors(histories, user_rows)

    def query_of(self, items: np.ndarray, user_row: int = -1) -> np.ndarray:
        """(dimension,) float32 of one person with these item rows, sorted and distinct: the same bits as `queries`."""
        alone = Histories(np.array([0, len(items)]), items)
        return self.queries(alone, np.array([user_row]))[0]

    def shares(self, history: Histories, user_row: int, item: int) -> tuple[np.ndarray, float, float]:
        """Of one person's score of an item: the part of each history item (float64), of the user's own row, and of
        nothing but the item. They add up to it, but for rounding."""
        raise ConfigError(f"a scorer of the form {self.form!r} cannot say where its scores come from.")

    def quantized(self, codec: str) -> Self:
        """The same scorer with its tables in the codec; its small arrays are halved unless the codec is fp32, and those
        of one number for each item are stored in eight bits where the codec takes fewer."""
        tables = {name: table.recoded(codec, self._row_weights(name)) for name, table in self._tables().items()}
        arrays = {name: array for name, array in self._arrays().items() if name not in self.whole_fields}
        small = {name: _small(array, codec, name, name in self.vector_fields) for name, array in arrays.items()}
        return dataclasses.replace(self, **tables, **small)

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array that answering needs, named `table.part` or plainly."""
        named = {f"{name}.{part}": array for name, table in self._tables().items()
                 for part, array in table.arrays.items()}  # fmt: skip
        return named | self._own_arrays()

    def config(self) -> dict[str, Any]:
        """What JSON can hold: the form, the codec of each table, and the settings."""
        codecs = {name: table.codec for name, table in self._tables().items()}
        settings = {field.name: getattr(self, field.name) for field in self._settings()}
        return {"form": self.form, "codecs": codecs, **settings}

    @classmethod
    def from_arrays(cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """The inverse of `config` and `arrays`; anything missing or left over is refused."""
        codecs = _codecs(config, cls)
        parts: dict[str, dict[str, np.ndarray]] = {name: {} for name in codecs}
        plain: dict[str, Vector] = {}
        vectors: dict[str, dict[str, np.ndarray]] = {}
        for name, array in arrays.items():
            field, _, part = name.partition(".")
            if part and field in parts:
                parts[field][part] = array
            elif part and field in cls.vector_fields:
                vectors.setdefault(field, {})[part] = array
            elif name in cls.array_fields:
                plain[name] = array
            else:
                raise DataError(f"array {name!r} is not part of a scorer of the form {cls.form!r}.")
        tables = {name: CodedTable(codec, parts[name]) for name, codec in codecs.items()}
        if both := sorted(set(vectors) & set(plain)):
            raise DataError(f"array {both[0]!r} is there twice, plainly and in eight bits.")
        plain |= {name: vector_of(coded, name) for name, coded in vectors.items()}
        settings = {field.name: _checked(field, config[field.name]) for field in cls._settings()}
        try:
            return cls(**tables, **plain, **settings)
        except TypeError as fault:
            raise DataError(f"a scorer of the form {cls.form!r} lacks an array: {fault}.") from None

    @property
    def nbytes(self) -> int:
        """Bytes of every array that must be in memory to answer; one shared by two tables counts once."""
        return sum({id(array): array.nbytes for array in self.arrays().values()}.values())

    @property
    def parameters(self) -> int:
        """Numbers that were learned, however they are coded."""
        tables = {id(table): int(np.prod(table.shape)) for table in self._tables().values()}
        return sum(tables.values()) + sum(array.size for array in self._arrays().values())

    def table_rows(self, name: str) -> int:
        """Rows of the table of this name; 0 where the scorer has none."""
        table = self._tables().get(name)
        return 0 if table is None else len(table)

    @classmethod
    def _settings(cls) -> list[dataclasses.Field[Any]]:
        named = (*cls.table_fields, *cls.array_fields)
        return [field for field in dataclasses.fields(cls) if field.name not in named]

    def _tables(self) -> dict[str, CodedTable]:
        return {name: table for name in self.table_fields if (table := getattr(self, name)) is not None}

    def _row_weights(self, table: str) -> np.ndarray | None:
        """(rows,) which rows of a table count more, where that is known: items by how popular they are."""
        known = self.popularity if self.popularity is not None else self.item_bias
        if table not in ("item_table", "history_table") or known is None or self.table_rows(table) != len(known):
            return None
        return np.asarray(known, np.float32)

    def _own_arrays(self) -> dict[str, np.ndarray]:
        """What is not in a table; the parts of a vector in eight bits as `vector.part`."""
        named: dict[str, np.ndarray] = {}
        for name, array in self._arrays().items():
            if isinstance(array, CodedVector):
                named |= {f"{name}.{part}": one for part, one in array.arrays().items()}
            else:
                named[name] = array
        return named

    def _arrays(self) -> dict[str, Vector]:
        return {name: array for name in self.array_fields if (array := getattr(self, name)) is not None}


def check_shape(what: str, found: tuple[int, ...], want: tuple[int, ...]) -> None:
    if found != want:
        raise DataError(f"{what} must have the shape {want}, found {found}.")


def check_rows(user_rows: np.ndarray, table: CodedTable, batch: int) -> np.ndarray:
    user_rows = np.asarray(user_rows)
    check_shape("user_rows", user_rows.shape, (batch,))
    if len(user_rows) and (user_rows.max() >= len(table) or user_rows.min() < -1):
        raise DataError(f"user_rows must lie in -1..{len(table) - 1}, found {user_rows.min()}..{user_rows.max()}.")
    return user_rows


def _checked(field: dataclasses.Field[Any], value: Any) -> bool | float:
    """A setting is a switch or a finite number; JSON could hold anything."""
    switch = field.type in (bool, "bool")
    if isinstance(value, bool) != switch or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise DataError(f"setting {field.name!r} must be {'true or false' if switch else 'a number'}, found {value!r}.")
    return value if switch else float(value)


def _small(array: Vector, codec: str, name: str, vector: bool) -> Vector:
    if vector and CODECS[codec].short:
        return array if isinstance(array, CodedVector) else CodedVector.of(array, name)
    return array.astype(np.float32) if codec == "fp32" else half(np.asarray(array), name)


def _codecs(config: Mapping[str, Any], cls: type[Scorer]) -> dict[str, str]:
    known = {"form", "codecs", *(field.name for field in cls._settings())}
    for name in config:
        if name not in known:
            raise DataError(f"a scorer of the form {cls.form!r} has no setting {name!r}. {nearest(name, known)}")
    if missing := sorted(known - set(config)):
        raise DataError(f"a scorer of the form {cls.form!r} lacks the settings {missing}.")
    codecs = config["codecs"]
    if not isinstance(codecs, Mapping) or not set(codecs) <= set(cls.table_fields):
        raise DataError(f"codecs must name tables among {list(cls.table_fields)}, found {codecs}.")
    return dict(codecs)
