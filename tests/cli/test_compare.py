"""`recdistill compare` and `recdistill explain` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recdistill.cli.main import main
from tests.conftest import tiny_frame, with_split

SETTINGS = (
    "student.epochs=4", "teacher.two_tower.dim=8", "teacher.two_tower.epochs=4", "teacher.two_tower.order=false",
    "members=two_tower,ease",
)  # fmt: skip


def words(log: Path, out: Path, *more: str) -> list[str]:
    given = [word for one in SETTINGS for word in ("--set", one)]
    return [
        "compare", "--log", f"films={log}", "--split-column", "split", "--out", str(out),
        "--quiet", "--device", "cpu", "--trials", "1", "--dims", "4", *given, *more,
    ]  # fmt: skip


def test_a_comparison_is_one_command_and_goes_on(
    tiny_split_log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(words(tiny_split_log, out, "--methods", "default,alone")) == 0
    assert "student alone" in capsys.readouterr().out
    assert (out / "films" / "default-d4-s0.json").is_file()
    assert json.loads((out / "table.json").read_text())["dims"] == [4]
    assert (out / "compare.html").read_text().startswith("<!doctype html>")
    assert (out / "work" / "per_user").is_dir()
    assert main(words(tiny_split_log, out, "--methods", "default,alone")) == 2
    assert "--resume goes on" in capsys.readouterr().err
    assert main(words(tiny_split_log, out, "--methods", "default,alone", "--resume", "--seeds", "2")) == 0
    assert (out / "films" / "alone-d4-s1.json").is_file()
    assert list(json.loads((out / "table.json").read_text())["logs"]) == ["films"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--methods", "rdd"), "no method 'rdd'"),
        (("--dims", "a"), "whole numbers with commas"),
        (("--log", "films=x.csv"), "is the name of another log"),
        (("--set", "dimms=4"), "no setting 'compare.dimms'"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(
    more: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(tmp_path / "none.csv", tmp_path / "out", *more)) == 2
    line = capsys.readouterr().err
    assert said in line and line.count("\n") == 1


def test_no_log_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare"]) == 2
    assert "give --log NAME=PATH" in capsys.readouterr().err


def test_the_default_is_explained_in_five_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "default"]) == 0
    plain = capsys.readouterr().out
    assert plain.count("\n") == 5
    path = tmp_path / "log.csv"
    with_split(tiny_frame()).to_csv(path, index=False)
    assert main(["explain", "default", "--log", str(path), "--split-column", "split"]) == 0
    told = capsys.readouterr().out
    assert told.count("\n") == 5
    assert "120 users" in told and "120 users" not in plain


def test_what_else_is_asked_to_be_explained_is_told_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["explain", "runs/mine/artifacts/student"])
    assert "Recommender.load('runs/mine/artifacts/student').explain" in capsys.readouterr().err
