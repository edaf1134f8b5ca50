"""Two stages as the teacher of a run, and what the plan makes of their base."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from recdistill.artifact import load
from recdistill.cli.main import main
from recdistill.data import splits
from recdistill.data.readers import read_interactions
from recdistill.data.splits import Split
from recdistill.errors import ConfigError
from recdistill.runs.plan import make_plan
from recdistill.serving.scorers import RerankedScorer
from tests.conftest import tiny_frame, with_split
from tests.runs.test_ensemble_teacher import STUDENT, config

TEACHER = ["kind=reranked", "depth=20", "hidden=8", "base_settings.dim=16", "base_settings.epochs=20"]


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    path = tmp_path_factory.mktemp("log") / "log.csv"
    with_split(tiny_frame()).to_csv(path, index=False)
    return splits.given(read_interactions(path, split_column="split"))


def test_a_run_learns_from_two_stages_that_the_command_line_names(tmp_path: Path) -> None:
    with_split(tiny_frame()).to_csv(tmp_path / "log.csv", index=False)
    words = ["run", "--log", str(tmp_path / "log.csv"), "--split-column", "split", "--out", str(tmp_path / "out")]
    given = [*(f"teacher.{setting}" for setting in TEACHER), *STUDENT]
    assert main([*words, "--quiet", "--device", "cpu", *(word for one in given for word in ("--set", one))]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["models"]["teacher"]["kind"] == "reranked"
    assert {"teacher_svd", "student"} <= set(report["models"])
    artifact = load(tmp_path / "out" / "artifacts" / "teacher")
    assert isinstance(artifact.scorer, RerankedScorer)
    assert artifact.scorer.depth == 20
    assert artifact.config["settings"]["base_settings"]["dim"] == 16
    assert "epochs" in artifact.config["settings"]


def test_the_plan_counts_both_bases_and_narrows_them(split: Split) -> None:
    single = make_plan(config("teacher.dim=20000"), split, [])
    double = make_plan(config("teacher.kind=reranked", "teacher.base_settings.dim=20000"), split, [])
    assert double.expected_seconds > single.expected_seconds
    narrow = dataclasses.replace(double, teacher_dim=64, epochs_share=0.5)
    settings = narrow.teacher_settings("reranked", {"depth": 50, "base_settings": {"dim": 128, "tau": 0.2}})
    assert settings == {"depth": 50, "base_settings": {"dim": 64, "tau": 0.2, "epochs_share": 0.5}}
    untouched = {"base": "ease", "base_settings": {"regularization": 3.0}}
    assert narrow.teacher_settings("reranked", untouched) == untouched


def test_settings_of_the_base_are_checked_before_anything_is_read() -> None:
    with pytest.raises(ConfigError, match=r"teacher: reranked: no setting 'two_tower.dims'. Did you mean 'dim'\?"):
        config("teacher.kind=reranked", "teacher.base_settings.dims=3")
