"""The door for logs: a file or a table in memory, read by a columnar engine and encoded once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recdistill.data.columns import encode_ids, ratings, seconds, split_parts
from recdistill.data.formats.base import Source
from recdistill.data.formats.memory import InMemory
from recdistill.data.formats.registry import FORMATS
from recdistill.data.log import Log, sorted_log
from recdistill.errors import ConfigError, DataError
from recdistill.registry import nearest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

REQUIRED, OPTIONAL = ("user_id", "item_id"), ("rating", "timestamp")


def read_interactions(
    source: str | Path | pd.DataFrame | pa.Table,
    *,
    columns: Mapping[str, str] | None = None,
    split_column: str | None = None,
) -> Log:
    """A log of who used what: CSV with a header, Parquet, a frame or a table.

    `columns` maps user_id, item_id, rating, timestamp to the names that the log gives them. Every row is positive.
    """
    table = _open(Path(source)) if isinstance(source, str | Path) else InMemory(source)
    wanted = _names(table, columns or {}, split_column)
    read = table.columns(wanted)
    if not len(read["user_id"]):
        raise DataError(f"{table.where}: no rows below the header. Give a log with at least two users and items.")
    at = {role: f"{table.where}: column {name!r}" for role, name in wanted.items()}
    users, user_rows = encode_ids(read.pop("user_id"), at["user_id"], typed=table.typed)
    items, item_rows = encode_ids(read.pop("item_id"), at["item_id"], typed=table.typed)
    rest: dict[str, Any] = {
        "times": seconds(read["timestamp"], at["timestamp"]) if "timestamp" in read else None,
        "values": ratings(read["rating"], at["rating"]) if "rating" in read else None,
        "split": split_parts(read["split"], at["split"]) if "split" in read else None,
    }
    notes = _taken(table, wanted, split_column)
    return sorted_log(Log(users, items, user_rows, item_rows, **rest, notes=notes, source=table.where))


def check_file(path: Path) -> None:
    """Refuse a path that no reader could take, before anything is read."""
    if not path.exists():
        raise DataError(f"{path}: no such file. Check the path; it is taken from the current folder.")
    if path.is_dir():
        raise DataError(f"{path}: is a folder; give the file that holds the log.")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty.")
    if path.suffix.lower() not in FORMATS:
        known = ", ".join(sorted(FORMATS))
        raise DataError(f"{path}: no reader for a file ending in {path.suffix!r}; known are {known}.")


def _open(path: Path) -> Source:
    check_file(path)
    return FORMATS[path.suffix.lower()](path)


def _names(table: Source, columns: Mapping[str, str], split_column: str | None) -> dict[str, str]:
    """What each column that is read is called in the log."""
    for role in columns:
        if role not in REQUIRED + OPTIONAL:
            raise ConfigError(f"columns: no {role!r}. {nearest(role, REQUIRED + OPTIONAL)}")
    asked = {role: columns.get(role, role) for role in REQUIRED} | dict(columns)
    asked |= {role: role for role in OPTIONAL if role not in columns and role in table.names}
    if split_column is not None:
        asked["split"] = split_column
    for role, name in asked.items():
        if name not in table.names:
            cure = table.fault_in_names() or _cure(role, name, table.names)
            raise DataError(f"{table.where}: no column {name!r}; found {table.names[:30]}. {cure}")
        if table.names.count(name) > 1:
            raise DataError(f"{table.where}: {table.names.count(name)} columns are called {name!r}; keep one.")
    return asked


def _cure(role: str, name: str, names: list[str]) -> str:
    if role == "split" or name != role:
        return nearest(name, names)
    return f"Pass columns={{{role!r}: '<your name>'}}."


def _taken(table: Source, wanted: Mapping[str, str], split_column: str | None) -> tuple[str, ...]:
    """What was read, under which name, and what was not."""
    taken = ", ".join(role if role == name else f"{role} = {name!r}" for role, name in wanted.items())
    unused = [name for name in table.names if name not in wanted.values()]
    notes = [f"columns read: {taken}" + (f"; not read: {', '.join(unused)}" if unused else "")]
    if split_column is None and "split" in unused:
        notes.append("a column 'split' is there and was not used; name it as the split column to use it")
    return tuple(notes)
