"""The table says what the cells say."""

from __future__ import annotations

import copy
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recdistill.comparison import words
from recdistill.comparison.measuring import load_per_user
from recdistill.comparison.table import make_table
from recdistill.comparison.text import markdown, text_table
from recdistill.evaluation.compare import compare, pooled
from recdistill.report.compare_page import render
from tests.comparison.conftest import METHODS, Compared
from tests.comparison.test_comparing import record


def row(table: dict[str, Any], log: str, method: str) -> dict[str, Any]:
    (found,) = [one for one in table["rows"] if (one["log"], one["method"]) == (log, method)]
    return found


def values(compared: Compared, log: str, name: str) -> np.ndarray:
    keys = [record(compared.out, log, f"{name}-s{seed}")["key"] for seed in (0, 1)]
    found = [load_per_user(compared.work / "per_user", key, "ndcg@20") for key in keys]
    return np.stack([one for one in found if one is not None])


def test_a_row_is_the_mean_over_seeds_and_its_difference_is_by_user(compared: Compared) -> None:
    for log in compared.logs:
        found = row(compared.table, log, "default")
        default, alone = values(compared, log, "default-d4"), values(compared, log, "alone-d4")
        assert found["metrics"]["ndcg@20"] == pytest.approx(default.mean(), abs=1e-6)
        assert found["spread"]["ndcg@20"] == pytest.approx(default.mean(1).std(ddof=1), abs=2e-6)
        want = compare(default, alone)
        told = found["against"]["alone"]
        assert told["difference"] == pytest.approx(want.difference, abs=1e-9)
        assert told["standard_error"] == pytest.approx(want.standard_error, abs=1e-9)
        assert (told["beyond_spread"], told["paired"], told["seeds"]) == (want.beyond_spread, True, [0, 1])
    assert "default" not in row(compared.table, "first", "default")["against"]


def test_the_mean_over_the_logs_pools_their_differences(compared: Compared, tmp_path: Path) -> None:
    shutil.copytree(compared.out, tmp_path / "out")
    for cell in (tmp_path / "out").glob("*/teacher_svd-*.json"):  # beside what they hold a tiny log may not count
        cell.unlink()
    table, counting = make_table(tmp_path / "out", compared.work / "per_user"), list(compared.table["logs"])
    (found,) = [one for one in table["mean"] if one["method"] == "shuffled"]
    assert found["logs"] == counting
    each = [compare(values(compared, log, "shuffled-d4"), values(compared, log, "default-d4")) for log in counting]
    want = pooled(each)
    assert found["against"]["default"]["difference"] == pytest.approx(want.difference, abs=1e-9)
    assert found["against"]["default"]["standard_error"] == pytest.approx(want.standard_error, abs=1e-9)


def test_without_values_of_users_an_error_is_an_upper_bound(compared: Compared, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for log in compared.logs:
        (tmp_path / "out" / log).mkdir()
        for path in (compared.out / log).glob("*.json"):
            (tmp_path / "out" / log / path.name).write_text(path.read_text())
    told = row(make_table(tmp_path / "out", tmp_path / "nothing"), "first", "default")["against"]["alone"]
    paired = row(compared.table, "first", "default")["against"]["alone"]
    assert not told["paired"]
    assert told["difference"] == pytest.approx(paired["difference"], abs=2e-6)
    errors = [
        np.mean([record(compared.out, "first", f"{name}-d4-s{s}")["test"]["standard_error"]["ndcg@20"] for s in (0, 1)])
        for name in ("default", "alone")
    ]
    assert told["standard_error"] == pytest.approx(math.hypot(*errors))
    assert words.difference(told).endswith(words.UNPAIRED)


def test_a_log_where_the_cut_teacher_is_above_the_student_alone_does_not_count(compared: Compared) -> None:
    for log, told in compared.table["logs"].items():
        alone, cut = (row(compared.table, log, name)["metrics"]["ndcg@20"] for name in ("alone", "teacher_svd"))
        assert told["counts"] == {"4": alone > cut}
        assert (words.counts_line(log, told) is None) == (alone > cut)


def test_text_and_page_show_every_method_and_fetch_nothing(compared: Compared) -> None:
    text, page = text_table(compared.table), render(compared.table, command="recdistill compare --log a=b")
    for name in (*METHODS, "teacher"):
        assert words.label(name) in text and words.label(name) in page
    for log in compared.logs:
        assert log in text and log in page
    assert "src=" not in page and "http://" not in page.replace("http://www.w3.org", "")
    assert "recdistill compare --log a=b" in page
    assert page.count("<svg") >= 2


def test_what_cannot_be_trained_is_shown_with_its_reason(compared: Compared) -> None:
    table = copy.deepcopy(compared.table)
    table["rows"].append(
        {"log": "first", "method": "de", "dim": 4, "seeds": [], "status": "cannot", "reason": "ease gives no vectors"}
    )
    assert "de: cannot be trained on first: ease gives no vectors." in text_table(table)
    assert "ease gives no vectors" in render(table)


def test_the_markdown_is_a_table_with_a_column_for_each_log(compared: Compared) -> None:
    lines = markdown(compared.table, 4).splitlines()
    assert {line.count("|") for line in lines} == {len(compared.logs) + 4}
    assert lines[2].startswith("| *teacher* |")
    assert any(line.startswith("| **default** |") for line in lines)


def test_claims_say_who_is_above_the_default() -> None:
    def mean(method: str, value: float, told: dict[str, Any] | None) -> dict[str, Any]:
        against = {} if told is None else {"default": told}
        return {"method": method, "dim": 32, "logs": ["a"], "all_logs": True, "metrics": {"ndcg@20": value}} | {
            "against": against
        }

    below = {"difference": -0.01, "beyond_spread": True, "paired": True}
    near = {"difference": -0.001, "beyond_spread": False, "paired": True}
    above = {"difference": 0.001, "beyond_spread": False, "paired": True}
    rows = [mean("default", 0.2, None), mean("rrd", 0.19, below), mean("de", 0.199, near)]
    table = {"dims": [32], "mean": rows, "rows": [], "gap": {"median": None, "default": {}}}
    assert words.claims(table) == [
        "d=32: the default reaches .2000 on a; none of 2 methods is above it; not below it beyond the spread: de."
    ]
    rows.append(mean("cd", 0.201, above))
    assert "above it: cd; not below it beyond the spread: cd, de." in words.claims(table)[0]


def test_methods_that_lack_a_log_come_after_by_how_many_they_have_and_what_they_gain_there() -> None:
    def mean(method: str, logs: list[str], value: float, gain: float) -> dict[str, Any]:
        found = {"method": method, "dim": 32, "logs": logs, "all_logs": len(logs) == 3, "metrics": {"ndcg@20": value}}
        return {**found, "against": {"alone": {"difference": gain}} if gain else {}}

    rows = [
        mean("one log", ["easy"], 0.5, 0.02), mean("lower", ["a", "b"], 0.1, 0.01), mean("alone", list("abc"), 0.1, 0),
        mean("higher", ["b", "easy"], 0.3, 0.005), mean("default", list("abc"), 0.2, 0.1),
    ]  # fmt: skip
    found = [row["method"] for row in words.mean_rows({"mean": rows}, 32)]
    assert found == ["default", "alone", "lower", "higher", "one log"]


def test_the_note_of_the_text_explains_what_occurs_and_no_more(compared: Compared) -> None:
    table = copy.deepcopy(compared.table)
    told = [one for found in [*table["rows"], *table["mean"]] for one in found["against"].values()]
    for one in told:
        one |= {"beyond_spread": False, "paired": True}
    for found in table["rows"]:
        found["gap_recovered"] = found["gap_recovered"] and {"gap_recovered": 0.5}
    text = text_table(table)
    assert "to default" in text and "- default" not in text
    assert "upper bound" not in text and "more than two" not in text and "Empty" not in text
    told[0] |= {"beyond_spread": True, "paired": False}
    row(table, "first", "default")["gap_recovered"]["gap_recovered"] = None
    text = text_table(table)
    assert "* beyond the spread" in text and "~ the error is an upper bound" in text
    assert "where the teacher is above the student alone beyond the spread. Empty: it is not." in text


def test_one_other_method_is_counted_as_one() -> None:
    mean = {"dim": 4, "logs": ["a"], "all_logs": True, "against": {}}
    rows = [{**mean, "method": name, "metrics": {"ndcg@20": at}} for name, at in (("default", 0.2), ("cd", 0.1))]
    claims = words.claims({"dims": [4], "mean": rows, "rows": [], "gap": {"median": None}})
    assert "on a; the one other method is not above it;" in claims[0]


def test_the_dimension_with_the_most_methods_is_told_first() -> None:
    mean = {"logs": ["a"], "all_logs": True, "against": {}, "metrics": {"ndcg@20": 0.2}}
    tried = [(16, "default"), (16, "cd"), (32, "default"), (32, "cd"), (32, "rrd")]
    rows = [{**mean, "method": name, "dim": dim} for dim, name in tried]
    claims = words.claims({"dims": [16, 32], "mean": rows, "rows": [], "gap": {"median": None}})
    assert [line[:4] for line in claims] == ["d=32", "d=16"]
