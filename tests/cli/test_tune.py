"""`recdistill tune` prints and writes what suits a log, and the command that uses it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recdistill.cli.main import main
from tests.cli.test_bad_input import refused
from tests.conftest import tiny_frame, with_split

Capture = pytest.CaptureFixture[str]


def tuned(log: Path, out: Path, *words: str) -> dict[str, Any]:
    assert main(["tune", "--log", str(log), "--out", str(out), "--split-column", "split", *words]) == 0
    return json.loads((out / "tune.json").read_text())


def test_the_command_that_is_printed_runs_with_what_was_found(
    tiny_split_log: Path, tmp_path: Path, capsys: Capture
) -> None:
    settings = ["student.dim=4", "student.epochs=4", "search.trials=1", "compress=int8", "filter.user_core=2"]
    words = [word for setting in settings for word in ("--set", setting)]
    told = tuned(tiny_split_log, tmp_path / "tune", "--kind", "ease", "--trials", "6", "--drop-null", *words)
    printed = capsys.readouterr()
    assert "valid NDCG@20" in printed.out and "- trial 0: " in printed.err
    line = shlex.split(next(line for line in printed.out.splitlines() if line.startswith("  recdistill run")))
    assert main([*line[1:], "--quiet"]) == 0
    report = json.loads((Path(line[line.index("--out") + 1]) / "report.json").read_text())
    assert report["models"]["teacher"]["kind"] == "ease"
    assert report["models"]["teacher"]["chosen"] == told["best"]["settings"]
    assert report["models"]["teacher"]["valid_metrics"]["ndcg@20"] == pytest.approx(told["best"]["valid_ndcg"])
    assert report["settings"]["data"]["drop_null"] and report["settings"]["filter"] == {"user_core": 2}


@pytest.mark.parametrize("valid", [True, False])
def test_what_is_found_does_not_depend_on_the_test_items(tmp_path: Path, valid: bool) -> None:
    """Blindness: with random items in the test rows every trial and the best settings are equal."""
    frame = with_split(tiny_frame(), valid=valid)
    other = frame.copy()
    test = other["split"] == "test"
    other.loc[test, "item_id"] = np.random.default_rng(1).choice(frame["item_id"].unique(), test.sum())
    assert not other.equals(frame)
    found = []
    for name, log in (("true", frame), ("random", other)):
        log.to_csv(tmp_path / f"{name}.csv", index=False)
        words = ("--set", "teacher.dim=4", "--set", "teacher.epochs=8", "--max-users", "100")
        found.append(tuned(tmp_path / f"{name}.csv", tmp_path / name, "--trials", "3", "--quiet", *words))
    for told in found:
        told["data"].pop("source")
        for trial in told["trials"]:
            trial.pop("seconds")
    assert found[0] == found[1]


def test_the_first_trial_is_finished_however_short_the_time(tiny_split_log: Path, tmp_path: Path) -> None:
    told = tuned(tiny_split_log, tmp_path / "out", "--kind", "svd", "--minutes", "0.000001", "--quiet")
    assert [trial["state"] for trial in told["trials"]] == ["finished"]
    assert "ended after 1 trials" in told["notes"][-1]


def test_paths_are_not_told(tiny_split_log: Path, tmp_path: Path) -> None:
    tuned(tiny_split_log, tmp_path / "out", "--kind", "svd", "--trials", "1", "--quiet")
    assert str(tmp_path) not in (tmp_path / "out" / "tune.json").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kind", "popularity"], "no settings of popularity are searched"),
        (["--kind", "two_towers"], "Did you mean 'two_tower'"),
        (["--set", "teacher.dims=4"], "Did you mean 'dim'"),
        (["--kind", "ease", "--trials", "0"], "trials = 0: give at least 1"),
        (["--kind", "ease", "--seed", "-1"], "seed = -1"),
        (["--kind", "ease", "--minutes", "0"], "minutes = 0"),
        (["--kind", "ease", "--max-users", "1"], "max_users = 1: give at least 2"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(
    words: list[str], message: str, tiny_split_log: Path, tmp_path: Path, capsys: Capture
) -> None:
    log = ["--log", str(tiny_split_log), "--split-column", "split"]
    assert message in refused(["tune", *log, "--out", str(tmp_path / "out"), *words], capsys)
    assert not (tmp_path / "out").exists()


def test_a_log_of_another_split_is_refused_in_the_same_folder(
    tiny_split_log: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    tuned(tiny_split_log, out, "--kind", "svd", "--trials", "1", "--quiet")
    frame = pd.read_csv(tiny_split_log)
    frame.iloc[frame.index[frame["split"] != "train"][0] :].to_csv(tiny_split_log, index=False)
    capsys.readouterr()
    words = ["--log", str(tiny_split_log), "--split-column", "split", "--kind", "svd", "--trials", "1"]
    assert "the log or its split is not the same" in refused(["tune", *words, "--out", str(out)], capsys)
