"""Beyond the spread, by hand: two standard errors over users, and one sign in all seeds."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import ttest_rel

from recdistill.errors import DataError
from recdistill.evaluation.compare import Comparison, compare, gap_recovered, pooled


def test_difference_and_error_by_hand() -> None:
    # averaged over seeds: .1 .3 .2; mean .2; deviation .1; error .1 / √3
    a = [[0.2, 0.4, 0.1], [0.2, 0.4, 0.5]]
    b = [[0.1, 0.1, 0.1], [0.1, 0.1, 0.1]]
    found = compare(a, b)
    assert found.difference == pytest.approx(0.2)
    assert found.standard_error == pytest.approx(0.1 / math.sqrt(3))
    assert found.by_seed == pytest.approx((0.4 / 3, 0.8 / 3))
    assert found.seeds_same_sign
    assert found.beyond_spread  # .2 > 2 · .0577


def test_the_error_is_over_users_of_the_mean_over_seeds_as_in_a_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 200)), rng.random((3, 200))
    found = compare(a, b)
    assert found.difference / found.standard_error == pytest.approx(ttest_rel(a.mean(axis=0), b.mean(axis=0)).statistic)


@pytest.mark.parametrize(("errors", "beyond"), [(1.9, False), (2.1, True)])
def test_the_border_lies_at_two_standard_errors(errors: float, beyond: bool) -> None:
    assert Comparison(0.01 * errors, 0.01, (0.01 * errors,)).beyond_spread is beyond
    assert Comparison(-0.01 * errors, 0.01, (-0.01 * errors,)).beyond_spread is beyond


def test_one_seed_of_the_other_sign_is_not_beyond_the_spread() -> None:
    alike = np.ones((3, 4)) * [[0.5], [0.5], [-0.01]]
    found = compare(alike, np.zeros((3, 4)))
    assert abs(found.difference) > 2 * found.standard_error
    assert not found.seeds_same_sign
    assert not found.beyond_spread


def test_a_seed_without_any_difference_has_no_sign() -> None:
    assert not compare([[0.5, 0.5], [0.0, 0.0]], np.zeros((2, 2))).seeds_same_sign
    assert not compare([0.5, 0.5], [0.5, 0.5]).beyond_spread


def test_one_seed_agrees_with_itself_and_is_still_reported() -> None:
    found = compare([0.3, 0.2, 0.4], [0.1, 0.1, 0.1])
    assert found.by_seed == pytest.approx((0.2,))
    assert found.seeds_same_sign
    assert found.beyond_spread


def test_a_single_user_has_no_standard_error_and_proves_nothing() -> None:
    found = compare([[0.9]], [[0.1]])
    assert not found.beyond_spread
    row = found.as_row("student", "student_alone", "ndcg@20")
    assert row["standard_error"] is None
    json.dumps(row, allow_nan=False)


def test_a_row_holds_the_fields_of_the_report() -> None:
    row = compare([0.3, 0.2, 0.4], [0.1, 0.1, 0.1]).as_row("student", "student_alone", "ndcg@20", gap_recovered=0.4)
    assert row == {
        "a": "student",
        "b": "student_alone",
        "metric": "ndcg@20",
        "difference": pytest.approx(0.2),
        "standard_error": pytest.approx(0.1 / math.sqrt(3)),
        "seeds_same_sign": True,
        "beyond_spread": True,
        "gap_recovered": 0.4,
    }


def test_gap_recovered_is_the_share_of_the_teachers_lead() -> None:
    alone = np.array([[0.1, 0.2, 0.3]])
    assert gap_recovered(alone + 0.2, alone + 0.05, alone) == pytest.approx(0.25)
    assert gap_recovered(alone + 0.2, alone - 0.05, alone) == pytest.approx(-0.25)


def test_no_gap_is_recovered_where_the_teacher_has_no_lead_beyond_the_spread() -> None:
    alone = np.zeros((1, 4))
    noisy = np.array([[0.5, -0.4, 0.3, -0.2]])
    assert gap_recovered(noisy, alone + 0.1, alone) is None
    assert gap_recovered(alone - 0.2, alone + 0.1, alone) is None
    assert gap_recovered(alone, alone + 0.1, alone) is None


def test_logs_are_pooled_by_the_mean_and_the_root_of_the_summed_squares_over_their_number() -> None:
    found = pooled([Comparison(0.03, 0.003, (0.02, 0.04)), Comparison(0.01, 0.004, (0.03, -0.01))])
    assert found.difference == pytest.approx(0.02)
    assert found.standard_error == pytest.approx(0.005 / 2)
    assert found.by_seed == pytest.approx((0.025, 0.015))
    assert found.beyond_spread


def test_values_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(DataError, match=r"cannot compare \(1, 3\) with \(1, 2\)"):
        compare([1, 2, 3], [1, 2])
    with pytest.raises(DataError, match=r"cannot compare \(3, 2\) with \(1, 2\)"):
        compare(np.zeros((3, 2)), np.zeros(2))
    with pytest.raises(DataError, match="without users"):
        compare(np.zeros((1, 0)), np.zeros((1, 0)))
    with pytest.raises(DataError, match="no comparison"):
        pooled([])
    with pytest.raises(DataError, match=r"logs with \[1, 2\] seeds"):
        pooled([Comparison(0.1, 0.1, (0.1,)), Comparison(0.1, 0.1, (0.1, 0.1))])
