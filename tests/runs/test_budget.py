"""`recdistill compress RUN --budget SIZE` adds the best student of that size to a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import recdistill as rd
from recdistill.cli.main import main
from tests.conftest import TINY_SETTINGS, tiny_frame, with_random_test_items, with_split
from tests.report.test_schema import VALIDATOR

BUDGET, LIMIT = "900B", 900
SETTINGS = [*TINY_SETTINGS, "teacher.order=false", "search.trials=1", "compress=int8"]
Capture = pytest.CaptureFixture[str]


def run(log: Path, out: Path, *given: str, seeds: int = 2) -> None:
    words = ["run", "--log", str(log), "--split-column", "split", "--out", str(out), "--quiet", "--device", "cpu"]
    settings = [word for one in (*SETTINGS, *given) for word in ("--set", one)]
    assert main([*words, "--seeds", str(seeds), *settings]) == 0


def compress(out: Path, *words: str) -> int:
    return main(["compress", str(out), "--quiet", *words])


def report_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "report.json").read_text())


def noted(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; copy it before it is changed."""
    folder = tmp_path_factory.mktemp("budget")
    with_split(tiny_frame()).to_csv(folder / "log.csv", index=False)
    run(folder / "log.csv", folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def after(before: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compressed") / "out"
    shutil.copytree(before, out)
    assert compress(out, "--budget", "900 b") == 0
    return out


def test_the_student_is_added_to_report_and_artifacts_with_what_was_tried(before: Path, after: Path) -> None:
    old, report = report_of(before), report_of(after)
    VALIDATOR.validate(report)
    assert set(report["models"]) - set(old["models"]) == {f"student_{BUDGET}"}
    entry = report["models"][f"student_{BUDGET}"]
    assert entry["bytes"] <= LIMIT and entry["seeds"] == [0, 1] and len(entry["metrics_by_seed"]) == 2
    confirmed = [one for one in entry["tried"] if one["by_seed"]]
    assert entry["chosen"] == max(confirmed, key=lambda one: one["valid"])["settings"]
    assert all(one["bytes"] <= LIMIT for one in entry["tried"]) and len(entry["tried"]) > len(confirmed)
    served = rd.Recommender.load(after / entry["artifact"])
    assert served.scorer.nbytes == entry["bytes"]
    assert served.scorer.config()["codecs"] == {"item_table": entry["chosen"]["codec"]}
    assert main(["doctor", str(after / entry["artifact"])]) == 0
    assert f"student {BUDGET}" in (after / "report.html").read_text()
    compared = {(row["a"], row["b"]) for row in report["comparisons"]}
    assert {(f"student_{BUDGET}", "student"), (f"student_{BUDGET}", "teacher")} <= compared


def test_nothing_else_of_the_run_is_done_again_or_changed(before: Path, after: Path) -> None:
    old, report = report_of(before), report_of(after)
    for name, entry in old["models"].items():
        assert report["models"][name]["metrics_by_seed"] == entry["metrics_by_seed"]
    lines = noted(after)[len(noted(before)) :]
    done = {line["step"] for line in lines if "seconds" in line}
    assert done <= {"budget", "student", "evaluate", "footprint"}
    assert sum(line["step"] == "student" for line in lines if "seconds" in line) == 1  # the second seed's


def test_the_same_command_again_trains_nothing_and_another_budget_stands_beside_it(after: Path) -> None:
    lines = len(noted(after))
    assert compress(after, "--budget", BUDGET) == 0
    assert not [line for line in noted(after)[lines:] if "seconds" in line]
    assert compress(after, "--budget", "1kB") == 0
    assert {f"student_{BUDGET}", "student_1kB"} <= set(report_of(after)["models"])


def test_a_run_may_name_its_budgets_itself(tmp_path: Path, tiny_split_log: Path, after: Path) -> None:
    run(tiny_split_log, tmp_path / "out", f"compress=int8,{BUDGET}")
    mine, theirs = (report_of(out)["models"][f"student_{BUDGET}"] for out in (tmp_path / "out", after))
    assert (mine["chosen"], mine["metrics_by_seed"]) == (theirs["chosen"], theirs["metrics_by_seed"])


def test_what_was_tried_is_told(after: Path, capsys: Capture) -> None:
    assert compress(after, "--budget", BUDGET) == 0
    told = capsys.readouterr().out
    assert "(chosen)" in told and "tried, on valid" in told and f"student_{BUDGET}" in told
    assert compress(after, "--budget", BUDGET, "--json") == 0
    assert json.loads(capsys.readouterr().out)[f"student_{BUDGET}"]["bytes"] <= LIMIT


def test_an_impossible_budget_names_the_smallest_possible_and_changes_nothing(before: Path, capsys: Capture) -> None:
    config, report = (before / "config.toml").read_text(), (before / "report.json").read_text()
    assert compress(before, "--budget", "100B") == 2
    assert "budget of 0.1 kB: the smallest student of 48 items takes" in capsys.readouterr().err
    assert (before / "config.toml").read_text() == config and (before / "report.json").read_text() == report


def test_what_is_no_run_or_no_size_is_refused(tmp_path: Path, before: Path, capsys: Capture) -> None:
    assert compress(tmp_path, "--budget", "1kB") == 2
    assert "no config.toml in it; give the folder of a run" in capsys.readouterr().err
    assert compress(before, "--budget", "small") == 2
    assert "budget 'small': write it like '100kB'" in capsys.readouterr().err


@pytest.mark.parametrize("valid", [True, False])
def test_what_is_chosen_does_not_depend_on_the_test_items(tmp_path: Path, valid: bool) -> None:
    """Blindness: with random items in the test rows everything that was tried, and the student, are equal."""
    frame = with_split(tiny_frame(), valid=valid)
    other = with_random_test_items(frame)
    assert not other.equals(frame)
    found = []
    for name, log in (("true", frame), ("random", other)):
        log.to_csv(tmp_path / f"{name}.csv", index=False)
        run(tmp_path / f"{name}.csv", tmp_path / name, seeds=1)
        assert compress(tmp_path / name, "--budget", BUDGET) == 0
        entry = report_of(tmp_path / name)["models"][f"student_{BUDGET}"]
        served = rd.Recommender.load(tmp_path / name / entry["artifact"]).scorer.arrays()
        found.append(({key: entry[key] for key in ("chosen", "tried", "valid_metrics", "bytes")}, served))
    assert found[0][0] == found[1][0]
    assert all((found[0][1][part] == found[1][1][part]).all() for part in found[0][1])
