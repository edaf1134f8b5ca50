"""Zip archives: their members as files of a folder, opened without unpacking to disk."""

from __future__ import annotations

import errno
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from recdistill.data.formats.raw import Raw
from recdistill.errors import DataError

LARGEST = 64 << 30
"""Bytes that a member may claim to unpack to."""
ENCRYPTED = 0x1


def split_member(given: str) -> tuple[Path, str | None]:
    """`FILE.zip!member` and `FILE.zip/member` as the archive and the member; any other path as it is."""
    path = Path(given)
    if path.exists():
        return path, None
    for mark in (".zip!", ".zip/"):
        at = given.lower().rfind(mark)
        archive = Path(given[: at + len(".zip")])
        if at >= 0 and archive.is_file():
            return archive, given[at + len(mark) :].strip("/")
    return path, None


def members_of_zip(path: Path) -> dict[str, Raw]:
    """Every file in the archive by its full name; what is only there for some system (`__MACOSX`, `.x`) is left out."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not _hidden(info.filename) and not info.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as fault:
        if isinstance(fault, OSError) and fault.errno not in (None, errno.EINVAL):
            raise  # the disk's fault, not the file's
        raise DataError(f"{path}: not a whole zip archive ({fault}). Get it again.") from None
    for info in infos:
        _check(info, path)
    return {info.filename: _member(path, info.filename) for info in infos}


def _check(info: zipfile.ZipInfo, path: Path) -> None:
    if info.flag_bits & ENCRYPTED:
        raise DataError(f"{path}: {info.filename!r} in it is encrypted. Unpack it first.")
    if info.file_size > LARGEST:
        raise DataError(
            f"{path}: {info.filename!r} in it unpacks to {info.file_size >> 30:,} GB; at most {LARGEST >> 30} are "
            "read. Unpack it first."
        )


def _hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return not parts or parts[0] == "__MACOSX" or parts[-1].startswith(".")


def _member(path: Path, name: str) -> Raw:
    def opened() -> Any:
        archive = zipfile.ZipFile(path)
        try:
            return archive.open(name)  # keeps the file open by itself
        finally:
            archive.close()

    return Raw(f"{path}!{name}", PurePosixPath(name).name, opened)
