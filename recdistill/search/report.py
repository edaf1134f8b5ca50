"""What a search found, for the terminal and as files: tune.json, and best.toml for the next run."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tomli_w

from recdistill import __version__, files
from recdistill.report import figures
from recdistill.report.table import aligned, printable
from recdistill.search.result import TrialRecord, TuneResult

SCHEMA_VERSION = 1
SHOWN = 10
"""Trials of the table; the rule's is there in any case."""
PACKAGES = ("optuna", "torch", "numpy", "scipy", "implicit")
JSON, TOML = "tune.json", "best.toml"


def trial_table(found: TuneResult) -> str:
    """The best trials, what the best one is above the rule's, which settings mattered, and the notes."""
    names = list(found.trials[0].settings)
    shown = found.finished[:SHOWN]
    shown += [trial for trial in found.finished[SHOWN:] if trial.number == 0]
    rows = [
        [_name(trial), figures.quality(trial.valid_ndcg), _seconds(trial), *_values(trial, names)] for trial in shown
    ]
    judged = f"judged by {found.data['valid_users']:,} users with valid rows"
    head = [f"{found.kind}: {len(found.trials)} trials{_not_finished(found)}, {judged}", ""]
    return "\n".join([*head, *aligned([["trial", "valid NDCG@20", "seconds", *names], *rows]), "", *_told(found)])


def trial_line(trial: TrialRecord) -> str:
    """One trial, when it has ended."""
    settings = ", ".join(f"{name} {_value(value)}" for name, value in trial.settings.items())
    what = trial.message if trial.state == "failed" else f"valid NDCG@20 {figures.quality(trial.valid_ndcg)}"
    state = "" if trial.state == "finished" else f" ({trial.state})"
    return f"- trial {trial.number}{state}: {what}, {trial.seconds:.1f} s, {settings}"


def write(found: TuneResult, folder: Path) -> None:
    """tune.json with every trial, and best.toml."""
    with files.whole_file(folder / JSON) as path:
        files.write_json(path, {"schema_version": SCHEMA_VERSION, **found.as_mapping(), "environment": _environment()})
    best = found.best
    told = (
        f"# Trial {best.number} of {len(found.trials)}, valid NDCG@20 {figures.quality(best.valid_ndcg)}; "
        f"every trial stands in {JSON}.\n# recdistill run --config takes this file, beside the options of the log.\n\n"
    )
    with files.whole_file(folder / TOML) as path:
        path.write_text(told + tomli_w.dumps({"teacher": dict(found.teacher())}), encoding="utf-8")


def _told(found: TuneResult) -> list[str]:
    best, rule = found.best, found.trials[0]
    lines = []
    if best.number == 0:
        lines.append("None of the others is above the rule's settings.")
    else:
        gain = figures.difference((best.valid_ndcg or 0.0) - (rule.valid_ndcg or 0.0))
        lines.append(f"Trial {best.number} is {gain} above the rule's; picked by these rows, it gains less on others.")
    if found.importance:
        shares = ", ".join(f"{name} {figures.percent(share)}" for name, share in found.importance.items())
        finished = len(found.finished)
        lines.append(f"What told the best quarter of {finished} finished trials from the rest (PED-ANOVA): {shares}.")
    return [*lines, *(f"- {printable(note, 200)}" for note in found.notes)]


def _not_finished(found: TuneResult) -> str:
    counts = {state: sum(trial.state == state for trial in found.trials) for state in ("stopped early", "failed")}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f" ({told})" if told else ""


def _name(trial: TrialRecord) -> str:
    return "0, the rule's" if trial.number == 0 else str(trial.number)


def _seconds(trial: TrialRecord) -> str:
    return f"{trial.seconds:.1f}"


def _values(trial: TrialRecord, names: list[str]) -> list[str]:
    return [_value(trial.settings[name]) for name in names]


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _environment() -> dict[str, Any]:
    found: dict[str, Any] = {"recdistill": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {**found, "system": f"{platform.system()} {platform.machine()}", "cores": os.cpu_count()}
