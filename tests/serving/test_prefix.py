"""The first numbers of a model's vectors as a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recdistill.errors import ConfigError
from recdistill.serving.bag import BagScorer
from recdistill.serving.histories import Histories
from recdistill.tables.codecs import CodedTable, CodedVector

HISTORIES = Histories.from_lists([[0, 3], [2], [1, 4, 5]])


def scorer(*, normalize: bool = True) -> BagScorer:
    draw = np.random.default_rng(0)
    items = draw.standard_normal((9, 6)).astype(np.float32)
    weight = np.linalg.norm(items, axis=1)
    rows = items / weight[:, None] if normalize else items
    return BagScorer(item_table=CodedTable.of(rows), history_weight=weight, normalize=normalize, scale=3.0)


def test_items_of_a_prefix_have_length_one_and_users_too() -> None:
    small = scorer().prefix(4)
    assert small.dimension == 4 and small.item_table is not None
    np.testing.assert_allclose(np.linalg.norm(small.item_table.matrix(), axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(small.user_vectors(HISTORIES), axis=1), 1, rtol=1e-6)


def test_a_tied_history_row_is_cut_with_its_own_length() -> None:
    whole, small = scorer(), scorer().prefix(4)
    assert whole.item_table is not None and small.item_table is not None
    rows = whole.item_table.matrix() * np.asarray(whole.history_weight)[:, None]
    cut = small.item_table.matrix() * np.asarray(small.history_weight)[:, None]
    np.testing.assert_allclose(cut, rows[:, :4], rtol=1e-5, atol=1e-6)


def test_without_lengths_of_one_nothing_is_brought_to_it() -> None:
    whole = scorer(normalize=False)
    assert whole.item_table is not None
    wanted = whole.user_vectors(HISTORIES)[:, :2] @ whole.item_table.matrix()[:, :2].T * whole.scale
    np.testing.assert_allclose(whole.prefix(2).score(HISTORIES), wanted, rtol=1e-5, atol=1e-5)


def test_all_numbers_are_the_model_itself() -> None:
    whole = scorer()
    assert whole.prefix(6) is whole


def test_an_item_whose_first_numbers_are_zero_is_no_fault() -> None:
    whole = scorer()
    assert whole.item_table is not None
    rows = whole.item_table.matrix().copy()
    rows[2] = [0, 0, 0, 0, 0, 1]
    scores = replace(whole, item_table=CodedTable.of(rows)).prefix(3).score(HISTORIES)
    assert np.isfinite(scores).all() and not scores[:, 2].any()


@pytest.mark.parametrize("codec", ["fp16", "bf16", "int8"])
def test_a_prefix_keeps_the_codec_and_about_the_scores(codec: str) -> None:
    small = scorer().quantized(codec).prefix(4)
    assert small.config()["codecs"] == {"item_table": codec}
    np.testing.assert_allclose(small.score(HISTORIES), scorer().prefix(4).score(HISTORIES), atol=0.06)


def test_weights_in_eight_bits_stay_so() -> None:
    whole = scorer()
    coded = replace(whole, history_weight=CodedVector.of(np.asarray(whole.history_weight), "history_weight"))
    small = coded.prefix(4)
    assert isinstance(small.history_weight, CodedVector)
    np.testing.assert_allclose(small.score(HISTORIES), whole.prefix(4).score(HISTORIES), atol=0.05)


@pytest.mark.parametrize("dimension", [0, 7, -1])
def test_a_size_that_is_not_there_is_refused(dimension: int) -> None:
    with pytest.raises(ConfigError, match=f"dimension = {dimension}: give a whole number from 1 to 6"):
        scorer().prefix(dimension)


@pytest.mark.parametrize("codec", ["int4", "binary", "pq2"])
def test_codes_that_cannot_be_cut_are_refused(codec: str) -> None:
    coded = scorer().quantized(codec)
    with pytest.raises(ConfigError, match=f"a table in {codec} cannot be cut"):
        coded.prefix(4)
