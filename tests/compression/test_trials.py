"""What a budget's student is chosen from."""

from __future__ import annotations

import re
from typing import Any

import pytest

from recdistill.compression import trials as rules
from recdistill.compression.sizes import student_bytes
from recdistill.compression.trials import (
    ALONE,
    COMPARED,
    DISTILLED,
    DISTILLED_IN_LARGE,
    FINALISTS,
    SEEDS,
    SHORT,
    Effort,
    Found,
    Trials,
)
from recdistill.data.interactions import HeldOut, Interactions
from recdistill.distillation.default import LARGE_FROM, together
from recdistill.distillation.methods import read_methods
from recdistill.errors import ConfigError
from recdistill.knowledge.store import Knowledge
from recdistill.models.base import valid_ndcg
from recdistill.models.two_tower import TwoTower
from recdistill.training.progress import NullProgress
from tests.models.test_two_tower import blocks

GIVEN: dict[str, Any] = {"epochs": 20, "batch_users": 32}
LIMIT = 720


@pytest.fixture(scope="module")
def log() -> tuple[Interactions, HeldOut]:
    return blocks()


@pytest.fixture(scope="module")
def knowledge(log: tuple[Interactions, HeldOut]) -> Knowledge:
    return Knowledge.extract(TwoTower(dim=8, epochs=30, learning_rate=0.02).fit(log[0]), log[0], top_k=12)


@pytest.fixture(scope="module")
def found(log: tuple[Interactions, HeldOut], knowledge: Knowledge) -> Found:
    """By one seed, as where many users decide."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "FEW_USERS", len(log[1]))
        return Trials(*log, knowledge, GIVEN).best(LIMIT)


class Heard(NullProgress):
    """What was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def named(self, name: str, seed: int | None = None) -> NullProgress:
        return NullProgress()

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(scope="module")
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="module")
def found_by_few(log: tuple[Interactions, HeldOut], knowledge: Knowledge, heard: Heard) -> Found:
    return Trials(*log, knowledge, GIVEN, progress=heard).best(LIMIT)


def test_the_student_is_the_best_on_valid_of_those_trained_to_the_end(
    log: tuple[Interactions, HeldOut], found: Found
) -> None:
    whole = [one for one in found.tried if one.epochs_share == 1]
    best = max(whole, key=lambda one: one.valid)
    assert valid_ndcg(found.student.scorer, *log) == best.valid
    assert found.settings == best.settings
    assert found.student.scorer.nbytes == best.bytes <= LIMIT


def test_every_shape_is_compared_shortly_and_the_best_of_them_trained_to_the_end(found: Found) -> None:
    short = [one for one in found.tried if one.epochs_share == SHORT]
    whole = [one for one in found.tried if one.epochs_share == 1]
    fitting = {one.settings["codec"] for one in short}
    assert fitting <= set(COMPARED) and len(fitting) == len(short) > FINALISTS
    ranked = sorted(short, key=lambda one: -one.valid)
    assert [one.settings["codec"] for one in whole[:FINALISTS]] == [o.settings["codec"] for o in ranked[:FINALISTS]]
    assert len(whole) == FINALISTS + len(DISTILLED) - 1
    assert all(one.bytes == student_bytes(30, one.settings["codec"], one.settings["dim"]) for one in found.tried)


def test_where_few_users_decide_all_shapes_are_trained_to_the_end_and_the_best_with_other_seeds(
    log: tuple[Interactions, HeldOut], knowledge: Knowledge, found_by_few: Found
) -> None:
    tried = found_by_few.tried
    assert {one.epochs_share for one in tried} == {1.0}
    shapes, settings = tried[: -len(DISTILLED) + 1], tried[-len(DISTILLED) + 1 :]
    by_first = sorted(shapes, key=lambda one: -one.first)
    assert [len(one.by_seed) for one in by_first] == [SEEDS] * FINALISTS + [0] * (len(shapes) - FINALISTS)
    best = max((one for one in shapes if one.by_seed), key=lambda one: one.valid)
    assert {one.settings["codec"] for one in settings} == {best.settings["codec"]}
    asked_again = [one for one in settings if one.by_seed]
    rival = max(settings, key=lambda one: one.first)
    assert asked_again == ([rival] if rival.first > best.first else [])
    won = max([best, *asked_again], key=lambda one: one.valid)
    assert found_by_few.settings == won.settings
    assert valid_ndcg(found_by_few.student.scorer, *log) == won.first
    again = [valid_ndcg(Trials(*log, knowledge, GIVEN, seed=s).trained(won.settings)[0].scorer, *log) for s in (1, 2)]
    assert list(won.by_seed[1:]) == again and won.valid == pytest.approx(sum(won.by_seed) / SEEDS)


def test_a_setting_that_only_the_first_seed_prefers_is_not_taken(
    log: tuple[Interactions, HeldOut], monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = {0: {0.2: 0.5, 0.0: 0.6}, 1: {0.2: 0.5, 0.0: 0.3}, 2: {0.2: 0.5, 0.0: 0.4}}

    def trained(self: Trials, settings: dict[str, Any], _share: float = 1.0) -> tuple[TwoTower, rules.Tried]:
        dropout = settings["history_dropout"]
        return TwoTower(dim=8), rules.Tried(dict(settings), 1, 1.0, reached[self.seed][dropout])

    monkeypatch.setattr(Trials, "trained", trained)
    effort = Effort(candidates=2)
    found = Trials(*log, None, {"codec": "int4"}, effort=effort).best(LIMIT)
    assert found.settings["history_dropout"] == 0.2
    assert [one.by_seed for one in found.tried] == [(0.5, 0.5, 0.5), (0.6, 0.3, 0.4)]
    reached[1][0.0] = 0.7
    assert Trials(*log, None, {"codec": "int4"}, effort=effort).best(LIMIT).settings["history_dropout"] == 0.0
    monkeypatch.setattr(rules, "FEW_USERS", 0)
    reached[1][0.0] = 0.3
    assert Trials(*log, None, {"codec": "int4"}, effort=effort).best(LIMIT).settings["history_dropout"] == 0.0


def test_settings_that_are_given_are_not_tried(log: tuple[Interactions, HeldOut], knowledge: Knowledge) -> None:
    given = {**GIVEN, "codec": "int3", "label_share": 0.5, "history_dropout": 0.1, "learning_rate": 0.02}
    found = Trials(*log, knowledge, given).best(LIMIT)
    assert [(one.settings["codec"], one.settings["label_share"]) for one in found.tried] == [("int3", 0.5)]


def test_by_the_default_of_a_large_catalogue_little_is_left_to_labels(
    log: tuple[Interactions, HeldOut], knowledge: Knowledge
) -> None:
    found = Trials(*log, knowledge, {**GIVEN, "codec": "int4"}, methods=together(LARGE_FROM)).best(LIMIT)
    tried = [{name: one.settings[name] for name in DISTILLED_IN_LARGE[0]} for one in found.tried]
    assert tried == list(DISTILLED_IN_LARGE)
    assert len(DISTILLED_IN_LARGE) == len(DISTILLED)
    by_hand = Trials(*log, knowledge, {**GIVEN, "codec": "int4"}, methods=read_methods("rce_kd"))
    assert by_hand.best(LIMIT).tried[0].settings["label_share"] == DISTILLED[0]["label_share"]


def test_without_a_teacher_students_learn_from_labels(log: tuple[Interactions, HeldOut]) -> None:
    found = Trials(*log, None, {**GIVEN, "codec": "int4"}).best(LIMIT)
    assert found.student.scorer.nbytes <= LIMIT
    assert len(found.tried) == len(ALONE) == len(DISTILLED)  # as many as with one
    assert len({one.settings["history_dropout"] for one in found.tried}) == len(ALONE)


def test_less_is_tried_where_less_is_asked_for(log: tuple[Interactions, HeldOut], knowledge: Knowledge) -> None:
    effort = Effort(codecs=("int4", "int2"), finalists=1, candidates=2)
    tried = Trials(*log, knowledge, GIVEN, effort=effort).best(LIMIT).tried
    assert [(one.settings["codec"], one.epochs_share) for one in tried[:2]] == [("int4", SHORT), ("int2", SHORT)]
    assert [one.epochs_share for one in tried[2:]] == [1.0, 1.0]
    assert len({one.settings["codec"] for one in tried[2:]}) == 1


def test_what_only_chooses_is_not_trained_to_the_end_where_nothing_is_left_to_choose(
    log: tuple[Interactions, HeldOut], knowledge: Knowledge
) -> None:
    effort = Effort(codecs=("int4", "int2"), finalists=1, candidates=1)
    served = Trials(*log, knowledge, GIVEN, effort=effort).best(LIMIT)
    chosen = Trials(*log, knowledge, GIVEN, effort=effort, served=False).best(LIMIT)
    assert [one.epochs_share for one in served.tried] == [SHORT, SHORT, 1.0]
    assert chosen.tried == served.tried[:2] and chosen.settings == served.settings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"codecs": ("int5",)}, "'int5' cannot be trained through. Did you mean 'int"),
        ({"codecs": ()}, "search.codecs: give at least one"),
        ({"finalists": 0}, "search.finalists = 0: give at least 1"),
        ({"candidates": 0}, "search.candidates = 0: give at least 1"),
    ],
)
def test_an_effort_that_is_none_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Effort(**given)


def test_a_budget_that_nothing_fits_is_refused_before_anything_is_trained(log: tuple[Interactions, HeldOut]) -> None:
    with pytest.raises(ConfigError, match="the smallest student of 30 items takes"):
        Trials(*log, None, {"epochs": 10**9}).best(50)


def test_what_is_to_be_trained_is_told_before_and_each_training_with_what_it_reached(
    log: tuple[Interactions, HeldOut], knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "FEW_USERS", len(log[1]))
    heard, effort = Heard(), Effort(codecs=("int4", "int2", "binary"), finalists=1, candidates=2)
    trials = Trials(*log, knowledge, GIVEN, effort=effort, progress=heard, name="student 600B")
    found = trials.best(LIMIT)
    plan, *lines = heard.lines
    shapes = ", ".join(f"{one.settings['codec']}, d={one.settings['dim']}" for one in found.tried[:3])
    assert plan == (
        f"- student 600B: tries {shapes}, each for 30% of the epochs; the best 1 to the end; "
        "the best with 1 other settings: 5 trainings"
    )
    assert len(lines) == len(found.tried) == 5
    for line, one in zip(lines, found.tried, strict=True):
        assert line.startswith(f"- student 600B: {one.settings['codec']}, d={one.settings['dim']}, ")
        assert line.endswith(
            f", seed 0{', 30% of the epochs' * (one.epochs_share < 1)}: NDCG@20 on valid {one.valid:.4f}"
        )


def test_where_few_users_decide_the_plan_counts_the_seeds(found_by_few: Found, heard: Heard) -> None:
    plan, *lines = heard.lines
    count = int(re.search(r": (\d+) trainings or a few more$", plan)[1])  # type: ignore[index]
    assert f"the best {FINALISTS} with {SEEDS - 1} more seeds" in plan
    assert count <= len(lines) <= count + SEEDS - 1 and len(lines) >= len(found_by_few.tried)
