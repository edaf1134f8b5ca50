"""The whole way on a tiny log: what is written, what is reused, what is chosen without looking at test."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import recdistill as rd
from recdistill.cli.main import main
from recdistill.knowledge.store import Knowledge
from tests.conftest import TINY_SETTINGS, tiny_frame, with_random_test_items, with_split

VOLATILE = {"created", "command", "seconds", "queries_per_second", "latency_ms"}
SETTINGS = [word for setting in TINY_SETTINGS for word in ("--set", setting)]
MODELS = {"teacher", "student", "student_alone", "teacher_svd", "student_fp16", "student_int8", "popularity"}


def run(log: Path, out: Path, *words: str) -> dict[str, Any]:
    assert main(["run", "--log", str(log), "--out", str(out), "--quiet", *SETTINGS, *words]) == 0
    return json.loads((out / "report.json").read_text())


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(inner) for key, inner in value.items() if key not in VOLATILE}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


def events(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """Log, folder and report of a run with a split column and two seeds."""
    folder = tmp_path_factory.mktemp("finished")
    with_split(tiny_frame()).to_csv(folder / "tiny.csv", index=False)
    out = folder / "out"
    return folder / "tiny.csv", out, run(folder / "tiny.csv", out, "--split-column", "split", "--seeds", "2")


def test_everything_that_was_promised_is_there(finished: tuple[Path, Path, dict[str, Any]]) -> None:
    _, out, report = finished
    assert set(report["models"]) == MODELS
    for name in MODELS:
        assert (out / "artifacts" / name / "config.json").is_file()
        values = pd.read_parquet(out / "per_user" / f"{name}.parquet")
        by_seed = values.groupby("seed")["ndcg@20"].mean()
        found = [row["ndcg@20"] for row in report["models"][name]["metrics_by_seed"]]
        np.testing.assert_allclose(by_seed.to_numpy(), found)
        assert report["models"][name]["metrics"]["ndcg@20"] == pytest.approx(np.mean(found))
    assert Knowledge.load(out / "knowledge").n_users == report["data"]["users"]
    assert (out / "report.html").read_text().startswith("<!doctype html>")
    assert tomllib.loads((out / "config.toml").read_text())["teacher"]["dim"] == 16


def test_the_report_keeps_its_schema(finished: tuple[Path, Path, dict[str, Any]]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(rd.__file__).parent / "report" / "schema.json").read_text())
    jsonschema.validate(finished[2], schema)


def test_a_model_learns_the_tastes(finished: tuple[Path, Path, dict[str, Any]]) -> None:
    models = finished[2]["models"]
    for name in ("teacher", "student", "student_alone", "student_int8"):
        assert models[name]["metrics"]["ndcg@20"] > models["popularity"]["metrics"]["ndcg@20"] + 0.02


def test_the_same_command_again_does_nothing_again(finished: tuple[Path, Path, dict[str, Any]]) -> None:
    log, out, report = finished
    before = len(events(out))
    again = run(log, out, "--split-column", "split", "--seeds", "2")
    assert not [event for event in events(out)[before:] if event.get("started")]
    assert {**again, "created": None} == {**report, "created": None}


def test_a_changed_setting_does_again_only_what_depends_on_it(
    finished: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    log, _, _ = finished
    run(log, tmp_path / "out", "--split-column", "split")
    before = len(events(tmp_path / "out"))
    run(log, tmp_path / "out", "--split-column", "split", "--set", "student.dim=6")
    started = {event["step"] for event in events(tmp_path / "out")[before:] if event.get("started")}
    assert started == {"plan", "student", "alone", "teacher_svd", "compress", "evaluate", "footprint"}


def test_two_folders_give_the_same_report(finished: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    log, _, report = finished
    assert timeless(run(log, tmp_path / "other", "--split-column", "split", "--seeds", "2")) == timeless(report)


def test_what_is_planned_is_told_once(
    finished: tuple[Path, Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--log", str(finished[0]), "--out", str(tmp_path / "out"), *SETTINGS, "--split-column", "split"]
    assert main(words) == 0
    assert "- planned: about " in "".join(capsys.readouterr())
    assert main(words) == 0
    assert "- planned: about " not in "".join(capsys.readouterr())


def test_a_run_that_was_stopped_goes_on_and_ends_the_same(
    finished: tuple[Path, Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _, report = finished
    from recdistill.runs import steps

    with monkeypatch.context() as patch:
        patch.setattr(steps, "teacher_svd", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert (
            main(
                [
                    "run",
                    "--log",
                    str(log),
                    "--out",
                    str(tmp_path / "out"),
                    "--quiet",
                    *SETTINGS,
                    "--split-column",
                    "split",
                    "--seeds",
                    "2",
                ]
            )
            == 130
        )
    assert not (tmp_path / "out" / "report.json").exists()
    before = len(events(tmp_path / "out"))
    assert timeless(run(log, tmp_path / "out", "--split-column", "split", "--seeds", "2")) == timeless(report)
    started = {event["step"] for event in events(tmp_path / "out")[before:] if event.get("started")}
    assert "data" not in started
    assert not list((tmp_path / "out").rglob("*.tmp"))


@pytest.mark.parametrize("valid", [True, False])
def test_what_is_chosen_does_not_depend_on_the_test_items(tmp_path: Path, valid: bool) -> None:
    """Blindness: with random items in the test rows, settings, weights and valid metrics are bit-equal."""
    frame = with_split(tiny_frame(), valid=valid)
    other = with_random_test_items(frame)
    outs, reports = [], []
    for name, log in (("true", frame), ("random", other)):
        log.to_csv(tmp_path / f"{name}.csv", index=False)
        outs.append(tmp_path / name)
        reports.append(
            run(tmp_path / f"{name}.csv", outs[-1], "--split-column", "split", "--set", "baselines=ease,als,svd")
        )
    assert reports[0]["models"]["teacher"]["metrics"] != reports[1]["models"]["teacher"]["metrics"], (
        "the test parts differ"
    )
    for name, model in reports[0]["models"].items():
        twin = reports[1]["models"][name]
        assert model["chosen"] == twin["chosen"]
        assert model["valid_metrics"] == twin["valid_metrics"]
        arrays, twins = (load_file(out / "artifacts" / name / "model.safetensors") for out in outs)
        assert arrays.keys() == twins.keys()
        for key in arrays:
            np.testing.assert_array_equal(arrays[key], twins[key])


@pytest.mark.parametrize("timestamps", [True, False])
def test_a_log_without_a_split_is_split(tmp_path: Path, timestamps: bool) -> None:
    frame = tiny_frame()
    (frame if timestamps else frame.drop(columns="timestamp")).to_parquet(tmp_path / "log.parquet")
    report = run(tmp_path / "log.parquet", tmp_path / "out")
    assert report["protocol"]["split"] == ("global_time" if timestamps else "per_user")


def test_a_log_without_valid_rows_is_fitted_on_all_train_rows(tmp_path: Path) -> None:
    frame = with_split(tiny_frame(), valid=False)
    frame.to_csv(tmp_path / "log.csv", index=False)
    report = run(tmp_path / "log.csv", tmp_path / "out", "--split-column", "split")
    assert any("fitted on all train rows" in note for note in report["protocol"]["notes"])
    card = json.loads((tmp_path / "out" / "artifacts" / "student" / "config.json").read_text())
    assert card["trained_on"]["rows"] == (frame["split"] == "train").sum()
    assert report["models"]["student"]["valid_metrics"] is None


@pytest.mark.parametrize("kind", ["ease", "als", "svd", "popularity"])
def test_every_registered_model_can_be_the_teacher(tiny_split_log: Path, tmp_path: Path, kind: str) -> None:
    words = ["run", "--log", str(tiny_split_log), "--split-column", "split", "--out", str(tmp_path / "out"), "--quiet"]
    assert (
        main(
            [
                *words,
                "--set",
                f"teacher.kind={kind}",
                "--set",
                "student.dim=4",
                "--set",
                "student.epochs=30",
                "--set",
                "baselines=",
            ]
        )
        == 0
    )
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["models"]["teacher"]["kind"] == kind


def test_a_baseline_that_does_not_fit_is_skipped_with_one_line(tiny_split_log: Path, tmp_path: Path) -> None:
    report = run(
        tiny_split_log,
        tmp_path / "out",
        "--split-column",
        "split",
        "--memory",
        "20kB",
        "--set",
        "baselines=ease,popularity",
    )
    assert "ease" not in report["models"]
    assert any(line.startswith("ease: skipped") for line in report["cut"])
    assert "popularity" in report["models"]


def test_the_report_is_drawn_again(
    finished: tuple[Path, Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = finished
    (out / "report.html").unlink()
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").is_file()
    assert "teacher" in capsys.readouterr().out


def test_an_artifact_is_asked_and_checked_from_the_command_line(
    finished: tuple[Path, Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    student = str(finished[1] / "artifacts" / "student")
    assert main(["recommend", student, "--history", "item 1", "--history", "item 2", "--k", "5", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [row["rank"] for row in answer] == [1, 2, 3, 4, 5]
    assert not {"item 1", "item 2"} & {row["item_id"] for row in answer}
    assert main(["doctor", student]) == 0
    assert "bytes" in capsys.readouterr().out
    assert main(["recommend", student, "--k", "1000"]) == 2
    assert "48" in capsys.readouterr().err


def test_a_catalogue_smaller_than_the_cut_offs_is_measured_to_its_end(tmp_path: Path) -> None:
    frame = tiny_frame()
    frame = frame[frame["item_id"].isin([f"item {number}" for number in range(12)])]
    frame.to_csv(tmp_path / "log.csv", index=False)
    report = run(tmp_path / "log.csv", tmp_path / "out")
    assert any("cut to 12, the catalogue" in line for line in report["cut"])
    assert "ndcg@12" in report["models"]["student"]["metrics"]
