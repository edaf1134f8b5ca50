"""Features on disk: one Arrow IPC file, the ids first, with the kinds in the schema's metadata."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from recdistill import files
from recdistill.data.vocab import Vocab
from recdistill.errors import DataError
from recdistill.features.kinds import KINDS, plain
from recdistill.features.table import Feature, Features

SCHEMA_VERSION = 1
KEY = b"recdistill.features"


def save(features: Features, path: Path) -> None:
    told = {
        "schema_version": SCHEMA_VERSION,
        "kinds": {name: column.kind for name, column in features.columns.items()},
        "title": features.title,
        "source": features.source,
        "notes": features.notes,
    }
    ids = pa.array(features.ids.ids(), pa.int64() if features.ids.kind == "int64" else pa.large_string())
    arrays = [ids, *(column.values for column in features.columns.values())]
    fields = [pa.field(name, array.type) for name, array in zip(("id", *features.columns), arrays, strict=True)]
    schema = pa.schema(fields, metadata={KEY: json.dumps(told, ensure_ascii=False).encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.whole_file(path) as unfinished, pa.ipc.new_file(str(unfinished), schema) as file:
        file.write_batch(pa.record_batch(arrays, schema=schema))


def load(path: Path) -> Features:
    try:
        with pa.OSFile(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
        table.validate(full=True)
        told = json.loads((table.schema.metadata or {}).get(KEY, b"{}"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Save the features first.") from None
    except (pa.ArrowException, OSError, ValueError) as fault:
        what = " ".join(str(fault).split())[:200]
        raise DataError(f"{path}: saved features cannot be read ({what}). Read the table again.") from None
    version = told.get("schema_version") if isinstance(told, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(f"{path}: features of schema {version!r}; {SCHEMA_VERSION} is read here. Read the table again.")
    kinds, (ids, *columns) = told["kinds"], table.columns
    if len(kinds) != len(columns) or not set(kinds.values()) <= set(KINDS):
        raise DataError(f"{path}: the kinds {kinds} do not fit {len(columns)} columns. Read the table again.")
    read = {name: Feature(kind, plain(column)) for (name, kind), column in zip(kinds.items(), columns, strict=True)}
    vocab = Vocab(ids.to_numpy() if pa.types.is_integer(ids.type) else ids.to_pylist())
    return Features(vocab, read, told["title"], told["source"], tuple(told["notes"]))
