"""Trainings that go on where they were stopped: inside `with Checkpoints(folder):` each keeps what it needs, in a file.

A checkpoint is one safetensors file, its JSON in the header, written under another name and renamed when whole: a kill
leaves the one before. It holds parameters, moments of the optimisers, all generators, the place in the epoch; a
training that goes on from it ends, on a CPU, with the bits of one that was never stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from recdistill import __version__, files
from recdistill.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from recdistill.training.state import State

SECONDS = 30.0
"""Between two checkpoints, at least: the most training that a kill costs."""
SHARE = 0.05
"""Of the time that checkpoints may take: where writing one is slow they are rarer."""
FINISHED = 0.1
"""Of the interval: a training that took longer than this is kept when it is finished; a shorter one is done again."""
KEPT = "[0-9][0-9][0-9].safetensors"
UNFINISHED = ".unfinished"
"""A folder beside them: what a kill leaves half-written, the library's own temporary files too, lies in it."""

_active: ContextVar[Checkpoints | None] = ContextVar("recdistill checkpoints", default=None)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a training has to keep beside its model, its optimisers and its batches."""

    of: Callable[[], Any]
    """What it is a training of, as JSON can hold it: settings, log, knowledge, seed. A checkpoint of anything else is
    not gone on from. Called only where checkpoints are kept."""
    parts: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else draws or changes from step to step: generators, modules, tensors, or objects with `state()` and
    `restore()` (see `training.state`)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a training is: `step` steps are done, the last of them in `epoch`, from 1."""

    epoch: int = 1
    step: int = 0
    finished: bool = False


class Checkpoints:
    """While the block lasts, every training in it is kept in `folder`; the same block run again goes on from there.

    The folder is removed when the block ends well, and stays where it is left by an error or a kill. Trainings are told
    apart by their order in the block, and by what they are trainings of.
    """

    def __init__(self, folder: str | Path, *, every: float = SECONDS) -> None:
        """`every`: seconds between two checkpoints, at least; 0 writes one after every step."""
        if not every >= 0:
            raise ConfigError(f"checkpoints every {every} seconds: give 0 or more")
        self.folder, self.every = Path(folder), every
        self.written, self.seconds = 0, 0.0
        """Checkpoints that were written, and what they took."""
        self._begun, self._last, self._rest = 0, 0.0, 0.0
        self._token: Token[Checkpoints | None] | None = None

    def __enter__(self) -> Self:
        self._begun, self._last = 0, time.monotonic()
        self._token = _active.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _active.reset(self._token)
        if kind is None:
            self.clear()

    def clear(self) -> None:
        """Remove what was kept, and the folder unless it holds something else."""
        shutil.rmtree(self.folder / UNFINISHED, ignore_errors=True)
        for path in self.folder.glob(KEPT):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    @property
    def found(self) -> bool:
        """Whether there is something to go on from."""
        return self.folder.is_dir() and any(self.folder.glob(KEPT))

    def training(self, of: Any) -> Training:
        """The next training of the block."""
        self._begun += 1
        return Training(self, self.folder / f"{self._begun:03}.safetensors", files.fingerprint(of))

    def due(self, share: float = 1.0) -> bool:
        """Whether `share` of the time between two checkpoints has passed."""
        return time.monotonic() - self._last >= share * max(self.every, self._rest)

    def write(self, path: Path, state: State, told: Mapping[str, Any]) -> None:
        """Raises ArtifactError where the disk refuses; the checkpoint before it stays."""
        began = time.monotonic()
        unfinished = self.folder / UNFINISHED
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            unfinished.mkdir(parents=True)
            _save(unfinished / path.name, state, told)
            with (unfinished / path.name).open("rb") as file:
                os.fsync(file.fileno())
            (unfinished / path.name).replace(path)
            unfinished.rmdir()
        except OSError as error:
            raise ArtifactError(
                f"{path}: the checkpoint cannot be written ({error.strerror or error}); free space and begin again: "
                "the training goes on from the one before"
            ) from error
        self._last = time.monotonic()
        self.written, self.seconds = self.written + 1, self.seconds + self._last - began
        self._rest = (self._last - began) / SHARE if self.every else 0.0


class Training:
    """One training of a block: where it stopped, and what it writes while it goes on."""

    def __init__(self, checkpoints: Checkpoints, path: Path, of: str) -> None:
        self._checkpoints, self._path, self._of = checkpoints, path, of
        self._began = time.monotonic()

    def resume(self, parts: Mapping[str, Any]) -> Place:
        """Bring the parts to where the checkpoint left them; they stay as they are where there is none of this
        training that can be read whole."""
        import torch

        from recdistill.training.state import MismatchError, restore, state_of

        began = {name: (str(one.dtype), [*one.shape]) for name, one in state_of(parts).tensors.items()}
        self._of = files.fingerprint([__version__, torch.__version__, self._of, began])
        found = _load(self._path)
        if found is None or found[1].get("of") != self._of:
            return Place()
        state, told = found
        place = Place(**told["place"])
        try:
            restore({"model": parts["model"]} if place.finished else parts, state)
        except (MismatchError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ArtifactError(
                f"{self._path}: does not fit the training that it was written by ({error}); remove it to begin anew"
            ) from error
        return place

    def step(self, parts: Mapping[str, Any], place: Place) -> None:
        """After every step: writes a checkpoint where one is due."""
        if self._checkpoints.due():
            self._write(parts, place)

    def finish(self, parts: Mapping[str, Any], place: Place) -> None:
        """After the last step: keeps the model, so that it is not trained again for what comes after it."""
        long = time.monotonic() - self._began >= FINISHED * self._checkpoints.every
        if long or self._checkpoints.due():
            self._write({"model": parts["model"]}, Place(place.epoch, place.step, finished=True))

    def _write(self, parts: Mapping[str, Any], place: Place) -> None:
        from recdistill.training.state import state_of

        told = {"of": self._of, "place": {"epoch": place.epoch, "step": place.step, "finished": place.finished}}
        self._checkpoints.write(self._path, state_of(parts), told)


def training_of(kept: Kept | None) -> Training | None:
    """Of the innermost block of `Checkpoints`; None outside of any, and for a training that says nothing to be kept."""
    checkpoints = _active.get()
    return None if checkpoints is None or kept is None else checkpoints.training(kept.of())


def _save(path: Path, state: State, told: Mapping[str, Any]) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # copies: tensors of a model may share their memory, which the format has no word for
    tensors = {name: one.to("cpu").clone().contiguous() for name, one in state.tensors.items()}
    header = {**told, "values": state.values, "sha256": _digest(tensors, state.values)}
    try:
        save_file(tensors, path, metadata={"checkpoint": json.dumps(header)})
    except SafetensorError as error:  # it wraps what the disk said
        raise OSError(None, str(error), str(path)) from error


def _load(path: Path) -> tuple[State, dict[str, Any]] | None:
    """None where there is no checkpoint, or one that was changed or cut: its training begins anew."""
    from safetensors import SafetensorError, safe_open

    from recdistill.training.state import State

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            told = json.loads((file.metadata() or {})["checkpoint"])
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    return (State(tensors, told["values"]), told) if told.get("sha256") == _digest(tensors, told["values"]) else None


def _digest(tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> str:
    import torch

    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for name, one in sorted(tensors.items()):
        digest.update(f"{name} {one.dtype} {tuple(one.shape)}\n".encode())
        digest.update(one.reshape(-1).view(torch.uint8).numpy().data if one.numel() else b"")
    return digest.hexdigest()
