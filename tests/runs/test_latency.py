"""`recdistill compress RUN --latency TIME` adds the best student so fast to a run; the stopwatch is told its times."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from recdistill.compression.times import SLACK
from recdistill.report.findings import promise
from recdistill.runs import limited
from tests.conftest import tiny_frame, with_random_test_items, with_split
from tests.report.test_schema import VALIDATOR
from tests.runs.test_budget import Capture, compress, noted, report_of, run

LIMIT = "20us"


def told_latency(scorer: Any, *_: Any, **__: Any) -> dict[str, float]:
    """1 µs a dimension."""
    return {"p50": 1e-3 * scorer.dimension, "p99": 1.0}


@pytest.fixture(autouse=True)
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "latency", told_latency)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("latency")
    with_split(tiny_frame()).to_csv(folder / "log.csv", index=False)
    run(folder / "log.csv", folder / "out")
    return folder / "out"


def test_the_student_keeps_its_time_and_the_report_says_what_was_promised(
    before: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    shutil.copytree(before, out)
    assert compress(out, "--latency", "20 µs", "--budget", "900B") == 0
    report = report_of(out)
    VALIDATOR.validate(report)
    entry = report["models"][f"student_{LIMIT}"]
    assert {f"student_{LIMIT}", "student_900B"} == set(report["models"]) - set(report_of(before)["models"])
    assert entry["chosen"]["dim"] == 16 <= SLACK * 20 and entry["seeds"] == [0, 1]
    assert entry["promised"] == {"latency_ms": pytest.approx(0.02), "shape_latency_ms": pytest.approx(0.016)}
    assert "promised" not in report["models"]["student_900B"]
    told = capsys.readouterr().out
    assert f"student_{LIMIT}: {promise(entry)}" in told and f"student {LIMIT}" in told
    assert promise(entry) in (out / "report.html").read_text()
    lines = len(noted(out))
    assert compress(out, "--latency", LIMIT) == 0
    assert not [line for line in noted(out)[lines:] if "seconds" in line]  # nothing was measured or trained again


def test_a_time_that_nothing_keeps_is_refused_and_changes_nothing(before: Path, capsys: Capture) -> None:
    config, report, lines = (before / "config.toml").read_text(), report_of(before), len(noted(before))
    assert compress(before, "--latency", "5us") == 2
    assert "the fastest student of 48 items takes 8 µs on this machine" in capsys.readouterr().err
    assert (before / "config.toml").read_text() == config and report_of(before) == report
    assert not [
        line for line in noted(before)[lines:] if line["step"] in ("student", "budget") and "reused" not in line
    ]


def test_compress_wants_a_limit_and_a_time_written_like_one(before: Path, capsys: Capture) -> None:
    assert compress(before) == 2
    assert "give --budget 125kB, --latency 50us, or both" in capsys.readouterr().err
    assert compress(before, "--latency", "fast") == 2
    assert "latency 'fast': write it like '50us'" in capsys.readouterr().err
    assert compress(before, "--latency", "20kB") == 2
    assert "--latency 20kB is a size; give --budget 20kB" in capsys.readouterr().err
    assert compress(before, "--budget", "50us") == 2
    assert "--budget 50us is a time, and a budget is in bytes; give --latency 50us" in capsys.readouterr().err


@pytest.mark.parametrize("valid", [True, False])
def test_what_is_chosen_does_not_depend_on_the_test_items(tmp_path: Path, valid: bool) -> None:
    """Blindness: a run that names its times itself, with random items in the test rows."""
    frame = with_split(tiny_frame(), valid=valid)
    other = with_random_test_items(frame)
    found = []
    for name, log in (("true", frame), ("random", other)):
        log.to_csv(tmp_path / f"{name}.csv", index=False)
        run(tmp_path / f"{name}.csv", tmp_path / name, f"compress=int8,{LIMIT}", seeds=1)
        entry = json.loads((tmp_path / name / "report.json").read_text())["models"][f"student_{LIMIT}"]
        found.append({key: entry[key] for key in ("chosen", "tried", "valid_metrics", "bytes", "promised")})
    assert found[0] == found[1]


def test_a_student_above_its_time_is_said_to_be() -> None:
    entry = {"promised": {"latency_ms": 0.02, "shape_latency_ms": 0.016}, "latency_ms": {"p50": 0.03, "p99": 1.0}}
    assert "takes 30.0 µs, above it" in promise(entry)
    assert promise({**entry, "latency_ms": None}).endswith("16.0 µs before training.")
