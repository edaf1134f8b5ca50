"""The door for logs: a file, a folder, a table in memory or a query, read by a columnar engine and encoded once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

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
    made: dict[str, Any] = {}
    try:
        for names in _groups(wanted.names, apart=source.columnar and not drop_null):
            read = source.columns(names)
            if "user_id" in read and not len(read["user_id"]):
                raise DataError(
                    f"{source.where}: no rows below the header. Give a log with at least two users and items."
                )
            if drop_null:
                read, dropped = without_nulls(read, wanted.names, typed=source.typed)
                notes += dropped
                if not len(read["user_id"]):
                    raise DataError(f"{source.where}: no row has all of {', '.join(wanted.names.values())}.")
            made |= _encoded(source, read, at)
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


def _groups(names: Mapping[str, str], *, apart: bool) -> list[dict[str, str]]:
    """Columns that are in memory at the same time: two, one for each core, where they can be read apart."""
    roles = list(names)
    size = 2 if apart else len(roles)
    return [{role: names[role] for role in roles[start : start + size]} for start in range(0, len(roles), size)]


def check_file(given: str | Path) -> Path:
    """Refuse a path that no reader could take, before anything is read; the file or folder that it names."""
    return checked_path(given)


def _encoded(source: Source, read: dict[str, pa.ChunkedArray], at: Mapping[str, str]) -> dict[str, Any]:
    """What each column becomes, by role; each is let go once it is encoded."""
    makers: dict[str, Callable[[pa.ChunkedArray, str], Any]] = {
        "user_id": lambda column, at: encode_ids(plain_ids(column, at), at, typed=source.typed),
        "item_id": lambda column, at: encode_ids(plain_ids(column, at), at, typed=source.typed),
        "timestamp": read_times,
        "rating": lambda column, at: ratings(_spelled_numbers(column), at),
        "split": split_parts,
    }
    with ThreadPoolExecutor(2) as threads:
        making = {
            role: threads.submit(lambda role=role, make=make: make(read.pop(role), at[role]))  # type: ignore[misc]
            for role, make in makers.items()
            if role in read
        }
    return {role: task.result() for role, task in making.items()}


def _spelled_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text that spells numbers throughout as numbers; anything else as it is."""
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
