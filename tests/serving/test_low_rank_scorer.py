from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from recdistill.errors import DataError
from recdistill.serving.low_rank import LowRankScorer
from recdistill.serving.scorers import Histories, scorer_from_arrays
from recdistill.tables.codecs import CODECS, CodedTable

N_ITEMS, DIM = 40, 5
DRAW = np.random.default_rng(0)
TABLE = DRAW.standard_normal((N_ITEMS, DIM)).astype(np.float32)
WEIGHT = np.exp(2 * DRAW.standard_normal(N_ITEMS)).astype(np.float32)
POPULAR = DRAW.standard_normal(N_ITEMS).astype(np.float32)
SCORER = LowRankScorer(item_table=CodedTable.of(TABLE), item_weight=WEIGHT, popularity=POPULAR)
GIVEN = Histories.from_lists([[1, 7, 30], [4], [], list(range(20))])


def map_of_all() -> np.ndarray:
    """What each item of a history adds to each score."""
    whole = TABLE.astype(np.float64) @ TABLE.T.astype(np.float64) * WEIGHT
    np.fill_diagonal(whole, 0.0)
    return whole


def test_a_score_is_the_sum_of_products_but_for_the_item_s_own() -> None:
    scores = SCORER.score(GIVEN)
    for user in (0, 1, 3):
        items = GIVEN.items[GIVEN.indptr[user] : GIVEN.indptr[user + 1]]
        np.testing.assert_allclose(scores[user], map_of_all()[items].sum(axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(scores[2], POPULAR)


def test_weights_of_a_history_multiply_its_parts() -> None:
    factors = np.array([0.5, 2.0, 0.0], np.float32)
    given = Histories(np.array([0, 3]), np.array([1, 7, 30]), factors)
    np.testing.assert_allclose(SCORER.score(given)[0], factors @ map_of_all()[[1, 7, 30]], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("item", [7, 22])
def test_shares_add_up_to_the_score(item: int) -> None:
    history = GIVEN.take(slice(0, 1))
    shares, user, bias = SCORER.shares(history, -1, item)
    np.testing.assert_allclose(shares, map_of_all()[[1, 7, 30], item], rtol=1e-5, atol=1e-6)
    assert (user, bias) == (0.0, 0.0)
    assert SCORER.shares(Histories.empty(1), -1, item)[2] == float(POPULAR[item])


def test_a_user_gets_the_same_bits_alone_and_among_others() -> None:
    together = SCORER.score(GIVEN)
    for user in range(4):
        np.testing.assert_array_equal(SCORER.score(GIVEN.take(slice(user, user + 1)))[0], together[user])


@pytest.mark.parametrize("codec", tuple(CODECS))
def test_what_is_saved_answers_as_before(codec: str) -> None:
    coded = SCORER.quantized(codec)
    again = scorer_from_arrays(coded.config(), coded.arrays())
    np.testing.assert_array_equal(again.score(GIVEN), coded.score(GIVEN))
    assert coded.item_weight.dtype == np.float32, "it spans more than a half float holds"
    assert again.parameters == N_ITEMS * (DIM + 2)


def test_arrays_of_another_length_are_refused() -> None:
    with pytest.raises(DataError, match=r"item_weight must have the shape \(40,\), found \(39,\)"):
        dataclasses.replace(SCORER, item_weight=WEIGHT[1:])
