"""External ids and the rows 0..n-1 that stand for them inside; numpy only, so that the serving half can read it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from recdistill.errors import DataError

INT64, INT32 = np.iinfo(np.int64), np.iinfo(np.int32)
GAPS = 4
"""Numbers between the smallest and the largest id, for each id, up to which a row is kept for every number."""
SMALL = 100_000
"""Integers up to which a dictionary of them is kept; it takes 80 bytes for each."""
MANY = 1000
"""Ids from which arrays are faster than a dictionary."""


class Vocab:
    """Distinct external ids, integers ("int64") or strings ("utf8"); the row of an id is its place."""

    def __init__(self, ids: np.ndarray | Iterable[Any]) -> None:
        self._ids = id_array(ids)
        repeated = len(self) - self._distinct()
        if repeated:
            raise DataError(f"vocabulary: {repeated} of {len(self)} ids are repeated; each id must occur once.")

    def __len__(self) -> int:
        return len(self._ids)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocab):
            return NotImplemented
        return self.kind == other.kind and np.array_equal(self._ids, other._ids)

    def __hash__(self) -> int:
        return hash(self.sha256())

    def __repr__(self) -> str:
        return f"Vocab({len(self)} ids, {self.kind})"

    @property
    def kind(self) -> str:
        return "int64" if self._ids.dtype == np.int64 else "utf8"

    def ids(self, rows: np.ndarray | Iterable[int] | None = None) -> np.ndarray:
        """The external ids of `rows` (all of them by default): int64, or object holding str."""
        return self._ids if rows is None else self._ids[np.asarray(rows, dtype=np.int64)]

    def rows(self, ids: np.ndarray | Iterable[Any]) -> np.ndarray:
        """int64 rows of external `ids`, -1 where unknown; "12" finds 12 and 12 finds "12"."""
        given = _plain(ids)
        if self.kind == "int64" and given.dtype.kind == "i":
            return self._int_rows(given.astype(np.int64, copy=False))
        plain = given.tolist()
        if self.kind == "int64":
            if plain and all(type(one) is int and INT64.min <= one <= INT64.max for one in plain):
                return self._int_rows(np.array(plain, dtype=np.int64))
            return self._int_rows_one_by_one(plain)
        find = self._row_of.get
        return np.fromiter((find(_text(one), -1) for one in plain), dtype=np.int64, count=len(plain))

    def rows_of_known(self, ids: Sequence[Any]) -> np.ndarray | None:
        """The same where all are known and need no conversion, some times as fast; None where that is not so."""
        try:
            if self.kind == "utf8" or (len(self) <= SMALL and len(ids) < MANY):
                rows = np.fromiter(map(self._row_of.__getitem__, ids), np.int64, len(ids))
            else:
                given = np.asarray(ids)
                if given.dtype != np.int64 or given.ndim != 1:
                    return None
                rows = self._int_rows(given)
                if len(rows) and rows.min() < 0:
                    return None
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        return None if self._like_switches and self._has_switch(ids, rows) else rows

    def arrays(self) -> dict[str, np.ndarray]:
        """What is stored: {"int64"} or UTF-8 {"bytes", "offsets"}."""
        if self.kind == "int64":
            return {"int64": self._ids}
        try:
            encoded = [one.encode() for one in self._ids]
        except UnicodeEncodeError as fault:
            raise DataError(f"vocabulary: the id {fault.object!r} cannot be written as UTF-8.") from None
        offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(one) for one in encoded], out=offsets[1:])
        return {"bytes": np.frombuffer(b"".join(encoded), dtype=np.uint8), "offsets": offsets}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Vocab:
        if set(arrays) == {"int64"}:
            return cls(arrays["int64"])
        if set(arrays) != {"bytes", "offsets"}:
            raise DataError(f"vocabulary: stored as 'int64' or as 'bytes' and 'offsets'; found {sorted(arrays)}.")
        ends, blob = arrays["offsets"].tolist(), arrays["bytes"].tobytes()
        if not ends or ends[0] != 0 or ends[-1] != len(blob) or sorted(ends) != ends:
            raise DataError("vocabulary: the offsets do not fit the bytes; the file was changed or cut.")
        try:
            return cls([blob[start:end].decode() for start, end in pairwise(ends)])
        except UnicodeDecodeError as fault:
            raise DataError(f"vocabulary: the bytes are not UTF-8 ({fault.reason}); the file was changed.") from None

    def subset(self, rows: np.ndarray) -> Vocab:
        """The vocabulary of some rows, in their order."""
        return Vocab(self._ids[rows])

    def sha256(self) -> str:
        """Hash of kind and ids in order."""
        digest = hashlib.sha256(self.kind.encode())
        for name, array in sorted(self.arrays().items()):
            digest.update(name.encode() + array.nbytes.to_bytes(8, "little"))
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def _distinct(self) -> int:
        if self.kind == "utf8":
            return len(set(self._ids))
        if self._sorted:
            return len(self)
        return len(np.unique(self._ids))

    def _int_rows(self, ids: np.ndarray) -> np.ndarray:
        if not len(self):
            return np.full(len(ids), -1, dtype=np.int64)
        if self._places is not None:
            first, places = self._places
            last = first + len(places) - 1
            inside = None
            if len(ids) and (ids.min() < first or ids.max() > last):
                inside = (ids >= first) & (ids <= last)
                ids = np.where(inside, ids, first)
            rows = places[ids - first].astype(np.int64)
            return rows if inside is None else np.where(inside, rows, -1)
        order, ordered = self._order, self._ordered
        place = np.searchsorted(ordered, ids).clip(max=len(self) - 1)
        rows = place if order is None else order[place]
        return np.where(ordered[place] == ids, rows, -1).astype(np.int64, copy=False)

    @cached_property
    def _places(self) -> tuple[int, np.ndarray] | None:
        """The smallest id and the row of each number from there, where the ids leave few gaps."""
        first, last = int(self._ids.min()), int(self._ids.max())
        if last - first >= GAPS * len(self) + MANY or len(self) > INT32.max:
            return None
        places = np.full(last - first + 1, -1, np.int32)
        places[self._ids - first] = np.arange(len(self))
        return first, places

    def _int_rows_one_by_one(self, ids: list[Any]) -> np.ndarray:
        whole = [_integer(one) for one in ids]
        rows = self._int_rows(np.array([0 if one is None else one for one in whole], dtype=np.int64))
        rows[[one is None for one in whole]] = -1
        return rows

    @cached_property
    def _sorted(self) -> bool:
        return bool((self._ids[1:] > self._ids[:-1]).all())

    @cached_property
    def _order(self) -> np.ndarray | None:
        return None if self._sorted else np.argsort(self._ids, kind="stable")

    @cached_property
    def _like_switches(self) -> list[int]:
        """Rows of the integers 0 and 1, which False and True are equal to."""
        return [row for row in self._int_rows(np.array([0, 1])).tolist() if row >= 0] if self.kind == "int64" else []

    def _has_switch(self, ids: Sequence[Any], rows: np.ndarray) -> bool:
        if len(ids) < MANY:
            return not set(map(type, ids)) <= {int}
        places = [place for row in self._like_switches for place in np.flatnonzero(rows == row).tolist()]
        return any(type(ids[place]) is not int for place in places)

    @cached_property
    def _ordered(self) -> np.ndarray:
        return self._ids if self._order is None else self._ids[self._order]

    @cached_property
    def _row_of(self) -> dict[Any, int]:
        return {one: row for row, one in enumerate(self._ids.tolist())}


def id_array(ids: np.ndarray | Iterable[Any]) -> np.ndarray:
    """External ids as int64 or as an object array of str; anything else is refused."""
    given = _plain(ids)
    if given.ndim != 1:
        raise DataError(f"vocabulary: ids must be one list; found an array of shape {given.shape}.")
    if given.dtype.kind == "i" or (given.dtype.kind == "u" and given.size and given.max() <= INT64.max):
        return given.astype(np.int64)
    plain = given.tolist()
    if all(type(one) is int and INT64.min <= one <= INT64.max for one in plain) and plain:
        return np.array(plain, dtype=np.int64)
    wrong = [one for one in plain if not isinstance(one, str)]
    if wrong:
        raise DataError(f"vocabulary: ids must be all integers (64 bit) or all strings; found {wrong[0]!r}.")
    return _object_array(plain)


def _plain(ids: np.ndarray | Iterable[Any]) -> np.ndarray:
    return ids if isinstance(ids, np.ndarray) and ids.dtype.kind != "O" else _object_array(ids)


def _object_array(ids: Iterable[Any]) -> np.ndarray:
    """Without numpy's guesses: it would make strings of a mixed list, and floats of large integers."""
    plain = [one.item() if isinstance(one, np.generic) else one for one in ids]
    array = np.empty(len(plain), dtype=object)
    array[:] = plain
    return array


def _integer(one: Any) -> int | None:
    """The 64-bit integer that `one` is or spells exactly, else None."""
    if isinstance(one, str):
        digits = one[1:] if one[:1] == "-" else one
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 19 or str(int(one)) != one:
            return None
        one = int(one)
    elif isinstance(one, float) and one.is_integer():
        one = int(one)
    elif type(one) is not int:
        return None
    return one if INT64.min <= one <= INT64.max else None


def _text(one: Any) -> Any:
    """How `one` reads as a string id; what cannot be one comes back as None, which no vocabulary holds."""
    if isinstance(one, str):
        return one
    if isinstance(one, float) and one.is_integer():
        return str(int(one))
    return str(one) if type(one) is int else None
