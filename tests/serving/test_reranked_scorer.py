from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from recdistill.errors import ConfigError, DataError
from recdistill.retrieval.exact import top_k
from recdistill.serving.perceptron import Perceptron
from recdistill.serving.reranked import Pool, pair_features, retrieved
from recdistill.serving.scorers import (
    BagScorer,
    DeepBagScorer,
    EnsembleScorer,
    Histories,
    ItemScorer,
    RerankedScorer,
    Scorer,
    scorer_from_arrays,
)
from recdistill.tables.codecs import CODECS, CodedTable

N_ITEMS, N_USERS, DIM, DEPTH = 50, 9, 6, 8
DRAW = np.random.default_rng(0)


def matrix(*shape: int) -> np.ndarray:
    return DRAW.standard_normal(shape).astype(np.float32)


TOWERS = BagScorer(
    item_table=CodedTable.of(matrix(N_ITEMS, DIM)), user_table=CodedTable.of(matrix(N_USERS, DIM)),
    item_bias=matrix(N_ITEMS), popularity=matrix(N_ITEMS), normalize=True, history_power=0.5, scale=4.0,
)  # fmt: skip
LINEAR = ItemScorer(item_to_item=CodedTable.of(matrix(N_ITEMS, N_ITEMS)), popularity=matrix(N_ITEMS))
DEEP = DeepBagScorer.around(TOWERS, Perceptron.of((matrix(7, DIM), matrix(7)), (matrix(DIM, 7), matrix(DIM))))
BOTH = EnsembleScorer(members=(TOWERS, LINEAR), weights=np.array([[0.7, 0.3]], np.float32))
FACTS = matrix(N_ITEMS, 2)


def reranked(base: Scorer, **changes: Any) -> RerankedScorer:
    features = (DIM if base.vectors else 0) + 2 + 3
    draw = np.random.default_rng(2)
    layers = [(draw.standard_normal(shape).astype(np.float32), draw.standard_normal(shape[0]).astype(np.float32))
              for shape in [(11, features), (1, 11)]]  # fmt: skip
    return replace(RerankedScorer(base=base, network=Perceptron.of(*layers), item_facts=FACTS, depth=DEPTH), **changes)


SCORERS = {"towers": reranked(TOWERS), "linear": reranked(LINEAR), "deep": reranked(DEEP), "both": reranked(BOTH),
           "of little weight": reranked(TOWERS, unit=1e-3)}  # fmt: skip
every = pytest.mark.parametrize("scorer", SCORERS.values(), ids=SCORERS)
ROWS = np.array([3, -1, 0, 8, -1, 1, 2, 4, 5])
GIVEN = Histories.from_lists([np.random.default_rng(u).choice(N_ITEMS, 1 + u, replace=False) for u in range(N_USERS)])


def lists(scorer: Scorer, k: int = N_ITEMS) -> np.ndarray:
    return top_k(scorer, GIVEN, ROWS, k, GIVEN)[0]


@every
def test_what_is_retrieved_stays_above_the_rest_and_the_rest_in_its_order(scorer: RerankedScorer) -> None:
    before, after = lists(scorer.base), lists(scorer)
    np.testing.assert_array_equal(np.sort(after[:, :DEPTH]), np.sort(before[:, :DEPTH]))
    np.testing.assert_array_equal(after[:, DEPTH:], before[:, DEPTH:])
    assert (after[:, :DEPTH] != before[:, :DEPTH]).any() or scorer.unit < 1


@every
def test_a_retrieved_item_has_the_base_score_and_its_correction(scorer: RerankedScorer) -> None:
    base, found = scorer.base_scores(GIVEN, ROWS), scorer.score(GIVEN, ROWS)
    pool = retrieved(base, GIVEN, DEPTH)
    features = pair_features(scorer.base, FACTS, GIVEN, ROWS, pool)
    want = pool.scores + scorer.unit * scorer.network(features).reshape(pool.items.shape)
    np.testing.assert_allclose(np.take_along_axis(found, pool.items, 1), want, rtol=1e-6, atol=1e-6)
    seen = GIVEN.users, GIVEN.items
    np.testing.assert_array_equal(found[seen], base[seen])


@every
def test_a_user_gets_the_same_bits_alone_and_among_others(scorer: RerankedScorer) -> None:
    together = scorer.score(GIVEN, ROWS)
    for user in range(N_USERS):
        alone = GIVEN.take(slice(user, user + 1))
        np.testing.assert_array_equal(scorer.score(alone, ROWS[user : user + 1])[0], together[user])
    turned = np.arange(N_USERS)[::-1]
    np.testing.assert_array_equal(scorer.score(GIVEN.take(turned), ROWS[turned])[::-1], together)


def test_the_features_are_what_they_are_said_to_be() -> None:
    pool = retrieved(TOWERS.score(GIVEN, ROWS), GIVEN, DEPTH)
    found = pair_features(TOWERS, FACTS, GIVEN, ROWS, pool).reshape(N_USERS, DEPTH, -1)
    users, items = TOWERS.user_vectors(GIVEN, ROWS), TOWERS.item_vectors()
    user, place = 4, 3
    item = pool.items[user, place]
    cosine = users[user] @ items[item] / np.linalg.norm(users[user]) / np.linalg.norm(items[item])
    assert found[user, place, :DIM].mean() == pytest.approx(cosine, abs=1e-5)
    np.testing.assert_array_equal(found[user, place, DIM : DIM + 2], FACTS[item])
    scores = pool.scores[user]
    assert found[user, place, DIM + 2] == pytest.approx((scores[place] - scores.mean()) / scores.std(), abs=1e-5)
    assert found[user, place, DIM + 3] == pytest.approx(np.log(4) - np.log(5), abs=1e-6)
    assert found[user, place, DIM + 4] == pytest.approx(np.log(6) / 2 - 1, abs=1e-6)
    half = np.linalg.qr(matrix(DIM, DIM))[0]
    turned = pair_features(TOWERS, FACTS, GIVEN, ROWS, pool, half).reshape(N_USERS, DEPTH, -1)
    assert turned[user, place, :DIM].mean() == pytest.approx(cosine, abs=1e-5)
    assert not np.allclose(turned[user, place, :DIM], found[user, place, :DIM])


def test_where_fewer_items_are_left_the_pool_ends_early() -> None:
    long = Histories.from_lists([np.arange(N_ITEMS - 3), np.arange(N_ITEMS)])
    pool = retrieved(LINEAR.score(long), long, DEPTH)
    assert isinstance(pool, Pool)
    np.testing.assert_array_equal((pool.items >= 0).sum(axis=1), [3, 0])
    assert set(pool.items[0, :3]) == {N_ITEMS - 3, N_ITEMS - 2, N_ITEMS - 1}
    found = SCORERS["linear"].score(long)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[1], LINEAR.score(long)[1])


def test_who_is_unknown_is_answered_by_the_base() -> None:
    nobody = Histories.empty(2)
    rows = np.array([-1, 3])
    found = SCORERS["towers"].score(nobody, rows)
    np.testing.assert_array_equal(found[0], TOWERS.popularity)
    assert not np.allclose(found[1], TOWERS.score(nobody, rows)[1])


@pytest.mark.parametrize("codec", [*CODECS])
@every
def test_arrays_and_config_are_the_whole_scorer(scorer: RerankedScorer, codec: str) -> None:
    small = scorer.quantized(codec)
    again = scorer_from_arrays(json.loads(json.dumps(small.config())), small.arrays())
    assert isinstance(again, RerankedScorer)
    np.testing.assert_array_equal(again.score(GIVEN, ROWS), small.score(GIVEN, ROWS))
    assert small.nbytes == sum(array.nbytes for array in small.arrays().values())
    assert again.parameters == scorer.base.parameters + scorer.network.parameters
    assert small.network.codecs == {"layer_0": codec, "layer_1": codec}
    assert again.table_rows("user_table") == scorer.base.table_rows("user_table")


def test_it_has_no_vectors() -> None:
    assert not SCORERS["towers"].vectors
    with pytest.raises(ConfigError, match="'reranked' has no item vectors"):
        SCORERS["towers"].item_vectors()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 0}, "depth must be from 1 to 50"),
        ({"depth": 51}, "depth must be from 1 to 50"),
        ({"unit": 0.0}, "unit must be above 0"),
        ({"item_facts": FACTS[:, 0]}, "item_facts must have two dimensions"),
        ({"item_facts": FACTS[:4]}, "item_facts must have the shape"),
        ({"item_facts": FACTS[:, :1]}, "must lead from 10 features to one correction; it leads from 11 to 1"),
        ({"base": LINEAR}, "must lead from 5 features"),
        ({"base": reranked(LINEAR)}, "cannot be the base of another"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        RerankedScorer(**{**_fields(SCORERS["towers"]), **changes})


def _fields(scorer: RerankedScorer) -> dict[str, Any]:
    return {name: getattr(scorer, name) for name in ("base", "network", "item_facts", "depth", "unit")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depths": 3}, "no setting 'depths'. Did you mean 'depth'"),
        ({"depth": 2.5}, "depth must be a whole number, found 2.5"),
        ({"depth": True}, "depth must be a whole number, found True"),
        ({"unit": "1"}, "unit must be a number, found '1'"),
        ({"base": "towers"}, "base and network must be objects"),
        ({"base": {"form": "bags"}}, "no scorer form 'bags'"),
    ],
)
def test_a_config_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    config, arrays = SCORERS["towers"].config(), SCORERS["towers"].arrays()
    with pytest.raises((DataError, ConfigError), match=message):
        scorer_from_arrays({**config, **changes}, arrays)


def test_arrays_that_are_missing_or_left_over_are_refused() -> None:
    config, arrays = SCORERS["towers"].config(), SCORERS["towers"].arrays()
    with pytest.raises(DataError, match="lacks the array 'item_facts'"):
        scorer_from_arrays(config, {name: array for name, array in arrays.items() if name != "item_facts"})
    with pytest.raises(DataError, match="'other' is not part of a scorer of the form 'reranked'"):
        scorer_from_arrays(config, {**arrays, "other": FACTS})
    with pytest.raises(DataError, match=r"lacks the settings \['unit'\]"):
        scorer_from_arrays({name: value for name, value in config.items() if name != "unit"}, arrays)
