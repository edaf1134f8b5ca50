"""The folder of a run: steps keyed by what they depend on, written whole, done again only when that changed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recdistill import files
from recdistill.errors import ArtifactError, ConfigError
from recdistill.training.checkpoint import Checkpoints

CHECKPOINTS = "checkpoints"
"""Where steps keep what they have trained so far; there is none once the run is done."""

Build = Callable[[Path], dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Done:
    """A step that is whole: where its files are, the key that stands for them, and what it found."""

    folder: Path
    key: str
    result: dict[str, Any]
    seconds: float
    reused: bool


class Run:
    """`steps/<name>/<key>/` holds a step's files and `step.json`; the key hashes inputs, config and version."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise ConfigError(f"{self.folder}: is a file; a run needs a folder")
        if self.folder.is_dir() and any(self.folder.iterdir()) and not (self.folder / "steps").is_dir():
            raise ConfigError(f"{self.folder}: holds files that are not of a run; give a new or empty folder")

    @contextmanager
    def open(self) -> Iterator[Run]:
        """Make the folder, keep a second run out of it, sweep up what a killed run left half-written.

        A folder that was made for this is gone again where nothing was done: after a wrong file or setting, say.
        """
        made = [one for one in (self.folder, *self.folder.parents) if not one.exists()]
        try:
            (self.folder / "steps").mkdir(parents=True, exist_ok=True)
            lock = (self.folder / ".lock").open("a+")
        except OSError as error:
            raise ArtifactError(
                f"{self.folder}: cannot be written ({error.strerror}); choose another folder"
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                number = lock.read().strip()
                raise ConfigError(
                    f"{self.folder}: another run is working in it{f' (process {number})' if number else ''}; "
                    "wait until it is done or stop it"
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            for pattern in ("*.tmp", "*.old", "*/*.tmp", "steps/*/*.tmp"):
                for left in self.folder.glob(pattern):
                    shutil.rmtree(left, ignore_errors=True)
            try:
                yield self
            except BaseException:
                if made and not self._begun():
                    self._leave_nothing(made)
                raise
            shutil.rmtree(self.folder / CHECKPOINTS, ignore_errors=True)

    def _begun(self) -> bool:
        """Whether a step is done, or a training has kept what it reached."""
        return any(self.folder.glob("steps/*/*/step.json")) or any(self.folder.glob(f"{CHECKPOINTS}/**/*.*"))

    def _leave_nothing(self, made: list[Path]) -> None:
        """`made`: the folder and those above it that were made for it, the folder first."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for above in made[1:]:
            with suppress(OSError):  # another run's folder stands in it by now
                above.rmdir()

    def step(self, name: str, version: int, inputs: dict[str, Any], build: Build) -> Done:
        """Files made by `build(folder)` from `inputs`; taken from the folder when they are there already.

        `inputs` is all that the result depends on: keys of earlier steps, settings, the seed. `version` is raised
        by hand when the step's result changes. What `build` returns is kept in `step.json`. Trainings in it go on where
        a killed run left them.
        """
        key = files.fingerprint({"step": name, "version": version, "inputs": inputs})[:16]
        folder = self.folder / "steps" / name / key
        if (folder / "step.json").is_file():
            record = files.read_json(folder / "step.json", "a step's folder")
            self.note(step=name, key=key, reused=True)
            return Done(folder, key, record["result"], record["seconds"], reused=True)
        checkpoints = Checkpoints(self.folder / CHECKPOINTS / f"{name}-{key}")
        self.note(step=name, key=key, started=True, **({"goes_on": True} if checkpoints.found else {}))
        start = time.perf_counter()
        with checkpoints, files.whole_folder(folder) as temporary:
            result = build(temporary) or {}
            seconds = time.perf_counter() - start
            record = {"step": name, "version": version, "inputs": inputs, "result": result, "seconds": seconds}
            files.write_json(temporary / "step.json", record)
        self.note(step=name, key=key, seconds=round(seconds, 3))
        return Done(folder, key, result, seconds, reused=False)

    def publish(self, source: Path, name: str) -> Path:
        """Copy a step's folder to where people look for it; the copy can be changed without harm to the step."""
        target = self.folder / name
        with files.whole_folder(target) as temporary:
            shutil.copytree(source, temporary, dirs_exist_ok=True, ignore=shutil.ignore_patterns("step.json"))
        return target

    def note(self, **event: Any) -> None:
        """One line in `log.jsonl`."""
        line = json.dumps({"time": round(time.time(), 3), **event}, default=str)
        try:
            with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(line + "\n")
        except OSError as error:
            raise ArtifactError(
                f"{self.folder / 'log.jsonl'}: cannot be written ({error.strerror}); free space"
            ) from error
