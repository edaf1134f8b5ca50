"""A model that is replaced while it runs: what is published is checked, loaded beside, tried, and then taken up."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recdistill.artifact.layout import CARD, CHECKSUMS, CONFIG
from recdistill.errors import ArtifactError, ConfigError, DataError, RecdistillError
from recdistill.serving.generation_store import EndsTheProcess, Pointer, Store
from recdistill.serving.publication import Publication, generation_id, look
from recdistill.serving.recommender import Recommender

SETTLE_SECONDS = 2.0
"""How long a folder that is not whole must stay as it is before it is refused; until then it may be being copied."""
LONGEST_WAIT = 30.0
"""Seconds between tries where a disk refuses."""
START_WAIT = ROLL_BACK_WAIT = 60.0
"""Seconds to wait for another worker that loads an artifact just now."""
WARM_K = 10
PART = 1 << 20
"""Numbers that are looked at together, so that little memory is needed beside the model."""

log = logging.getLogger("recdistill.serving")


@dataclass(frozen=True, eq=False)
class Generation:
    """An accepted artifact in memory. Read it once for each request: then an answer is of one generation."""

    id: str
    """First 12 hex digits of the SHA-256 of checksums.json, so of the whole content."""
    recommender: Recommender
    config: dict[str, Any]
    checksums: dict[str, str]
    card: str
    loaded_at: float
    """Unix seconds."""

    @classmethod
    def load(cls, folder: str | Path) -> Generation:
        """Checked, loaded and tried. Raises ArtifactError for anything but a whole artifact with finite answers."""
        folder = Path(folder)
        recommender = Recommender.load(folder)
        _try(recommender, folder)
        config, checksums = (json.loads((folder / name).read_text(encoding="utf-8")) for name in (CONFIG, CHECKSUMS))
        card = (folder / CARD).read_text(encoding="utf-8")
        return cls(generation_id(folder), recommender, config, checksums, card, time.time())


class Generations:
    """The generation that a worker process answers with; it follows the watched folder and the other workers.

    `folder` is where artifacts are published, one after the other, under the same name; it is only read. `state` holds
    copies of the last three that were accepted and the pointer that all workers follow; it outlives restarts. Of what
    is published within one poll the last is seen. A folder that is not whole is given a moment to become so, then it is
    refused, once; where a disk refuses, it is tried again. Methods may be called from any thread; `start` and
    `roll_back` read and load, so they block.
    """

    def __init__(self, folder: str | Path, state: str | Path, *, poll_seconds: float = 0.5) -> None:
        if not poll_seconds > 0:
            raise ConfigError(f"poll_seconds={poll_seconds!r}: must be above 0.")
        if Path(state).absolute().is_relative_to(Path(folder).absolute()):
            raise ConfigError(f"{state}: lies in the artifact's folder {folder}; give --state another place.")
        self._folder, self._store, self._poll_seconds = Path(folder), Store(Path(state)), poll_seconds
        self._current: Generation | None = None
        self._turn = threading.Lock()  # the watching thread and a roll back take turns
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._stamp: tuple[int, int] | None = None
        self._seen: Publication | None = None
        self._seen_since = self._not_before = self._follow_after = 0.0
        self._pause = poll_seconds
        self._waiting: dict[str, Any] | None = None

    @property
    def current(self) -> Generation:
        if self._current is None:
            raise ArtifactError("no generation is loaded; call start() first.")
        return self._current

    def start(self) -> None:
        """Take up what is published, or where that is no good what was current before, and begin to watch.

        Raises ArtifactError, with the reason, where there is neither.
        """
        self._store.make()
        with self._turn:
            fault = self._begin()
        if self._current is None:
            raise ArtifactError(fault)
        self._thread = threading.Thread(target=self._watch, name="recdistill-generations", daemon=True)
        self._thread.start()

    def status(self) -> dict[str, Any]:
        """JSON-able: the ids that are current, available (newest first) and refused, and what is being waited for."""
        pointer = self._store.pointer()
        told = [{name: one.get(name) for name in ("id", "reason", "at")} for one in self._store.refusals()]
        return {
            "current": self.current.id,
            "loaded_at": self.current.loaded_at,
            "available": [self.current.id] if pointer is None else list(pointer.kept),
            "refused": told,
            "waiting": self._waiting,
            "watched": str(self._folder),
        }

    def roll_back(self, to: str | None = None) -> Generation:
        """Go back to the generation before the current one, or to the one named; every worker follows within a poll.

        What the watched folder holds now is not taken up again until it changes. Raises ConfigError where there is no
        such generation, ArtifactError where its copy cannot be loaded or another worker is busy.
        """
        with self._turn, self._store.lock(ROLL_BACK_WAIT) as held:
            pointer = self._store.pointer()
            if not held or pointer is None:
                raise ArtifactError(f"{self._store.folder}: busy or without a pointer; ask again in a moment.")
            target = _earlier(pointer) if to is None else to
            if target not in pointer.kept:
                raise ConfigError(f"no generation {target!r} is kept; there are {', '.join(pointer.kept)}.")
            generation = self.current if target == self.current.id else Generation.load(self._store.folder_of(target))
            self._store.point(pointer.back_to(target, self._published(pointer)))
            self._take_up(generation)
            log.info("rolled back to generation %s from %s", target, pointer.current)
        return generation

    def stop(self) -> None:
        """End watching; the current generation still answers."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _begin(self) -> str:
        """Why nothing is current at the end of it; a worker that only follows waits for no other."""
        first = self._store.pointer() is None
        with self._store.lock(START_WAIT if first else 0) as held:
            fault = self._take_published(known=False) if held else ""
        if self._current is None:
            try:
                self._follow()
            except Exception as broken:
                fault = fault or _line(broken)
        if self._current is None:
            with self._store.lock(START_WAIT) as held:
                if not held:
                    return f"{self._store.folder}: another worker has held its lock for {START_WAIT:.0f} s."
                pointer = self._store.pointer()
                if pointer is not None and self._published(pointer) == pointer.current:
                    self._take_published(known=True)  # its copy is damaged
                if self._current is None:
                    fault = self._take_kept() or fault
                if self._current is None:
                    fault = self._take_published(known=True) or fault
        return fault

    def _take_published(self, *, known: bool) -> str:
        """Why what is published was not taken up; "" where it was. What was dealt with before only if `known`."""
        pointer = self._store.pointer()
        try:
            seen = look(self._folder)
            if seen is None:
                return f"{self._folder}: no artifact there. Give an artifact's folder."
            if not known and pointer is not None:
                if not self._is_new(seen, pointer):
                    return ""
                if reason := self._store.refused(seen):
                    return reason
            self._accept(seen)
        except Exception as fault:
            self._store.tried()
            if isinstance(fault, EndsTheProcess) and pointer is not None and seen is not None:
                self._store.refuse(seen, _line(fault))
            return _line(fault)
        return ""

    def _take_kept(self) -> str:
        """The pointer's generation, or the newest copy that still loads; "" or why there is none."""
        pointer = self._store.pointer()
        known = (pointer.current, *pointer.kept) if pointer is not None else tuple(self._store.newest())
        faults = []
        for one in dict.fromkeys(known):
            try:
                generation = Generation.load(self._store.folder_of(one))
            except Exception as broken:
                faults.append(_line(broken))
                log.warning("generation %s cannot be loaded: %s", one, faults[-1])
                continue
            if pointer is None or pointer.current != one:
                watched = pointer.watched if pointer is not None else None
                self._store.point(Pointer(one, watched, (one,), tuple(dict.fromkeys(known))))
            self._take_up(generation)
            return ""
        return faults[0] if faults else ""

    def _watch(self) -> None:
        while not self._stopping.wait(self._poll_seconds):
            try:
                with self._turn:
                    self._poll()
            except Exception as fault:  # whatever it is, the old generation goes on and the watch too
                self._wait_for(None, fault, SETTLE_SECONDS)

    def _poll(self) -> None:
        now = time.monotonic()
        if now >= self._follow_after:
            try:
                self._follow()
            except Exception as fault:  # its copy is damaged, say; the watch goes on
                self._follow_after = now + SETTLE_SECONDS
                self._wait_for(None, fault)
        seen = look(self._folder)
        if seen != self._seen:  # perhaps it is being written: look once more
            self._seen, self._seen_since, self._not_before, self._pause = seen, now, 0.0, self._poll_seconds
            self._waiting = None
            return
        if seen is None or now < self._not_before or not self._is_new(seen, self._store.pointer()):
            return
        if self._store.refused(seen) is not None:
            return
        with self._store.lock() as held:
            if held and self._is_new(seen, self._store.pointer()) and self._store.refused(seen) is None:
                self._attempt(seen, settled=now - self._seen_since >= SETTLE_SECONDS)

    def _is_new(self, seen: Publication, pointer: Pointer | None) -> bool:
        return pointer is None or not seen.id or seen.id != pointer.watched

    def _attempt(self, seen: Publication, *, settled: bool) -> None:
        """Accept, or refuse with the reason, or put off."""
        try:
            self._accept(seen)
            self._waiting = None
        except OSError as fault:  # a full disk, a permission: nothing is said about the artifact
            self._store.tried()
            self._pause = min(LONGEST_WAIT, 2 * self._pause)
            self._wait_for(seen, fault, self._pause)
        except Exception as fault:
            self._store.tried()
            if not settled and not isinstance(fault, EndsTheProcess):
                self._wait_for(seen, fault, SETTLE_SECONDS)
                return
            self._waiting = None
            self._store.refuse(seen, _line(fault))
            log.warning("refused generation %s: %s", seen.id or "without checksums", _line(fault))

    def _accept(self, seen: Publication) -> None:
        """Copy, check, load, try; then the pointer, which is when it counts; then this worker."""
        pointer = self._store.pointer()
        if pointer is not None and seen.id == pointer.current and self._current is not None:
            self._store.point(replace(pointer, watched=seen.id))
            return
        self._store.trying(seen.id)
        generation = self._loaded(seen)
        pointer = pointer or Pointer(seen.id, None, (), ())
        self._store.point(pointer.after(seen.id))
        self._store.tried()
        self._take_up(generation)
        log.info("generation %s is current", seen.id)

    def _loaded(self, seen: Publication) -> Generation:
        """From the copy in the state folder; a copy that was there before and does not load is made again."""
        there = self._store.folder_of(seen.id).is_dir()
        try:
            return Generation.load(self._store.hold(seen))
        except Exception:
            if not there:
                raise
            return Generation.load(self._store.hold(seen, again=True))

    def _follow(self) -> None:
        """Take up what another worker pointed to."""
        stamp = self._store.stamp()
        if stamp is None or stamp == self._stamp:
            return
        pointer = self._store.pointer()
        if pointer is None:
            return
        if self._current is None or pointer.current != self._current.id:
            self._take_up(Generation.load(self._store.folder_of(pointer.current)))
        self._stamp = stamp

    def _take_up(self, generation: Generation) -> None:
        self._current = generation  # one assignment: a request has the old one or the new one
        self._waiting = None

    def _published(self, pointer: Pointer) -> str | None:
        """The id of what is in the watched folder; None where it was refused, which it is not once it is mended."""
        try:
            seen = look(self._folder)
        except OSError:
            return pointer.watched
        if seen is None:
            return pointer.watched
        return None if self._store.refused(seen) is not None else seen.id or None

    def _wait_for(self, seen: Publication | None, fault: BaseException, seconds: float = 0.0) -> None:
        """Note what stands in the way; the log is told once, not with every try."""
        reason = _line(fault)
        if self._waiting is None or self._waiting["reason"] != reason:
            log.info("waiting: %s", reason)
            self._waiting = {"id": seen.id if seen else None, "reason": reason, "since": time.time()}
        self._not_before = time.monotonic() + seconds


def _earlier(pointer: Pointer) -> str:
    if len(pointer.path) < 2:
        raise ConfigError(f"there is no generation before {pointer.current}; kept are {', '.join(pointer.kept)}.")
    return pointer.path[-2]


def _try(recommender: Recommender, folder: Path) -> None:
    """A few answers before anyone waits for one: pages are in memory then, and what is not finite is found."""
    for name, array in recommender.scorer.arrays().items():
        if _holds_nan(array):
            raise ArtifactError(f"{folder}: {name} holds NaN. Train and save the model again.")
    n_items = len(recommender.items)
    rows = np.unique(np.linspace(0, n_items - 1, min(8, n_items)).astype(np.int64))
    ids = recommender.items.ids(rows).tolist()
    histories: list[list[Any]] = [[], ids, *([one] for one in ids)]
    try:
        answers = recommender.recommend_batch(histories, min(WARM_K, n_items), with_scores=True)
        alone = recommender.recommend(ids[:1], k=1)
    except (DataError, ConfigError, ValueError, FloatingPointError) as fault:
        raise ArtifactError(f"{folder}: cannot answer: {_line(fault)}") from fault
    if not answers[0] or (n_items > 1 and not alone):
        raise ArtifactError(f"{folder}: gives no answer to people without a history. Save the model again.")
    if not all(math.isfinite(one.score) for answer in answers for one in answer):
        raise ArtifactError(f"{folder}: its scores are not finite. Train and save the model again.")


def _holds_nan(array: np.ndarray) -> bool:
    if array.dtype.kind != "f":
        return False
    flat = array.reshape(-1)
    return any(bool(np.isnan(flat[start : start + PART]).any()) for start in range(0, len(flat), PART))


def _line(fault: BaseException) -> str:
    text = " ".join(str(fault).split()) or type(fault).__name__
    return text if isinstance(fault, RecdistillError) else f"{type(fault).__name__}: {text}"
