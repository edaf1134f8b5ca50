"""Which shapes of a student answer within a time: measured with random tables, which are as fast as trained ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import numpy as np

from recdistill.compression.sizes import PLACES, WIDEST, Shape, narrowest, student_bytes
from recdistill.errors import ConfigError
from recdistill.serving.scorers import BagScorer
from recdistill.tables.codecs import CodedTable

UNITS = {"us": 1e-6, "\N{MICRO SIGN}s": 1e-6, "\N{GREEK SMALL LETTER MU}s": 1e-6, "ms": 1e-3, "s": 1.0}
STEP = 8
"""Between the dimensions that are measured: closer ones differ by less than two measurements of one."""
SLACK = 0.9
"""Share of the time that a random table may take: what is left is for the spread of the measurement."""
POWER = 0.5
"""Of a history's length, that a two-tower's bag is divided by."""

Stopwatch = Callable[[BagScorer], float]
"""Seconds that one user waits for an answer, the median."""


def parsed_time(text: str) -> float | None:
    """The seconds that a text like "50us" or "0.2 ms" stands for; None where it is no time."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zµμ]+)\s*", text.lower())
    return float(match[1]) * UNITS[match[2]] if match and match[2] in UNITS else None


def time_in_seconds(text: str) -> float:
    """The same of a text that is one. Raises ConfigError where it is not, or is no time at all."""
    if not (found := parsed_time(text)):
        raise ConfigError(f"latency {text!r}: write it like '50us' or '0.2ms', above 0")
    return found


def time_name(text: str) -> str:
    """The one way of writing a time that was written in another: "50 µs" as "50us"."""
    number, unit = re.fullmatch(r"\s*([\d.]+)\s*(\w+)\s*", text.lower()).groups()  # type: ignore[union-attr]
    return f"{number}{unit if unit in ('ms', 's') else 'us'}"


def _micro(seconds: float) -> str:
    """In whole microseconds; below ten of them in three digits, so that no time is told as none."""
    told = 1e6 * seconds
    return f"{told:,.0f} µs" if told >= 10 else f"{told:.3g} µs"


def fast_shapes(
    n_items: int, limit: float, stopwatch: Stopwatch, *, codecs: tuple[str, ...], ordered: bool, seed: int = 0
) -> dict[Shape, float]:
    """For every codec the widest student that answers one user in `limit` seconds, with the seconds measured.

    Raises ConfigError, with the fastest there is, where none does.
    """
    found, fastest = {}, []
    for codec in codecs:

        @cache
        def seconds(step: int, codec: str = codec) -> float:
            student = random_student(n_items, codec, STEP * step, ordered=ordered, rng=np.random.default_rng(seed))
            return stopwatch(student)

        step = _widest(seconds, SLACK * limit, _least_steps(codec), WIDEST // STEP)
        if step is None:
            fastest.append((seconds(_least_steps(codec)), codec))
            continue
        dim = STEP * step
        shape = Shape(codec, dim, student_bytes(n_items, codec, dim, ordered=ordered))
        found[shape] = seconds(step)
    if not found:
        least, codec = min(fastest)
        dim = STEP * _least_steps(codec)
        raise ConfigError(
            f"latency of {_micro(limit)}: the fastest student of {n_items:,} items takes {_micro(least)} "
            f"on this machine ({codec}, d={dim}). Give at least {_micro(least / SLACK)}."
        )
    return found


def random_student(n_items: int, codec: str, dim: int, *, ordered: bool, rng: np.random.Generator) -> BagScorer:
    """A tied student of this shape as it is served, of random numbers: as large and as fast as a trained one."""
    rows = rng.normal(size=(n_items, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    small = rng.random((3, n_items), dtype=np.float32)
    return BagScorer(
        item_table=CodedTable.of(rows), history_weight=small[0], item_bias=small[1], popularity=small[2],
        place_weight=np.ones(PLACES, np.float16) if ordered else None, normalize=True, history_power=POWER,
    ).quantized(codec)  # fmt: skip


def _least_steps(codec: str) -> int:
    return -(-narrowest(codec) // STEP)


def _widest(seconds: Callable[[int], float], limit: float, low: int, high: int) -> int | None:
    """The most steps, from `low` to `high`, that lie within the limit, each measured once; None where none does."""
    if seconds(low) > limit:
        return None
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if seconds(middle) <= limit else (low, middle - 1)
    return low
