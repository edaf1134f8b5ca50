"""Files and folders that are whole or not there: written under a temporary name, checked, renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from recdistill.errors import ArtifactError


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_sha256(path: str | Path) -> str:
    """Of a file, or of all files of a folder with their names in it; neither its place nor its date enters."""
    path = Path(path)
    if not path.is_dir():
        return sha256_of(path)
    digest = hashlib.sha256()
    for part in sorted(part for part in path.rglob("*") if part.is_file()):
        digest.update(f"{part.relative_to(path).as_posix()}\0{sha256_of(part)}\n".encode())
    return digest.hexdigest()


def fingerprint(value: Any) -> str:
    """SHA-256 of a JSON-able value, the order of keys aside."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """A safetensors file; OSError where the disk refuses, like any other file."""
    try:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    except SafetensorError as error:  # it wraps what the disk said
        full = "No space left" in str(error)
        raise OSError(
            errno.ENOSPC if full else None, os.strerror(errno.ENOSPC) if full else str(error), str(path)
        ) from error
    path.chmod(0o644)  # the library writes for the owner alone; a service that reads the folder is often somebody else


def read_json(path: Path, what: str) -> dict[str, Any]:
    """The object in a JSON file; `what` names in the error what the file should have been part of."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path.parent}: not {what}: no {path.name} in it; check the path") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read as JSON ({error}); make {what} again") from None
    if not isinstance(value, dict):
        raise ArtifactError(f"{path}: holds no JSON object; make {what} again")
    return value


def _sync(folder: Path) -> None:
    """Bytes reach the disk before the name does, so that a name never stands for half a folder."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _swap(temporary: Path, target: Path) -> None:
    """Give `temporary` the name `target`; the folder that had it comes back where that fails."""
    if not target.exists():
        temporary.rename(target)
        return
    retired = temporary.with_suffix(".old")
    target.rename(retired)
    try:
        temporary.rename(target)
    except OSError:
        retired.rename(target)
        raise
    shutil.rmtree(retired)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target`; it takes the name `target` only when the block ends well.

    What stood there before stays until the new folder is whole. Raises ArtifactError where the disk refuses.
    """
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
        yield temporary
        temporary.chmod(0o755)
        _sync(temporary)
        _swap(temporary, target)
    except OSError as error:
        raise ArtifactError(
            f"{target}: cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target` that takes its name only when the block ends well."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise ArtifactError(
            f"{target}: cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
