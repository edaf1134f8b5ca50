"""A method of distillation is a word of the config."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from recdistill.cli.main import main
from tests.conftest import TINY_SETTINGS


def run(log: Path, out: Path, *given: str) -> int:
    settings = [*TINY_SETTINGS, "teacher.order=false", "search.trials=1", *given]
    words = ["run", "--log", str(log), "--split-column", "split", "--out", str(out), "--quiet", "--device", "cpu"]
    return main([*words, *(word for one in settings for word in ("--set", one))])


def student(out: Path) -> dict[str, np.ndarray]:
    return load_file(out / "artifacts" / "student" / "model.safetensors")


def test_a_run_teaches_by_the_methods_that_are_named(tiny_split_log: Path, tmp_path: Path) -> None:
    assert run(tiny_split_log, tmp_path / "default") == 0
    assert run(tiny_split_log, tmp_path / "methods", "distil.method=rrd,ir_rrd", "distil.labels.weight=0.4") == 0
    default, taught = student(tmp_path / "default"), student(tmp_path / "methods")
    assert default.keys() == taught.keys()
    assert any((default[name] != taught[name]).any() for name in default)
    report = json.loads((tmp_path / "methods" / "report.json").read_text())
    alone = report["models"]["student_alone"]["metrics"]
    assert alone == json.loads((tmp_path / "default" / "report.json").read_text())["models"]["student_alone"]["metrics"]


def test_a_table_of_methods_in_the_config_file_is_the_same_as_their_names(tiny_split_log: Path, tmp_path: Path) -> None:
    config = tmp_path / "methods.toml"
    config.write_text("[distil.method.rrd]\nweight = 1.0\n")
    words = ["--config", str(config), "--log", str(tiny_split_log), "--split-column", "split", "--quiet"]
    settings = [word for one in (*TINY_SETTINGS, "search.trials=1") for word in ("--set", one)]
    assert main(["run", *words, *settings, "--device", "cpu", "--out", str(tmp_path / "table")]) == 0
    assert run(tiny_split_log, tmp_path / "name", "distil.method=rrd", "teacher.order=none") == 0
    found, want = student(tmp_path / "table"), student(tmp_path / "name")
    assert all((found[name] == want[name]).all() for name in want)


def test_labels_beside_soft_labels_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "not-there.csv", tmp_path / "out", "distil.method=soft_labels", "distil.labels=bpr") == 2
    assert (
        "distil.labels = 'bpr' with distil.method = 'soft_labels': set student.label_share" in capsys.readouterr().err
    )


def test_a_method_that_needs_vectors_is_refused_beside_a_teacher_without_them_before_the_log_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--log", str(tmp_path / "not-there.csv"), "--out", str(tmp_path / "out")]
    assert main([*words, "--set", "teacher.kind=ease", "--set", "distil.method=rrd,fitnet"]) == 2
    assert "fitnet needs the teacher's vectors, and teacher.kind = 'ease' has none." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("distil.method=rdd", "no objective 'rdd'"),
        ("distil.method=hetcomp", "trajectory, which a run does not keep. In Python: Knowledge.with_trajectory.\n"),
        ("distil.method=mutual_kl", "mutual_kl trains its teacher along, which a run does not. In Python: recdistill."),
        ("distil.labels=bpr", "without distil.method"),
    ],
)
def test_a_method_that_a_run_cannot_use_is_refused_before_the_log_is_read(
    given: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "not-there.csv", tmp_path / "out", given) == 2
    assert said in capsys.readouterr().err
