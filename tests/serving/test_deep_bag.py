from __future__ import annotations

import json

import numpy as np
import pytest

from recdistill.errors import ConfigError, DataError
from recdistill.retrieval.exact import top_k
from recdistill.serving.perceptron import Perceptron
from recdistill.serving.scorers import BagScorer, DeepBagScorer, Histories, scorer_from_arrays
from recdistill.tables.codecs import CODECS, CodedTable

N_ITEMS, N_USERS, DIM, WIDTH = 30, 6, 5, 9
DRAW = np.random.default_rng(0)
GIVEN = Histories.from_lists([[1, 2], [3], [], [7, 8, 9], []])
ROWS = np.array([2, -1, 4, -1, -1])


def matrix(*shape: int) -> np.ndarray:
    return DRAW.standard_normal(shape).astype(np.float32)


BAG = BagScorer(
    item_table=CodedTable.of(matrix(N_ITEMS, DIM)), user_table=CodedTable.of(matrix(N_USERS, DIM)),
    history_weight=np.abs(matrix(N_ITEMS)), item_bias=matrix(N_ITEMS), popularity=matrix(N_ITEMS),
    normalize=True, history_power=0.5, scale=4.0,
)  # fmt: skip
LAYERS = [(matrix(WIDTH, DIM), matrix(WIDTH)), (matrix(DIM, WIDTH), matrix(DIM))]
SCORER = DeepBagScorer.around(BAG, Perceptron.of(*LAYERS))


def test_a_user_is_the_bag_and_what_the_network_adds_to_it() -> None:
    bags = BAG.user_vectors(GIVEN, ROWS)
    (first, first_bias), (last, last_bias) = LAYERS
    users = bags + np.maximum(np.sqrt(DIM) * bags @ first.T + first_bias, 0) @ last.T + last_bias
    users /= np.linalg.norm(users, axis=1, keepdims=True)
    np.testing.assert_allclose(SCORER.user_vectors(GIVEN, ROWS), users, rtol=1e-4, atol=1e-5)
    assert BAG.item_table is not None
    want = 4.0 * users @ BAG.item_table.matrix().T + BAG.item_bias
    want[4] = BAG.popularity
    np.testing.assert_allclose(SCORER.score(GIVEN, ROWS), want, rtol=1e-4, atol=1e-4)


def test_a_network_of_zeros_leaves_the_bag_as_it_is() -> None:
    silent = DeepBagScorer.around(BAG, Perceptron.of(LAYERS[0], (np.zeros((DIM, WIDTH)), np.zeros(DIM))))
    np.testing.assert_allclose(silent.score(GIVEN, ROWS), BAG.score(GIVEN, ROWS), rtol=1e-5, atol=1e-5)


def test_one_by_one_and_in_a_batch_the_queries_have_the_same_bits() -> None:
    together = SCORER.queries(GIVEN, ROWS)
    want = top_k(SCORER, GIVEN, ROWS, 4)
    for user, row in enumerate(ROWS):
        alone = GIVEN.take(slice(user, user + 1))
        np.testing.assert_array_equal(SCORER.queries(alone, np.array([row]))[0], together[user])
        np.testing.assert_array_equal(SCORER.query_of(alone.items, int(row)), together[user])
        items, scores = top_k(SCORER, alone, np.array([row]), 4)
        np.testing.assert_array_equal((items[0], scores[0]), (want[0][user], want[1][user]))


@pytest.mark.parametrize("codec", [*CODECS])
def test_arrays_and_config_are_the_whole_scorer(codec: str) -> None:
    small = SCORER.quantized(codec)
    config = json.loads(json.dumps(small.config()))
    again = scorer_from_arrays(config, small.arrays())
    assert isinstance(again, DeepBagScorer)
    np.testing.assert_array_equal(again.score(GIVEN, ROWS), small.score(GIVEN, ROWS))
    assert config["form"] == "deep_bag"
    tables = ("item_table", "user_table", "layer_0", "layer_1")
    assert config["codecs"] == dict.fromkeys(tables, codec)
    assert small.nbytes == sum(array.nbytes for array in small.arrays().values())
    assert small.parameters == BAG.parameters + WIDTH * (DIM + 1) + DIM * (WIDTH + 1)
    most = {"fp32": 0, "fp16": 0.02, "bf16": 0.2, "int8": 0.2}.get(codec, 99)
    np.testing.assert_allclose(small.score(GIVEN, ROWS), SCORER.score(GIVEN, ROWS), atol=most)


def test_it_does_not_say_which_item_of_a_history_counted() -> None:
    with pytest.raises(ConfigError, match="'deep_bag' cannot say where its scores come from"):
        SCORER.shares(GIVEN.take(slice(0, 1)), 2, 5)


def test_a_network_of_another_width_is_refused() -> None:
    with pytest.raises(DataError, match="must lead from 5 numbers to as many"):
        DeepBagScorer.around(BAG, Perceptron.of(LAYERS[0]))
    with pytest.raises(DataError, match="needs an item table"):
        DeepBagScorer.around(BagScorer(item_bias=np.zeros(3, np.float32)), Perceptron.of(*LAYERS))
    arrays = {name: array for name, array in SCORER.arrays().items() if not name.startswith("layer_1")}
    with pytest.raises(DataError, match=r"lacks the array 'layer_1.bias'"):
        scorer_from_arrays(SCORER.config(), arrays)
