"""The search of one method's settings: a few trials of half length, judged by valid, each kept as it ends."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recdistill import files
from recdistill.comparison.recipes import Job, Recipe
from recdistill.comparison.resolved import resolved
from recdistill.comparison.space import EPOCHS_SHARE, trial
from recdistill.comparison.teachers import Teachers
from recdistill.errors import RecdistillError
from recdistill.models.base import valid_ndcg

if TYPE_CHECKING:
    from recdistill.comparison.config import ComparisonConfig
    from recdistill.comparison.logs import ComparedLog
    from recdistill.training.progress import Progress

VERSION = 1
"""Of the trials; raised by hand when the same ones end otherwise."""
FOLDER = "search"


@dataclass(frozen=True, slots=True)
class Search:
    """On the first log of a comparison, with the first seed; settings that it finds are carried to all others."""

    log: ComparedLog
    teachers: Teachers
    config: ComparisonConfig
    out: Path
    resume: bool
    progress: Progress

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """The best trial's, the earliest of equals. Nothing where that is the first: it is the rule's, which then holds
        for every log and dimension; nothing, too, where nothing is searched.

        Raises KnowledgeError where no teacher of this log can give what the method needs.
        """
        axes = tuple(axis for axis in recipe.axes() if axis.name not in self.config.student)
        if not axes:
            return {}
        first = recipe.first({**self.config.student, "dim": self.config.dims[0]}, self.log.facts)
        path = self.out / FOLDER / f"{recipe.name}.json"
        key = files.fingerprint(self._identity(recipe, axes, first))[:16]
        record = self._read(path, key)
        trials: list[dict[str, Any]] = record["trials"]
        while len(trials) < self.config.trials:
            settings = trial(first, axes, len(trials))
            trials.append(self._tried(recipe, settings, len(trials)))
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.whole_file(path) as unfinished:
                files.write_json(unfinished, record)
        counted = trials[: self.config.trials]
        best = max(counted, key=lambda one: -math.inf if one["valid_ndcg"] is None else one["valid_ndcg"])
        found: dict[str, Any] = best["settings"]
        return {} if best["number"] == 0 else found

    def _tried(self, recipe: Recipe, settings: dict[str, Any], number: int) -> dict[str, Any]:
        part, dim = self.log.selection, self.config.dims[0]
        source = None
        if recipe.teacher:
            source = self.teachers.source(
                "selection", 0, recipe.needs(), single=recipe.teacher == "single", or_lists=recipe.or_lists
            )
        given = student_settings(self.config, settings, dim, ordered=self.teachers.choice().ordered)
        given["epochs_share"] *= self.config.search_share
        job = Job(
            train=part.split.train, source=source, settings=given, tower=self.teachers.tower(), seed=0,
            device=self.config.device, progress=self.progress.named(f"{recipe.name}, trial {number + 1}"),
        )  # fmt: skip
        start, said = time.perf_counter(), ""
        reached: float | None = None
        try:
            reached = valid_ndcg(recipe.train(job).scorer, part.split.train, part.valid)
            reached = reached if math.isfinite(reached) else None
        except RecdistillError as error:
            if number == 0:
                raise
            said = str(error)
        seconds = round(time.perf_counter() - start, 2)
        told = {"number": number, "settings": settings, "valid_ndcg": reached, "seconds": seconds}
        return told | ({"failed": said} if said else {})

    def _identity(self, recipe: Recipe, axes: tuple[Any, ...], first: Mapping[str, Any]) -> dict[str, Any]:
        dim = self.config.dims[0]
        return {
            "version": VERSION, "recipe": recipe.version(), "name": recipe.name, "log": self.log.selection.key,
            "axes": [str(axis) for axis in axes], "first": dict(first), "share": self.config.search_share,
            "plan": resolved(recipe, student_settings(self.config, first, dim), self.log.facts),
            "student": dict(self.config.student), "dim": dim, "device": self.config.device,
            "teacher": Teachers.identity(self.config) if recipe.teacher else None,
        }  # fmt: skip

    def _read(self, path: Path, key: str) -> dict[str, Any]:
        """Trials of the same search that are there already."""
        if self.resume and path.is_file():
            record = files.read_json(path, "a comparison")
            if record.get("key") == key:
                return record
        return {"key": key, "log": self.log.name, "dim": self.config.dims[0], "seed": 0, "trials": []}


def student_settings(
    config: ComparisonConfig, found: Mapping[str, Any], dim: int, *, ordered: bool = False
) -> dict[str, Any]:
    """All that a student is made with: what is given, what was found, and its dimension."""
    order = {"order": True} if ordered else {}
    return {**order, EPOCHS_SHARE.name: 1.0, **found, **config.student, "dim": dim}
