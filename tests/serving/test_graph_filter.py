from __future__ import annotations

import dataclasses
import sys
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse import random as random_matrix

from recdistill.data.vocab import Vocab
from recdistill.errors import DataError
from recdistill.retrieval.exact import top_k
from recdistill.serving import Recommender, graph_filter
from recdistill.serving.scorers import GraphFilterScorer, Histories, scorer_from_arrays
from recdistill.tables.codecs import CODECS, CodedTable

N_ITEMS, DIM = 90, 7


def scorer(**changes: Any) -> GraphFilterScorer:
    draw = np.random.default_rng(0)
    gram = random_matrix(N_ITEMS, N_ITEMS, density=0.1, format="csr", dtype=np.float32, random_state=1)
    gram.sort_indices()
    fields = {
        "gram_indptr": gram.indptr.astype(np.int64), "gram_indices": gram.indices.astype(np.int32),
        "gram_data": gram.data, "item_table": CodedTable.of(draw.standard_normal((N_ITEMS, DIM))),
        "history_weight": draw.random(N_ITEMS).astype(np.float32),
        "popularity": draw.random(N_ITEMS).astype(np.float32), "alpha": 0.3,
    }  # fmt: skip
    return GraphFilterScorer(**{**fields, **changes})


def dense(served: GraphFilterScorer) -> np.ndarray:
    """The item-to-item matrix that the form stands for, in double precision."""
    layout = served.gram_data.astype(np.float64), served.gram_indices, served.gram_indptr
    matrix = csr_matrix(layout, shape=(N_ITEMS, N_ITEMS)).toarray()
    if served.item_table is not None:
        table = served.item_table.matrix().astype(np.float64)
        weight = np.ones(N_ITEMS) if served.history_weight is None else served.history_weight.astype(np.float64)
        matrix += served.alpha * weight[:, None] * table @ table.T
    return matrix


def histories(seed: int = 0, users: int = 12) -> Histories:
    draw = np.random.default_rng(seed)
    return Histories.from_lists([draw.choice(N_ITEMS, size, replace=False) for size in draw.integers(1, 25, users)])


def used(given: Histories) -> np.ndarray:
    matrix = np.zeros((len(given), N_ITEMS))
    matrix[given.users, given.items] = 1 if given.weights is None else given.weights
    return matrix


@pytest.mark.parametrize(
    "changes", [{}, {"item_table": None}, {"history_weight": None}, {"alpha": 0.0}], ids=["both", "linear", "-", "0"]
)
def test_scores_are_the_history_times_the_sum_of_both_maps(changes: dict[str, Any]) -> None:
    served, given = scorer(**changes), histories()
    np.testing.assert_allclose(served.score(given), used(given) @ dense(served), rtol=1e-4, atol=1e-4)


def test_weights_of_a_history_multiply_its_rows() -> None:
    given, served = histories(), scorer()
    weights = np.random.default_rng(5).random(len(given.items)).astype(np.float32)
    weighted = Histories(given.indptr, given.items, weights)
    np.testing.assert_allclose(served.score(weighted), used(weighted) @ dense(served), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("codec", tuple(CODECS))
def test_a_user_gets_the_same_bits_alone_in_a_batch_and_without_scipy(
    codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, given = scorer().quantized(codec), histories(users=70)
    together = served.score(given)
    for user in range(0, 70, 9):
        np.testing.assert_array_equal(served.score(given.take(slice(user, user + 1)))[0], together[user])
    order = np.random.default_rng(2).permutation(70)[:33]
    np.testing.assert_array_equal(served.score(given.take(order)), together[order])
    monkeypatch.delitem(sys.modules, "scipy.sparse")
    np.testing.assert_array_equal(served.score(given), together)


def test_tiles_of_a_large_table_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    given = histories()
    whole = scorer().score(given)
    monkeypatch.setattr(graph_filter, "DECODED_BYTES", 0)
    monkeypatch.setattr(graph_filter, "TILE_BYTES", 8 * 13 * len(given))
    np.testing.assert_array_equal(scorer().score(given), whole)


def test_products_are_of_whole_numbers_that_double_precision_holds() -> None:
    """However large and small the numbers are: the sum of as many of the largest products as there may be is exact."""
    table = np.ldexp(np.random.default_rng(0).standard_normal((N_ITEMS, DIM)), 40)
    for factor in (1e-30, 1.0, 1e20):
        served = scorer(item_table=CodedTable.of(table * factor), history_weight=None)
        assert served.item_table is not None
        numbers = served._whole_numbers(served.item_table, slice(0, N_ITEMS))
        np.testing.assert_array_equal(numbers, np.rint(numbers))
        assert 2 ** (graph_filter.TABLE_BITS - 1) <= np.abs(numbers).max() <= 2**graph_filter.TABLE_BITS
    bits = graph_filter.TABLE_BITS + graph_filter.QUERY_BITS
    assert 2**bits * graph_filter.MOST_DIMENSIONS <= 2**53


def test_who_has_no_history_gets_what_is_popular() -> None:
    served = scorer()
    np.testing.assert_array_equal(served.score(Histories.from_lists([[], [3]]))[0], served.popularity)
    alone = dataclasses.replace(served, popularity=None).score(Histories.empty(1))
    np.testing.assert_array_equal(alone, np.zeros((1, N_ITEMS), np.float32))


def test_shares_are_the_entries_of_the_map() -> None:
    served, given = scorer(), Histories.from_lists([[4, 11, 60]])
    shares, user, bias = served.shares(given, -1, 17)
    np.testing.assert_allclose(shares, dense(served)[[4, 11, 60], 17], rtol=1e-6)
    assert (user, bias) == (0.0, 0.0)
    assert shares.sum() == pytest.approx(served.score(given)[0, 17], rel=1e-4)


@pytest.mark.parametrize("codec", tuple(CODECS))
def test_what_is_saved_answers_as_before(codec: str) -> None:
    coded = scorer().quantized(codec)
    again = scorer_from_arrays(coded.config(), coded.arrays())
    np.testing.assert_array_equal(again.score(histories()), coded.score(histories()))
    assert again.nbytes == coded.nbytes
    assert again.parameters == scorer().parameters == len(coded.gram_data) + N_ITEMS * DIM + 2 * N_ITEMS


def test_half_floats_take_half_the_bytes_of_all_but_the_places() -> None:
    places = scorer().gram_indices.nbytes + scorer().gram_indptr.nbytes
    assert scorer().quantized("fp16").nbytes - places == (scorer().nbytes - places) / 2


def test_a_recommender_answers_one_by_one_as_in_a_batch() -> None:
    served, given = scorer(), histories(3)
    lists = np.split(given.items, given.indptr[1:-1])
    recommender = Recommender(served, Vocab(np.arange(N_ITEMS)))
    items, _ = top_k(served, given, None, 5, given)
    assert [recommender.recommend(one.tolist(), k=5) for one in lists] == items.tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gram_data": np.zeros(3, np.float32)}, "gram_data must have the shape"),
        ({"gram_indices": np.full(810, N_ITEMS, np.int32)}, r"gram_indices must lie in 0..89, found 90..90"),
        ({"gram_indices": np.zeros(810, np.int64)}, "gram_indptr must be int64 and gram_indices int32"),
        ({"gram_indptr": np.zeros(91, np.int64)}, "gram_indptr must rise from 0 to 810"),
        ({"popularity": np.zeros(4, np.float32)}, r"popularity must have the shape \(90,\), found \(4,\)"),
        ({"item_table": CodedTable.of(np.zeros((4, 2)))}, r"item_table must have the shape \(90, 2\)"),
        ({"item_table": CodedTable.of(np.zeros((N_ITEMS, 2049)))}, "2049 columns; .* takes 2048 at most"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        scorer(**changes)


def test_an_item_outside_the_catalogue_is_refused() -> None:
    with pytest.raises(DataError, match="item row 90 is outside a catalogue of 90 items"):
        scorer().score(Histories.from_lists([[90]]))
