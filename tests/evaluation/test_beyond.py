"""Coverage, Gini and novelty of lists that can be counted by eye."""

from __future__ import annotations

import numpy as np
import pytest

from recdistill.evaluation.beyond import BEYOND, coverage, gini, novelty, recommended_counts

LISTS = np.array([[0, 1, 2], [0, 2, -1], [0, 3, 1]])
POPULARITY = np.array([8, 4, 2, 1, 1])
N_USERS = 32


def test_counts_look_at_the_top_k_and_skip_empty_places() -> None:
    assert recommended_counts(LISTS, 2, 5).tolist() == [3, 1, 1, 1, 0]
    assert recommended_counts(LISTS, 3, 5).tolist() == [3, 2, 2, 1, 0]


def test_coverage_is_the_share_of_the_catalogue_that_is_shown() -> None:
    assert coverage(recommended_counts(LISTS, 1, 5), POPULARITY, N_USERS) == 1 / 5
    assert coverage(recommended_counts(LISTS, 3, 5), POPULARITY, N_USERS) == 4 / 5


def test_gini_by_hand() -> None:
    # sorted 0 1 2 2 3; Σ (2i - 6) x_i = -4·0 - 2·1 + 0·2 + 2·2 + 4·3 = 14; / (5 · 8)
    assert gini(recommended_counts(LISTS, 3, 5), POPULARITY, N_USERS) == pytest.approx(14 / 40)


def test_gini_is_0_where_all_items_are_shown_alike_and_largest_for_one_item_alone() -> None:
    assert gini(np.array([3, 3, 3, 3]), POPULARITY[:4], N_USERS) == 0
    assert gini(np.array([0, 0, 9, 0]), POPULARITY[:4], N_USERS) == pytest.approx(3 / 4)


def test_gini_is_the_mean_absolute_difference_over_twice_the_mean() -> None:
    counts = np.random.default_rng(0).poisson(3, size=50)
    expected = np.abs(counts[:, None] - counts).mean() / (2 * counts.mean())
    assert gini(counts, counts, N_USERS) == pytest.approx(expected)


def test_novelty_is_the_mean_self_information_in_bits() -> None:
    # information of the items: 2 3 4 5 5 bits; recommended 3 2 2 1 0 times
    found = novelty(recommended_counts(LISTS, 3, 5), POPULARITY, N_USERS)
    assert found == pytest.approx((3 * 2 + 2 * 3 + 2 * 4 + 1 * 5) / 8)


@pytest.mark.parametrize("name", ["coverage", "gini", "novelty"])
def test_lists_without_a_single_item_measure_0(name: str) -> None:
    assert BEYOND[name](np.zeros(5, np.int64), POPULARITY, N_USERS) == 0
