"""Every kind of model declares a space that holds the rule's settings, and gives up what a person sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recdistill.data.splits import Split
from recdistill.errors import ConfigError
from recdistill.models.base import valid_ndcg
from recdistill.models.registry import MODELS
from recdistill.search.parameters import OneOf
from recdistill.search.spaces import SPACES, space_of
from recdistill.serving.scorers import Histories

QUICK: dict[str, dict[str, Any]] = {
    "two_tower": {"dim": 4, "epochs": 6},
    "deep_tower": {"dim": 4, "hidden": (8,), "epochs": 6},
    "self_attention": {"dim": 4, "epochs": 2},
    "als": {"dim": 4},
}


def test_a_space_is_that_of_a_model() -> None:
    assert {"two_tower", "ease", "als", "svd"} <= set(SPACES) <= set(MODELS)


@pytest.mark.parametrize("kind", [*SPACES])
def test_every_start_lies_in_the_space_and_is_taken_by_the_model(kind: str, tiny_split: Split) -> None:
    space = space_of(kind, {}, tiny_split.train)
    assert space.starts[0] == {name: parameter.default for name, parameter in space.parameters.items()}
    for start in space.starts:
        assert start.keys() == space.parameters.keys()
        MODELS[kind](**{**space.fixed, **start})
        for name, parameter in space.parameters.items():
            if isinstance(parameter, OneOf):
                assert start[name] in parameter.values
            else:
                assert parameter.low <= start[name] <= parameter.high  # type: ignore[attr-defined]


@pytest.mark.parametrize(("kind", "more"), [*((kind, {}) for kind in SPACES), ("two_tower", {"user_id": False})])
def test_the_first_trial_is_the_model_that_a_person_gets_who_sets_nothing(
    kind: str, more: dict[str, Any], tiny_split: Split
) -> None:
    given = {**QUICK.get(kind, {}), **more}
    train = tiny_split.train
    space = space_of(kind, given, train)
    tuned = MODELS[kind](**{**space.fixed, **space.starts[0]}).fit(train, tiny_split.valid)
    rule = MODELS[kind](**given).fit(train)
    histories, rows = Histories.from_csr(train.csr()[:20]), np.arange(20)
    np.testing.assert_array_equal(tuned.score(histories, rows), rule.score(histories, rows))


@pytest.mark.parametrize("kind", ["ease", "als"])
def test_what_the_model_itself_would_try_is_tried_first(kind: str, tiny_split: Split) -> None:
    given = QUICK.get(kind, {})
    chosen = MODELS[kind](**given).fit(tiny_split.train, tiny_split.valid)
    starts = space_of(kind, given, tiny_split.train).starts
    assert chosen.chosen["regularization"] in [start["regularization"] for start in starts]


def test_a_compact_model_does_not_choose_in_its_trial(tiny_split: Split) -> None:
    space = space_of("two_tower", {"user_id": False, "dim": 4, "epochs": 2}, tiny_split.train)
    assert len(space.starts) > 1
    model = MODELS["two_tower"](**{**space.fixed, **space.starts[1]}).fit(tiny_split.train, tiny_split.valid)
    assert model.chosen == {}
    assert valid_ndcg(model.scorer, tiny_split.train, tiny_split.valid) > 0  # type: ignore[arg-type]


def test_what_is_set_is_not_searched(tiny_split: Split) -> None:
    free, bound = (space_of("two_tower", given, tiny_split.train) for given in ({}, {"tau": 0.2, "dim": 8}))
    assert free.parameters.keys() - bound.parameters.keys() == {"tau"}
    assert bound.fixed == {"tau": 0.2, "dim": 8}
    assert "dim" not in free.parameters
    assert "dim" not in space_of("als", {"dim": 8}, tiny_split.train).parameters


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("popularity", {}, "no settings of popularity are searched"),
        ("ease", {"regularization": 10.0}, "every setting of ease that is searched is set already"),
        ("two_towers", {}, "Did you mean 'two_tower'"),
        ("ease", {"regularisation": 10.0}, "Did you mean 'regularization'"),
    ],
)
def test_where_nothing_can_be_searched_it_is_said(
    kind: str, given: dict[str, Any], message: str, tiny_split: Split
) -> None:
    with pytest.raises(ConfigError, match=message):
        space_of(kind, given, tiny_split.train)


def test_what_has_no_effect_where_order_counts_is_not_searched(tiny_split: Split) -> None:
    assert "user_weight" in space_of("two_tower", {"order": False}, tiny_split.train).parameters
    assert "user_weight" not in space_of("two_tower", {"order": True}, tiny_split.train).parameters
