"""`recdistill frontier RUN`: quality against bytes, every way at every budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from recdistill.cli.main import main
from recdistill.compression.sizes import shapes, size_in_bytes
from recdistill.report import frontier_text
from recdistill.runs.frontier import WAYS
from tests.conftest import tiny_frame, with_random_test_items, with_split
from tests.runs.test_budget import Capture, noted, report_of, run

BUDGETS = ("700B", "2kB")


def frontier(out: Path, *words: str) -> dict[str, Any]:
    assert main(["frontier", str(out), "--quiet", "--budgets", ",".join(BUDGETS), *words]) == 0
    return json.loads((out / "frontier.json").read_text())


def made(folder: Path, frame: pd.DataFrame, seeds: int) -> Path:
    frame.to_csv(folder / "log.csv", index=False)
    run(folder / "log.csv", folder / "out", seeds=seeds)
    return folder / "out"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = made(tmp_path_factory.mktemp("frontier"), with_split(tiny_frame()), seeds=2)
    frontier(out)
    return out


@pytest.fixture
def told(out: Path) -> dict[str, Any]:
    return json.loads((out / "frontier.json").read_text())


def test_every_way_stands_at_every_budget_within_its_bytes_or_is_impossible(told: dict[str, Any]) -> None:
    assert [(one["budget"], one["way"]) for one in told["points"]] == [(b, way) for b in BUDGETS for way in WAYS]
    for one in told["points"]:
        if one["possible"]:
            assert one["bytes"] <= one["limit"] and len(one["metrics_by_seed"]) == 2 and one["what"]
        else:
            assert one["what"] is None
    possible = {(one["budget"], one["way"]) for one in told["points"] if one["possible"]}
    assert {(budget, way) for budget in BUDGETS for way in ("distilled", "alone")} <= possible
    assert ("700B", "product") not in possible  # its codebooks alone are larger


def test_every_point_has_its_account(out: Path, told: dict[str, Any]) -> None:
    counted = ("parameters", "bytes", "index_bytes", "multiply_adds", "bytes_moved", "microjoules")
    for one in told["points"]:
        if one["possible"]:
            assert all(one[name] is not None for name in counted) and one["latency_ms"]["p50"] > 0
            assert 0 < one["bytes_moved"] < 2 * one["bytes"]
    entry = report_of(out)["models"]["student"]
    assert entry["account"]["multiply_adds"] > 0


def test_the_distilled_student_is_the_one_that_compress_adds(out: Path, told: dict[str, Any]) -> None:
    report = report_of(out)
    for one in told["points"]:
        if one["way"] == "distilled":
            entry = report["models"][f"student_{one['budget']}"]
            assert (one["bytes"], one["metrics_by_seed"]) == (entry["bytes"], entry["metrics_by_seed"])


def test_a_student_in_floats_as_wide_as_four_bits_allow_is_trained_to_be_cast(out: Path, told: dict[str, Any]) -> None:
    n_items = report_of(out)["data"]["items"]
    entries = report_of(out)["models"]
    for budget in BUDGETS:
        dim = shapes(n_items, size_in_bytes(budget), codecs=("int4",))[0].dim
        own = entries[f"student_{budget}"]["chosen"]["dim"]
        steps = [json.loads(path.read_text())["inputs"] for path in out.glob("steps/student/*/step.json")]
        settings = [one["settings"] for one in steps if "settings" in one]
        floats = [one for one in settings if one["dim"] == dim and "codec" not in one]
        assert floats or dim == own
        shown = next(one for one in told["points"] if (one["budget"], one["way"]) == (budget, "student_cast"))
        assert shown["possible"]


def test_it_is_compared_with_each_rival_on_the_same_users(told: dict[str, Any]) -> None:
    for one in told["points"]:
        row = frontier_text.against(told, one["budget"], one["way"])
        if one["way"] == "distilled" or not one["possible"]:
            assert row is None
            continue
        own = frontier_text.point(told, one["budget"], "distilled")
        assert row is not None
        assert row["difference"] == pytest.approx(own["metrics"]["ndcg@20"] - one["metrics"]["ndcg@20"])


def test_the_table_and_the_page_say_what_is_in_the_file(out: Path, told: dict[str, Any], capsys: Capture) -> None:
    lines = len(noted(out))
    frontier(out)
    assert not [line for line in noted(out)[lines:] if "seconds" in line]  # nothing was done again
    text, page = capsys.readouterr().out, (out / "frontier.html").read_text()
    for way in WAYS:
        assert frontier_text.LABELS[way] in text and frontier_text.LABELS[way] in page
    assert "impossible" in text and "impossible" in page
    for line in frontier_text.verdicts(told):
        assert line in text
    assert "<svg" in page and "http" not in page.replace("http-equiv", "")
    main(["frontier", str(out), "--json", "--budgets", ",".join(BUDGETS)])
    assert json.loads(capsys.readouterr().out)["points"] == told["points"]


@pytest.mark.parametrize("valid", [True, False])
def test_nothing_is_chosen_by_the_test_items(tmp_path: Path, valid: bool) -> None:
    """Blindness: with random items in the test rows what every way is, its size and its valid metric are equal."""
    frame = with_split(tiny_frame(), valid=valid)
    other = with_random_test_items(frame)
    found = []
    for name, log in (("true", frame), ("random", other)):
        (tmp_path / name).mkdir()
        told = frontier(made(tmp_path / name, log, seeds=1))
        kept = ("budget", "way", "what", "possible", "bytes", "valid")
        found.append([{key: one.get(key) for key in kept} for one in told["points"]])
    assert found[0] == found[1]


def test_a_budget_is_written_like_a_size(out: Path, capsys: Capture) -> None:
    assert main(["frontier", str(out), "--budgets", "60"]) == 2
    assert "budget '60': write it like '100kB'" in capsys.readouterr().err
