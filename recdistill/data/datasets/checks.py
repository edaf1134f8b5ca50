"""Is a file whole, and is it the data set that it should be?"""

from __future__ import annotations

import gzip
import hashlib
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from recdistill.data.datasets.catalogue import DataSet
from recdistill.errors import DataError


def digests(path: Path) -> dict[str, str]:
    """SHA-256 and MD5 in one pass; MD5 only because that is what publishers put beside their files."""
    sums = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            for digest in sums.values():
                digest.update(block)
    return {name: digest.hexdigest() for name, digest in sums.items()}


def check_content(path: Path, entry: DataSet) -> None:
    """Every member of a zip against its CRC, the members that the data set must have, or a plain log's first line."""
    if entry.zipped:
        _check_zip(path, entry)
    else:
        _check_text(path, entry)


def looks_like(names: list[str], entry: DataSet) -> bool:
    """Whether the names in an archive or a folder are those of the data set."""
    found = {PurePosixPath(name).name for name in names}
    return set(entry.holds) <= found


def _check_zip(path: Path, entry: DataSet) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            if not looks_like(archive.namelist(), entry):
                held = ", ".join(archive.namelist()[:6]) or "nothing"
                raise DataError(f"{path}: not {entry.name}: it holds {held}; {entry.name} has {', '.join(entry.holds)}")
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as fault:
        raise DataError(f"{path}: not a whole zip ({fault}); it begins with {_beginning(path)!r}") from None
    if damaged is not None:
        raise DataError(f"{path}: damaged: the content of {damaged} does not match its CRC")


def _check_text(path: Path, entry: DataSet) -> None:
    """The columns of the first line; a compressed file is read to its end, where its own CRC stands."""
    packed = entry.file.endswith(".gz")
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            first = file.readline(1 << 16)
            while packed and file.read(1 << 20):
                pass
    except (gzip.BadGzipFile, zlib.error, EOFError) as fault:
        raise DataError(f"{path}: not a whole gzip file ({fault}); it begins with {_beginning(path)!r}") from None
    found = max(first.count(delimiter) for delimiter in (b",", b"\t")) + 1
    if found != entry.fields:
        raise DataError(f"{path}: not {entry.name}: its first line has {found} columns, {entry.fields} are published")


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(24).decode("ascii", "replace")
