"""The door for tables of items or users: any format that a log may have, or a frame or table in memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from recdistill.data.columns import encode_ids
from recdistill.data.formats.base import Source
from recdistill.data.id_types import plain_ids
from recdistill.data.names import find_role
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.features.kinds import KINDS, TOLD, plain, seen_kind
from recdistill.features.table import Feature, Features, Kind
from recdistill.features.values import feature, separator_of
from recdistill.registry import nearest

if TYPE_CHECKING:
    import pandas as pd

Of = Literal["item", "user"]
INDEX = re.compile(r"__index_level_\d+__")
"""What pandas calls an index without a name that it writes beside the columns."""


def read_features(
    source: str | Path | pd.DataFrame | pa.Table | Source,
    *,
    of: Of = "item",
    columns: Mapping[str, str] | None = None,
    kinds: Mapping[str, Kind] | None = None,
) -> Features:
    """What is known of each item (or user), one row for each id; a log that brings such a table is asked for it.

    `columns` maps item_id (or user_id) and title to the table's names where they are not the usual ones. `kinds` gives
    columns a kind by name (number, category, list, text, vector) where what their values show is not what is meant.
    """
    if of not in ("item", "user"):
        raise ConfigError(f"of={of!r}: features are of an 'item' or of a 'user'.")
    opened = open_table(source)
    opened = opened.side.get(f"{of}s", opened)
    try:
        return _read(opened, of, dict(columns or {}), dict(kinds or {}))
    except (pa.ArrowException, UnicodeDecodeError) as fault:
        what = " ".join(str(fault).split())[:200]
        raise DataError(f"{opened.where}: cannot be read: {what}. Check that the file is whole.") from None


def open_table(source: Any) -> Source:
    """Whatever a log may be read from."""
    from recdistill.data.formats.registry import open_source

    return source if isinstance(source, Source) else open_source(source)


def _read(opened: Source, of: Of, columns: Mapping[str, str], kinds: Mapping[str, Kind]) -> Features:
    key, title = _roles(opened, f"{of}_id", columns, titled=of == "item")
    _check_kinds(opened, kinds)
    vocab, rows = read_ids(opened, f"{of}_id", key)
    table = opened.table().drop_columns([key])
    table.validate(full=True)
    if not table.num_columns:
        raise DataError(f"{opened.where}: has no column beside {key!r}. Give a table with what is known of {of}s.")
    read, notes = _columns(opened, table, title, kinds)
    first = _first_rows(rows, len(vocab))
    notes += _repeated(opened.where, key, vocab, rows, first, read)
    taken = {name: column.take(first) for name, column in read.items()}
    head = f"{opened.where}: {len(vocab):,} {of}s by {key!r}; {_told(taken, title)}"
    return Features(vocab, taken, title, opened.where, (head, *opened.notes, *notes, *_missing(taken)))


def read_ids(table: Source, role: str, name: str) -> tuple[Vocab, np.ndarray]:
    """The ids of a table as a log's would be read: sorted, and the place of each row among them."""
    column, at = table.columns({role: name})[role], f"{table.where}: column {name!r}"
    if not len(column):
        raise DataError(f"{table.where}: no rows below the header. Give a table with one row for each id.")
    return encode_ids(plain_ids(column, at), at, typed=table.typed)


def id_column(table: Source, role: str, asked: str | None = None) -> str:
    """The column of ids: the one that was asked for, the one that the format knows, or the one of a usual name."""
    if asked is not None:
        if asked not in table.names:
            raise DataError(f"{table.where}: no column {asked!r}; found {table.names}. {nearest(asked, table.names)}")
        return asked
    found = table.roles.get(role) or _usual(table, table.names, role)
    found = found or next((name for name in table.names if name.casefold() == "id"), None)
    if found is None:
        raise DataError(
            f"{table.where}: no column for {role}; found {table.names}. Pass columns={{{role!r}: '<your name>'}}."
        )
    return found


def _roles(table: Source, role: str, columns: Mapping[str, str], *, titled: bool) -> tuple[str, str | None]:
    """The columns of ids and of titles."""
    known = (role, "title") if titled else (role,)
    for name in columns:
        if name not in known:
            raise ConfigError(f"columns has {name!r}, which no table of features has. {nearest(name, known)}")
    if repeated := [name for name in dict.fromkeys(table.names) if table.names.count(name) > 1]:
        raise DataError(
            f"{table.where}: {table.names.count(repeated[0])} columns are called {repeated[0]!r}; keep one."
        )
    ids = id_column(table, role, columns.get(role))
    if "title" in columns:
        return ids, id_column(table, "title", columns["title"])
    rest = [name for name in table.names if name != ids]
    return ids, (table.roles.get("title") or _usual(table, rest, "title")) if titled else None


def _usual(table: Source, names: list[str], role: str) -> str | None:
    try:
        return find_role(names, role)
    except DataError as fault:
        raise DataError(f"{table.where}: {fault}") from None


def _check_kinds(table: Source, kinds: Mapping[str, str]) -> None:
    for name, kind in kinds.items():
        if name not in table.names:
            raise DataError(f"{table.where}: no column {name!r} to be a {kind}. {nearest(name, table.names)}")
        if kind not in KINDS:
            raise ConfigError(f"kinds: {name!r} cannot be a {kind!r}. {nearest(str(kind), KINDS)}")


def _columns(
    table: Source, rest: pa.Table, title: str | None, kinds: Mapping[str, Kind]
) -> tuple[dict[str, Feature], list[str]]:
    """Every column as a feature, and notes on those that are none, or that were split into lists."""
    read: dict[str, Feature] = {}
    notes: list[str] = []
    for name in rest.column_names:
        if INDEX.fullmatch(name):
            notes.append(f"column {name!r} numbers the rows of a data frame: left out")
            continue
        values, at = plain(rest[name]), f"{table.where}: column {name!r}"
        kind = kinds.get(name) or (
            "text" if name == title else TOLD.get(table.kinds.get(name, "")) or seen_kind(values)
        )
        if values.null_count == len(values) and name != title:
            notes.append(f"column {name!r} is empty: left out")
        elif kind is None:
            notes.append(f"column {name!r} holds {values.type}, which is no kind of feature: left out")
        else:
            if kind in ("category", "text", "list") and not table.typed and seen_kind(values) == "number":
                values = plain(table.columns({f"feature {name}": name})[f"feature {name}"])  # 02134 as it is spelled
            separator = " " if table.kinds.get(name) == "token_seq" else separator_of(values)
            read[name] = feature(values, kind, at, separator=separator)
            if kind == "list" and separator:
                notes.append(f"column {name!r}: lists separated by {separator!r}")
    if not read:
        raise DataError(f"{table.where}: no column can be used as a feature ({'; '.join(notes)}).")
    return read, notes


def _first_rows(rows: np.ndarray, size: int) -> np.ndarray:
    first = np.full(size, len(rows), dtype=np.int64)
    np.minimum.at(first, rows, np.arange(len(rows)))
    return first


def _repeated(
    where: str, name: str, vocab: Vocab, rows: np.ndarray, first: np.ndarray, columns: Mapping[str, Feature]
) -> list[str]:
    """A note on rows that are there again; they must say the same."""
    again = np.flatnonzero(first[rows] != np.arange(len(rows)))
    if not len(again):
        return []
    for column, values in columns.items():
        before, after = (values.take(at).values.to_pylist() for at in (first[rows[again]], again))
        for row, (one, two) in enumerate(zip(before, after, strict=True)):
            if one != two:
                at = again[row]
                raise DataError(
                    f"{where}: data rows {first[rows[at]] + 1:,} and {at + 1:,} are both of {name} "
                    f"{vocab.ids([rows[at]]).tolist()[0]!r} and differ in {column!r} ({one!r}, {two!r}). Keep one row "
                    "for each, with what belongs to it in a list."
                )
    return [f"{len(again):,} rows repeat an earlier one and were dropped"]


def _told(columns: Mapping[str, Feature], title: str | None) -> str:
    """Each column with its kind, in words."""
    told = [f"{name} ({'title' if name == title else column.kind})" for name, column in columns.items()]
    return ", ".join(told)


def _missing(columns: Mapping[str, Feature]) -> list[str]:
    lacking = [f"{name} in {column.missing:,}" for name, column in columns.items() if column.missing]
    return [f"missing values: {', '.join(lacking)}"] if lacking else []
