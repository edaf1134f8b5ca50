"""An ensemble as the teacher of a run, and what the plan makes of it."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from recdistill.cli.main import main
from recdistill.data import splits
from recdistill.data.splits import Split
from recdistill.errors import ConfigError
from recdistill.models.ease import EASE
from recdistill.models.two_tower_rules import LogFacts
from recdistill.runs.config import RunConfig
from recdistill.runs.plan import _resolved as resolved
from recdistill.runs.plan import make_plan, two_tower_bytes
from recdistill.settings import assign, from_mapping
from tests.conftest import tiny_frame, with_split

TEACHER = ["kind=ensemble", "members=two_tower,ease", "member_settings.two_tower.dim=16",
           "member_settings.two_tower.epochs=20"]  # fmt: skip
STUDENT = ["student.dim=4", "student.epochs=10", "search.trials=1", "baselines=ease"]


def config(*assignments: str) -> RunConfig:
    values: dict[str, Any] = {}
    for assignment in assignments:
        assign(values, assignment)
    return from_mapping(RunConfig, values)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    from recdistill.data.readers import read_interactions

    path = tmp_path_factory.mktemp("log") / "log.csv"
    with_split(tiny_frame()).to_csv(path, index=False)
    return splits.given(read_interactions(path, split_column="split"))


def test_a_run_learns_from_an_ensemble_that_the_command_line_names(tmp_path: Path) -> None:
    with_split(tiny_frame()).to_csv(tmp_path / "log.csv", index=False)
    words = ["run", "--log", str(tmp_path / "log.csv"), "--split-column", "split", "--out", str(tmp_path / "out")]
    given = [*(f"teacher.{setting}" for setting in TEACHER), *STUDENT]
    assert main([*words, "--quiet", "--device", "cpu", *(word for one in given for word in ("--set", one))]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    teacher, ease = report["models"]["teacher"], report["models"]["ease"]
    assert teacher["kind"] == "ensemble"
    assert teacher["valid_metrics"]["ndcg@20"] >= ease["valid_metrics"]["ndcg@20"] - 1e-6
    assert "teacher_svd" in report["models"]
    settings = json.loads((tmp_path / "out" / "artifacts" / "teacher" / "config.json").read_text())["settings"]
    assert settings["member_settings"]["two_tower"]["dim"] == 16
    assert sum(settings["weights"]) == pytest.approx(1)
    written = tomllib.loads((tmp_path / "out" / "config.toml").read_text())
    assert written["teacher"]["members"] == "two_tower,ease"


def test_members_are_named_as_a_list_or_with_commas() -> None:
    for members in ('["ease", "svd"]', "ease,svd"):
        _, settings = config("teacher.kind=ensemble", f"teacher.members={members}").model("teacher")
        assert list(settings) == ["members"]
    with pytest.raises(ConfigError, match=r"teacher: ensemble: no setting 'ease.dims'. Did you mean 'dim'\?"):
        config("teacher.kind=ensemble", "teacher.member_settings.ease.dims=3")


def test_memory_of_an_ensemble_is_the_sum_of_its_members(split: Split) -> None:
    log = LogFacts.of(split.train)
    tower = {"dim": 256}
    both = two_tower_bytes(log, resolved(tower, log)) + EASE().memory_bytes(
        n_items=log.items, n_users=log.users, n_rows=log.rows
    )
    whole = make_plan(config("teacher.kind=ensemble", f"memory={both / 1000 + 1}kB"), split, [])
    assert whole.teacher_dim is None
    cut = make_plan(config("teacher.kind=ensemble", f"memory={both / 1000 - 1}kB"), split, [])
    assert cut.teacher_dim == 128
    assert any(line.startswith("teacher.dim: 256 cut to 128") for line in cut.cut)
    settings = cut.teacher_settings("ensemble", {"by": "rank", "member_settings": {"ease": {"regularization": 3.0}}})
    assert settings == {
        "by": "rank", "member_settings": {"two_tower": {"dim": 128}, "ease": {"regularization": 3.0}},
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"teacher.kind = 'ensemble' needs .* GB"):
        make_plan(config("teacher.kind=ensemble", "memory=3kB"), split, [])


def test_epochs_that_are_cut_are_those_of_the_two_tower_member(split: Split) -> None:
    plan = make_plan(config("teacher.kind=ensemble"), split, [])
    alone = make_plan(config(), split, [])
    assert plan.expected_seconds == pytest.approx(alone.expected_seconds, rel=0.5)
    short = dataclasses.replace(plan, epochs_share=0.5)
    settings = short.teacher_settings("ensemble", {"members": ("ease", "two_tower")})
    assert settings["member_settings"] == {"ease": {}, "two_tower": {"epochs_share": 0.5}}
    assert short.teacher_settings("ensemble", {"members": ("ease", "svd")}) == {"members": ("ease", "svd")}
