"""Settings, choosing on valid, and what every model does before and after `fit`."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.errors import ConfigError
from recdistill.models.als import ALS
from recdistill.models.base import choose, train_rows, valid_ndcg
from recdistill.models.ease import EASE
from recdistill.models.registry import MODELS
from recdistill.serving.scorers import BagScorer
from recdistill.training.progress import NullProgress


@pytest.fixture
def train() -> Interactions:
    """Items a-e; Ann used a and b, Bob a, c and d, Cid e."""
    return Interactions.from_ids(["Ann", "Ann", "Bob", "Bob", "Bob", "Cid"], ["a", "b", "a", "c", "d", "e"])


def held_out(relevant: list[list[int]], user_rows: list[int], counts: list[int] | None = None) -> HeldOut:
    matrix = csr_matrix(np.array(relevant, np.float32))
    found = np.diff(matrix.indptr) if counts is None else np.array(counts)
    return HeldOut(np.array([f"u{row}" for row in user_rows], object), np.array(user_rows), matrix, found)


def by_bias(*scores: float) -> BagScorer:
    return BagScorer(item_bias=np.array(scores, np.float32))


def test_models_are_found_by_the_name_in_a_config() -> None:
    assert {name: MODELS[name].kind for name in MODELS} == {name: name for name in MODELS}
    assert {"two_tower", "ease", "als", "popularity", "svd"} <= set(MODELS)
    with pytest.raises(ConfigError, match=r"no model 'eas'. Did you mean 'ease'"):
        MODELS["eas"]


def test_an_unknown_setting_is_refused_with_the_nearest_known() -> None:
    with pytest.raises(ConfigError, match=r"no setting 'als.regularisation'. Did you mean 'regularization'"):
        ALS(regularisation=3.0)


def test_a_setting_of_another_type_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"als\.dim = 'many': expected a whole number"):
        ALS(dim="many")


@pytest.mark.parametrize(
    ("model", "setting"), [(ALS, "dim"), (ALS, "alpha"), (ALS, "iterations"), (EASE, "regularization")]
)
def test_a_setting_that_cannot_be_is_refused(model: type, setting: str) -> None:
    with pytest.raises(ConfigError, match=f"{model.kind}: {setting} = "):  # type: ignore[attr-defined]
        model(**{setting: 0})


def test_settings_and_repr_tell_what_was_set_and_what_was_chosen(train: Interactions) -> None:
    model = EASE()
    set_already = {"form": "auto", "dim": 512}
    assert (model.settings(), model.fitted) == (set_already, False)
    model.fit(train)
    assert model.settings() == set_already | model.chosen
    assert model.chosen.keys() == {"regularization"}
    assert repr(model) == f"EASE(form='auto', dim=512, regularization={model.chosen['regularization']})"
    assert model.fitted


def test_training_rows_of_strangers_are_empty(train: Interactions) -> None:
    found = train_rows(train.csr(), np.array([-1, 1, -1, 0]))
    np.testing.assert_array_equal(found.toarray(), [[0] * 5, [1, 0, 1, 1, 0], [0] * 5, [1, 1, 0, 0, 0]])


def test_valid_ndcg_by_hand_leaves_train_items_out(train: Interactions) -> None:
    """Ann sees c, d, e in this order and wants d: 1 / log2(3); a stranger wants a, the very first: 1."""
    held = held_out([[0, 0, 0, 1, 0], [1, 0, 0, 0, 0]], [0, -1])
    assert valid_ndcg(by_bias(5, 4, 3, 2, 1), train, held) == pytest.approx((1 / np.log2(3) + 1) / 2)


def test_valid_ndcg_counts_items_that_train_does_not_know(train: Interactions) -> None:
    held = held_out([[0, 0, 1, 0, 0]], [0], counts=[2])
    assert valid_ndcg(by_bias(5, 4, 3, 2, 1), train, held) == pytest.approx(1 / (1 + 1 / np.log2(3)))


def test_users_who_want_nothing_do_not_enter_valid_ndcg(train: Interactions) -> None:
    held = held_out([[0, 0, 1, 0, 0], [0, 0, 0, 0, 0]], [0, 1])
    assert valid_ndcg(by_bias(5, 4, 3, 2, 1), train, held) == 1.0


def test_a_valid_part_that_wants_nothing_is_refused(train: Interactions) -> None:
    with pytest.raises(ConfigError, match="no user has a relevant item"):
        valid_ndcg(by_bias(5, 4, 3, 2, 1), train, held_out([[0, 0, 0, 0, 0]], [0]))


class Recorded(NullProgress):
    """Bars that write down what they are told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def task(self, name: str, total: int) -> Recorded:  # type: ignore[override]
        self.told.append((name, total))
        return self

    def __enter__(self) -> Recorded:
        return self

    def __exit__(self, *_: object) -> None: ...

    def advance(self, steps: int = 1, *, valid_ndcg: float | None = None) -> None:
        self.told.append(valid_ndcg)


def test_the_best_value_on_valid_is_chosen_and_progress_hears_of_each(train: Interactions) -> None:
    held, said = held_out([[0, 0, 0, 1, 0]], [0]), Recorded()
    best = choose([1, 2, 3], lambda d: by_bias(0, 0, 2.5, d, 0), train, held, task="try", progress=said)
    assert (best.value, best.valid_ndcg) == (3, 1.0)
    assert said.told == [("try", 3), pytest.approx(1 / np.log2(3)), pytest.approx(1 / np.log2(3)), 1.0]


def test_the_earlier_value_wins_a_tie(train: Interactions) -> None:
    held = held_out([[0, 0, 0, 1, 0]], [0])
    assert choose([7, 8], lambda _: by_bias(1, 2, 3, 4, 5), train, held, task="", progress=None).value == 7


def test_nothing_to_choose_from_is_refused(train: Interactions) -> None:
    with pytest.raises(ConfigError, match="no values to choose from"):
        choose([], lambda _: by_bias(1), train, held_out([[0, 0, 0, 1, 0]], [0]), task="als", progress=None)
