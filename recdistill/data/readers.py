"""The door for logs: a file, a folder, a table in memory or a query, read by a columnar engine and encoded once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from recdistill.data.chunks import Numbers
from recdistill.data.columns import encode_ids, ratings, split_parts
from recdistill.data.formats.archive import split_member
from recdistill.data.formats.base import Source
from recdistill.data.formats.raw import Raw
from recdistill.data.formats.registry import checked_path, open_source
from recdistill.data.id_types import plain_ids
from recdistill.data.log import Log
from recdistill.data.nulls import without_nulls
from recdistill.data.roles import column_notes, wanted_columns
from recdistill.data.times import read_times
from recdistill.errors import DataError
from recdistill.files import content_sha256

Column: TypeAlias = pa.ChunkedArray | Numbers
KINDS: dict[str, dict[str, Any]] = {
    "user_id": {"i": np.int32},
    "item_id": {"i": np.int32},
    "timestamp": {"i": np.int64, "f": np.float64},
    "rating": {"i": np.float32, "f": np.float32},
}
"""What numbers become, by role and by what they are in the file."""


def read_interactions(
    source: Any,
    *,
    columns: Mapping[str, str] | None = None,
    split_column: str | None = None,
    query: str | None = None,
    drop_null: bool = False,
    cache: bool = False,
) -> Log:
    """A log of who used what.

    `source` is a path (delimited text, Parquet, JSON lines, RecBole's and MovieLens' files, gzip, zstd or zip of these,
    a folder, an SQLite file), a pandas or polars frame, an Arrow table, a NumPy array, a sparse matrix, or a
    connection to a database with a `query`. `columns` maps user_id, item_id, rating, timestamp to the names that the
    log gives them where they are not usual ones. Every row is positive. `drop_null` leaves out rows in which one of
    these is missing; `cache` keeps the encoded log of a file for the next time.
    """
    if cache and isinstance(source, str | Path):
        return _cached(source, query, columns=columns, split_column=split_column, drop_null=drop_null)
    opened = open_source(source, query=query)
    log = read_source(opened, columns=columns, split_column=split_column, drop_null=drop_null)
    return _with_side_tables(log, opened.side)


def read_source(
    source: Source,
    *,
    columns: Mapping[str, str] | None = None,
    split_column: str | None = None,
    drop_null: bool = False,
) -> Log:
    """The log that an opened source holds, without its side tables."""
    wanted = wanted_columns(source, columns or {}, split_column)
    notes = (*source.notes, *column_notes(source, wanted, split_column))
    at = {role: f"{source.where}: column {name!r}" for role, name in wanted.names.items()}
    try:
        if source.columnar and not drop_null:
            reads = {role: _alone(source, role, name) for role, name in wanted.names.items()}
        else:
            read = source.columns(wanted.names)
            if drop_null:
                _refuse_empty(read["user_id"], source)
                read, dropped = without_nulls(read, wanted.names, typed=source.typed)
                notes += dropped
                if not len(read["user_id"]):
                    raise DataError(f"{source.where}: no row has all of {', '.join(wanted.names.values())}.")
            reads = {role: partial(read.pop, role) for role in wanted.names}
        made = _encoded(source, reads, at)
    except DataError as fault:
        if drop_null and "data row" in str(fault):
            raise DataError(f"{fault} (Rows are counted without those that were left out.)") from None
        raise
    except (pa.ArrowException, UnicodeDecodeError) as fault:
        what = " ".join(str(fault).split())[:200]
        raise DataError(f"{source.where}: cannot be read: {what}. Check that the file is whole.") from None
    (users, user_rows), (items, item_rows) = made["user_id"], made["item_id"]
    times, said = made.get("timestamp", (None, None))
    notes += () if said is None else (said,)
    rows = user_rows, item_rows, times, made.get("rating"), made.get("split")
    return Log(users, items, *rows, notes=notes, source=source.where)


def _alone(source: Source, role: str, name: str) -> Callable[[], Column]:
    """Reads a column decoded bit by bit where it can be, else whole."""

    def read() -> Column:
        numbers = source.numbers(name, KINDS[role]) if role in KINDS else None
        return source.columns({role: name})[role] if numbers is None else numbers

    return read


def _refuse_empty(column: Column, source: Source) -> None:
    if not len(column):
        raise DataError(f"{source.where}: no rows below the header. Give a log with at least two users and items.")


def check_file(given: str | Path) -> Path:
    """Refuse a path that no reader could take, before anything is read; the file or folder that it names."""
    return checked_path(given)


def _encoded(source: Source, reads: Mapping[str, Callable[[], Column]], at: Mapping[str, str]) -> dict[str, Any]:
    """What each column becomes, by role: read, encoded and let go by one thread, two columns at a time.

    The column that takes longest to read, times, which seldom repeat, comes first.
    """

    def ids(column: Column, at: str) -> Any:
        _refuse_empty(column, source)
        plain = column if isinstance(column, Numbers) else plain_ids(column, at)
        return encode_ids(plain, at, typed=source.typed)

    makers: dict[str, Callable[[Any, str], Any]] = {
        "timestamp": read_times,
        "user_id": ids,
        "item_id": ids,
        "rating": lambda column, at: ratings(_spelled_numbers(column), at),
        "split": split_parts,
    }
    with ThreadPoolExecutor(2) as threads:
        making = {
            role: threads.submit(lambda role=role, make=make: make(reads[role](), at[role]))  # type: ignore[misc]
            for role, make in makers.items()
            if role in reads
        }
    return {role: making[role].result() for role in reads}


def _spelled_numbers(column: Column) -> Column:
    """Text that spells numbers throughout as numbers; anything else as it is."""
    if isinstance(column, Numbers):
        return column
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        try:
            return column.cast(pa.float64())
        except pa.ArrowInvalid:
            return column
    return column


def _with_side_tables(log: Log, side: Mapping[str, Source]) -> Log:
    """What lies beside the log; nobody asked for it, so that a fault in it is told and not refused."""
    from recdistill.features import attach

    for part, table in side.items():
        try:
            log = attach(log, **{part: table})
        except DataError as fault:
            log = replace(log, notes=(*log.notes, f"what is known of {part} was not read: {fault}"))
    return log


def _cached(given: str | Path, query: str | None, **settings: Any) -> Log:
    """Known again by the content of the file and of the tables beside it, whatever they are called."""
    from recdistill.data.cache import cache_folder, cached

    opened = open_source(given, query=query)
    if cache_folder() is None:
        return _with_side_tables(read_source(opened, **settings), opened.side)
    beside = {part: Path(table.where) for part, table in opened.side.items()}
    key = {
        "content": content_sha256(checked_path(given)),
        "member": split_member(str(given))[1],
        "format": Raw.of(checked_path(given)).ending,
        "beside": {part: content_sha256(path) for part, path in beside.items() if path.is_file()},
        "query": query,
        **settings,
    }
    log = cached(key, lambda: _with_side_tables(read_source(opened, **settings), opened.side))
    return replace(log, source=opened.where)
