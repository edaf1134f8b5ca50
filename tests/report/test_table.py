"""The table in the terminal: aligned, in order, and harmless."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

from recdistill.report.table import comparison_table

Variants = dict[str, Callable[[], dict[str, Any]]]


def _rows(text: str) -> list[str]:
    """The head and the models' lines."""
    lines = text.splitlines()
    rule = next(i for i, line in enumerate(lines) if set(line) == {"─"})
    end = lines.index("", rule) if "" in lines[rule:] else len(lines)
    return [lines[rule - 1], *lines[rule + 1 : end]]


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def test_every_line_of_the_table_is_equally_wide(variant: dict[str, Any]) -> None:
    rows = _rows(comparison_table(variant))
    assert len(rows) == 1 + len(variant["models"])
    assert len({_columns(row) for row in rows}) == 1


def test_wide_letters_keep_the_columns(report: dict[str, Any]) -> None:
    report["models"]["als"]["label"] = "协同过滤"
    assert len({_columns(row) for row in _rows(comparison_table(report))}) == 1


def test_the_models_stand_in_order(report: dict[str, Any]) -> None:
    names = [row.split("  ")[0] for row in _rows(comparison_table(report))[1:]]
    assert names == ["teacher", "student", "student alone", "teacher SVD", "student int8", "EASE", "iALS", "popularity"]


def test_a_line_holds_quality_spread_size_share_and_speed(report: dict[str, Any]) -> None:
    student = _rows(comparison_table(report))[2]
    assert " ".join(student.split()) == "student .2648 ± .0003 .2780 ± .0004 414 kB 97.3 % 55,600 .420"


def test_a_model_without_a_random_start_has_no_spread_over_seeds(report: dict[str, Any]) -> None:
    report["models"]["ease"]["standard_error"] = {"ndcg@20": 0.0021}
    assert "±" not in _rows(comparison_table(report))[6]


def test_the_meaning_of_the_signs_is_told(variants: Variants) -> None:
    assert "standard deviation over 3 seeds" in comparison_table(variants["full_report"]())
    assert "(±: of a metric the standard error over users" in comparison_table(variants["one_seed"]())
    assert "±" not in comparison_table(variants["bare"]())


def test_zero_speed_is_shown_as_not_measured(variants: Variants) -> None:
    assert all(row.split()[-2:] == ["–", "–"] for row in _rows(comparison_table(variants["without_speed"]()))[1:])


def test_control_characters_in_a_name_do_not_reach_the_terminal(report: dict[str, Any]) -> None:
    report["models"]["student"]["label"] = "\x1b[31mred\x07\nline"
    assert "\x1b" not in comparison_table(report) and "\x07" not in comparison_table(report)
    assert len(_rows(comparison_table(report))) == 9


def test_the_table_begins_with_the_split(report: dict[str, Any]) -> None:
    assert comparison_table(report).startswith("Split: as given in the log's split column;")
