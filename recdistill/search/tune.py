"""A search for the settings of one kind of model, judged by the valid rows alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recdistill import files
from recdistill.errors import ConfigError, RecdistillError
from recdistill.models.base import valid_ndcg
from recdistill.models.registry import MODELS
from recdistill.search import study as studies
from recdistill.search.budget import Budget
from recdistill.search.judge import JudgedProgress
from recdistill.search.parameters import Space
from recdistill.search.part import SearchPart, search_part
from recdistill.search.report import trial_line, write
from recdistill.search.result import State, TrialRecord, TuneResult
from recdistill.search.spaces import space_of

if TYPE_CHECKING:
    from optuna import Study

    from recdistill.data.interactions import Interactions
    from recdistill.data.splits import Split
    from recdistill.training.progress import Progress

VERSION = 1
"""Raised by hand when the same search gives other trials."""
MOST_USERS = 20_000
TRIALS_FOR_IMPORTANCE = 8
TOP = 0.25


class Hopeless(Exception):
    """A trial that is behind the others at the same share of its training."""


def tune(
    split: Split,
    kind: str = "two_tower",
    *,
    settings: Mapping[str, Any] | None = None,
    minutes: float | None = None,
    trials: int | None = None,
    seed: int = 0,
    max_users: int = MOST_USERS,
    device: str = "auto",
    out: str | Path | None = None,
    progress: Progress | None = None,
    began: float | None = None,
) -> TuneResult:
    """Settings of `kind` with a high NDCG@20 on the split's valid rows, else on a held-out tenth of its train rows.

    `settings` stand, the others are searched, first the rule's, then by a tree of Parzen estimators (Bergstra et al.,
    2011); trials that are behind at the middle of their training are stopped. It ends after `trials`, or where another
    trial no longer fits `minutes` (60 where neither is given), counted from `began` on the clock of
    `time.perf_counter` (none: from now). Of more than `max_users` users a seeded part is searched on. With `out`, a
    folder, a search that was stopped goes on, and `tune.json` and `best.toml` are written.
    """
    from recdistill.training.progress import NullProgress

    budget = Budget(minutes=minutes, trials=trials, began=time.perf_counter() if began is None else began)
    studies.need_optuna()
    if seed < 0:
        raise ConfigError(f"tune: seed = {seed}: give 0 or a whole number above it")
    given = {name: value for name, value in (settings or {}).items() if value is not None}
    part = search_part(split, max_users=max_users, seed=seed)
    _refuse_too_large(kind, given, part.train)
    space = space_of(kind, given, part.train)
    folder = None if out is None else Path(out)
    trainer = _Trainer(kind, part, space, seed, device, progress or NullProgress())
    for note in part.notes:
        trainer.progress.say(f"- {note}")
    with studies.open_study(folder, _identity(trainer, given)) as study:
        why = _search(study, trainer, budget)
        found = _result(study, trainer, given, (*part.notes, why))
        if folder is not None:
            write(found, folder)
    return found


@dataclass(frozen=True, slots=True)
class _Trainer:
    """All that a trial is made of but the settings that are searched."""

    kind: str
    part: SearchPart
    space: Space
    seed: int
    device: str
    progress: Progress

    def trial(self, study: Study, number: int) -> TrialRecord:
        """One trial, which is in the study when this returns."""
        start = dict(self.space.starts[number]) if number < len(self.space.starts) else None
        asked = studies.begin(study, start, seed=self.seed, number=number)
        drawn = self.space.suggest(asked)
        settings = drawn if start is None else start  # what is drawn is rounded, a start is not
        checks: list[list[float]] = []

        def on_check(share: float, ndcg: float) -> None:
            checks.append([round(share, 4), ndcg])
            asked.report(ndcg, int(share * studies.CHECKS))
            if number and asked.should_prune():
                raise Hopeless

        begun = time.perf_counter()
        state: State = "finished"
        value, message = None, None
        try:
            value = self.fitted(settings, on_check)
        except Hopeless:
            state, value = "stopped early", checks[-1][1]
        except RecdistillError as error:
            if not number:
                raise
            state, message = "failed", str(error)
        record = TrialRecord(
            number=number, state=state, valid_ndcg=value, seconds=round(time.perf_counter() - begun, 3),
            settings=settings, checks=checks, message=message,
        )  # fmt: skip
        studies.end(study, asked, record)
        return record

    def fitted(self, settings: Mapping[str, Any], on_check: Any) -> float:
        """The valid NDCG@20 of a model fitted with these settings."""
        model = MODELS[self.kind](**{**self.space.fixed, **settings})
        watched = JudgedProgress(self.progress, on_check)
        model.fit(self.part.train, self.part.valid, seed=self.seed, device=self.device, progress=watched)
        return valid_ndcg(model.scorer, self.part.train, self.part.valid)


def _search(study: Study, trainer: _Trainer, budget: Budget) -> str:
    """Trial after trial until the budget is over; says why it ended."""
    done = studies.records(study)
    earlier = sum(record.seconds for record in done)
    if done:
        trainer.progress.say(f"- goes on after {len(done)} trials")
    while (why := budget.over([record.seconds for record in done], earlier)) is None:
        done.append(trainer.trial(study, len(done)))
        trainer.progress.say(trial_line(done[-1]))
    return why


def _result(study: Study, trainer: _Trainer, given: Mapping[str, Any], notes: tuple[str, ...]) -> TuneResult:
    part, space = trainer.part, trainer.space
    done = studies.records(study)
    counted = sum(record.state == "finished" for record in done)
    mattered = counted >= TRIALS_FOR_IMPORTANCE and len(space.parameters) > 1
    data: dict[str, Any] = {"users": part.train.n_users, "items": part.train.n_items, "rows": part.train.n_rows}
    data |= {"valid_users": part.judges, "sha256": part.sha256(), "source": Path(part.train.source).name or None}
    found = TuneResult(
        kind=trainer.kind, seed=trainer.seed, fixed=dict(space.fixed), trials=tuple(done), settings={},
        importance=studies.importance(study, top=TOP) if mattered else {}, data=data, notes=notes,
    )  # fmt: skip
    best = found.best.settings
    carried = best if part.whole is part.train else space.carried(best, space_of(trainer.kind, given, part.whole))
    moved = [f"{name} {best[name]:g} is {carried[name]:g} there" for name in best if carried[name] != best[name]]
    if moved:
        notes = (*notes, "carried to all users by the factor to the rule's value: " + ", ".join(moved))
    return replace(found, settings={**space.fixed, **carried}, notes=notes)


def _identity(trainer: _Trainer, given: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides what the trials are, as it comes back from JSON."""
    space = {name: asdict(parameter) for name, parameter in trainer.space.parameters.items()}  # type: ignore[call-overload]
    return {
        "version": VERSION,
        "kind": trainer.kind,
        "settings": dict(given),
        "seed": trainer.seed,
        "users": trainer.part.train.n_users,
        "data": trainer.part.sha256(),
        "space": files.fingerprint(space),
    }


def _refuse_too_large(kind: str, settings: Mapping[str, Any], train: Interactions) -> None:
    from recdistill.runs.plan import memory_limit

    counts = {"n_items": train.n_items, "n_users": train.n_users, "n_rows": train.n_rows}
    need, limit = MODELS[kind](**settings).memory_bytes(**counts), memory_limit()
    if need > 0.8 * limit:
        raise ConfigError(
            f"tune: {kind} needs {need / 1e9:.1f} GB for {train.n_items:,} items and the machine has "
            f"{limit / 1e9:.1f} GB; give another --kind"
        )
