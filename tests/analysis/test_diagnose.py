"""The whole verb on tiny runs: what it says, what it keeps, what it refuses, and that it never looks at test."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recdistill.analysis import teaching
from recdistill.cli.main import main
from recdistill.models.two_tower import TwoTower
from recdistill.report.diagnosis_page import render
from tests.analysis.conftest import make_run, split_frame
from tests.conftest import with_random_test_items
from tests.report.test_html import Page


def diagnosed(folder: Path, *words: str) -> dict[str, Any]:
    assert main(["diagnose", str(folder), "--quiet", *words]) == 0
    return json.loads((folder / "diagnosis.json").read_text())


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(inner) for key, inner in value.items() if key != "seconds"}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


def started(folder: Path, before: int = 0) -> list[str]:
    lines = (folder / "log.jsonl").read_text().splitlines()[before:]
    return [event["step"] for line in lines if (event := json.loads(line)).get("started")]


@pytest.fixture(scope="module")
def whole(narrow_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The narrow run, diagnosed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    shutil.copytree(narrow_run, folder)
    return folder, diagnosed(folder)


def test_a_student_too_narrow_for_the_tastes_is_told_so(whole: tuple[Path, dict[str, Any]]) -> None:
    verdict = whole[1]["cause"]["verdict"]
    assert (verdict["cause"], verdict["name"], verdict["reason"]) == ("capacity", "wider", "found")
    assert verdict["recovers"] > 0.5
    (row,) = [row for row in whole[1]["cause"]["trained"]["rows"] if row["name"] == "wider"]
    assert row["imitates"]["known"]["overlap"] > whole[1]["cause"]["trained"]["base"]["imitates"]["known"]["overlap"]


def test_a_change_is_measured_against_the_students_of_both_seeds(whole: tuple[Path, dict[str, Any]]) -> None:
    trained = whole[1]["cause"]["trained"]
    rows = {row["name"]: row for row in trained["rows"]}
    both = (trained["base"]["value"] + rows["again"]["value"]) / 2
    assert rows["longer"]["difference"] == pytest.approx(rows["longer"]["value"] - both)
    assert rows["again"]["difference"] == pytest.approx(rows["again"]["value"] - trained["base"]["value"])
    assert rows["longer"]["recovers"] == pytest.approx(rows["longer"]["difference"] / trained["gap"]["difference"])
    assert trained["gap"]["student"] == pytest.approx(both)


def test_the_losses_are_those_of_the_report(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, found = whole
    report = json.loads((folder / "report.json").read_text())
    row = next(
        row for row in report["comparisons"] if (row["a"], row["b"], row["metric"]) == ("student", "teacher", "ndcg@20")
    )
    total = found["lost"]["total"]
    for name in ("difference", "standard_error", "seeds_same_sign", "beyond_spread"):
        assert total[name] == row[name]
    assert {kind["attribute"] for kind in found["lost"]["by_item"]} == {"genre", "year"}
    assert found["disagreement"]["agreement"] == report["agreement"]["student"]


def test_people_with_the_largest_losses_are_shown_by_title(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, found = whole
    people = found["disagreement"]["examples"]
    values = {
        name: pd.read_parquet(folder / "per_user" / f"{name}.parquet").query("seed == 0")["ndcg@20"].to_numpy()
        for name in ("teacher", "student")
    }
    moved = np.sort(values["student"] - values["teacher"])
    assert [one["difference"] for one in people] == pytest.approx([*moved[:3], moved[-1]])
    for one in people:
        assert all(name.startswith("Film ") for name in [*one["used"], *one["wanted"]])
        assert not set(one) & {"user_id", "user"}


def test_every_training_is_what_its_name_says(
    narrow_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reaches the student: settings, seed, users, and what the teacher tells."""
    folder = tmp_path / "run"
    shutil.copytree(narrow_run, folder)
    asked, train = [], TwoTower.distil

    def watched(self: TwoTower, log: Any, knowledge: Any, valid: Any = None, **more: Any) -> Any:
        knowledge.check(log)
        asked.append((self.config, log, knowledge, valid, more))
        return train(self, log, knowledge, valid, **more)

    monkeypatch.setattr(TwoTower, "distil", watched)
    rows = diagnosed(folder)["cause"]["trained"]["rows"]
    told = dict(zip([row["name"] for row in rows], asked, strict=True))
    usual = next(config for config, _, _, _, more in [told["again"]] if more["seed"] == 1)
    assert all(valid is None for _, _, _, valid, _ in asked), "trainings choose nothing"
    assert all(more["seed"] == (name == "again") for name, (*_, more) in told.items())
    users = {name: log.n_users for name, (_, log, *_) in told.items()}
    assert users["half_people"] == 60 and {count for name, count in users.items() if name != "half_people"} == {120}
    assert usual.dim == 1 and told["wider"][0].dim == 2
    assert told["longer"][0].epochs == 2 * 20 and told["wider"][0].epochs <= 20
    assert told["gentler"][0].learning_rate == usual.learning_rate / 2
    assert told["teacher_alone"][0].label_share == 0.0
    assert told["more_labels"][0].label_share == pytest.approx((1 + usual.label_share) / 2, abs=1e-3)


def test_lists_alone_leave_nothing_else_of_the_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run(tmp_path, split_frame(), "--set", "distil.top_k=6", "--set", "distil.method=soft_labels")
    gives = []
    train = TwoTower.distil
    monkeypatch.setattr(
        TwoTower,
        "distil",
        lambda self, log, known, *a, **b: (gives.append(known.gives), train(self, log, known, *a, **b))[1],
    )
    rows = diagnosed(folder)["cause"]["trained"]["rows"]
    told = dict(zip([row["name"] for row in rows], gives, strict=True))
    assert told["other_knowledge"] == {"top_k", "scores"}
    assert "all_scores" in told["longer"]


def test_the_same_again_trains_nothing_again(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, found = whole
    before = len((folder / "log.jsonl").read_text().splitlines())
    assert diagnosed(folder) == found
    assert started(folder, before) == []


def test_what_was_trained_before_it_was_stopped_is_kept(
    narrow_run: Path, whole: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(narrow_run, folder)
    left = [3]

    def stopped(*args: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return teach(*args, **more)

    teach = teaching.teach
    with monkeypatch.context() as patch:
        patch.setattr(teaching, "teach", stopped)
        assert main(["diagnose", str(folder), "--quiet"]) == 130
    assert not (folder / "diagnosis.json").exists()
    before = len((folder / "log.jsonl").read_text().splitlines())
    assert timeless(diagnosed(folder)) == timeless(whole[1])
    assert len(started(folder, before)) == len(whole[1]["cause"]["trained"]["rows"]) - 3


def test_without_training_the_run_is_asked_alone(narrow_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(narrow_run, folder)
    before = len((folder / "log.jsonl").read_text().splitlines())
    found = diagnosed(folder, "--no-training")
    assert set(started(folder, before)) <= {"evaluate"}
    assert found["cause"]["trained"]["rows"] == [] and found["cause"]["verdict"]["reason"] == "not asked"
    assert [row["name"] for row in found["cause"]["there"]] == ["alone", "teacher_svd", "int8"]


def test_causes_do_not_depend_on_the_test_items(whole: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """Blindness: with random items in the test rows all that is said of causes is bit-equal."""
    found = diagnosed(make_run(tmp_path, with_random_test_items(split_frame()), "--seeds", "2"))
    assert found["lost"]["total"] != whole[1]["lost"]["total"], "the test parts differ"
    assert timeless(found["cause"]) == timeless(whole[1]["cause"])


def test_a_log_without_valid_rows_is_judged_by_what_the_run_chose_by(tmp_path: Path) -> None:
    frame = split_frame()
    frame["split"] = frame["split"].replace("valid", "train")
    folder = make_run(tmp_path, frame)
    found = diagnosed(folder, "--no-training")
    assert found["cause"]["on"] == "a seeded tenth of the train rows"
    assert found["cause"]["gap"]["teacher"] > found["cause"]["gap"]["student"]
    assert main(["diagnose", str(folder), "--quiet", "--no-training", "--json"]) == 0


def test_a_sample_of_the_users_has_its_own_student_to_compare_with(
    narrow_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recdistill.analysis import counterfactuals

    folder = tmp_path / "run"
    shutil.copytree(narrow_run, folder)
    monkeypatch.setattr(counterfactuals, "FEWEST_USERS", 40)
    monkeypatch.setattr(counterfactuals, "two_tower_seconds", lambda log, plan, **_: log.users * plan.epochs / 100)
    found = diagnosed(folder, "--minutes", "2.2")["cause"]["trained"]
    assert 40 <= found["users"] < 120 and len(found["rows"]) == 8
    assert f"seeded {found['users']} of 120 users" in found["notes"][0]
    assert found["gap"]["difference"] > 0
    assert started(folder).count("diagnose") == 2 + len(found["rows"]), "teacher, own student and every change"
    found = diagnosed(folder, "--minutes", "0.0001")["cause"]
    assert found["trained"]["rows"] == [] and found["verdict"]["reason"] == "not asked"
    assert found["trained"]["notes"][-1] == "nothing was trained"


def test_the_text_has_room_on_a_terminal(
    narrow_run: Path, whole: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = whole
    assert main(["diagnose", str(folder), "--quiet"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert len(told) <= 60
    assert told[2].startswith("Cause: capacity. Twice as wide (d = 2)")
    assert any(line.startswith("Most hits lost: Film ") for line in told)
    assert any("knowledge: half of the people" in line for line in told)


def test_the_page_is_whole_fetches_nothing_and_names_every_change(whole: tuple[Path, dict[str, Any]]) -> None:
    text = (whole[0] / "diagnosis.html").read_text()
    page = Page(text)
    assert page.open == [] and text.rstrip().endswith("</html>")
    assert "http://" not in text and "https://" not in text
    assert "script" not in [tag for tag, _ in page.tags]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "Cause: capacity." in page.text
    for row in [*whole[1]["cause"]["trained"]["rows"], *whole[1]["cause"]["there"]]:
        assert row["says"] in page.text


def test_names_from_files_stay_text(whole: tuple[Path, dict[str, Any]]) -> None:
    hostile = "<script>alert(1)</script> $x_1$ {{ 7 * 7 }}"
    found = json.loads(json.dumps(whole[1]))
    found["run"]["title"] = hostile
    found["lost"]["by_item"][0]["groups"][0]["group"] = hostile
    found["disagreement"]["examples"][0]["used"] = [hostile]
    page = Page(render(found))
    assert "script" not in [tag for tag, _ in page.tags]
    assert page.text.count(hostile) >= 3


def test_what_is_no_finished_run_is_refused_in_one_line(
    narrow_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(folder: Path, *words: str) -> str:
        assert main(["diagnose", str(folder), "--quiet", *words]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        return line

    assert "no such folder" in refused(tmp_path / "nowhere")
    assert "not a run's folder" in refused(tmp_path)
    folder = tmp_path / "run"
    shutil.copytree(narrow_run, folder)
    assert "give a number above 0" in refused(folder, "--minutes", "0")
    table = folder / "per_user" / "student.parquet"
    pd.read_parquet(table).assign(**{"ndcg@20": 0.5}).to_parquet(table)
    assert "are not those of the run's steps" in refused(folder)
    table.unlink()
    assert "no per_user/student.parquet" in refused(folder)
    shutil.copy(narrow_run / "per_user" / "student.parquet", table)
    shutil.rmtree(folder / "steps" / "student")
    assert "there is no 'student' of this version" in refused(folder)
    shutil.rmtree(folder / "steps" / "data")
    assert "the split of its report is not among its steps" in refused(folder)
    (folder / "report.json").unlink()
    assert "has not ended" in refused(folder)
