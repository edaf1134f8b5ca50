"""Cells, resuming, blindness: what a comparison is trusted for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recdistill.comparison import cells
from recdistill.comparison.comparing import compare
from recdistill.comparison.recipes import every_name
from recdistill.comparison.table import make_table, write_table
from recdistill.errors import ArtifactError, ConfigError
from tests.comparison.conftest import METHODS, Compared, config, split_of
from tests.conftest import tiny_frame, with_split


def record(out: Path, log: str, name: str) -> dict[str, Any]:
    return json.loads((out / log / f"{name}.json").read_text())


def stamps(out: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in out.glob("*/*-s*.json")}


def test_every_cell_is_one_small_file(compared: Compared) -> None:
    found = {(one["log"], one["method"], one["seed"]) for one in cells.every(compared.out)}
    assert found == {(log, name, seed) for log in compared.logs for name in (*METHODS, "teacher") for seed in (0, 1)}
    for path in compared.out.glob("*/*-s*.json"):
        assert path.stat().st_size < 6000, path
    one = record(compared.out, "first", "default-d4-s0")
    assert one["status"] == "measured"
    assert one["test"]["users"] == 120
    assert {"ndcg@20", "recall@20", "hit@5"} <= set(one["test"]["metrics"])
    assert set(one["test"]["recall_by_popularity"]) == {"head", "mid", "tail"}
    assert one["seconds"]["fit"] > 0 and one["peak_bytes"] > 1e6
    assert one["resolved"]["dim"] == 4


def test_settings_are_searched_on_the_first_log_and_carried_to_the_others(compared: Compared) -> None:
    for name in ("default", "alone", "fitnet"):
        search = json.loads((compared.out / "search" / f"{name}.json").read_text())
        assert (search["log"], len(search["trials"])) == ("first", 2)
        best = max(search["trials"], key=lambda trial: trial["valid_ndcg"])["settings"]
        for log in compared.logs:
            assert record(compared.out, log, f"{name}-d4-s1")["settings"] == best
    assert not (compared.out / "search" / "teacher_svd.json").exists()


@pytest.mark.parametrize("best", [0, 1])
def test_a_rule_that_won_the_search_holds_for_every_dimension(
    best: int, compared: Compared, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from recdistill.comparison import searching
    from recdistill.comparison.recipes import Default

    def ruled(self: Default, student: dict[str, Any], facts: Any) -> dict[str, Any]:
        return {"history_dropout": student["dim"] / 100, "label_share": 0.5, "learning_rate": 0.01, "epochs_share": 1.0}

    def tried(self: searching.Search, recipe: Any, settings: dict[str, Any], number: int) -> dict[str, Any]:
        return {"number": number, "settings": settings, "valid_ndcg": float(number == best), "seconds": 0.0}

    monkeypatch.setattr(Default, "first", ruled)
    monkeypatch.setattr(searching.Search, "_tried", tried)
    first = {"first": compared.logs["first"]}
    asked = config(methods=("default",), dims=(4, 6), seeds=1)
    compare(first, asked, out=tmp_path / "out", work=tmp_path / "work")
    dropouts = [
        record(tmp_path / "out", "first", f"default-d{dim}-s0")["settings"]["history_dropout"] for dim in (4, 6)
    ]
    if best == 0:
        assert dropouts == [0.04, 0.06]
    else:
        assert dropouts[0] == dropouts[1]


def test_trials_are_half_as_long_and_the_student_alone_has_as_many(
    compared: Compared, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from recdistill.models.two_tower import TwoTower

    epochs: list[tuple[bool, int]] = []
    original = TwoTower._choose

    def watched(self: TwoTower, train: Any, knowledge: Any, *rest: Any, **more: Any) -> Any:
        if not self.config.user_id:
            epochs.append((knowledge is None, round((self.config.epochs or 0) * self.config.epochs_share)))
        return original(self, train, knowledge, *rest, **more)

    monkeypatch.setattr(TwoTower, "_choose", watched)
    compare(
        {"first": compared.logs["first"]}, config(methods=("default", "alone"), student={"epochs": 10}, trials=1),
        out=tmp_path / "out", work=tmp_path / "work",
    )  # fmt: skip
    assert sorted(epochs) == [(False, 5), (False, 10), (True, 5), (True, 10)]


def test_the_teacher_is_the_best_on_valid(compared: Compared) -> None:
    for log in compared.logs:
        choice = record(compared.out, log, "teacher-s0")["choice"]
        assert set(choice["valid_ndcg"]) == {"two_tower", "ease", "als", "ensemble"}
        assert choice["valid_ndcg"][choice["kind"]] == max(choice["valid_ndcg"].values())


def test_a_method_that_the_best_teacher_cannot_teach_learns_from_the_next_and_says_so(
    compared: Compared, tmp_path: Path
) -> None:
    for log in compared.logs:
        kind = record(compared.out, log, "teacher-s0")["choice"]["kind"]
        told = record(compared.out, log, "fitnet-d4-s0")["teacher"]
        if kind in ("ease", "ensemble"):
            assert told["kind"] in ("two_tower", "als")
            assert f"{kind} gives no vectors" in told["note"]
        else:
            assert told == {"kind": kind, "note": ""}
    table = compare(
        {"first": compared.logs["first"]}, config(methods=("alone", "fitnet"), members=("ease",), teacher={}),
        out=tmp_path / "out", work=tmp_path / "work",
    )  # fmt: skip
    assert record(tmp_path / "out", "first", "fitnet-d4-s0")["status"] == "cannot"
    (row,) = [row for row in table["rows"] if row["method"] == "fitnet"]
    assert (row["status"], row["reason"]) == ("cannot", "ease gives no vectors")
    before = stamps(tmp_path / "out")
    given = config(methods=("alone", "fitnet"), members=("ease",), teacher={})
    compare({"first": compared.logs["first"]}, given, out=tmp_path / "out", work=tmp_path / "new", resume=True)
    assert stamps(tmp_path / "out") == before
    assert not list((tmp_path / "new" / "steps").glob("*")), "what cannot be is known without asking a teacher again"


def test_the_default_asks_for_all_scores_and_takes_lists_where_no_teacher_has_them(
    compared: Compared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recdistill.knowledge.extract.LOGITS_BYTES", 0)
    logs = {"first": compared.logs["first"]}
    for members, teacher in ((("ease",), "ease"), (("ease", "als"), "als")):
        out = tmp_path / teacher
        given = config(methods=("default",), members=members, teacher={})
        compare(logs, given, out=out, work=out / "work")
        told, best = record(out, "first", "default-d4-s0"), record(out, "first", "teacher-s0")["choice"]["kind"]
        assert told["status"] == "measured"
        assert told["teacher"]["kind"] == teacher
        assert bool(told["teacher"]["note"]) == (best not in ("als", teacher))


def test_all_methods_can_be_trained_where_a_teacher_has_vectors(compared: Compared, tmp_path: Path) -> None:
    teacher = {"two_tower": {"dim": 8, "epochs": 4, "order": False}}
    given = config(
        methods=("all", "rrd+de", "bpr"), members=("two_tower",), teacher=teacher, trials=1, student={"epochs": 2}
    )
    table = compare({"first": compared.logs["first"]}, given, out=tmp_path / "out", work=tmp_path / "work")
    rows = {row["method"]: row for row in table["rows"]}
    assert set(rows) == {*every_name(), "rrd+de", "bpr", "teacher"}
    assert {name: row.get("reason") for name, row in rows.items() if row["status"] != "measured"} == {}
    reached = [row["metrics"]["ndcg@20"] for name, row in rows.items()]
    assert len({*reached}) > 0.8 * len(reached), "they are not all the same"


def test_cells_that_are_right_are_taken_and_the_rest_is_measured(
    compared: Compared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(compared.out, out)
    before = stamps(out)
    again = compare(compared.logs, config(methods=METHODS, seeds=2), out=out, work=tmp_path / "new", resume=True)
    assert stamps(out) == before
    assert not list((tmp_path / "new" / "steps").glob("*")), "nothing is fitted where every cell is there"
    assert again == compared.table, "without the users' values the table says what it said"
    gone = out / "other" / "alone-d4-s1.json"
    gone.unlink()
    changed = out / "first" / "alone-d4-s0.json"
    changed.write_text(changed.read_text().replace(record(out, "first", "alone-d4-s0")["key"], "0" * 16))
    compare(compared.logs, config(methods=METHODS, seeds=2), out=out, work=compared.work, resume=True)
    now = stamps(out)
    assert {path for path in now if now[path] != before[path]} == {str(gone), str(changed)}
    for log, name in (("other", "alone-d4-s1"), ("first", "alone-d4-s0")):
        assert record(out, log, name)["test"] == record(compared.out, log, name)["test"]


def test_what_was_compared_stays_compared_on_a_machine_without_the_users_values(
    compared: Compared, tmp_path: Path
) -> None:
    """Logs of unlike seeds: means over the logs are of the seeds that all of them have, single rows of their own."""
    out = tmp_path / "out"
    shutil.copytree(compared.out, out)
    for path in (out / "other").glob("*-s1.json"):
        path.unlink()
    table = make_table(out, compared.work / "per_user")
    (alone,) = [row for row in table["mean"] if row["method"] == "alone"]
    assert (alone["against"]["default"]["seeds"], alone["against"]["default"]["paired"]) == ([0], True)
    assert make_table(out, tmp_path / "nothing") != table
    write_table(table, out)
    assert make_table(out, tmp_path / "nothing") == table


def test_who_teaches_is_taken_from_the_cells_that_are_there(compared: Compared, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(compared.out, out)
    teacher = out / "first" / "teacher-s0.json"
    told = json.loads(teacher.read_text())
    told["choice"]["kind"] = "als"
    teacher.write_text(json.dumps(told))
    (out / "first" / "fitnet-d4-s0.json").unlink()
    logs = {"first": compared.logs["first"]}
    compare(logs, config(methods=("fitnet",)), out=out, work=tmp_path / "new", resume=True)
    assert record(out, "first", "fitnet-d4-s0")["teacher"] == {"kind": "als", "note": ""}
    fitted = [json.loads(path.read_text())["inputs"]["kind"] for path in tmp_path.glob("new/steps/teacher/*/step.json")]
    assert set(fitted) == {"als"}, "the others are not fitted to choose again"
    told["choice"] = {"who": "als"}
    teacher.write_text(json.dumps(told))
    with pytest.raises(ArtifactError, match=r"teacher-s0\.json: does not say who teaches; take it away"):
        compare(logs, config(methods=("fitnet",)), out=out, work=tmp_path / "new", resume=True)


def test_a_raised_version_of_a_method_makes_its_cells_anew_and_no_others(
    compared: Compared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recdistill.objectives.vectors.fitnet import FitNet

    out = tmp_path / "out"
    shutil.copytree(compared.out, out)
    before = stamps(out)
    monkeypatch.setattr(FitNet, "version", FitNet.version + 1)
    compare(compared.logs, config(methods=METHODS, seeds=1), out=out, work=compared.work, resume=True)
    now = stamps(out)
    assert {Path(path).name for path in now if now[path] != before[path]} == {"fitnet-d4-s0.json"}


def test_a_folder_with_a_comparison_is_not_overwritten_unasked(compared: Compared, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds a comparison; --resume goes on with it"):
        compare(compared.logs, config(methods=("alone",)), out=compared.out, work=tmp_path / "work")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"methods": ("rdd",)}, "no method 'rdd'. Did you mean"),
        ({"methods": ("mutual_kl+rrd",)}, "stands by itself"),
        ({"methods": ("rrd+rrd",)}, "names one objective twice"),
    ],
)
def test_a_method_that_is_not_known_is_refused_before_anything_is_trained(
    given: dict[str, Any], said: str, compared: Compared, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        compare(compared.logs, config(**given), out=tmp_path / "out", work=tmp_path / "work")
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"seeds": 0}, "seeds = 0"),
        ({"methods": ()}, "names nothing"),
        ({"dims": (4, 4)}, r"dims = \[4, 4\]"),
        ({"search_share": 0.0}, "search_share"),
        ({"members": ("ensemble",)}, "members"),
        ({"teacher": {"mf": {}}}, "settings of a teacher stand under its kind"),
        ({"teacher": {"ease": {"lambda": 3}}}, "teacher: no setting 'ease.lambda'"),
        ({"student": {"dim": 3}}, "by --dims"),
        ({"student": {"epochs": 0}}, "student: two_tower: epochs = 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(**given)


@pytest.mark.parametrize("name", ["search", "a/b", ""])
def test_a_log_is_named_as_a_folder_can_be(name: str, compared: Compared, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot name a log"):
        compare({name: compared.logs["first"]}, config(), out=tmp_path / "out", work=tmp_path / "work")


@pytest.mark.parametrize("valid", [True, False])
def test_nothing_is_chosen_on_test(valid: bool, tmp_path: Path) -> None:
    frame = with_split(tiny_frame(), valid=valid)
    swapped = frame.copy()
    test = swapped["split"] == "test"
    swapped.loc[test, "item_id"] = np.random.default_rng(0).permutation(swapped.loc[test, "item_id"].to_numpy())
    found = []
    for name, rows in (("one", frame), ("two", swapped)):
        folder = tmp_path / name
        folder.mkdir()
        out = folder / "out"
        compare(
            {"log": split_of(folder, rows)}, config(methods=("default", "alone", "rrd")), out=out, work=folder / "work"
        )
        told = {}
        for one in cells.every(out):
            chosen = one.get("choice") or [one["settings"], one["resolved"], one["teacher"]]
            told[one["method"]] = [chosen, one["valid"]]
        for path in sorted((out / "search").glob("*.json")):
            trials = json.loads(path.read_text())["trials"]
            told[path.name] = [(one["settings"], one["valid_ndcg"]) for one in trials]
        found.append((told, record(out, "log", "default-d4-s0")["test"]["metrics"]))
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1], "the test rows were others"


def test_a_seed_that_another_machine_adds_leaves_what_was_paired(compared: Compared, tmp_path: Path) -> None:
    out, nothing = tmp_path / "out", tmp_path / "nothing"
    shutil.copytree(compared.out, out)
    later = [path for path in out.glob("*/*-s1.json") if not path.name.startswith(("default", "teacher"))]
    held = {path: path.read_text() for path in later}
    for path in later:
        path.unlink()
    before = make_table(out, compared.work / "per_user")
    write_table(before, out)
    for path, text in held.items():
        path.write_text(text)
    for row, known in zip(make_table(out, nothing)["rows"], before["rows"], strict=True):
        assert row["against"] == known["against"], row["method"]
        assert row.get("gap_recovered") == known.get("gap_recovered")
        assert row["seeds"] == [0, 1]
