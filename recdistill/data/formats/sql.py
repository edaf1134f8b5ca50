"""Databases: a query through any DBAPI, ADBC or DuckDB connection, or an SQLite file opened for reading only."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa

from recdistill.data.formats.base import Source
from recdistill.data.formats.memory import InMemory, object_column
from recdistill.data.names import find_role
from recdistill.errors import ConfigError, DataError

BATCH = 100_000
TABLE = re.compile(r"^[^\W\d]\w*(\.[^\W\d]\w*)?$")


def is_connection(source: Any) -> bool:
    """Whether it can be asked a query: DBAPI (PEP 249), ADBC, DuckDB."""
    return callable(getattr(source, "cursor", None)) and callable(getattr(source, "close", None))


def from_connection(connection: Any, query: str | None, *, where: str = "the query") -> Source:
    """The answer to `query`, or the table of that name; the connection stays open and nothing is committed."""
    if not query:
        raise ConfigError("a connection needs query='select user_id, item_id from …', or the name of a table.")
    text = f"select * from {query}" if TABLE.match(query.strip()) else query
    try:
        source = _answer(connection, text, where)
    except DataError:
        raise
    except Exception as fault:  # each driver has its own errors, with no base that they share
        raise DataError(f"{where}: {' '.join(str(fault).split())[:200]}. The query was: {_short(text)}") from None
    source.notes = (f"query: {_short(text)}",)
    return source


def from_sqlite(path: Path, query: str | None) -> Source:
    """A file of SQLite's; without a query, the one table in it that has users and items."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return from_connection(connection, query or _only_table(connection, path), where=str(path))
    except sqlite3.Error as fault:
        raise DataError(f"{path}: not an SQLite file that can be read: {fault}. Check the path.") from None


def _only_table(connection: sqlite3.Connection, path: Path) -> str:
    names = [name for (name,) in connection.execute("select name from sqlite_master where type in ('table', 'view')")]
    logs = [name for name in names if _is_log(connection, name)]
    if len(logs) != 1:
        found = logs or names
        what = "no table with users and items" if not logs else f"{len(logs)} tables with users and items"
        raise DataError(
            f"{path}: {what}; it holds {', '.join(found[:20]) or 'none'}. Name a table or a query with --query."
        )
    return f"select * from {_quoted(logs[0])}"


def _is_log(connection: sqlite3.Connection, table: str) -> bool:
    names = [row[1] for row in connection.execute(f"pragma table_info({_quoted(table)})")]
    return all(find_role(names, role) for role in ("user_id", "item_id"))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 200 else f"{text[:200]} …"


class Fetched(Source):
    """Rows that a cursor gave, in batches of columns; one that no one wants may hold what it likes."""

    def __init__(self, where: str, names: list[str], batches: list[list[pa.ChunkedArray | DataError]]) -> None:
        self.where, self.names, self._batches = where, names, batches

    def columns(self, wanted: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
        return {role: self._column(name) for role, name in wanted.items()}

    def _column(self, name: str) -> pa.ChunkedArray:
        parts = []
        for batch in self._batches:
            part = batch[self.names.index(name)]
            if isinstance(part, DataError):
                raise part
            parts.append(pa.table({name: part}))
        try:
            return (
                pa.concat_tables(parts, promote_options="permissive")[name]
                if parts
                else pa.chunked_array([pa.nulls(0)])
            )
        except pa.ArrowException:
            raise DataError(f"{self.where}: column {name!r} holds values of two types. Give it one type.") from None


def _answer(connection: Any, query: str, where: str) -> Source:
    if type(connection).__module__.partition(".")[0] in ("duckdb", "_duckdb"):
        relation = connection.sql(query)
        if relation is None:
            raise DataError(f"{where}: the query gives no rows and columns. Ask with select …")
        return InMemory(_arrow(relation), where=where)
    with closing(connection.cursor()) as cursor:
        cursor.execute(query)
        if cursor.description is None:
            raise DataError(f"{where}: the query gives no rows and columns. Ask with select …")
        if hasattr(cursor, "fetch_arrow_table"):
            return InMemory(_arrow(cursor), where=where)
        names = [column[0] for column in cursor.description]
        return Fetched(where, names, list(_batches(cursor, names, where)))


def _arrow(answer: Any) -> pa.Table:
    fetch = next(
        getattr(answer, name) for name in ("to_arrow_table", "fetch_arrow_table", "arrow") if hasattr(answer, name)
    )
    table = fetch()
    return table.read_all() if isinstance(table, pa.RecordBatchReader) else table


def _batches(cursor: Any, names: list[str], where: str) -> Iterator[list[pa.ChunkedArray | DataError]]:
    """Columns piece by piece, so that Python's objects are never all in memory."""
    while rows := cursor.fetchmany(BATCH):
        yield [
            _column_or_fault(list(column), f"{where}: column {name!r}")
            for name, column in zip(names, zip(*rows, strict=True), strict=True)
        ]


def _column_or_fault(values: list[Any], at: str) -> pa.ChunkedArray | DataError:
    try:
        return object_column(values, at)
    except DataError as fault:
        return fault
