"""The state folder: accepted copies of artifacts, the pointer that every worker follows, and what was refused."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from recdistill.artifact.layout import CHECKSUMS
from recdistill.errors import ArtifactError
from recdistill.serving.publication import Publication, copy, generation_id, sync

KEPT = 3
"""Accepted artifacts that stay on the disk, to go back to."""
REFUSALS_KEPT = 20
TRIES = 3
"""Times that a process may end while it tries an artifact, before the artifact is held to be why."""


def state_of(folder: Path) -> Path:
    """Where the state of a served artifact is kept unless told otherwise: beside it."""
    whole = folder.absolute()
    return whole.parent / f"{whole.name}.serving"


class EndsTheProcess(ArtifactError):
    """An artifact during whose loading one process after the other ended."""


@dataclass(frozen=True)
class Pointer:
    """What current.json holds."""

    current: str
    watched: str | None
    """The content of the watched folder that was dealt with last; it is not taken up again until it changes."""
    path: tuple[str, ...]
    """What was current, in order, without what was gone back from; it ends with `current`."""
    kept: tuple[str, ...]
    """What was accepted, newest first."""

    def after(self, taken: str) -> Pointer:
        path = (*(one for one in self.path if one != taken), taken)
        return Pointer(taken, taken, path, (taken, *(one for one in self.kept if one != taken)))

    def back_to(self, earlier: str, watched: str | None) -> Pointer:
        path = self.path[: self.path.index(earlier) + 1] if earlier in self.path else (*self.path, earlier)
        return replace(self, current=earlier, path=path, watched=watched)

    def pruned(self) -> Pointer:
        newest = self.kept[:KEPT]
        kept = tuple(one for one in self.kept if one in newest or one == self.current)
        return replace(self, kept=kept, path=tuple(one for one in self.path if one in kept))


class Store:
    """Files of a state folder. What changes it needs `lock`; reading does not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.generations = folder / "generations"
        self._pointer, self._refused, self._trying = (
            folder / name for name in ("current.json", "refused.json", "trying.json")
        )

    def make(self) -> None:
        """Raises ArtifactError where the folder cannot be made or written."""
        try:
            self.generations.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".{os.getpid()}.tmp"
            probe.touch()
            probe.unlink()
        except OSError as fault:
            raise ArtifactError(
                f"{self.folder}: cannot be written ({fault.strerror}); name another folder for the state, --state"
            ) from fault

    @contextmanager
    def lock(self, wait: float = 0) -> Iterator[bool]:
        """Whether this process has the folder to itself now; waits up to `wait` seconds for that.

        The kernel frees the lock of a process that was killed.
        """
        from filelock import FileLock, Timeout

        self.folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(self.folder / "lock")
        try:
            held.acquire(timeout=wait, poll_interval=0.02)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            held.release()

    def stamp(self) -> tuple[int, int] | None:
        """Changes whenever the pointer is written."""
        try:
            found = self._pointer.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def pointer(self) -> Pointer | None:
        """None where there is none yet, or none that can be read."""
        found = _read(self._pointer)
        if not isinstance(found, dict) or not isinstance(found.get("current"), str):
            return None
        kept, path = (tuple(map(str, found.get(name) or ())) for name in ("kept", "path"))
        watched = found.get("watched")
        return Pointer(found["current"], watched if isinstance(watched, str) else None, path, kept)

    def point(self, pointer: Pointer) -> Pointer:
        """Write the pointer; from here on every worker follows it. What it no longer keeps is removed."""
        pointer = pointer.pruned()
        _write(self._pointer, asdict(pointer) | {"at": time.time()})
        for folder in self.generations.iterdir():
            if folder.name not in pointer.kept:
                shutil.rmtree(folder, ignore_errors=True)
        return pointer

    def folder_of(self, generation: str) -> Path:
        return self.generations / generation

    def newest(self) -> list[str]:
        """Ids of the copies on the disk by their dates, newest first, for when the pointer is lost."""
        with suppress(OSError):
            found = [path for path in self.generations.iterdir() if (path / CHECKSUMS).is_file()]
            return [path.name for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]
        return []

    def hold(self, seen: Publication, *, again: bool = False) -> Path:
        """The folder of a whole copy; one that an interrupted try left is used, unless `again` asks for a new one.

        Raises ArtifactError for what is not whole, OSError where a disk refuses.
        """
        target = self.folder_of(seen.id)
        if seen.id and not again and target.is_dir() and generation_id(target) == seen.id:
            return target
        self.generations.mkdir(parents=True, exist_ok=True)
        for left in self.generations.glob(".*.tmp"):
            shutil.rmtree(left, ignore_errors=True)
        temporary = self.generations / f".{seen.id}.{os.getpid()}.tmp"
        try:
            copy(seen, temporary)
            if generation_id(temporary) != seen.id:
                raise ArtifactError(f"{seen.folder}: changed while it was copied.")
            shutil.rmtree(target, ignore_errors=True)
            temporary.rename(target)
            sync(self.generations)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return target

    def drop(self, generation: str) -> None:
        """Remove a copy that is not kept."""
        pointer = self.pointer()
        if generation and (pointer is None or generation not in pointer.kept):
            shutil.rmtree(self.folder_of(generation), ignore_errors=True)

    def refusals(self) -> list[dict[str, Any]]:
        """Newest first: {"id", "reason", "at" (unix seconds), "signature"}."""
        found = _read(self._refused)
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def refuse(self, seen: Publication, reason: str) -> None:
        """Once for each content, also across workers and restarts."""
        told = {"id": seen.id or None, "reason": reason, "at": time.time(), "signature": seen.signature}
        _write(self._refused, [told, *self.refusals()][:REFUSALS_KEPT])
        self.drop(seen.id)
        self.tried()
        pointer = self.pointer()
        if pointer is not None and pointer.watched is not None:
            self.point(replace(pointer, watched=None))

    def refused(self, seen: Publication) -> str | None:
        """Why just this content was refused; None where it was not."""
        found = (one for one in self.refusals() if one.get("signature") == seen.signature)
        return next((str(one.get("reason")) for one in found), None)

    def trying(self, generation: str) -> None:
        """Note a try, so that an artifact that ends the process is not tried for ever. Raises EndsTheProcess."""
        found = _read(self._trying)
        known = isinstance(found, dict) and found.get("id") == generation
        tries = int(found["tries"]) if known else 0
        if tries >= TRIES:
            raise EndsTheProcess(
                f"the process ended {tries} times while it loaded and tried it; look for memory or a fault"
            )
        _write(self._trying, {"id": generation, "tries": tries + 1})

    def tried(self) -> None:
        """The try came to an end of its own."""
        self._trying.unlink(missing_ok=True)


def _read(path: Path) -> Any:
    """What a JSON file holds; None where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write(path: Path, value: Any) -> None:
    """Whole and on the disk, or as it was before. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(value, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
