"""Logs encoded once: kept as Arrow files that are mapped into memory, found again by content and settings."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import ipc

from recdistill import files
from recdistill.data.log import Log
from recdistill.data.vocab import Vocab
from recdistill.errors import ArtifactError, DataError
from recdistill.features import Features

SCHEMA_VERSION = 1
READER_VERSION = 1
"""Raised by hand when the readers make another log of the same file."""
LIMIT = 20 * 10**9
"""Bytes that the cache may hold; what was used longest ago goes first."""
FOLDER, OFF = "RECDISTILL_CACHE", ("off", "0", "none", "false", "")
ROWS, MANIFEST = "rows.arrow", "log.json"
COLUMNS = ("user_rows", "item_rows", "times", "values", "split")
VOCABULARIES, FEATURES = ("users", "items"), ("item_features", "user_features")
DAY = 86_400


def cached(key: Mapping[str, Any], build: Callable[[], Log]) -> Log:
    """The log that `build` gives, from the cache where it is there under this key (JSON-able).

    An entry that is damaged is built again; a disk that refuses leaves the log uncached, with a note.
    """
    folder = cache_folder()
    if folder is None:
        return build()
    entry = _entry(folder, key)
    log = _load(entry)
    if log is not None:
        return log
    log = build()
    try:
        _store(log, entry)
        _make_room(folder, entry)
    except (ArtifactError, OSError) as fault:
        return replace(log, notes=(*log.notes, f"the encoded log is not kept for the next time: {fault}"))
    return log


def cache_folder() -> Path | None:
    """Where logs are kept: RECDISTILL_CACHE, or the user's folder for such files; None where it is "off"."""
    given = os.environ.get(FOLDER)
    if given is not None:
        return None if given.lower() in OFF else Path(given).expanduser() / "logs"
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home
        return None
    return home / "recdistill" / "logs"


def clear() -> None:
    """Throws away all that is kept."""
    folder = cache_folder()
    for entry in _entries(folder) if folder is not None else []:
        shutil.rmtree(entry, ignore_errors=True)


def _entry(folder: Path, key: Mapping[str, Any]) -> Path:
    return folder / files.fingerprint({"schema": SCHEMA_VERSION, "reader": READER_VERSION, **key})


def _store(log: Log, entry: Path) -> None:
    with files.whole_folder(entry) as folder:
        columns = {name: getattr(log, name) for name in COLUMNS if getattr(log, name) is not None}
        _write(folder / ROWS, columns)
        for name in VOCABULARIES:
            _write(folder / f"{name}.arrow", {"ids": getattr(log, name).ids()})
        for name in FEATURES:
            if getattr(log, name) is not None:
                getattr(log, name).save(folder / f"{name}.arrow")
        rest = {"source": log.source, "notes": log.notes, "duplicates": log.duplicates}
        sums = {path.name: files.sha256_of(path) for path in sorted(folder.iterdir())}
        versions = {"schema_version": SCHEMA_VERSION, "reader_version": READER_VERSION}
        files.write_json(folder / MANIFEST, {**versions, **rest, "sha256": sums})


def _load(entry: Path) -> Log | None:
    """None where the entry is not there, not whole or not what was written."""
    if not entry.is_dir():
        return None
    try:
        rest = files.read_json(entry / MANIFEST, "a log of the cache")
        if any(files.sha256_of(entry / name) != digest for name, digest in rest["sha256"].items()):
            return None
        columns: dict[str, Any] = dict(_read(entry / ROWS))
        users, items = (Vocab(_read(entry / f"{name}.arrow")["ids"]) for name in VOCABULARIES)
        columns |= {
            name: Features.load(entry / f"{name}.arrow") for name in FEATURES if f"{name}.arrow" in rest["sha256"]
        }
        log = Log(users, items, **columns, notes=tuple(rest["notes"]), source=rest["source"],
                  duplicates=rest["duplicates"])  # fmt: skip
    except (ArtifactError, DataError, OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException):
        return None
    _touch(entry)
    return log


def _write(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """One uncompressed batch, so that each column is one piece when it is mapped."""
    strings = pa.large_string()
    arrays = [pa.array(column, strings if column.dtype == object else None) for column in columns.values()]
    batch = pa.RecordBatch.from_arrays(arrays, names=list(columns))
    with ipc.new_file(str(path), batch.schema) as file:
        file.write_batch(batch)


def _read(path: Path) -> dict[str, np.ndarray]:
    with pa.memory_map(str(path)) as mapped:
        table = ipc.open_file(mapped).read_all()
    batch = table.to_batches()[0]
    return {
        name: column.to_numpy(zero_copy_only=not pa.types.is_large_string(column.type))
        for name, column in zip(table.column_names, batch.columns, strict=True)
    }


def _touch(entry: Path) -> None:
    try:
        os.utime(entry)
    except OSError:  # a folder that may only be read serves as well
        return


def _make_room(folder: Path, newest: Path) -> None:
    """Down to the limit, and without what a killed process left half written."""
    for left in folder.glob(".*.tmp"):
        if time.time() - left.stat().st_mtime > DAY:
            shutil.rmtree(left, ignore_errors=True)
    sizes = {entry: sum(file.stat().st_size for file in entry.iterdir()) for entry in _entries(folder)}
    total = sum(sizes.values())
    for entry in sorted(sizes, key=lambda entry: entry.stat().st_mtime):
        if total > LIMIT and entry != newest:
            shutil.rmtree(entry, ignore_errors=True)
            total -= sizes[entry]


def _entries(folder: Path) -> list[Path]:
    """Folders that this file has written, and no others."""
    if not folder.is_dir():
        return []
    return [entry for entry in folder.iterdir() if len(entry.name) == 64 and (entry / MANIFEST).is_file()]
