"""The comparison: cell after cell into a folder, in an order in which what is there when it is stopped says most."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recdistill.comparison import cells
from recdistill.comparison.cells import TEACHER, Cell
from recdistill.comparison.logs import ComparedLog
from recdistill.comparison.measuring import Measured, measured, save_per_user
from recdistill.comparison.peak import forget_peak, peak_bytes
from recdistill.comparison.recipes import Job, Recipe, recipes_of
from recdistill.comparison.resolved import resolved
from recdistill.comparison.searching import Search, student_settings
from recdistill.comparison.table import make_table, write_table
from recdistill.comparison.teachers import ENSEMBLE, Choice, Teachers
from recdistill.errors import ArtifactError, ConfigError, KnowledgeError
from recdistill.runs.run import Run
from recdistill.runs.steps import Workshop

if TYPE_CHECKING:
    from recdistill.comparison.config import ComparisonConfig
    from recdistill.data.splits import Split
    from recdistill.training.progress import Progress

PER_USER = "per_user"
FEWEST_ITEMS = 20


def compare(
    logs: Mapping[str, Split],
    config: ComparisonConfig,
    *,
    out: str | Path,
    work: str | Path,
    resume: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Every method on every log, dimension and seed; returns table.json as a mapping, which lies beside the cells.

    Settings are searched on the first log. `work` holds teachers, knowledge and values of every user, which are large
    and can be made again. With `resume` cells of `out` whose key matches are taken as they are; without it `out` must
    hold none. Raises ConfigError for names that are not known, before anything is trained.
    """
    from recdistill.training.progress import NullProgress

    recipes, out = recipes_of(config.methods), Path(out)
    _check(logs, out, resume)
    run = Run(work)
    with run.open():
        workshop = Workshop(run, config.device, progress or NullProgress())
        comparison = Comparison(logs, config, workshop, out, resume=resume)
        for seed in range(config.seeds):
            for log in comparison.logs:
                comparison.teacher_cell(log, seed)
                for dim in config.dims:
                    for recipe in recipes:
                        comparison.cell(log, recipe, dim, seed)
                table = make_table(out, run.folder / PER_USER)
                write_table(table, out)
    return table


def _check(logs: Mapping[str, Split], out: Path, resume: bool) -> None:
    if not logs:
        raise ConfigError("compare: no log; give --log NAME=PATH")
    for name, split in logs.items():
        if split.train.n_items < FEWEST_ITEMS:
            raise ConfigError(f"compare: {name} has {split.train.n_items} items; methods are compared by NDCG@20")
        if name in ("search", "work") or not name or name.startswith(".") or "/" in name or "\\" in name:
            raise ConfigError(f"compare: {name!r} cannot name a log: a folder will have that name; give another")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is a file; --out needs a folder")
    if not resume and next(cells.every(out), None) is not None:
        raise ConfigError(f"{out}: holds a comparison; --resume goes on with it, or give another --out")


class Comparison:
    """What all cells share."""

    def __init__(
        self, logs: Mapping[str, Split], config: ComparisonConfig, workshop: Workshop, out: Path, *, resume: bool
    ) -> None:
        self.logs = [ComparedLog(name, split) for name, split in logs.items()]
        self._config, self._workshop, self._out, self._resume = config, workshop, out, resume
        self._teachers = {log.name: Teachers(workshop, log, config, self._chosen(log)) for log in self.logs}
        first = self.logs[0]
        self._search = Search(first, self._teachers[first.name], config, out, resume, workshop.progress)
        self._found: dict[str, dict[str, Any] | KnowledgeError] = {}

    def _chosen(self, log: ComparedLog) -> Choice | None:
        """Who teaches, as the cells that are there say: on another machine last bits may tip the choice, and the cells
        that are still to come belong beside those."""
        cell, key = self._teacher_key(log, 0)
        found = cells.read(cell, self._out, key) if self._resume else None
        try:
            return None if found is None else Choice(**found["choice"])
        except (KeyError, TypeError):
            raise ArtifactError(f"{cell.path(self._out)}: does not say who teaches; take it away") from None

    def _teacher_key(self, log: ComparedLog, seed: int) -> tuple[Cell, str]:
        cell = Cell(log.name, TEACHER, None, seed)
        return cell, cells.key_of(cell, {"log": log.sha256, "teacher": Teachers.identity(self._config)})

    def teacher_cell(self, log: ComparedLog, seed: int) -> dict[str, Any]:
        """The teacher itself, and beside it what every kind of it reaches."""
        cell, key = self._teacher_key(log, seed)
        if self._resume and (found := cells.read(cell, self._out, key)):
            return found
        teachers, choice = self._teachers[log.name], self._teachers[log.name].choice()
        scorer = teachers.ranker("final", seed).scorer
        seconds = {"fit": round(teachers.seconds("final", seed), 2)}
        test = self._test(log, scorer, key)
        members = {}
        fitted = [kind for kind in choice.valid_ndcg if kind == choice.kind or choice.kind == ENSEMBLE]
        for kind in fitted if seed == 0 else []:
            found_kind = measured(teachers.ranker("final", 0, kind).scorer, log.split, log.split.test)
            members[kind] = found_kind.as_mapping()["metrics"]
        record = {
            "status": "measured", "choice": choice.as_mapping(), "test": test.as_mapping(), "members": members,
            "valid": self._valid(log, scorer if log.has_valid else teachers.ranker("selection", seed).scorer),
            "seconds": seconds, "bytes": int(scorer.nbytes), "data": _data(log),
        }  # fmt: skip
        return self._written(cell, key, record)

    def cell(self, log: ComparedLog, recipe: Recipe, dim: int, seed: int) -> dict[str, Any]:
        """One student trained and measured, or why it cannot be; read where it is there with the same key."""
        cell = Cell(log.name, recipe.name, dim, seed)
        cannot = cells.key_of(cell, {"cannot": True, **self._asked(log, recipe)})
        if self._resume and (found := cells.read(cell, self._out, cannot)):
            return found
        try:
            rule = recipe.first({**self._config.student, "dim": dim}, log.facts)
            settings = {**rule, **self._settings(recipe)}
            key = cells.key_of(cell, self._inputs(log, recipe, settings, dim))
            if self._resume and (found := cells.read(cell, self._out, key)):
                return found
            job = self._job(log, recipe, settings, dim, seed, "final")
        except KnowledgeError as error:
            return self._written(cell, cannot, {"status": "cannot", "reason": str(error)})
        forget_peak()
        start, processor = time.perf_counter(), time.process_time()
        scorer = recipe.train(job).scorer
        seconds = {"fit": time.perf_counter() - start, "processor": time.process_time() - processor}
        peak = peak_bytes()
        test, valid = self._test(log, scorer, key), None
        if log.has_valid:
            valid = self._valid(log, scorer)
        elif seed == 0:  # where everything is chosen, a tenth of the train rows stands for valid rows
            valid = self._valid(log, recipe.train(self._job(log, recipe, settings, dim, 0, "selection")).scorer)
        record = {
            "status": "measured",
            "teacher": None if job.source is None else {"kind": job.source.kind, "note": job.source.note},
            "settings": settings,
            "resolved": resolved(recipe, dict(job.settings), log.facts),
            "test": test.as_mapping(),
            "valid": valid,
            "seconds": {name: round(value, 2) for name, value in seconds.items()},
            "peak_bytes": peak,
            "bytes": int(scorer.nbytes),
            "ordered": self._teachers[log.name].choice().ordered,
        }
        return self._written(cell, key, record)

    def _settings(self, recipe: Recipe) -> dict[str, Any]:
        """What the search found, once for all cells; raises again what it raised."""
        if recipe.name not in self._found:
            try:
                self._found[recipe.name] = self._search.settings(recipe)
            except KnowledgeError as error:
                self._found[recipe.name] = error
        found = self._found[recipe.name]
        if isinstance(found, KnowledgeError):
            raise found
        return found

    def _asked(self, log: ComparedLog, recipe: Recipe) -> dict[str, Any]:
        return {"log": log.sha256, "recipe": recipe.version(), "teacher": Teachers.identity(self._config)}

    def _inputs(self, log: ComparedLog, recipe: Recipe, settings: Mapping[str, Any], dim: int) -> dict[str, Any]:
        given = student_settings(self._config, settings, dim)
        told = {"settings": given, "resolved": resolved(recipe, given, log.facts), "device": self._config.device}
        return {**self._asked(log, recipe), **told}

    def _job(
        self, log: ComparedLog, recipe: Recipe, settings: Mapping[str, Any], dim: int, seed: int, where: Any
    ) -> Job:
        teachers = self._teachers[log.name]
        source = None
        if recipe.teacher:
            source = teachers.source(
                where, seed, recipe.needs(), single=recipe.teacher == "single", or_lists=recipe.or_lists
            )
        part = log.final if where == "final" else log.selection
        given = student_settings(self._config, settings, dim, ordered=teachers.choice().ordered)
        return Job(
            train=part.split.train, source=source, settings=given, tower=teachers.tower(), seed=seed,
            device=self._config.device, progress=self._workshop.progress.named(f"{log.name}, {recipe.name}", seed),
        )  # fmt: skip

    def _test(self, log: ComparedLog, scorer: Any, key: str) -> Measured:
        found = measured(scorer, log.split, log.split.test)
        save_per_user(self._workshop.run.folder / PER_USER, key, found)
        return found

    def _valid(self, log: ComparedLog, scorer: Any) -> dict[str, Any]:
        split = log.selection.split
        assert split.valid is not None
        return measured(scorer, split, split.valid).as_mapping()

    def _written(self, cell: Cell, key: str, record: Mapping[str, Any]) -> dict[str, Any]:
        written = cells.write(cell, self._out, key, record)
        told = written.get("reason") or f"NDCG@20 {written['test']['metrics'].get('ndcg@20', 0.0):.4f}"
        self._workshop.progress.say(f"- {cell}: {told}")
        return written


def _data(log: ComparedLog) -> dict[str, Any]:
    train, split = log.split.train, log.split
    return {
        "sha256": log.sha256, "users": train.n_users, "items": train.n_items, "train_rows": train.n_rows,
        "test_users": len(split.test), "test_rows": int(split.test.relevant_count.sum()), "split": split.name,
        "valid_rows": None if split.valid is None else int(split.valid.relevant_count.sum()),
    }  # fmt: skip
