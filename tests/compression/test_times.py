"""Shapes for a time are chosen by what a stopwatch says of random tables; here it says what it is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recdistill.compression.limits import limit_name
from recdistill.compression.sizes import WIDEST, student_bytes
from recdistill.compression.times import (
    SLACK,
    STEP,
    fast_shapes,
    parsed_time,
    random_student,
    time_in_seconds,
    time_name,
)
from recdistill.errors import ConfigError
from recdistill.models.two_tower import TwoTower
from recdistill.serving.scorers import BagScorer
from tests.models.conftest import N_ITEMS, draw_log

ITEMS, CODECS = 40, ("int8", "int2")


def slower_with_width(student: BagScorer) -> float:
    """1 µs a dimension."""
    return 1e-6 * student.dimension


@pytest.mark.parametrize(
    ("text", "seconds", "name"),
    [
        ("50us", 5e-5, "50us"),
        (" 50 µs", 5e-5, "50us"),
        ("50μs", 5e-5, "50us"),
        ("0.2MS", 2e-4, "0.2ms"),
        ("1s", 1, "1s"),
    ],
)
def test_times_are_read_and_have_one_name(text: str, seconds: float, name: str) -> None:
    assert parsed_time(text) == time_in_seconds(text) == pytest.approx(seconds)
    assert time_name(text) == name == limit_name(text)


@pytest.mark.parametrize("text", ["int8", "fp16", "50", "us", "50kB", "5 min", "-3us", "0us"])
def test_what_is_no_time_is_refused_as_one(text: str) -> None:
    with pytest.raises(ConfigError, match="write it like '50us'"):
        time_in_seconds(text)


def test_a_limit_is_a_size_or_a_time_and_a_codec_is_none() -> None:
    assert limit_name("125 KB") == "125kB"
    assert [limit_name(name) for name in ("fp16", "int8", "pq16", "binary")] == [None] * 4


def test_the_widest_whose_random_table_leaves_some_of_the_time_is_taken() -> None:
    found = fast_shapes(ITEMS, 50e-6, slower_with_width, codecs=CODECS, ordered=False)
    assert [(shape.codec, shape.dim) for shape in found] == [("int8", 40), ("int2", 40)]
    assert 40 <= SLACK * 50 < 40 + STEP
    for shape, seconds in found.items():
        assert seconds == pytest.approx(1e-6 * shape.dim)
        assert shape.bytes == student_bytes(ITEMS, shape.codec, shape.dim)


def test_a_time_that_everything_keeps_gets_the_widest() -> None:
    found = fast_shapes(ITEMS, 1.0, slower_with_width, codecs=CODECS, ordered=False)
    assert {shape.dim for shape in found} == {WIDEST}


def test_a_codec_that_is_too_slow_is_left_out() -> None:
    def slow_int2(student: BagScorer) -> float:
        return 1.0 if student.config()["codecs"]["item_table"] == "int2" else slower_with_width(student)

    assert {shape.codec for shape in fast_shapes(ITEMS, 50e-6, slow_int2, codecs=CODECS, ordered=False)} == {"int8"}


def test_each_shape_is_measured_once_and_few_are() -> None:
    asked: list[int] = []

    def counted(student: BagScorer) -> float:
        asked.append(student.dimension)
        return slower_with_width(student)

    fast_shapes(ITEMS, 100e-6, counted, codecs=("int8",), ordered=False)
    assert len(set(asked)) == len(asked) <= 8


def test_where_nothing_is_so_fast_the_fastest_is_named() -> None:
    with pytest.raises(ConfigError, match=r"latency of 5 µs: the fastest student of 40 items takes 8 µs .*d=8\)"):
        fast_shapes(ITEMS, 5e-6, slower_with_width, codecs=CODECS, ordered=False)


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("codec", ["int8", "int4", "binary"])
def test_a_random_student_has_the_arrays_of_a_trained_one(codec: str, ordered: bool) -> None:
    from dataclasses import replace

    log = draw_log()
    log = replace(log, times=np.arange(log.n_rows))
    settings: dict[str, Any] = {"dim": 8, "codec": codec, "table": "tied", "user_id": False, "order": ordered}
    trained = TwoTower(**settings, epochs=1).fit(log).scorer
    drawn = random_student(N_ITEMS, codec, 8, ordered=ordered, rng=np.random.default_rng(0))

    def told(scorer: Any) -> dict[str, Any]:
        return {name: (array.shape, array.dtype) for name, array in scorer.arrays().items()}

    assert told(drawn) == told(trained)
    assert {**drawn.config(), "scale": None} == {**trained.config(), "scale": None}


def test_a_time_below_a_microsecond_is_told_as_it_was_given() -> None:
    with pytest.raises(ConfigError, match=r"latency of 0\.001 µs: .* takes 8 µs .* Give at least 8\.89 µs"):
        fast_shapes(ITEMS, 1e-9, slower_with_width, codecs=CODECS, ordered=False)
