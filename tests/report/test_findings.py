"""The words say what the numbers say, no more and no less."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from recdistill.report.findings import difference_lines, findings, reached, split_line, standing, verdict
from tests.report.conftest import NEW_ITEMS

Variants = dict[str, Callable[[], dict[str, Any]]]

KEPT = (
    "The student keeps 97.3 % of the teacher's NDCG@20 at 4.5 % of its bytes (414 kB against 9.29 MB) "
    "and answers 6.1× as many queries a second; "
)
CONTROL = "the same student trained alone"
AGAINST = f"NDCG@20 against {CONTROL}"
VERDICTS = {
    "full_report": f"{KEPT}distillation itself gives +.0021 NDCG@20 over {CONTROL}, beyond the spread.",
    "worse_than_alone": f"distillation itself did harm: −.0026 {AGAINST}, beyond the spread.",
    "no_gain": f"gives nothing measurable: +.0003 {AGAINST}, within the spread (two standard errors are .0010).",
    "seeds_disagree": f"gives nothing sure: +.0012 {AGAINST}, and the seeds disagree on the sign.",
    "better_than_teacher": "The student ranks better than its teacher (.2744 against .2721 NDCG@20, beyond the spread)",
    "without_control": f"; what distillation itself gives is not known: no comparison with {CONTROL}.",
    "without_speed": "(414 kB against 9.29 MB); distillation itself gives",
    "big_slow_student": "The student keeps only 70.0 % of the teacher's NDCG@20 but is no smaller (12.0 MB against "
    "9.29 MB) and answers fewer queries a second (0.44×);",
    "bare": "Of 2 models ours ranks best: .3000 NDCG@20 in 9.29 MB.",
}


@pytest.mark.parametrize("name", VERDICTS)
def test_the_verdict_says_what_was_measured(variants: Variants, name: str) -> None:
    said = verdict(variants[name]())
    assert VERDICTS[name] in said
    assert said.endswith(".") and "\n" not in said


def test_a_student_level_with_its_teacher_is_not_called_better(report: dict[str, Any]) -> None:
    report["models"]["student"]["metrics"]["ndcg@20"] = 0.2725
    report["comparisons"][2] |= {"difference": 0.0004, "beyond_spread": False}
    assert verdict(report).startswith(
        "The student ranks as well as its teacher (.2725 against .2721 NDCG@20, within the spread) at"
    )


def test_a_teacher_that_finds_nothing_gives_no_share(report: dict[str, Any]) -> None:
    report["models"]["teacher"]["metrics"]["ndcg@20"] = 0.0
    assert verdict(report).startswith("The student reaches .2648 NDCG@20 where the teacher has .0000 at")


def test_a_report_without_ndcg_speaks_of_the_metric_it_has(report: dict[str, Any]) -> None:
    for model in report["models"].values():
        model["metrics"] = {"recall@50": model["metrics"]["recall@20"]}
    report["protocol"]["metrics"] = ["recall@50"]
    assert "of the teacher's Recall@50" in verdict(report)


def test_a_comparison_is_found_the_other_way_round(variants: Variants) -> None:
    assert "student vs student alone: +.0003 ± .0005 NDCG@20, within the spread" in difference_lines(
        variants["no_gain"]()
    )


def test_terminal_findings_begin_with_distillation(report: dict[str, Any]) -> None:
    assert difference_lines(report, at_most=3) == [
        "student vs student alone: +.0021 ± .0005 NDCG@20, beyond the spread",
        "student vs teacher SVD: +.0137 ± .0009 NDCG@20, beyond the spread",
        "student int8 vs student: −.0002 ± .0002 NDCG@20, within the spread",
    ]


def test_a_teacher_no_better_than_the_control_is_named_as_such(report: dict[str, Any]) -> None:
    report["comparisons"][3] |= {"difference": 0.0001, "beyond_spread": False}
    assert findings(report)[0] == (
        "The teacher is not measurably better than the student alone (−.0001 ± .0009), "
        "so there was little to learn from it."
    )


def test_a_gap_is_not_called_closed_within_the_spread(report: dict[str, Any]) -> None:
    report["comparisons"][0]["beyond_spread"] = False
    assert not any("of the gap" in line for line in findings(report))


def test_a_baseline_above_the_student_is_told(report: dict[str, Any]) -> None:
    assert "The best baseline, EASE, is above the student (.2677 against .2648) and holds 37.0 MB." in findings(report)


def test_one_seed_is_told(variants: Variants) -> None:
    assert any(line.startswith("One seed only") for line in findings(variants["one_seed"]()))
    assert not any(line.startswith("One seed only") for line in findings(variants["full_report"]()))


@pytest.mark.parametrize(
    ("split", "words"), [("global_time", "by time"), ("per_user", "each user's"), ("leave_last_2", "leave_last_2")]
)
def test_the_first_line_says_which_split(report: dict[str, Any], split: str, words: str) -> None:
    report["protocol"]["split"] = split
    assert split_line(report).startswith("Split: ") and words in split_line(report)
    cold = "12 of them with no history, answered with what is popular"
    said = f"5,914 users tested, {cold}; 108 without test items left out; means over 3 seeds."
    assert said in split_line(report)


def test_where_all_test_users_have_a_history_none_is_called_cold(report: dict[str, Any]) -> None:
    for model in report["models"].values():
        model["groups"]["cold"]["users"] = 0
    assert "5,914 users tested; 108" in split_line(report)


def test_what_is_kept_on_unseen_people_is_told_where_it_was_measured(report: dict[str, Any]) -> None:
    assert not any("never saw" in sentence for sentence in findings(report))
    student = report["models"]["student"]
    student["seen_metrics"] = {name: value / 0.9 for name, value in student["metrics"].items()}
    assert any("never saw the student reaches 90.0 %" in sentence for sentence in findings(report))


def test_seeds_that_disagree_are_said_to(variants: Variants) -> None:
    assert standing(variants["seeds_disagree"]()["comparisons"][0]) == "within the spread (seeds disagree on the sign)"


def test_new_items_are_told_of_where_a_model_ranks_them(report: dict[str, Any]) -> None:
    assert not [line for line in findings(report) if "new items" in line]
    report["models"]["teacher"]["groups"]["cold_items"] = NEW_ITEMS
    [line] = [line for line in findings(report) if "new items" in line]
    assert "all 304 new and all known ones, the teacher finds .0738 (Recall@20), 11× what chance would." in line
    report["models"]["student"]["groups"]["cold_items"] = {**NEW_ITEMS, "recall@20": 0.05}
    assert [line for line in findings(report) if "the student finds .0500" in line]
    report["models"]["student"]["groups"]["cold_items"] = {**NEW_ITEMS, "users": 0}
    assert [line for line in findings(report) if "the teacher finds .0738" in line]


def test_of_a_training_it_is_told_how_many_seeds_it_is_the_mean_of() -> None:
    assert reached({"valid": 0.2, "by_seed": [0.1, 0.3]}) == ".2000 (2 seeds)"
    assert reached({"valid": 0.2, "by_seed": []}) == reached({"valid": 0.2}) == ".2000"
