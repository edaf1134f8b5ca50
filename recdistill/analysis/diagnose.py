"""`recdistill diagnose`: who lost what between teacher and student, where they disagree, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recdistill.analysis.finished import check_folder, read_run
from recdistill.errors import ConfigError
from recdistill.report import reading
from recdistill.runs.run import Run

if TYPE_CHECKING:
    from recdistill.training.progress import Progress

SCHEMA_VERSION = 1
DEFAULT_MINUTES = 10.0


def diagnose(
    folder: str | Path, *, minutes: float | None = DEFAULT_MINUTES, progress: Progress | None = None
) -> dict[str, Any]:
    """What diagnosis.json holds, of a finished run; trainings are kept in the run's folder and not done again.

    `minutes` is what trainings may take by the table of costs of `runs.plan`; None: nothing is trained. Who lost what
    is of the test part; the cause is looked for on valid rows alone. Raises ArtifactError where the folder is not that
    of a finished run, ConfigError for minutes that are none.
    """
    from recdistill.analysis.cause import causes
    from recdistill.analysis.disagreement import disagreement
    from recdistill.analysis.losses import losses
    from recdistill.evaluation.examples import ItemNames
    from recdistill.runs.steps import Workshop
    from recdistill.training.progress import NullProgress

    if minutes is not None and not minutes > 0:
        raise ConfigError(f"diagnose: minutes = {minutes}: give a number above 0, or --no-training")
    folder = Path(folder)
    check_folder(folder)
    folder_of_run = Run(folder)
    with folder_of_run.open():
        run = read_run(folder)
        k = _cutoff(run.report["protocol"]["metrics"])
        teacher, student = run.tests["teacher"], run.tests["student"]
        features = run.split.train.item_features
        titles = None if features is None else features.titles(run.split.train.items)
        names = ItemNames(run.split, titles).all()
        workshop = Workshop(folder_of_run, run.config.device, progress or NullProgress())
        return {
            "schema_version": SCHEMA_VERSION,
            "run": _described(run.report, k),
            "lost": losses(run.split, teacher, student, k=k, names=names),
            "disagreement": disagreement(run.split, teacher, student, k=k),
            "cause": causes(run, workshop, k=k, minutes=minutes),
        }


def _cutoff(metrics: list[str]) -> int:
    """Of NDCG, which every run measures: 20, or the largest that it has."""
    found = [int(name.partition("@")[2]) for name in metrics if name.startswith("ndcg@")]
    return 20 if 20 in found else max(found)


def _described(report: dict[str, Any], k: int) -> dict[str, Any]:
    models = report["models"]
    return {
        "title": report.get("title") or report["data"].get("source") or "run",
        "created": report["created"],
        "data": {name: report["data"][name] for name in ("users", "items", "rows", "sha256")},
        "split": report["protocol"]["split"],
        "test_users": report["protocol"]["test_users"],
        "seeds": reading.seeds(report),
        "models": {
            name: {
                "kind": models[name].get("kind"), "dimension": models[name].get("dimension"),
                "bytes": models[name]["bytes"], f"ndcg@{k}": models[name]["metrics"][f"ndcg@{k}"],
            }
            for name in ("teacher", "student")
        },
    }  # fmt: skip
