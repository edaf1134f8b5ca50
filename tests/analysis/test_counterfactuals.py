"""Each changes one thing; what does not fit the minutes is sampled first and left out then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from recdistill.analysis.counterfactuals import COUNTERFACTUALS, FEWEST_USERS, Base, Teaching, program
from recdistill.distillation.methods import read_methods
from recdistill.knowledge.store import Knowledge
from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_rules import LogFacts, plan

SETTINGS = {"dim": 8, "user_id": False, "history_dropout": 0.3, "label_share": 0.2, "learning_rate": 0.01, "epochs": 40}
FACTS = LogFacts(50_000, 1_000, 500_000)


def known(*, vectors: bool = True, length: int = 20) -> Knowledge:
    two = np.zeros((2, 4), np.float32)
    return Knowledge(
        top_items=np.tile(np.arange(length), (2, 1)), top_scores=np.zeros((2, length), np.float32),
        top_own=np.zeros((2, length), bool), tail_mass=np.zeros(2, np.float32), n_items=1_000, log_sha256="",
        user_vectors=two if vectors else None, item_vectors=np.zeros((1_000, 4), np.float32) if vectors else None,
    )  # fmt: skip


def base(method: str | None = None, *, knowledge: Knowledge | None = None, **changes: Any) -> Base:
    methods = None if method is None else read_methods(method)
    return Base.of({**SETTINGS, **changes}, methods, FACTS, known() if knowledge is None else knowledge)


def changed(name: str, of: Base) -> Teaching:
    found = COUNTERFACTUALS[name].change(of)
    assert found is not None
    return found[0]


def changes(of: Mapping[str, Any], to: Mapping[str, Any]) -> dict[str, Any]:
    return {name: to[name] for name in to if to[name] != of.get(name)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("longer", {"epochs": 80, "epochs_share": 1.0}),
        ("gentler", {"learning_rate": 0.005}),
        ("more_labels", {"label_share": 0.6}),
        ("teacher_alone", {"label_share": 0.0}),
    ],
)
def test_a_setting_is_changed_and_nothing_else(name: str, expected: dict[str, Any]) -> None:
    one = base()
    found = changed(name, one)
    assert changes(one.teaching.settings, found.settings) == expected
    assert replace(found, settings=one.teaching.settings) == one.teaching


@pytest.mark.parametrize(
    ("name", "expected"),
    [("again", {"seed": 1}), ("half_people", {"people": 0.5}), ("other_knowledge", {"lists_only": True})],
)
def test_settings_stay_where_something_else_is_changed(name: str, expected: dict[str, Any]) -> None:
    one = base()
    assert changed(name, one) == replace(one.teaching, **expected)


def test_a_wider_student_gets_as_much_time_in_fewer_epochs() -> None:
    one = base()
    found = changed("wider", one)
    assert found.settings["dim"] == 16
    assert found.settings["epochs"] < 40
    assert one.seconds(found) <= one.seconds(one.teaching)
    longer = replace(found, settings={**found.settings, "epochs": found.settings["epochs"] + 1})
    assert one.seconds(longer) > one.seconds(one.teaching)


def test_methods_give_way_to_all_scores_and_share_their_part_with_labels() -> None:
    one = base("rrd")
    assert changed("other_knowledge", one) == replace(one.teaching, methods=None)
    found = changed("more_labels", one)
    assert found.methods is not None and found.methods.label_share == found.settings["label_share"] == 0.6
    assert one.seconds(one.teaching) > base().seconds(base().teaching)


def test_what_says_nothing_of_a_student_is_not_trained() -> None:
    assert COUNTERFACTUALS["other_knowledge"].change(base(knowledge=known(vectors=False))) is None
    assert COUNTERFACTUALS["other_knowledge"].change(base(knowledge=known(length=1_000))) is None
    assert COUNTERFACTUALS["teacher_alone"].change(base(label_share=0.0)) is None
    assert COUNTERFACTUALS["more_labels"].change(base(label_share=0.95)) is None
    assert COUNTERFACTUALS["floats"].change(base()) is None


def test_a_student_trained_through_codes_is_trained_in_floats() -> None:
    one = base(codec="int4")
    assert changes(one.teaching.settings, changed("floats", one).settings) == {"codec": None, "codec_step": None} or (
        changes(one.teaching.settings, changed("floats", one).settings) == {"codec": None}
    )


def test_what_a_run_left_open_is_the_first_of_its_candidates() -> None:
    given = {"dim": 8, "user_id": False}
    one = Base.of(given, None, FACTS, known())
    assert {"history_dropout", "label_share", "learning_rate"} <= set(one.teaching.settings)
    assert one.plan == plan(TwoTower(**one.teaching.settings).config, FACTS, distilled=True)


def test_time_that_is_short_takes_users_first_and_trainings_then() -> None:
    one, names = base(), [name for name in COUNTERFACTUALS if name != "floats"]
    whole = program(one, minutes=10_000)
    assert whole.users == FACTS.users and whole.notes == () and [wanted.name for wanted in whole.wanted] == names
    some = program(one, minutes=0.5 * whole.seconds / 60)
    assert FEWEST_USERS <= some.users < FACTS.users and len(some.wanted) == len(names)
    assert some.seconds <= 0.5 * whole.seconds and "seeded" in some.notes[0]
    few = program(one, minutes=0.2 * program(one.on(FEWEST_USERS), minutes=10_000).seconds / 60)
    assert few.users == FEWEST_USERS
    assert [wanted.name for wanted in few.wanted] == names[: len(few.wanted)]
    assert len(few.wanted) < len(names) and "left out" in few.notes[-1]


def test_no_minute_at_all_trains_nothing() -> None:
    nothing = program(base(), minutes=1e-9)
    assert nothing.wanted == () and nothing.seconds == 0.0
