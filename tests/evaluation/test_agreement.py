"""Overlap and rank-biased overlap by hand, and against the definition written with sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.errors import DataError
from recdistill.evaluation.agreement import RBO_P, agreement, overlap, rbo


def test_overlap_by_hand() -> None:
    a = np.array([[1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, -1]])
    b = np.array([[3, 2, 1], [4, 5, 6], [1, 9, 2], [2, -1, -1]])
    assert overlap(a, b, 3).tolist() == [1, 0, 2 / 3, 1 / 2]
    assert overlap(a, b, 1).tolist() == [0, 0, 1, 0]


def test_rbo_by_hand_with_p_of_a_half() -> None:
    # A_1 = 0, A_2 = 1/2, A_3 = 1: (1/2)(0 + 1/2 · 1/2 + 1/4 · 1) + 1/8 · 1
    assert rbo(np.array([[1, 2, 3]]), np.array([[2, 3, 1]]), 3, p=0.5)[0] == pytest.approx(1 / 4 + 1 / 8)


def test_lists_agree_with_themselves_and_lists_apart_do_not_at_all() -> None:
    a = np.array([[5, 1, 3], [2, -1, -1], [-1, -1, -1]])
    np.testing.assert_allclose(rbo(a, a, 3), 1)
    np.testing.assert_allclose(overlap(a, a, 3), 1)
    apart = np.array([[7, 8, 9], [7, -1, -1]])
    assert rbo(a[:2], apart, 3).tolist() == [0, 0]
    assert overlap(a[:2], apart, 3).tolist() == [0, 0]


def test_rbo_counts_agreement_at_the_head_for_more() -> None:
    a = np.array([[1, 2, 3, 4]])
    head, tail = np.array([[1, 2, 9, 8]]), np.array([[8, 9, 3, 4]])
    assert overlap(a, head, 4) == overlap(a, tail, 4)
    assert rbo(a, head, 4)[0] > rbo(a, tail, 4)[0]


def test_the_first_ten_ranks_weigh_86_percent() -> None:
    """Webber et al., 2010, equation 21: the weight of the prefix of length d for persistence p."""
    d, p = 10, RBO_P
    rest = np.log(1 / (1 - p)) - sum(p**i / i for i in range(1, d))
    assert 1 - p ** (d - 1) + (1 - p) / p * d * rest == pytest.approx(0.86, abs=0.005)


rankings = st.lists(
    st.tuples(st.permutations(range(9)), st.permutations(range(9)), st.integers(0, 6)), min_size=1, max_size=5
)


def by_sets(a: list[int], b: list[int], k: int, p: float) -> tuple[float, float]:
    def shared(d: int) -> float:
        top_a, top_b = set(a[:d]) - {-1}, set(b[:d]) - {-1}
        longest = min(d, max(len(set(a) - {-1}), len(set(b) - {-1})))
        return len(top_a & top_b) / longest if longest else 1.0

    return shared(k), (1 - p) * sum(p ** (d - 1) * shared(d) for d in range(1, k + 1)) + p**k * shared(k)


@given(rankings, st.integers(1, 6), st.floats(0.1, 0.99))
def test_both_are_what_sets_say(pairs: list[tuple[list[int], list[int], int]], k: int, p: float) -> None:
    a = np.array([[*left[:length], *[-1] * (6 - length)] for left, _, length in pairs])
    b = np.array([right[:6] for _, right, _ in pairs])
    expected = [by_sets(left[:k], right[:k], k, p) for left, right in zip(a.tolist(), b.tolist(), strict=True)]
    np.testing.assert_allclose(overlap(a, b, k), [one for one, _ in expected], atol=1e-12)
    np.testing.assert_allclose(rbo(a, b, k, p), [one for _, one in expected], atol=1e-12)
    np.testing.assert_allclose(rbo(b, a, k, p), rbo(a, b, k, p), atol=1e-12)


def test_agreement_gives_the_means_under_the_names_of_the_report() -> None:
    a, b = np.array([[1, 2], [3, 4]]), np.array([[1, 2], [5, 6]])
    assert agreement(a, b, 2) == {"overlap@2": 0.5, "rbo": pytest.approx(0.5)}


def test_lists_of_other_users_or_too_short_lists_are_refused() -> None:
    with pytest.raises(DataError, match="lists of 2 and 1 users"):
        overlap(np.zeros((2, 3), int), np.zeros((1, 3), int), 3)
    with pytest.raises(DataError, match="no top 4"):
        rbo(np.zeros((2, 3), int), np.zeros((2, 5), int), 4)
    with pytest.raises(ValueError, match="p must lie between 0 and 1"):
        rbo(np.zeros((2, 3), int), np.zeros((2, 3), int), 3, p=1.0)
