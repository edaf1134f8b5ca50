"""The points of a search are the same for all."""

from __future__ import annotations

import numpy as np

from recdistill.comparison.recipes import LABELS, aliases, every_name, recipe_of, recipes_of
from recdistill.comparison.space import METHOD_TAU, Axis, trial
from recdistill.models.two_tower_rules import LogFacts
from recdistill.objectives.registry import OBJECTIVES

FACTS = LogFacts(users=600, items=300, rows=9000)


def test_methods_that_share_an_axis_see_the_same_values_on_it() -> None:
    alone, rrd = (recipe_of(name) for name in ("alone", "rrd"))
    for number in range(1, 8):
        one, other = (trial(recipe.first({}, FACTS), recipe.axes(), number) for recipe in (alone, rrd))
        assert set(one) == {"learning_rate", "history_dropout", "epochs_share"}
        assert set(other) == {*one, "label_share"}
        assert {name: other[name] for name in one} == one


def test_the_first_trial_is_the_rule_and_later_ones_are_spread() -> None:
    default = recipe_of("default")
    first = default.first({}, FACTS)
    assert trial(first, default.axes(), 0) == first
    drawn = [trial(first, default.axes(), number) for number in range(1, 8)]
    for axis in default.axes():
        values = [one[axis.name] for one in drawn]
        assert min(values) >= axis.low and max(values) <= axis.high
        assert len({*values}) == 7, axis
        places = (np.argsort(np.argsort(values)) + 0.5) / 7
        inside = [(np.log if axis.scale == "log" else float)(value) for value in values]
        assert np.corrcoef(places, inside)[0, 1] > 0.8, "no clump in a corner"


def test_an_axis_goes_from_end_to_end_on_its_scale() -> None:
    assert [Axis("a", 0.0, 2.0).at(u) for u in (0.0, 0.5, 1.0)] == [0.0, 1.0, 2.0]
    assert [Axis("a", 0.01, 1.0, "log").at(u) for u in (0.0, 0.5, 1.0)] == [0.01, 0.1, 1.0]
    assert [Axis("a", 0.1, 0.9, "logit").at(u) for u in (0.0, 0.5, 1.0)] == [0.1, 0.5, 0.9]


def test_the_temperature_is_searched_of_methods_that_have_one() -> None:
    names = {name: {axis.name for axis in recipe_of(name).axes()} for name in every_name()}
    assert METHOD_TAU in names["soft_kl"] and METHOD_TAU in names["soft_kl_certainty"] and METHOD_TAU in names["pckd"]
    assert METHOD_TAU not in names["rrd"] and "temperature" not in names["default"]
    assert names["teacher_svd"] == set()


def test_all_stands_for_every_objective_with_a_teacher_once() -> None:
    names = every_name()
    known = [OBJECTIVES[name] for name in names if name in OBJECTIVES]
    assert len(known) == len({*known})
    assert {*known} == {OBJECTIVES[name] for name in OBJECTIVES if name not in LABELS}
    assert not {*aliases(), *LABELS} & {*names}
    assert {"default", "alone", "teacher_svd", "shuffled"} <= {*names}


def test_the_controls_come_first_whatever_was_asked_for() -> None:
    names = [recipe.name for recipe in recipes_of(["rrd", "alone", "rrd+de", "default", "rrd"])]
    assert names == ["default", "alone", "rrd", "rrd+de"]
    assert recipe_of("rrd+de").needs() == {"top_k", "vectors"}
