"""One cell of the comparison: a method on a log, at a dimension, with a seed, as one small file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recdistill import files
from recdistill.errors import ArtifactError

SCHEMA_VERSION = 1
VERSION = 1
"""Of how a cell is trained and measured; raised by hand when the same settings give other numbers."""
TEACHER = "teacher"
"""In the place of a method: the teacher itself, which has no student's dimension."""
FILE = re.compile(r"(?P<method>.+)-s\d+\.json")


@dataclass(frozen=True, slots=True)
class Cell:
    log: str
    method: str
    dim: int | None
    seed: int

    def path(self, out: Path) -> Path:
        size = "" if self.dim is None else f"-d{self.dim}"
        return out / self.log / f"{self.method}{size}-s{self.seed}.json"

    def __str__(self) -> str:
        size = "" if self.dim is None else f" d={self.dim}"
        return f"{self.log}: {self.method}{size}, seed {self.seed}"


def key_of(cell: Cell, inputs: Mapping[str, Any]) -> str:
    """Of all that the numbers depend on: the log's hash, the resolved settings, versions."""
    told = {"version": VERSION, "method": cell.method, "dim": cell.dim, "seed": cell.seed, **inputs}
    return files.fingerprint(told)[:16]


def read(cell: Cell, out: Path, key: str) -> dict[str, Any] | None:
    """The cell's record where it is there and its key is this one."""
    path = cell.path(out)
    if not path.is_file():
        return None
    record = files.read_json(path, "a comparison")
    return record if record.get("key") == key and record.get("schema_version") == SCHEMA_VERSION else None


def write(cell: Cell, out: Path, key: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """The whole record, as it now stands in its file."""
    whole = {
        "schema_version": SCHEMA_VERSION, "key": key, "log": cell.log, "method": cell.method, "dim": cell.dim,
        "seed": cell.seed, **record,
    }  # fmt: skip
    path = cell.path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.whole_file(path) as unfinished:
        files.write_json(unfinished, whole)
    return whole


def every(out: Path) -> Iterator[dict[str, Any]]:
    """All records of a folder, by name; ArtifactError for a file that is none."""
    for path in sorted(out.glob("*/*.json")):
        if not FILE.fullmatch(path.name):
            continue
        record = files.read_json(path, "a comparison")
        missing = [name for name in ("key", "log", "method", "seed", "status") if name not in record]
        if missing:
            raise ArtifactError(f"{path}: is no cell of a comparison (no {missing[0]}); take it away")
        yield record
