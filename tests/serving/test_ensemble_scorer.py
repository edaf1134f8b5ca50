from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from recdistill.errors import ConfigError, DataError
from recdistill.serving.explain import explain
from recdistill.serving.scorers import (
    BagScorer,
    EnsembleScorer,
    FoldInScorer,
    Histories,
    ItemScorer,
    LowRankScorer,
    Scorer,
    scorer_from_arrays,
)
from recdistill.tables.codecs import CODECS, CodedTable

N_ITEMS, N_USERS, DIM = 50, 9, 6
DRAW = np.random.default_rng(0)


def matrix(*shape: int) -> np.ndarray:
    return DRAW.standard_normal(shape).astype(np.float32)


ITEMS = matrix(N_ITEMS, DIM)
TOWERS = BagScorer(
    item_table=CodedTable.of(ITEMS), user_table=CodedTable.of(matrix(N_USERS, DIM)), item_bias=matrix(N_ITEMS),
    normalize=True, history_power=0.5, scale=4.0,
)  # fmt: skip
LINEAR = ItemScorer(item_to_item=CodedTable.of(matrix(N_ITEMS, N_ITEMS)))
FOLDS = FoldInScorer(item_table=CodedTable.of(2 * ITEMS), gram=4 * ITEMS.T @ ITEMS, regularization=1.0, alpha=3.0)
LOW = LowRankScorer(item_table=CodedTable.of(matrix(N_ITEMS, 4)), item_weight=np.abs(matrix(N_ITEMS)))
POPULAR = matrix(N_ITEMS)


def ensemble(*members: Scorer, weights: Any, **settings: Any) -> EnsembleScorer:
    rows = np.array(weights, np.float32).reshape(-1, len(members))
    return EnsembleScorer(members=members, weights=rows, popularity=POPULAR, **settings)


ENSEMBLES = {
    "by score": ensemble(TOWERS, LINEAR, weights=[0.8, 0.2]),
    "by rank": ensemble(TOWERS, LINEAR, weights=[0.8, 0.2], by="rank"),
    "of four": ensemble(LINEAR, TOWERS, FOLDS, LOW, weights=[0.4, 0.3, 0.2, 0.1]),
    "by history": ensemble(TOWERS, LINEAR, LOW, weights=[[1, 0, 0], [0, 0.5, 0.5], [0.1, 0.2, 0.7]], group_ends=(2, 5)),
}
every = pytest.mark.parametrize("scorer", ENSEMBLES.values(), ids=ENSEMBLES)
ROWS = np.array([3, -1, 0, 8, -1, 1, 2, 4, 5])


def histories(users: int = N_USERS, shortest: int = 1) -> Histories:
    draw = np.random.default_rng(1)
    return Histories.from_lists(
        [draw.choice(N_ITEMS, draw.integers(shortest, 12), replace=False) for _ in range(users)]
    )


def standard(scores: np.ndarray) -> np.ndarray:
    return (scores - scores.mean(axis=1, keepdims=True)) / scores.std(axis=1, keepdims=True)


def test_standardised_scores_are_averaged_and_brought_to_the_level_of_the_first() -> None:
    given = histories()
    one, two = (member.score(given, ROWS).astype(np.float64) for member in (TOWERS, LINEAR))
    want = standard(0.8 * standard(one) + 0.2 * standard(two)) * one.std(axis=1, keepdims=True)
    want += one.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(ENSEMBLES["by score"].score(given, ROWS), want, atol=1e-4)


def test_places_are_averaged_in_their_logarithm() -> None:
    given = histories()
    one, two = (member.score(given, ROWS) for member in (TOWERS, LINEAR))
    logs = [-np.log((-scores).argsort(axis=1).argsort(axis=1) + 1.0) for scores in (one, two)]
    mixed = standard(0.8 * standard(logs[0]) + 0.2 * standard(logs[1]))
    want = mixed * one.std(axis=1, keepdims=True) + one.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(ENSEMBLES["by rank"].score(given, ROWS), want, atol=1e-4)


def test_equal_scores_share_a_place() -> None:
    flat = BagScorer(item_bias=np.array([1, 3, 3, 0], np.float32))
    scores = EnsembleScorer(members=(flat,), weights=np.ones((1, 1), np.float32), by="rank").score(
        Histories.from_lists([[0]])
    )
    assert scores[0, 1] == scores[0, 2] > scores[0, 0] > scores[0, 3]


def test_the_first_member_alone_scores_as_it_does_without_an_ensemble() -> None:
    given = histories()
    alone = ensemble(TOWERS, LINEAR, weights=[1, 0]).score(given, ROWS)
    np.testing.assert_allclose(alone, TOWERS.score(given, ROWS), rtol=1e-5, atol=1e-5)


@every
def test_mean_and_spread_are_those_of_the_first_member(scorer: EnsembleScorer) -> None:
    given = histories()
    found, first = scorer.score(given, ROWS), scorer.members[0].score(given, ROWS)
    np.testing.assert_allclose(found.mean(axis=1), first.mean(axis=1), atol=1e-4)
    np.testing.assert_allclose(found.std(axis=1), first.std(axis=1), rtol=1e-4)


def test_a_silent_first_member_leaves_the_answer_to_the_others() -> None:
    silent = BagScorer(item_bias=np.full(N_ITEMS, 2.5, np.float32))
    given = histories()
    found = ensemble(silent, LINEAR, weights=[0.9, 0.1]).score(given)
    np.testing.assert_allclose(found, 2.5 + standard(LINEAR.score(given)), atol=1e-4)


def test_weights_go_by_the_length_of_the_history() -> None:
    scorer = ENSEMBLES["by history"]
    for length, weights in (
        (1, [1, 0, 0]),
        (2, [1, 0, 0]),
        (3, [0, 0.5, 0.5]),
        (5, [0, 0.5, 0.5]),
        (6, [0.1, 0.2, 0.7]),
    ):
        given = Histories.from_lists([list(range(length))])
        one = ensemble(*scorer.members, weights=weights)
        np.testing.assert_array_equal(scorer.score(given), one.score(given))


@every
def test_a_user_gets_the_same_bits_alone_and_among_others(scorer: EnsembleScorer) -> None:
    given = histories(users=41)
    rows = np.arange(41) % (N_USERS + 1) - 1
    together = scorer.score(given, rows)
    for batch in (1, 2, 7):
        for start in range(0, 41, batch):
            part = slice(start, start + batch)
            np.testing.assert_array_equal(scorer.score(given.take(part), rows[part]), together[part])


@every
def test_nobody_known_to_any_member_gets_popularity(scorer: EnsembleScorer) -> None:
    given = Histories.from_lists([[], [3], []])
    scores = scorer.score(given, np.array([-1, -1, 4]))
    np.testing.assert_array_equal(scores[0], POPULAR)
    assert not np.array_equal(scores[1], POPULAR)
    assert not np.array_equal(scores[2], POPULAR), "known by the row of a member's user table"
    assert scorer.unknown(given, np.array([-1, -1, 4])).tolist() == [True, False, False]


@every
@pytest.mark.parametrize("codec", tuple(CODECS))
def test_what_is_saved_answers_as_before(scorer: EnsembleScorer, codec: str) -> None:
    coded = scorer.quantized(codec)
    again = scorer_from_arrays(json.loads(json.dumps(coded.config())), coded.arrays())
    assert isinstance(again, EnsembleScorer)
    np.testing.assert_array_equal(again.score(histories(), ROWS), coded.score(histories(), ROWS))
    assert again.nbytes == coded.nbytes == sum(array.nbytes for array in coded.arrays().values())
    assert again.parameters == scorer.parameters
    assert set(coded.config()["codecs"].values()) == {codec}
    assert coded.config()["codecs"]["user_table"] == codec
    assert again.table_rows("user_table") == N_USERS == len(again.user_table or ())


def test_arrays_are_named_by_the_member_s_number_and_counted_once() -> None:
    scorer = ENSEMBLES["by score"]
    assert {"weights", "popularity", "0.user_table.values", "1.item_to_item.values"} <= set(scorer.arrays())
    own = 2 + N_ITEMS
    assert scorer.parameters == TOWERS.parameters + LINEAR.parameters + own
    assert scorer.nbytes == TOWERS.nbytes + LINEAR.nbytes + 4 * own
    assert scorer.quantized("int8").nbytes < scorer.nbytes / 3


def test_an_ensemble_has_neither_vectors_nor_shares() -> None:
    scorer = ENSEMBLES["by score"]
    assert not scorer.vectors
    with pytest.raises(ConfigError, match="'ensemble' has no user vectors"):
        scorer.user_vectors(histories())
    with pytest.raises(ConfigError, match="'ensemble' cannot say where its scores come from"):
        explain(scorer, Histories.from_lists([[1, 2]]), -1, 5)


def test_members_that_do_not_belong_together_are_refused() -> None:
    small = BagScorer(item_bias=matrix(3))
    other = BagScorer(item_table=CodedTable.of(ITEMS), user_table=CodedTable.of(matrix(N_USERS + 1, DIM)))
    with pytest.raises(DataError, match=r"members rank \[3, 50\] items"):
        EnsembleScorer(members=(small, LINEAR), weights=np.ones((1, 2), np.float32))
    with pytest.raises(DataError, match="different numbers of users"):
        ensemble(TOWERS, other, weights=[1, 1])
    with pytest.raises(DataError, match="at least one member"):
        EnsembleScorer(members=(), weights=np.ones((1, 0), np.float32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": [[1.0, -0.1]]}, "weights must be 0 or more"),
        ({"weights": [[0.0, 0.0]]}, "more than 0 in sum"),
        ({"weights": [[1.0], [1.0]]}, r"weights must have the shape \(1, 2\)"),
        ({"by": "vote"}, "'by' must be one of score, rank, found 'vote'"),
        ({"group_ends": (5, 2), "weights": [[1, 0]] * 3}, "group_ends must rise"),
    ],
)
def test_weights_that_mean_nothing_are_refused(change: dict[str, Any], message: str) -> None:
    given = {"weights": [[1.0, 0.0]], **change}
    with pytest.raises(DataError, match=message):
        EnsembleScorer(members=(TOWERS, LINEAR), weights=np.array(given.pop("weights"), np.float32), **given)


def test_a_config_or_arrays_that_do_not_fit_are_refused() -> None:
    scorer = ENSEMBLES["by score"]
    config, arrays = scorer.config(), scorer.arrays()
    for changed, message in [
        ({**config, "bye": 1}, r"no setting 'bye'. Did you mean 'by'\?"),
        ({name: config[name] for name in config if name != "by"}, r"lacks the settings \['by'\]"),
        ({**config, "members": "two"}, "members must be a list"),
        ({**config, "group_ends": [1.5]}, "group_ends must be whole numbers"),
    ]:
        with pytest.raises(DataError, match=message):
            scorer_from_arrays(changed, arrays)
    with pytest.raises(DataError, match=r"array '7\.item_table\.values' is not part"):
        scorer_from_arrays(config, {**arrays, "7.item_table.values": ITEMS})
    with pytest.raises(DataError, match="lacks the array 'weights'"):
        scorer_from_arrays(config, {name: array for name, array in arrays.items() if name != "weights"})
    with pytest.raises(DataError):
        scorer_from_arrays(config, {name: array for name, array in arrays.items() if not name.startswith("1.")})
