from __future__ import annotations

import numpy as np
import pytest

from recdistill.errors import DataError
from recdistill.retrieval.exact import top_k
from recdistill.serving.explain import explain
from recdistill.serving.scorers import BagScorer, Histories, LinearFoldInScorer, scorer_from_arrays
from recdistill.tables.codecs import CODECS, CodedTable

N_ITEMS, N_USERS, DIM = 30, 6, 5


def scorer(*, normalize: bool = True) -> LinearFoldInScorer:
    draw = np.random.default_rng(0)
    tables = {
        name: CodedTable.of(draw.standard_normal((rows, DIM)))
        for name, rows in [("item_table", N_ITEMS), ("history_table", N_ITEMS), ("user_table", N_USERS)]
    }
    popularity = draw.random(N_ITEMS).astype(np.float32)
    return LinearFoldInScorer(**tables, popularity=popularity, normalize=normalize, history_power=1.0, scale=4.0)


GIVEN = Histories.from_lists([[1, 2], [3], [], [7, 8, 9], []])
ROWS = np.array([2, -1, 4, -1, -1])


@pytest.mark.parametrize("normalize", [True, False])
def test_a_row_stands_in_the_place_of_the_history_and_strangers_are_the_mean_of_theirs(normalize: bool) -> None:
    served = scorer(normalize=normalize)
    assert served.user_table is not None and served.history_table is not None and served.item_table is not None
    rows, history, items = (t.matrix() for t in (served.user_table, served.history_table, served.item_table))
    users = np.array([rows[2], history[3], rows[4], history[7:10].mean(axis=0)])
    if normalize:
        users /= np.linalg.norm(users, axis=1, keepdims=True)
    scores = served.score(GIVEN, ROWS)
    np.testing.assert_allclose(scores[:4], 4.0 * users @ items.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(scores[4], served.popularity)


def test_without_rows_it_is_a_bag_scorer() -> None:
    served = scorer()
    settings = {name: getattr(served, name) for name in ("normalize", "history_power", "scale")}
    tables = {name: getattr(served, name) for name in ("item_table", "history_table", "popularity")}
    bag = BagScorer(**tables, **settings)
    np.testing.assert_array_equal(served.score(GIVEN), bag.score(GIVEN))
    np.testing.assert_array_equal(served.query_of(np.array([7, 8, 9])), bag.query_of(np.array([7, 8, 9])))


def test_one_by_one_and_in_a_batch_the_queries_have_the_same_bits() -> None:
    served = scorer()
    together = served.queries(GIVEN, ROWS)
    for user, row in enumerate(ROWS[:4]):
        alone = GIVEN.take(slice(user, user + 1))
        np.testing.assert_array_equal(served.queries(alone, np.array([row]))[0], together[user])
        np.testing.assert_array_equal(served.query_of(alone.items, int(row)), together[user])
        items, scores = top_k(served, alone, np.array([row]), 4)
        want = top_k(served, GIVEN, ROWS, 4)
        np.testing.assert_array_equal((items[0], scores[0]), (want[0][user], want[1][user]))


@pytest.mark.parametrize("row", [2, -1])
def test_shares_add_up_to_the_score(row: int) -> None:
    served, history = scorer(), Histories.from_lists([[1, 2, 9]])
    parts = explain(served, history, row, 5)
    assert parts.score == pytest.approx(served.score(history, np.array([row]))[0, 5], rel=1e-5)
    shares, user, bias = served.shares(history, row, 5)
    assert shares.sum() + user + bias == pytest.approx(parts.score, rel=1e-5)
    assert shares.any() == (row < 0) and bool(user) == (row >= 0)


@pytest.mark.parametrize("codec", tuple(CODECS))
def test_what_is_saved_answers_as_before(codec: str) -> None:
    coded = scorer().quantized(codec)
    again = scorer_from_arrays(coded.config(), coded.arrays())
    assert type(again) is LinearFoldInScorer
    np.testing.assert_array_equal(again.score(GIVEN, ROWS), coded.score(GIVEN, ROWS))


def test_a_row_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError, match=r"user_rows must lie in -1..5, found 6..6"):
        scorer().score(Histories.empty(1), np.array([6]))
