"""A finished run read again: its split, its models and what was measured, with nothing of it done again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recdistill import files
from recdistill.data.splits import Split
from recdistill.errors import ArtifactError
from recdistill.runs.config import RunConfig
from recdistill.runs.evaluations import load_evaluation
from recdistill.runs.pipeline import Chosen, choose_settings, train_models
from recdistill.runs.plan import Plan
from recdistill.runs.run import Build, Done, Run
from recdistill.runs.steps import Part, Workshop
from recdistill.settings import from_mapping
from recdistill.training.progress import NullProgress

if TYPE_CHECKING:
    from recdistill.evaluation.evaluator import Evaluation

COMPARED = ("teacher", "student")
AGAIN = "the same recdistill run command with --out"


@dataclass(frozen=True, eq=False)
class FinishedRun:
    folder: Path
    report: dict[str, Any]
    config: RunConfig
    split: Split
    selection: Part
    """Where settings were chosen: the split with its valid rows, or, without such, a part held out of train."""
    chosen: Mapping[str, Chosen]
    """Models fitted on the selection, with seed 0."""
    knowledge: Done
    """What the selection's teacher said."""
    tests: Mapping[str, Mapping[int, Evaluation]]
    """On test, of teacher and student, by seed."""


class _Whole(Run):
    """Steps are read; one that is not there is refused rather than made."""

    def step(self, name: str, version: int, inputs: dict[str, Any], build: Build) -> Done:
        def refuse(_: Path) -> None:
            raise ArtifactError(
                f"{self.folder}: its report was written by other settings or another version than its steps (there is "
                f"no {name!r} of this version); {AGAIN} {self.folder} makes what is missing"
            )

        return super().step(name, version, inputs, refuse)


def check_folder(folder: Path) -> None:
    """Refuses, in one line, what is no folder of a run, a run that has not ended, and one without its evidence."""
    if not (folder / "steps").is_dir():
        what = "no steps in it" if folder.is_dir() else "no such folder"
        raise ArtifactError(f"{folder}: not a run's folder: {what}; give the --out of a recdistill run")
    if not (folder / "report.json").is_file():
        raise ArtifactError(
            f"{folder}: a run that has not ended: no report.json in it; {AGAIN} {folder} goes on from the last whole "
            "step"
        )
    for name in COMPARED:
        if not (folder / "per_user" / f"{name}.parquet").is_file():
            raise ArtifactError(
                f"{folder}: no per_user/{name}.parquet in it, the evidence under the report's means; {AGAIN} {folder} "
                "writes it again and trains nothing"
            )


def read_run(folder: Path) -> FinishedRun:
    """The run of `folder`, which `check_folder` has passed and nobody else is writing.

    Raises ArtifactError where its steps are not those of its report.
    """
    report = files.read_json(folder / "report.json", "a run's folder")
    settings = dict(report.get("settings") or {})
    plan, config = Plan(**settings.pop("plan", {})), from_mapping(RunConfig, settings)
    run = _Whole(folder)
    data = _data(run, report)
    split = Split.load(data.folder / "split")
    workshop = Workshop(run, config.device, NullProgress())
    final = Part(split, data.key, choose=split.valid is not None)
    selection = final if final.choose else Part(split.selection(), data.key + "+held out", choose=True, final=False)
    chosen, temperature = choose_settings(workshop, config, plan, selection)
    models = train_models(workshop, config, chosen, temperature, final)
    metrics = tuple(report["protocol"]["metrics"])
    tests = {
        name: {
            seed: load_evaluation(workshop.evaluate(step, final, metrics, on="test").folder, split.test)
            for seed, step in models[name].steps.items()
        }
        for name in COMPARED
    }
    for name, by_seed in tests.items():
        _check_evidence(folder / "per_user" / f"{name}.parquet", by_seed, metrics)
    knowledge = workshop.extract(chosen["teacher"].step, selection, config.distil, None)
    return FinishedRun(folder, report, config, split, selection, chosen, knowledge, tests)


def _data(run: Run, report: Mapping[str, Any]) -> Done:
    """The step that encoded the report's log; where several could be, the one that was used last."""
    card = files.read_json(run.folder / "artifacts" / "teacher" / "config.json", "an artifact")
    found = []
    for folder in (run.folder / "steps" / "data").glob("*"):
        if not (folder / "step.json").is_file():
            continue
        record = files.read_json(folder / "step.json", "a step's folder")
        train = files.read_json(folder / "split" / "split.json", "a saved split")["sha256"]
        if record["result"]["log_sha256"] == report["data"]["sha256"] and train == card["trained_on"]["sha256"]:
            found.append(Done(folder, folder.name, record["result"], record["seconds"], reused=True))
    if not found:
        raise ArtifactError(
            f"{run.folder}: the split of its report is not among its steps; {AGAIN} {run.folder} makes it again"
        )
    log = (run.folder / "log.jsonl").read_text(encoding="utf-8") if (run.folder / "log.jsonl").is_file() else ""
    return max(found, key=lambda step: log.rfind(step.key))


def _check_evidence(path: Path, by_seed: Mapping[int, Evaluation], metrics: tuple[str, ...]) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["seed", *metrics])
    seeds = table["seed"].to_numpy()
    for seed, found in by_seed.items():
        for metric in metrics:
            if not np.array_equal(table[metric].to_numpy()[seeds == seed], found.per_user[metric]):
                raise ArtifactError(
                    f"{path}: its values ({metric}, seed {seed}) are not those of the run's steps; {AGAIN} "
                    f"{path.parent.parent} writes it again"
                )
