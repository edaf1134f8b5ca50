"""Where data sets lie on this machine, and the note beside each on what was fetched."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from recdistill.data.datasets.catalogue import DataSet
from recdistill.files import sha256_of

VARIABLE = "RECDISTILL_DATA"


def data_folder() -> Path:
    """`RECDISTILL_DATA` where it is set (a place that several people share), else the user's own data folder."""
    if shared := os.environ.get(VARIABLE):
        return Path(shared).expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "recdistill"


@dataclass(frozen=True, slots=True)
class Record:
    """What was there when the file was last known to be whole; it stands in FILE.json beside the file."""

    sha256: str
    bytes: int
    modified_ns: int
    """With the size it tells cheaply that nobody touched the file since."""
    source: str
    """The address or path that it came from."""
    date: str

    def fits(self, path: Path) -> bool:
        """Whether the file is the one that was recorded; it is hashed again only where it was touched."""
        found = path.stat()
        if found.st_size != self.bytes:
            return False
        return found.st_mtime_ns == self.modified_ns or sha256_of(path) == self.sha256

    def write(self, beside: Path) -> None:
        _beside(beside).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def read_record(path: Path) -> Record | None:
    """The record beside `path`; None where there is none that can be read."""
    try:
        return Record(**json.loads(_beside(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def record_of(path: Path, sha256: str, source: str) -> Record:
    """A record of the file as it is now."""
    found = path.stat()
    return Record(sha256, found.st_size, found.st_mtime_ns, source, datetime.now(UTC).isoformat(timespec="seconds"))


def settle(part: Path, path: Path, sha256: str, source: str) -> None:
    """Give a part that was checked its name, and write down what it is; bytes reach the disk before the name does."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
    record_of(path, sha256, source).write(path)


def record_path(entry: DataSet, folder: Path) -> Path:
    return _beside(folder / entry.file)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".json")
