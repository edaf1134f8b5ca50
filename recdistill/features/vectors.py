"""Vectors that were made elsewhere, of texts, pictures or sounds: NumPy's own files, or a column of lists."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from recdistill.data.vocab import Vocab
from recdistill.errors import DataError
from recdistill.features.kinds import plain, seen_kind
from recdistill.features.reading import Of, id_column, open_table, read_ids
from recdistill.features.table import Feature, Features
from recdistill.features.values import feature

LIST_ENDINGS = (".txt", ".ids", "")


def read_vectors(
    path: str | Path, *, ids: Any = None, of: Of = "item", name: str | None = None, column: str | None = None
) -> Features:
    """One vector for each id, as one column called `name` (default: the column's or the file's own name).

    From `.npy`: a float array (n, dimension), with `ids` in the order of its rows: a list, an array, a text file with
    one id in each line, a `.npy`, or a table with a column of ids. From any other file: a table with a column of lists,
    where `ids` names the column of ids (default: usual names) and `column` the lists, where there are several.
    """
    path = Path(path)
    if path.suffix == ".npy":
        vectors = _array(path)
        vocab = _vocab(path, ids, of, len(vectors))
        values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        read, called = Feature("vector", values), name or path.stem
    else:
        vocab, read, called = _column(path, ids, of, column)
    called = name or called
    note = f"{path}: {len(vocab):,} {of}s; {called} (vectors of {read.dimension} numbers)"
    return Features(vocab, {called: read}, None, str(path), (note,))


def _array(path: Path) -> np.ndarray:
    """float32 (n, dimension)."""
    try:
        found = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Check the path; it is taken from the current folder.") from None
    except (OSError, ValueError, EOFError) as fault:
        raise DataError(
            f"{path}: not a NumPy array ({' '.join(str(fault).split())[:200]}). Save it with np.save."
        ) from None
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind not in "fiu" or not found.size:
        what = f"{found.dtype} of shape {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        raise DataError(f"{path}: holds {what}; vectors are numbers of the shape (ids, dimension).")
    with np.errstate(over="ignore"):
        vectors = np.ascontiguousarray(found, dtype=np.float32)
    faulty = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(faulty):
        raise DataError(
            f"{path}: row {faulty[0]} (counted from 0) has a number that is NaN or not finite ({len(faulty):,} rows "
            "in all). Leave them and their ids out."
        )
    return vectors


def _vocab(path: Path, ids: Any, of: Of, rows: int) -> Vocab:
    if ids is None:
        raise DataError(f"{path}: an array has no ids. Pass ids=, one for each of its {rows:,} rows.")
    if isinstance(ids, str | Path):
        where, vocab = str(ids), _ids_in(Path(ids), of)
    else:
        where, vocab = "ids", Vocab(_listed(ids))
    if len(vocab) != rows:
        raise DataError(f"{path}: {rows:,} vectors for {len(vocab):,} ids in {where}. Give one id for each row.")
    return vocab


def _ids_in(path: Path, of: Of) -> Vocab:
    """The ids of a file in its order."""
    if path.suffix == ".npy":
        try:
            return Vocab(np.load(path, allow_pickle=False).tolist())
        except (OSError, ValueError, EOFError) as fault:
            what = " ".join(str(fault).split())[:200]
            raise DataError(f"{path}: ids cannot be read ({what}). Save them with np.save.") from None
    if path.suffix in LIST_ENDINGS:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as fault:
            raise DataError(
                f"{path}: ids cannot be read ({fault}). Give a text file with one id in each line."
            ) from None
        return _distinct(path, lines)
    table = open_table(path)
    column = id_column(table, f"{of}_id")
    vocab, rows = read_ids(table, f"{of}_id", column)
    return _distinct(path, vocab.ids(rows).tolist())


def _distinct(path: Path, ids: list[Any]) -> Vocab:
    """The cure of a repeated id needs its line."""
    seen: dict[Any, int] = {}
    for line, one in enumerate(ids, 1):
        if one in ("", None):
            raise DataError(f"{path}: row {line:,} holds no id. Give one id for each vector.")
        if one in seen:
            raise DataError(f"{path}: the id {one!r} stands in rows {seen[one]:,} and {line:,}. Keep one vector of it.")
        seen[one] = line
    return Vocab(ids)


def _listed(ids: Iterable[Any]) -> Any:
    if isinstance(ids, np.ndarray):
        return ids
    return ids.to_pylist() if hasattr(ids, "to_pylist") else list(ids)


def _column(path: Path, ids: Any, of: Of, column: str | None) -> tuple[Vocab, Feature, str]:
    """The one column of vectors of a table, with its ids."""
    if ids is not None and not isinstance(ids, str):
        raise DataError(
            f"{path}: a table has its own ids; pass the name of their column as ids=, not {type(ids).__name__}."
        )
    table = open_table(path)
    where = id_column(table, f"{of}_id", ids)
    whole = table.table()
    if column is not None:
        column = id_column(table, "vector", column)
    else:
        found = [one for one in whole.column_names if one != where and seen_kind(plain(whole[one])) == "vector"]
        if len(found) != 1:
            what = f"columns {found} hold vectors; name one as column=" if found else "no column holds lists of numbers"
            raise DataError(f"{table.where}: {what}. Found {table.names}.")
        column = found[0]
    vocab, rows = read_ids(table, f"{of}_id", where)
    ordered = _distinct(path, vocab.ids(rows).tolist())
    read = feature(plain(whole[column]), "vector", f"{table.where}: column {column!r}")
    return ordered, read, column
