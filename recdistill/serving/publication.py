"""What somebody put into a watched folder, perhaps half of it: seen cheaply, copied only when it is whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from recdistill.artifact.layout import CHECKSUMS
from recdistill.errors import ArtifactError

CHUNK = 1 << 20
MOST_FILES, MOST_DEPTH = 1000, 4
"""An artifact has a few files; a folder of more, or a deeper one, is not one, and is not walked to its end."""
MOST_CHECKSUMS = 1 << 22
"""Bytes."""


@dataclass(frozen=True)
class Publication:
    """The present content of a folder."""

    folder: Path
    id: str
    """First 12 hex digits of the SHA-256 of its checksums.json; empty where there is none yet."""
    signature: str
    """Changes when a file is written, renamed or replaced, whatever its bytes."""


def look(folder: Path) -> Publication | None:
    """What is there now, by its names, sizes and times; None for no folder or an empty one. Raises OSError."""
    try:
        marks = sorted(_marks(folder, ""))
    except (FileNotFoundError, NotADirectoryError):  # being replaced, or not there
        return None
    if not marks:
        return None
    signature = hashlib.sha256(repr(marks).encode()).hexdigest()[:16]
    return Publication(folder, generation_id(folder), signature)


def generation_id(folder: Path) -> str:
    """Of a folder with checksums, "" for one without. Raises OSError."""
    try:
        return hashlib.sha256(_read_checksums(folder)).hexdigest()[:12]
    except (FileNotFoundError, NotADirectoryError):
        return ""


def copy(seen: Publication, target: Path) -> None:
    """Copy into the new folder `target` what the checksums vouch for, onto the disk.

    Raises ArtifactError where a file is missing, or is not the one that was vouched for; OSError where a disk refuses.
    """
    if not seen.id:
        raise ArtifactError(
            f"{seen.folder}: no {CHECKSUMS} in it, so it is not a whole artifact. Copy the folder again."
        )
    target.mkdir(parents=True)
    raw = _read_checksums(seen.folder)
    folders = {target}
    for name, want in _sums(seen.folder, raw).items():
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        folders.add(destination.parent)
        try:
            found = _copy_file(seen.folder / name, destination)
        except (FileNotFoundError, IsADirectoryError):
            raise ArtifactError(f"{seen.folder / name}: missing, so the artifact is not whole.") from None
        if found != want:
            raise ArtifactError(f"{seen.folder / name}: not the file that {CHECKSUMS} vouches for (SHA-256).")
    _write(target / CHECKSUMS, raw)
    for folder in folders:
        sync(folder)


def sync(folder: Path) -> None:
    """The names in a folder reach the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_checksums(folder: Path) -> bytes:
    """Cut where it is too large to be one, and then no JSON."""
    with (folder / CHECKSUMS).open("rb") as file:
        return file.read(MOST_CHECKSUMS)


def _marks(folder: Path, prefix: str) -> Iterator[tuple[str, int, int, int]]:
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            if count > MOST_FILES or prefix.count("/") > MOST_DEPTH:
                raise OSError(f"{folder}: more than {MOST_FILES} files, or deeper than an artifact")
            if entry.is_dir():
                yield from _marks(Path(entry.path), f"{prefix}{entry.name}/")
            else:
                found = entry.stat()
                yield f"{prefix}{entry.name}", found.st_size, found.st_mtime_ns, found.st_ino


def _sums(folder: Path, raw: bytes) -> dict[str, str]:
    """File to SHA-256; a name that leads out of the folder is refused."""
    try:
        sums = json.loads(raw)
    except ValueError:
        raise ArtifactError(f"{folder / CHECKSUMS}: cannot be read as JSON, so the artifact is not whole.") from None
    if not isinstance(sums, dict) or not sums:
        raise ArtifactError(f"{folder / CHECKSUMS}: names no files, so the folder is not an artifact.")
    for name in sums:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
            raise ArtifactError(f"{folder / CHECKSUMS}: names {name!r}, which is not a file in the folder.")
    return sums


def _copy_file(source: Path, destination: Path) -> str:
    """SHA-256 of the bytes that were written, so that what is accepted is what was checked."""
    digest = hashlib.sha256()
    with source.open("rb") as read, destination.open("wb") as written:
        while chunk := read.read(CHUNK):
            digest.update(chunk)
            written.write(chunk)
        written.flush()
        os.fsync(written.fileno())
    return digest.hexdigest()


def _write(path: Path, raw: bytes) -> None:
    with path.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
