"""Why the student is behind its teacher: measured changes, the share of the gap that each recovers, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recdistill.analysis.counterfactuals import Base, Program, program
from recdistill.analysis.sample import Sample
from recdistill.analysis.teaching import School, values_of
from recdistill.artifact import load as load_artifact
from recdistill.evaluation.compare import Comparison, compare
from recdistill.knowledge.store import Knowledge
from recdistill.models.popularity import Popularity
from recdistill.models.registry import MODELS
from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_rules import LogFacts
from recdistill.runs.evaluations import load_evaluation
from recdistill.runs.steps import Workshop

if TYPE_CHECKING:
    from recdistill.analysis.finished import FinishedRun
    from recdistill.runs.run import Done

SEED = 0
"""Of the sample."""


@dataclass(frozen=True, slots=True)
class Row:
    """One change: NDCG@k on valid after it, less before it, of the same people."""

    name: str
    cause: str
    says: str
    value: float
    found: Comparison
    gap: float | None
    """Teacher less student, where that is beyond the spread."""
    seconds: float | None = None
    """Of the training; None where nothing was trained."""
    imitates: dict[str, Any] | None = None

    @property
    def recovers(self) -> float | None:
        return None if self.gap is None else self.found.difference / self.gap

    def as_row(self) -> dict[str, Any]:
        row = self.found.as_row("", "", "")
        kept = ("difference", "standard_error", "seeds_same_sign", "beyond_spread")
        error = row["standard_error"]
        return {
            "name": self.name, "cause": self.cause, "says": self.says, "value": self.value,
            **{name: row[name] for name in kept}, "recovers": self.recovers,
            "recovers_error": error / self.gap if self.gap is not None and isinstance(error, float) else None,
            "seconds": self.seconds, "imitates": self.imitates,
        }  # fmt: skip


def causes(run: FinishedRun, workshop: Workshop, *, k: int, minutes: float | None) -> dict[str, Any]:
    """As it stands in diagnosis.json. Looks at train and valid rows alone: the run's own, or its selection's.

    `minutes` is what trainings may take by the table of costs; None: nothing is trained.
    """
    known = Knowledge.load(run.knowledge.folder / "knowledge")
    there, gap = _there(run, workshop, k)
    methods = run.config.distil.methods_for(TwoTower(**run.chosen["student"].settings), known)
    train = run.selection.split.train
    base = Base.of(run.chosen["student"].settings, methods, LogFacts.of(train), known)
    trained: dict[str, Any] = {"rows": [], "notes": ["nothing was trained"], "gap": None, "base": None, "users": 0}
    if minutes is not None and not _behind(gap):
        trained["notes"] = ["nothing was trained: there is no gap that a change could recover"]
    elif minutes is not None:
        trained = _trained(run, workshop, program(base, minutes=minutes), known, k)
    rows = [*trained["rows"], *(row for row in there if row["cause"] == "quantisation")]
    return {
        "metric": f"ndcg@{k}",
        "on": "valid" if run.split.valid is not None else "a seeded tenth of the train rows",
        "gap": gap,
        "dimension": base.plan.dim,
        "there": there,
        "trained": trained,
        "verdict": verdict(rows, trained["gap"] or gap, trained=bool(trained["rows"])),
    }


def verdict(rows: Sequence[dict[str, Any]], gap: dict[str, Any], *, trained: bool) -> dict[str, Any]:
    """Which change recovers most of the gap, among those beyond the spread; its `cause` is "none" where none does.

    `reason`: found, no gap, none (nothing that was tried recovers any), not asked (nothing was trained).
    """
    nothing = {"cause": "none", "name": None, "recovers": None}
    if not _behind(gap):
        return nothing | {"reason": "no gap"}
    able = [row for row in rows if row["beyond_spread"] and row["difference"] > 0 and row["cause"] != "chance"]
    if not able:
        return nothing | {"reason": "none" if trained else "not asked"}
    best = max(able, key=lambda row: row["recovers"] or 0.0)
    told = ("cause", "name", "recovers", "recovers_error", "difference", "standard_error")
    return {name: best[name] for name in told} | {"reason": "found"}


def _there(run: FinishedRun, workshop: Workshop, k: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What needs no training: the control, the cut teacher, the codes; and the gap, on all people of the valid part."""
    part, chosen = run.selection, run.chosen
    held = part.split.valid
    assert held is not None
    metrics = tuple(run.report["protocol"]["metrics"])

    def values(step: Done) -> np.ndarray:
        found = load_evaluation(workshop.evaluate(step, part, metrics, on="valid").folder, held)
        return found.per_user[f"ndcg@{k}"]

    student, teacher = values(chosen["student"].step), values(chosen["teacher"].step)
    gap = _gap(teacher, student)
    size = gap["difference"] if _behind(gap) else None
    rows = []
    alone = values(chosen["student_alone"].step)
    told = "the same student without a teacher"
    rows.append(Row("alone", "control", told, float(alone.mean()), compare(alone, student), size))
    dim = chosen["student"].settings["dim"]
    if MODELS[chosen["teacher"].kind] is not Popularity:
        cut = values(workshop.cut(chosen["teacher"].step, dim, part))
        told = f"the teacher's own map cut to d = {dim}: a bound from below"
        rows.append(Row("teacher_svd", "bound", told, float(cut.mean()), compare(cut, student), size))
    for codec in run.config.codecs:
        coded = values(workshop.compress(chosen["student"].step, codec, part))
        lacks = _gap(teacher, coded)
        room = lacks["difference"] if _behind(lacks) else None
        told = f"its numbers as they were trained, in place of {codec}"
        rows.append(Row(codec, "quantisation", told, float(coded.mean()), compare(student, coded), room))
    return [row.as_row() for row in rows], gap


def _trained(run: FinishedRun, workshop: Workshop, plan: Program, known: Knowledge, k: int) -> dict[str, Any]:
    part = run.selection
    train, valid = part.split.train, part.split.valid
    assert valid is not None
    sample = Sample.drawn(train, valid, plan.users, np.random.default_rng([SEED, 10]))
    notes = list(plan.notes)
    nothing: dict[str, Any] = {
        "rows": [],
        "gap": None,
        "base": None,
        "users": plan.users,
        "expected_seconds": plan.seconds,
    }
    if not plan.wanted or not (sample.held.relevant_count > 0).any():
        return nothing | {"notes": [*notes, "nothing was trained"]}
    scorers = {name: load_artifact(run.chosen[name].step.folder / "artifact").scorer for name in ("teacher", "student")}
    school = School(
        run=workshop.run, part=part, sample=sample, teacher=scorers["teacher"], knowledge=known,
        knowledge_key=run.knowledge.key, top_k=run.config.distil.top_k, k=k, device=run.config.device,
        progress=workshop.progress,
    )  # fmt: skip
    teacher = school.asked(scorers["teacher"], run.chosen["teacher"].step.key)
    if sample.complete:
        first = school.asked(scorers["student"], run.chosen["student"].step.key)
    else:
        first = school.taught("as it was", plan.base.teaching)
    steps = {one.name: school.taught(one.name, one.teaching) for one in plan.wanted}
    before = [values_of(first, k), *([values_of(steps["again"], k)] if "again" in steps else [])]
    gap = _gap(values_of(teacher, k), *before)
    size = gap["difference"] if _behind(gap) else None
    rows = []
    for one in plan.wanted:
        after = values_of(steps[one.name], k)
        against = before[:1] if one.name == "again" else before
        found = compare(np.stack([after] * len(against)), np.stack(against))
        step = steps[one.name]
        imitates: dict[str, Any] = {name: step.result[name] for name in ("known", "strangers") if name in step.result}
        rows.append(
            Row(one.name, one.cause, one.says, float(after.mean()), found, size, step.seconds, imitates).as_row()
        )
    base = {"value": float(values_of(first, k).mean()), "imitates": {"known": first.result.get("known")}}
    return nothing | {"rows": rows, "gap": gap, "base": base, "notes": notes}


def _gap(teacher: np.ndarray, *students: np.ndarray) -> dict[str, Any]:
    """Teacher less student, of the same people; of several students their mean."""
    found = compare(np.stack([teacher] * len(students)), np.stack(students))
    row = found.as_row("teacher", "student", "")
    kept = ("difference", "standard_error", "seeds_same_sign", "beyond_spread")
    means = {"teacher": float(teacher.mean()), "student": float(np.mean(students))}
    return means | {name: row[name] for name in kept}


def _behind(gap: dict[str, Any]) -> bool:
    """Whether the student is, beyond the spread."""
    return bool(gap["beyond_spread"] and gap["difference"] > 0)
