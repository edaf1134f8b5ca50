"""What is not the part of a split that a model wants is named, with what to give in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import recdistill as rd
from recdistill.errors import ConfigError
from tests.conftest import tiny_frame


@pytest.fixture(scope="module")
def log() -> Any:
    return rd.read_interactions(tiny_frame())


@pytest.fixture(scope="module")
def split(log: Any) -> rd.Split:
    return rd.split.ratio(log, valid=0.15, test=0.15)


@pytest.fixture(scope="module")
def teacher(split: rd.Split) -> rd.Ranker:
    return rd.Popularity().fit(split.train)


@pytest.mark.parametrize(
    "call",
    [
        lambda given, teacher: rd.TwoTower(dim=4).fit(given),
        lambda given, teacher: rd.EASE().fit(given),
        lambda given, teacher: rd.Knowledge.extract(teacher, given),
        lambda given, teacher: rd.Knowledge.from_table(tiny_frame().assign(score=1.0), given),
    ],
)
def test_what_is_no_train_part_is_named(
    call: Callable[..., Any], log: Any, split: rd.Split, teacher: rd.Ranker
) -> None:
    with pytest.raises(ConfigError, match=r"this is a whole split; give its train part, split\.train$"):
        call(split, teacher)
    with pytest.raises(ConfigError, match=r"this is a whole log, its test rows too; split it, .* split\.train$"):
        call(log, teacher)
    with pytest.raises(ConfigError, match=r"found a DataFrame; read it by rd\.read_interactions"):
        call(tiny_frame(), teacher)


def test_what_a_student_is_taught_with_is_named(log: Any, split: rd.Split, teacher: rd.Ranker) -> None:
    known, student = rd.Knowledge.extract(teacher, split.train), rd.TwoTower(dim=4, user_id=False)
    with pytest.raises(ConfigError, match="on: this is a whole log"):
        rd.distill(known, student=student, on=log)
    with pytest.raises(ConfigError, match=r"valid is a whole split; give its valid part, split\.valid"):
        rd.distill(known, student=student, on=split.train, valid=split)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="valid is a Interactions; give the valid part"):
        student.fit(split.train, split.train)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"found a Popularity; ask a teacher for it: rd\.Knowledge\.extract"):
        rd.distill(teacher, student=student, on=split.train)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"labels = 0\.3: give .* \{\"weight\": 0\.3\}"):
        rd.distill(known, student=student, on=split.train, method="rrd", labels=0.3)  # type: ignore[arg-type]
