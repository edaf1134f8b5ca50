"""From the finished steps to report.json, and to the folders where people look: artifacts, knowledge, per_user."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recdistill import __version__, artifact, files
from recdistill.evaluation.agreement import agreement
from recdistill.evaluation.compare import compare, gap_recovered
from recdistill.evaluation.evaluator import Evaluation
from recdistill.evaluation.examples import examples
from recdistill.evaluation.groups import groups
from recdistill.runs.evaluations import load_evaluation, write_per_user

if TYPE_CHECKING:
    from recdistill.data.splits import Split
    from recdistill.runs.pipeline import Trained
    from recdistill.runs.plan import Plan
    from recdistill.runs.run import Done
    from recdistill.runs.steps import Part, Workshop

SCHEMA_VERSION = 1
COMPARED = ("ndcg@20", "recall@20", "ndcg@10", "recall@10")
PACKAGES = ("torch", "numpy", "scipy", "faiss-cpu", "implicit", "pyarrow", "safetensors")


def assemble(
    workshop: Workshop,
    settings: Mapping[str, Any],
    plan: Plan,
    models: Mapping[str, Trained],
    part: Part,
    data: Done,
    metrics: tuple[str, ...],
) -> dict[str, Any]:
    """Measure every model and seed on test (and on valid where the log has it), and put the report together."""
    split = part.split
    tests, entries = {}, {}
    with workshop.progress.task("evaluate", total=sum(len(m.steps) for m in models.values())) as bar:
        for name, model in models.items():
            done = {}
            for seed, step in model.steps.items():
                done[seed] = workshop.evaluate(step, part, metrics, on="test")
                bar.advance(1)
            tests[name] = {seed: load_evaluation(step.folder, split.test) for seed, step in done.items()}
            valid = None
            if split.valid is not None:
                valid = workshop.evaluate(model.steps[0], part, metrics, on="valid").result["metrics"]
            entries[name] = _entry(workshop, model, part, done, tests[name], valid, metrics)
            if split.seen is not None:
                entries[name]["seen_metrics"] = _seen(workshop, model, part, metrics)
    return {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(["recdistill", *map(_shown, sys.argv[1:])])
        if Path(sys.argv[0]).name == "recdistill"
        else None,
        "data": {
            "source": split.train.source or None,
            "users": split.train.n_users,
            "items": split.train.n_items,
            "rows": split.train.n_rows,
            "sha256": data.result["log_sha256"],
            "notes": [*data.result["notes"], *_features_notes(models)],
        },
        "protocol": {
            "split": split.name,
            "history": split.history,
            "exclude": split.exclude,
            "users_left_out": split.users_left_out,
            "metrics": list(metrics),
            "test_users": len(split.test),
            "test_rows": int(split.test.relevant_count.sum()),
            "notes": _protocol_notes(split, part),
        },
        "environment": _environment(workshop.device),
        "cut": list(plan.cut),
        "settings": dict(settings),
        "models": entries,
        "comparisons": _comparisons(tests, metrics),
        "agreement": _agreements(tests),
        "examples": _examples(split, tests),
    }


def _entry(
    workshop: Workshop,
    model: Trained,
    part: Part,
    done: Mapping[int, Done],
    tests: Mapping[int, Evaluation],
    valid: dict[str, float] | None,
    metrics: tuple[str, ...],
) -> dict[str, Any]:
    seeds = sorted(tests)
    by_seed = [{name: tests[seed].metrics[name] for name in metrics} for seed in seeds]
    first = model.steps[0]
    cost = workshop.footprint(first, part).result
    cold = workshop.cold_items(first, part)
    seconds = {"fit": None, "extract": None, "distill": None, "compress": None, "evaluate": done[0].seconds}
    seconds[model.phase] = first.seconds
    if model.extracts:
        seconds["extract"] = model.extracts[0].seconds
    spread = {name: float(np.std([row[name] for row in by_seed], ddof=1)) for name in metrics} if len(seeds) > 1 else {}
    return {
        "kind": model.kind,
        "chosen": model.settings,
        **({"tried": model.tried} if model.tried else {}),
        **({"promised": model.promised} if model.promised else {}),
        **({"search": model.search} if model.search else {}),
        "metrics": {name: float(np.mean([row[name] for row in by_seed])) for name in metrics},
        "metrics_by_seed": by_seed,
        "valid_metrics": valid,
        "spread": spread,
        "standard_error": {name: tests[0].standard_errors[name] for name in metrics}
        if tests[0].standard_errors
        else None,
        "seeds": seeds,
        "bytes": cost["bytes"],
        "index_bytes": 0,
        "parameters": cost["parameters"],
        "dimension": cost["dimension"],
        "seconds": seconds,
        "queries_per_second": cost["queries_per_second"],
        "latency_ms": cost["latency_ms"],
        "account": cost["account"],
        "groups": groups(tests[0], part.split) | ({} if cold is None else {"cold_items": cold}),
        "artifact": None,
    }


def _seen(workshop: Workshop, model: Trained, part: Part, metrics: tuple[str, ...]) -> dict[str, float]:
    """Means over seeds on people whom training saw, each with as long a history as one of the test people."""
    by_seed = [workshop.evaluate(step, part, metrics, on="seen").result["metrics"] for step in model.steps.values()]
    return {name: float(np.mean([row[name] for row in by_seed])) for name in metrics}


def _comparisons(tests: Mapping[str, Mapping[int, Evaluation]], metrics: tuple[str, ...]) -> list[dict[str, Any]]:
    """Every model against the teacher; the student also against what costs less, and its codes against it."""
    pairs = [("student", name) for name in ("student_alone", "teacher_svd", "popularity") if name in tests]
    pairs += [(name, "student") for name in tests if name.startswith("student_") and name != "student_alone"]
    pairs += [(name, rest) for name in tests if (rest := name.removesuffix("_searched")) != name]
    pairs += [(name, "teacher") for name in tests if name != "teacher"]
    rows = []
    for metric in [name for name in COMPARED if name in metrics] or list(metrics[:1]):
        values = {
            name: np.stack([found.per_user[metric] for found in by_seed.values()]) for name, by_seed in tests.items()
        }
        for a, b in pairs:
            gap = None
            if (a, b) == ("student", "student_alone"):
                gap = gap_recovered(values["teacher"], values["student"], values["student_alone"])
            rows.append(compare(values[a], values[b]).as_row(a, b, metric, gap))
    return rows


def _agreements(tests: Mapping[str, Mapping[int, Evaluation]]) -> dict[str, dict[str, float]]:
    """How far each model's lists are the teacher's, mean over seeds."""
    teacher = tests["teacher"]
    found = {}
    for name, by_seed in tests.items():
        if name != "teacher":
            k = min(20, teacher[0].items.shape[1])
            rows = [agreement(by_seed[seed].items, teacher[seed].items, k) for seed in by_seed]
            found[name] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    return found


def _examples(split: Split, tests: Mapping[str, Mapping[int, Evaluation]]) -> list[dict[str, Any]]:
    """What teacher and student of the first seed recommend to a few people, by title where the log has titles."""
    features = split.train.item_features
    titles = None if features is None else features.titles(split.train.items)
    return examples(split, {name: tests[name][0] for name in ("teacher", "student")}, titles)


def _features_notes(models: Mapping[str, Trained]) -> list[str]:
    """What models made of side features, and what they left out, each once."""
    return list(dict.fromkeys(note for model in models.values() for note in model.steps[0].result.get("notes", ())))


def _protocol_notes(split: Split, part: Part) -> list[str]:
    if part.choose:
        chosen = "Settings were chosen on the valid rows, which no model was fitted on; at test they are not hidden."
    else:
        chosen = (
            "The log has no valid rows: settings were chosen on a seeded 10 % of each user's train rows (users with 3 "
            "or more); "
            "the models of this report were then fitted on all train rows."
        )
    return [chosen, *split.notes]


def _environment(device: str) -> dict[str, Any]:
    import torch

    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    used = "cuda" if device in ("auto", "cuda") and torch.cuda.is_available() else "cpu"
    return {
        "recdistill": __version__,
        "python": platform.python_version(),
        **packages,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if used == "cuda" else "cpu",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def _shown(word: str) -> str:
    """A word of the command line for the report: of a path its last two parts, so that no home folder is told."""
    return "/".join(Path(word).parts[-2:]) if word.startswith("/") else word


def publish(workshop: Workshop, models: Mapping[str, Trained], report: dict[str, Any], part: Part) -> None:
    """Artifacts of seed 0 with their metrics on the card, knowledge, per-user values, report.json and report.html."""
    from recdistill.report.html import write_html

    run = workshop.run
    for name, model in models.items():
        entry = report["models"][name]
        found = artifact.load(model.steps[0].folder / "artifact")
        artifact.save(
            run.folder / "artifacts" / name,
            found.scorer,
            found.items,
            found.users,
            kind=found.config["kind"],
            name=name,
            trained_on=found.config["trained_on"],
            metrics=entry["metrics_by_seed"][0],
            settings=found.config["settings"],
            titles=found.titles,
            features=found.config.get("features"),
            item_map=found.item_map,
        )
        entry["artifact"] = f"artifacts/{name}"
    run.publish(models["teacher"].extracts[0].folder / "knowledge", "knowledge")
    with files.whole_folder(run.folder / "per_user") as folder:
        for name, model in models.items():
            steps = {
                seed: workshop.evaluate(step, part, tuple(report["protocol"]["metrics"]), on="test")
                for seed, step in model.steps.items()
            }
            found_by_seed = {seed: load_evaluation(step.folder, part.split.test) for seed, step in steps.items()}
            write_per_user(found_by_seed, part.split.test, report["protocol"]["metrics"], folder / f"{name}.parquet")
    with files.whole_file(run.folder / "report.html") as path:
        write_html(report, path)
    with files.whole_file(run.folder / "report.json") as path:
        files.write_json(path, report)
