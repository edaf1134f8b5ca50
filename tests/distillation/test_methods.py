"""What is asked for, read and refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from recdistill.candidates.joined import Joined
from recdistill.candidates.student_top import StudentTop
from recdistill.candidates.teacher_top import TeacherTop
from recdistill.distillation.methods import read_methods
from recdistill.distillation.schedules import Schedule, schedule_of
from recdistill.errors import ConfigError
from recdistill.objectives.registry import OBJECTIVES


def test_a_name_a_list_and_a_mapping_ask_for_the_same() -> None:
    one, two, three = read_methods("rrd"), read_methods(["rrd"]), read_methods({"rrd": {}})
    assert one == two == three
    assert one.taught[0].sources() == dict(OBJECTIVES["rrd"].shown)
    assert one.labels is None and one.label_share is None


def test_candidates_are_named_for_a_list_or_joined() -> None:
    given = {"teacher_top": {"k": 7}}, {"student_top": {}, "teacher_top": {"k": 3}}
    single, several = (read_methods({"soft_kl": {"shown": {"candidates": one}}}).taught[0] for one in given)
    assert single.sources()["candidates"] == TeacherTop(k=7)
    assert several.sources()["candidates"] == Joined((StudentTop(), TeacherTop(k=3)))
    assert several.needs() == {"scores", "top_k"}


def test_pairs_are_named_as_pairs() -> None:
    method = read_methods({"unkd": {"shown": {"pairs": {"popularity_pairs": {"groups": 2}}}}}).taught[0]
    assert method.sources()["higher", "lower"].groups == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_every_objective_can_be_asked_for(name: str) -> None:
    method = read_methods(name).taught[0]
    assert OBJECTIVES[name].needs <= method.needs()


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("rdd", "no objective 'rdd'. Did you mean 'rd'"),
        ([], "names no objective"),
        (["rrd", "rrd"], "names one twice"),
        ({"rrd": "3"}, "rrd = '3': expected settings"),
        ({"rrd": {"tau": 3.0}}, "rrd: has no settings but weight, adapt and shown; found tau"),
        ({"rrd": {"weight": -1.0}}, "rrd.weight: goes below 0"),
        ({"rrd": {"weight": "much"}}, "rrd.weight = 'much': give a number"),
        ({"rrd": {"weight": {"shedule": "linear"}}}, "rrd.weight.shedule"),
        ({"rrd": {"adapt": "gradient"}}, "rrd.adapt = 'gradient'. Did you mean 'gradients'"),
        (
            {"rrd": {"shown": {"top": "teacher_top"}}},
            "rrd.shown.top: rrd has no such list. It has interesting, uninter",
        ),
        ({"rrd": {"shown": {"interesting": "best"}}}, "no source of candidates 'best'"),
        ({"rrd": {"shown": {"interesting": {"teacher_top": {"k": 0}}}}}, "teacher_top: k = 0: give at least 1"),
        ({"rrd": {"shown": {"interesting": 4}}}, "rrd.shown.interesting = 4"),
        ({"rrd": {"shown": {"interesting": []}}}, "names no source of candidates"),
        ({"rrd": {"shown": 4}}, "rrd.shown = 4"),
        ({"de": {"shown": {"top": "teacher_top"}}}, "It is shown no lists"),
        ({"soft_kl": {"tau": -1.0}}, "tau must be above 0"),
        ({"soft_kl": {"tau": {"schedule": "linear", "start": 1.0, "end": -1.0}}}, "tau must be above 0"),
        ({"soft_kl": {"shown": {"candidates": ["catalogue", "own"]}}}, "none of which is the whole catalogue"),
    ],
)
def test_what_cannot_be_taught_is_refused(method: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        read_methods(method)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("rrd", "labels: rrd learns from a teacher"),
        ({"bpr": {}, "bce": {}}, "give one objective of labels"),
        ({"weight": 1.5}, r"labels.weight = 1.5: give a share"),
    ],
)
def test_labels_that_are_none_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_methods("rrd", labels)


def test_a_schedule_goes_from_start_to_end_between_its_shares() -> None:
    straight = Schedule(schedule="linear", start=2.0, end=0.0, begin=0.25, until=0.75)
    assert [straight.at(p) for p in (0.0, 0.25, 0.5, 0.75, 1.0)] == [2.0, 2.0, 1.0, 0.0, 0.0]
    assert Schedule(schedule="cosine", start=0.0, end=1.0).at(0.25) == pytest.approx(0.1464, abs=1e-4)
    assert Schedule(schedule="decay", start=1.0, end=1e-4).at(0.5) == pytest.approx(1e-2)
    assert Schedule(schedule="constant", start=3.0, end=0.0).at(1.0) == 3.0
    step = Schedule(schedule="linear", start=1.0, end=0.0, begin=0.5, until=0.5)
    assert [step.at(p) for p in (0.49, 0.5)] == [1.0, 0.0]


@pytest.mark.parametrize(
    "given",
    [
        {"begin": 0.6, "until": 0.5},
        {"schedule": "decay", "start": 1.0, "end": 0.0},
        {"start": float("nan")},
        {"schedule": "step"},
        True,
        "1",
    ],
)
def test_a_schedule_that_is_none_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError):
        schedule_of(given, "rrd.weight")


def test_a_number_in_the_place_of_settings_is_the_weight() -> None:
    assert read_methods({"rrd": 1.0, "de": 0.5, "cd": 0}) == read_methods(
        {"rrd": {"weight": 1.0}, "de": {"weight": 0.5}, "cd": {"weight": 0}}
    )
    assert [one.weight.start for one in read_methods({"rrd": 2, "de": None}).taught] == [2.0, 1.0]


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"soft_kl": {"tau": "fited"}}, "soft_kl.tau = 'fited': expected a number, 'fitted' .*, or a schedule"),
        ({"rrd": math.nan}, "rrd.weight: is nan; give a finite number"),
        ({"rrd": {"weight": {"start": math.nan, "end": 1.0}}}, "rrd.weight: schedule: goes from nan to 1.0"),
        ({"rrd": True}, "rrd = True: expected settings"),
    ],
)
def test_a_value_that_is_no_number_is_named_with_what_may_stand_there(method: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_methods(method)
