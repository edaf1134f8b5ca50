"""Numbers are written one way, and labels do not cover each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import pytest

from recdistill.report import figures
from recdistill.report.charts import canvas, linear_ticks, step_digits
from recdistill.report.labels import Box, place


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (figures.quality, 0.26412, ".2641"),
        (figures.quality, 1.0, "1.0000"),
        (figures.quality, None, "–"),
        (figures.quality, math.nan, "–"),
        (figures.difference, 0.0021, "+.0021"),
        (figures.difference, -0.0021, "−.0021"),
        (figures.difference, -0.00001, ".0000"),
        (figures.size, 0, "0 B"),
        (figures.size, 999, "999 B"),
        (figures.size, 413_848, "414 kB"),
        (figures.size, 999_960, "1.00 MB"),
        (figures.size, 12_400_000, "12.4 MB"),
        (figures.size, 13_000_000_000, "13.0 GB"),
        (figures.percent, 0.9731, "97.3 %"),
        (figures.percent, 0.0001, "< .1 %"),
        (figures.factor, 6.09, "6.1×"),
        (figures.factor, 0.44, "0.44×"),
        (figures.factor, 23.4, "23×"),
        (figures.rate, 55_612.3, "55,600"),
        (figures.rate, 0, "–"),
        (figures.milliseconds, 0.4213, ".421"),
        (figures.milliseconds, 99.96, "100"),
        (figures.amount, 0.0, "0"),
        (figures.amount, 1512.4, "1,510"),
        (figures.amount, None, "–"),
        (figures.duration, 51.96, "52.0 s"),
        (figures.duration, 484.2, "8 min 04 s"),
        (figures.duration, 7260, "2 h 01 min"),
        (figures.metric_name, "ndcg@20", "NDCG@20"),
        (figures.metric_name, "hit@10", "Hit rate@10"),
    ],
)
def test_a_number_is_written_as_people_read_it(write: Callable[[object], str], value: object, text: str) -> None:
    assert write(value) == text


def test_labels_of_points_close_together_do_not_overlap() -> None:
    points = [(200.0, 100.0), (200.0, 103.0), (203.0, 101.0), (199.0, 98.0)]
    texts = ["student", "student alone", "teacher SVD", "student int8"]
    placed = place(points, texts, Box(0, 0, 420, 280))
    boxes = []
    for at, text in zip(placed, texts, strict=True):
        left = at.x if at.align == "left" else at.x - 6.2 * len(text)
        boxes.append(Box(left, at.y - 6, left + 6.2 * len(text), at.y + 6))
    assert all(a.overlap(b) == 0 for a, b in combinations(boxes, 2))


def test_a_label_at_the_border_turns_inwards() -> None:
    (placed,) = place([(415.0, 100.0)], ["teacher"], Box(0, 0, 420, 280))
    assert placed.align == "right" and placed.x < 415


def test_many_labels_in_a_small_place_do_not_cover_each_other_or_what_is_taken() -> None:
    frame, taken = Box(0, 0, 430, 300), Box(196, 120, 204, 180)
    points = [(200.0 + 3 * (at % 4), 140.0 + 5 * (at // 4)) for at in range(12)]
    texts = [f"student, {bits} bits" for bits in range(12)]
    boxes = [taken]
    for one, text in zip(place(points, texts, frame, taken=[taken]), texts, strict=True):
        width = 6.2 * len(text)
        left = one.x if one.align == "left" else one.x - width
        boxes.append(Box(left, one.y - 6.5, left + width, one.y + 6.5))
    assert all(box.outside(frame) == 0 for box in boxes)
    assert max(one.overlap(other) for at, one in enumerate(boxes) for other in boxes[:at]) == 0


@pytest.mark.parametrize(
    ("places", "digits"),
    [([-0.0025, 0.0, 0.0025, 0.005], 4), ([0.0, 0.005, 0.01], 3), ([0.1, 0.2, 0.3], 1), ([0.0, 5.0], 0), ([0.3], 0)],
)
def test_ticks_have_as_many_digits_as_their_step_needs(places: list[float], digits: int) -> None:
    assert step_digits(places) == digits


def test_ticks_that_are_a_quarter_of_a_hundredth_apart_are_told_apart() -> None:
    with canvas(100) as (figure, axes):
        axes.set_xlim(-0.003, 0.008)
        axes.set_xticks([-0.0025, 0.0, 0.0025, 0.005, 0.0075])
        linear_ticks(axes.xaxis, figures.difference)
        figure.draw_without_rendering()
        assert [tick.get_text() for tick in axes.get_xticklabels()] == [
            "−.0025", ".0000", "+.0025", "+.0050", "+.0075",
        ]  # fmt: skip
