"""`recdistill compress RUN --budget SIZE --search MINUTES` searches beside the default, and says what that gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import recdistill as rd
from recdistill.cli.main import main
from recdistill.report.findings import gain
from recdistill.runs.config import RunConfig
from tests.conftest import tiny_frame, with_random_test_items, with_split
from tests.report.test_schema import VALIDATOR
from tests.runs.test_budget import BUDGET, LIMIT, Capture, compress, noted, report_of, run

MODEL = f"student_{BUDGET}_searched"
EFFORT = ("search.codecs=int4", "search.candidates=1")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searched")
    with_split(tiny_frame()).to_csv(folder / "log.csv", index=False)
    run(folder / "log.csv", folder / "out", *EFFORT)
    assert compress(folder / "out", "--budget", BUDGET, "--trials", "3") == 0
    return folder / "out"


def test_the_searched_student_stands_beside_the_default_and_is_served(out: Path) -> None:
    report = report_of(out)
    VALIDATOR.validate(report)
    entry, default = report["models"][MODEL], report["models"][f"student_{BUDGET}"]
    assert entry["bytes"] <= LIMIT and entry["seeds"] == [0, 1] and entry["search"]["trials"] == 3
    assert entry["tried"][0]["settings"] == default["chosen"]
    assert all(one["bytes"] <= LIMIT for one in entry["tried"])
    assert (entry["chosen"] == default["chosen"]) == (entry["search"]["valid"] == entry["search"]["valid_default"])
    assert rd.Recommender.load(out / entry["artifact"]).scorer.nbytes == entry["bytes"]
    assert (MODEL, f"student_{BUDGET}") in {(row["a"], row["b"]) for row in report["comparisons"]}
    assert gain(entry) is not None and str(gain(entry)) in (out / "report.html").read_text()


def test_the_same_again_trains_nothing_and_other_verbs_keep_the_search(out: Path, capsys: Capture) -> None:
    lines = len(noted(out))
    assert compress(out, "--budget", BUDGET, "--trials", "3") == 0
    assert not [line for line in noted(out)[lines:] if "seconds" in line]
    told = capsys.readouterr().out
    assert f"{MODEL}: {gain(report_of(out)['models'][MODEL])}" in told
    assert str(RunConfig.of_run(out).searches[0]) == f"{BUDGET}+search3trials"
    assert compress(out, "--budget", BUDGET) == 0
    assert MODEL in report_of(out)["models"]


def test_more_trials_go_on_with_those_that_are_kept(out: Path) -> None:
    assert compress(out, "--budget", BUDGET, "--trials", "4") == 0
    assert report_of(out)["models"][MODEL]["search"]["trials"] == 4
    assert len(list((out / "search").iterdir())) == 1
    assert len(RunConfig.of_run(out).searches) == 1


@pytest.mark.parametrize("words", [("--search", "0"), ("--trials", "0"), ("--search", "-1")])
def test_a_search_of_nothing_is_refused(out: Path, words: tuple[str, str], capsys: Capture) -> None:
    assert main(["compress", str(out), "--budget", BUDGET, *words]) == 2
    assert "give --search minutes above 0, --trials at least 1" in capsys.readouterr().err


def test_a_search_that_gave_nothing_is_said_to_have() -> None:
    told: dict[str, Any] = {
        "trials": 9,
        "stopped_early": 2,
        "minutes": 3.0,
        "seeds": 3,
        "valid": 0.2,
        "valid_default": 0.2,
    }
    assert "none is surely above the student that is found without a search" in str(gain({"search": told}))
    assert "+.0100" in str(gain({"search": {**told, "valid": 0.21}}))
    assert gain({}) is None


@pytest.mark.parametrize("valid", [True, False])
def test_what_is_searched_does_not_depend_on_the_test_items(tmp_path: Path, valid: bool) -> None:
    """Blindness: a run that names its search itself, with random items in the test rows."""
    frame = with_split(tiny_frame(), valid=valid)
    other = with_random_test_items(frame)
    found = []
    for name, log in (("true", frame), ("random", other)):
        log.to_csv(tmp_path / f"{name}.csv", index=False)
        run(tmp_path / f"{name}.csv", tmp_path / name, f"compress=int8,{BUDGET}+search2trials", *EFFORT, seeds=1)
        entry = report_of(tmp_path / name)["models"][MODEL]
        del entry["search"]["minutes"]
        found.append({key: entry[key] for key in ("chosen", "tried", "valid_metrics", "bytes", "search")})
    assert found[0] == found[1]
