"""Pre-training and fine-tuning are steps of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runs.test_methods import run, student


def steps(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((out / "steps" / name).glob("*/step.json"))]


def test_a_run_pre_trains_teaches_and_fine_tunes_each_in_a_step_of_its_own(
    tiny_split_log: Path, tmp_path: Path
) -> None:
    assert run(tiny_split_log, tmp_path / "plain") == 0
    assert run(tiny_split_log, tmp_path / "phases", "distil.pre_train=2", "distil.fine_tune=1") == 0
    assert not (tmp_path / "plain" / "steps" / "pre_train").exists()
    assert len(steps(tmp_path / "phases", "pre_train")) == len(steps(tmp_path / "phases", "fine_tune")) == 1
    before, after = student(tmp_path / "plain"), student(tmp_path / "phases")
    assert any((before[name] != after[name]).any() for name in before)
    models = [json.loads((tmp_path / out / "report.json").read_text())["models"] for out in ("plain", "phases")]
    assert models[0]["student_alone"]["metrics"] == models[1]["student_alone"]["metrics"]
    seconds = [step["seconds"] for name in ("pre_train", "student", "fine_tune")
               for step in steps(tmp_path / "phases", name)]  # fmt: skip
    assert models[1]["student"]["seconds"]["distill"] == pytest.approx(sum(seconds))


def test_fine_tuning_is_kept_only_where_valid_is_for_it(tiny_split_log: Path, tmp_path: Path) -> None:
    assert run(tiny_split_log, tmp_path / "one", "distil.fine_tune=1") == 0
    taught, tuned = steps(tmp_path / "one", "student")[0], steps(tmp_path / "one", "fine_tune")[0]
    assert tuned["result"]["valid"] >= taught["result"]["valid"]
    assert tuned["result"]["fine_tuned"] == (tuned["result"]["valid"] > taught["result"]["valid"])
    same = run(tiny_split_log, tmp_path / "none") or student(tmp_path / "none")
    assert isinstance(same, dict)
    kept = student(tmp_path / "one")
    assert all((kept[name] == same[name]).all() for name in same) == (not tuned["result"]["fine_tuned"])


def test_what_is_pre_trained_is_where_teaching_starts(tiny_split_log: Path, tmp_path: Path) -> None:
    """With next to no steps after it, what is taught is what was pre-trained."""
    little = ("student.learning_rate=1e-9", "distil.pre_train=1")
    assert run(tiny_split_log, tmp_path / "one", *little) == 0
    assert run(tiny_split_log, tmp_path / "two", "student.learning_rate=1e-9") == 0
    folder = next((tmp_path / "one" / "steps" / "pre_train").glob("*/artifact/model.safetensors"))
    from safetensors.numpy import load_file

    begun, taught, without = load_file(folder), student(tmp_path / "one"), student(tmp_path / "two")
    name = next(name for name in taught if "item_table" in name)
    np.testing.assert_allclose(taught[name], begun[name], atol=1e-5)
    assert not np.allclose(without[name], begun[name], atol=1e-3)


@pytest.mark.parametrize("name", ["pre_train", "fine_tune"])
def test_phases_of_no_epochs_are_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "not-there.csv", tmp_path / "out", f"distil.{name}=0") == 2
    assert "give at least one epoch, or leave it out" in capsys.readouterr().err
