"""Which format a source has: by its type in memory, by the ending of a file, by what lies in a folder or an archive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from recdistill.data.formats import grouplens, sql
from recdistill.data.formats.archive import members_of_zip, split_member
from recdistill.data.formats.atomic import ENDINGS as ATOMIC
from recdistill.data.formats.atomic import Atomic
from recdistill.data.formats.base import Source
from recdistill.data.formats.delimited import Delimited
from recdistill.data.formats.folders import one_log
from recdistill.data.formats.json_lines import JsonLines
from recdistill.data.formats.memory import in_memory
from recdistill.data.formats.parquet import ENDINGS as PARQUET
from recdistill.data.formats.parquet import Parquet, ParquetFolder, are_one, parquet_files
from recdistill.data.formats.raw import Raw
from recdistill.errors import ConfigError, DataError
from recdistill.registry import Registry

FORMATS: Registry[Callable[[Raw], Source]] = Registry("file format")
for _ending in (".csv", ".tsv", ".tab", ".psv", ".txt", ".dat", ".data"):
    FORMATS.register(_ending, Delimited)
for _ending in (".jsonl", ".ndjson", ".json"):
    FORMATS.register(_ending, JsonLines)
for _ending in PARQUET:
    FORMATS.register(_ending, Parquet)
for _ending in ATOMIC:
    FORMATS.register(_ending, Atomic)
DATABASES = (".sqlite", ".sqlite3", ".db", ".db3")


def open_source(source: Any, *, query: str | None = None) -> Source:
    """A path (also `FILE.zip!member`), a table in memory, or a connection to a database with a query."""
    if isinstance(source, str | Path):
        return _open_path(str(source), query)
    if sql.is_connection(source):
        return sql.from_connection(source, query)
    if query is not None:
        raise ConfigError("query: only a connection or a database file can be asked one. Leave it out.")
    return in_memory(source)


def checked_path(given: str | Path) -> Path:
    """The file or folder that `given` names, or the archive that its member is in; refused if no reader takes it."""
    path, member = split_member(str(given))
    if not path.exists():
        raise DataError(f"{given}: no such file. Check the path; it is taken from the current folder.")
    if path.is_dir():
        return path
    if path.stat().st_size == 0:
        raise DataError(f"{given}: the file is empty.")
    ending, last = Raw.of(path).ending, path.suffix.lower()
    if ending not in FORMATS and last not in (*DATABASES, ".zip"):
        known = ", ".join(sorted([*FORMATS, *DATABASES, ".zip"]))
        found = ending if ending == last else ending + last
        raise DataError(f"{given}: no reader for a file ending in {found!r}; known are {known}.")
    if member is not None:
        _members_with(path, member)
    return path


def _open_path(given: str, query: str | None) -> Source:
    path = checked_path(given)
    if query is not None and path.suffix.lower() not in DATABASES:
        raise ConfigError(f"query: {given} is no database file. Leave the query out.")
    if path.is_dir():
        return _open_folder(path)
    if path.suffix.lower() in DATABASES:
        return sql.from_sqlite(path, query)
    member = split_member(given)[1]
    if path.suffix.lower() == ".zip":
        return _open_zip(path) if member is None else _open_member(_members_with(path, member), member)
    raw = Raw.of(path, given)
    alone = raw.name not in grouplens.LAYOUTS and raw.ending not in ATOMIC
    beside = () if alone else (file for file in path.parent.iterdir() if file.is_file())
    return _open_raw(raw, {file.name: Raw.of(file) for file in beside})


def _open_raw(raw: Raw, beside: Mapping[str, Raw]) -> Source:
    """One file among those that lie beside it, which may say more about it."""
    if raw.name in grouplens.LAYOUTS:
        source = grouplens.log_of_layout({**beside, raw.name: raw}, raw.name)
        if source is not None:
            return source
    return Atomic(raw, beside) if raw.ending in ATOMIC else FORMATS[raw.ending](raw)


def _open_folder(path: Path) -> Source:
    files = {file.name: Raw.of(file) for file in sorted(path.iterdir()) if file.is_file() and file.name[0] not in "._"}
    if not any(raw.ending in _readable() for raw in files.values()):
        inside = [child for child in path.iterdir() if child.is_dir() and child.name[0] not in "._"]
        if len(inside) == 1 and not parquet_files(path):
            return _open_folder(inside[0])
    parts = parquet_files(path)
    if parts and not any(raw.ending in _readable() - set(PARQUET) for raw in files.values()) and are_one(parts):
        return ParquetFolder(path, parts)
    return one_log(files, str(path), _readable(), lambda name: _open_raw(files[name], files), "Give one of the files.")


def _open_zip(path: Path) -> Source:
    files = members_of_zip(path)
    return one_log(
        files, str(path), _readable(), lambda name: _open_member(files, name), f"Name one of them: {path}!MEMBER."
    )


def _open_member(files: Mapping[str, Raw], name: str) -> Source:
    folder = PurePosixPath(name).parent
    beside = {PurePosixPath(other).name: raw for other, raw in files.items() if PurePosixPath(other).parent == folder}
    return _open_raw(files[name], beside)


def _members_with(path: Path, member: str) -> dict[str, Raw]:
    """All of the archive; refused where this one is not there or cannot be read."""
    files = members_of_zip(path)
    if member not in files:
        raise DataError(f"{path}: no member {member!r}; it holds {', '.join(sorted(files)[:12]) or 'nothing'}.")
    if files[member].ending not in FORMATS:
        raise DataError(f"{path}: no reader for the member {member!r}; known are {', '.join(sorted(FORMATS))}.")
    return files


def _readable() -> frozenset[str]:
    return frozenset(FORMATS)
