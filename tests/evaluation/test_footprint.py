"""Cost of an answer, measured by a clock that ticks as told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from recdistill.evaluation import footprint as module
from recdistill.evaluation.footprint import footprint


class Clock:
    """A question's start reads the time, its end adds what the next answer is said to take."""

    def __init__(self, seconds: Callable[[int], float]) -> None:
        self.now, self.reads, self.seconds = 0.0, 0, seconds

    def __call__(self) -> float:
        self.reads += 1
        if self.reads % 2 == 0:
            self.now += self.seconds(len(self.asked))
        return self.now

    asked: list[int]


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Every call of top_k."""
    calls: list[tuple] = []
    real = module.top_k

    def noted(scorer, histories, user_rows, k, exclude, **more):
        calls.append((len(user_rows), k, exclude.lengths.tolist()))
        return real(scorer, histories, user_rows, k, exclude, **more)

    monkeypatch.setattr(module, "top_k", noted)
    return calls


def small(make_split, scorer_of):
    split = make_split([[0], [1, 2], [3]], [[1], [0], [2]], 30)
    return scorer_of(np.random.default_rng(0).random((3, 30), np.float32)), split


def test_rate_is_users_over_seconds_and_latency_is_of_one_user(make_split, scorer_of, door) -> None:
    scorer, split = small(make_split, scorer_of)
    clock = Clock(lambda n: 0.25 if door[-1][0] == module.BATCH else 0.002 if n % 50 == 0 else 0.001)
    clock.asked = door
    found = footprint(scorer, split, seconds=1.0, clock=clock)
    assert found.queries_per_second == pytest.approx(1024 / 0.25)
    assert found.latency_ms["p50"] == pytest.approx(1.0)
    assert found.latency_ms["p99"] == pytest.approx(2.0)


def test_batches_hold_1024_users_and_single_users_are_at_least_200(make_split, scorer_of, door) -> None:
    scorer, split = small(make_split, scorer_of)
    clock = Clock(lambda n: 0.01)
    clock.asked = door
    footprint(scorer, split, seconds=1.0, clock=clock)
    sizes = [size for size, _, _ in door]
    assert set(sizes) == {1024, 1}
    assert clock.reads == 2 * (50 + 200)
    assert {k for _, k, _ in door} == {20}


def test_a_slow_model_is_not_asked_without_end(make_split, scorer_of, door) -> None:
    scorer, split = small(make_split, scorer_of)
    clock = Clock(lambda n: 1.0)
    clock.asked = door
    found = footprint(scorer, split, seconds=1.0, clock=clock)
    assert clock.reads == 2 * (1 + 3)
    assert found.latency_ms == {"p50": 1000.0, "p99": 1000.0}


def test_seen_items_are_excluded_and_a_small_catalogue_cuts_the_list(make_split, scorer_of, door) -> None:
    split = make_split([[0], [1, 2], [3, 4, 0]], [[1], [0], [2]], 5)
    later = make_split([[0], [1, 2], [3]], [[3], [], []], 5).test
    split = replace(split, valid=later, exclude="train+valid")
    clock = Clock(lambda n: 0.1)
    clock.asked = door
    footprint(scorer_of(np.eye(3, 5)), split, seconds=0.1, clock=clock)
    assert {k for _, k, _ in door} == {5}
    assert [seen for size, _, seen in door if size == 1][:3] == [[2], [2], [3]]


def test_bytes_parameters_and_dimension_are_the_scorers(make_split, scorer_of) -> None:
    scorer, split = small(make_split, scorer_of)
    ticking = Clock(lambda n: 1.0)
    ticking.asked = []
    found = footprint(scorer, split, seconds=0.1, clock=ticking).as_dict()
    assert found["bytes"] == 4 * (2 * 30 * 3 + 3 * 3)
    assert (found["parameters"], found["dimension"]) == (2 * 30 * 3 + 3 * 3, 3)
    assert set(found) == {"bytes", "parameters", "dimension", "queries_per_second", "latency_ms", "account"}
    assert found["account"]["multiply_adds"] == round(4 / 3 * 3 + 3 + 30 * 3)
