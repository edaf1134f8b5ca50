"""What is searched, the same for every method: the same points of the unit cube, seen through each one's own axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

DIGITS = 3
"""Significant digits of a tried value."""
SEED = 0
"""Of the points; not that of any training."""


Scale = tuple[Callable[[float], float], Callable[[float], float]]


def _same(value: float) -> float:
    return value


def _logit(value: float) -> float:
    return math.log(value / (1.0 - value))


def _logistic(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))


SCALES: dict[str, Scale] = {"linear": (_same, _same), "log": (math.log, math.exp), "logit": (_logit, _logistic)}


@dataclass(frozen=True, slots=True)
class Axis:
    """One setting and where its values lie."""

    name: str
    low: float
    high: float
    scale: Literal["linear", "log", "logit"] = "linear"

    def at(self, u: float) -> float:
        """The value at `u` of 0 to 1."""
        to, back = SCALES[self.scale]
        value = back(to(self.low) + u * (to(self.high) - to(self.low)))
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)


LEARNING_RATE = Axis("learning_rate", 3e-3, 2e-2, "log")
HISTORY_DROPOUT = Axis("history_dropout", 0.0, 0.6)
LABEL_SHARE = Axis("label_share", 0.01, 0.95, "logit")
EPOCHS_SHARE = Axis("epochs_share", 0.7, 1.6, "log")
"""Of the rule's epochs."""
PLACES = ("learning_rate", "history_dropout", "label_share", "epochs_share", "temperature")
"""Coordinates of a point, so that two methods that share an axis see the same values on it."""
METHOD_TAU = "method.tau"
"""The temperature of an objective; that of the default is the student's own `temperature`, on the same coordinate."""


def tempered(name: str, default: float) -> Axis:
    """A temperature around its default."""
    return Axis(name, 0.4 * default, 3.0 * default, "log")


def trial(first: Mapping[str, Any], axes: tuple[Axis, ...], number: int) -> dict[str, Any]:
    """Settings of a trial: those of the rule, then drawn ones; more trials begin with the same ones."""
    if number == 0:
        return dict(first)
    point = dict(zip(PLACES, _point(number), strict=True))
    drawn = {axis.name: axis.at(point["temperature" if axis.name == METHOD_TAU else axis.name]) for axis in axes}
    return {**first, **drawn}


def _point(number: int) -> list[float]:
    """Of an additive recurrence (Roberts, 2018), shifted at random: even also after few points."""
    size = len(PLACES)
    golden = 2.0
    for _ in range(64):
        golden = (1.0 + golden) ** (1.0 / (size + 1))
    steps = golden ** -np.arange(1.0, size + 1)
    shift = np.random.default_rng(SEED).random(size)
    found: list[float] = ((shift + number * steps) % 1.0).tolist()
    return found
