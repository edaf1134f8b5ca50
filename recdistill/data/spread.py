"""How numbers are spread: quartiles, bins that a person can read, inequality, counts over time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

LEAST_DATE, LATEST_DATE = 10**8, 7_258_118_400
"""Seconds of 1973 and of 2200: times between them are dates, others an order."""


@dataclass(frozen=True, slots=True)
class Bin:
    label: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Whole numbers from 1 on: how many rows a user has, how many an item."""

    min: int
    quartile_1: float
    median: float
    quartile_3: float
    mean: float
    max: int
    bins: tuple[Bin, ...]
    """1, 2 to 4, 5 to 9, 10 to 19 and so on, from the first that is not empty."""

    @classmethod
    def of(cls, counts: np.ndarray) -> Spread:
        low, q1, middle, q3, high = np.percentile(counts, (0, 25, 50, 75, 100)).tolist()
        return cls(
            min=int(low),
            quartile_1=q1,
            median=middle,
            quartile_3=q3,
            mean=float(counts.mean()),
            max=int(high),
            bins=_bins(counts),
        )


def gini(counts: np.ndarray) -> float:
    """0: all alike; towards 1: one has everything."""
    ordered = np.sort(counts).astype(np.float64)
    n = len(ordered)
    return float(2 * (np.arange(1, n + 1) @ ordered) / (n * ordered.sum()) - (n + 1) / n)


def concentration(counts: np.ndarray, points: int = 101) -> list[tuple[float, float]]:
    """(share of the items, the most popular first; share of the rows that they get), evenly spaced by items."""
    held = np.append(0, np.cumsum(np.sort(counts)[::-1]))
    at = np.unique(np.round(np.linspace(0, len(counts), points)).astype(np.int64))
    return [(float(place / len(counts)), float(held[place] / held[-1])) for place in at]


def top_share(counts: np.ndarray, share: float = 0.1) -> float:
    """The part of all rows that the most popular items get; at least one item."""
    ordered = np.sort(counts)[::-1]
    return float(ordered[: max(1, round(share * len(counts)))].sum() / ordered.sum())


def are_dates(times: np.ndarray) -> bool:
    """Whether times are seconds since 1970 rather than an order."""
    return bool(LEAST_DATE <= times.max() <= LATEST_DATE and times.min() >= -LEAST_DATE * 30)


def spelled(time: float, *, date: bool) -> str:
    """`2000-04-25 23:05:32`, or the number where it is no date."""
    return str(np.datetime64(int(time), "s")).replace("T", " ") if date else f"{time:g}"


def over_time(times: np.ndarray, *, dates: bool) -> tuple[str, tuple[Bin, ...]]:
    """Rows in each day, month or year (whichever gives a readable number of them), those without rows included."""
    if not dates:
        counts, edges = np.histogram(times, bins=20)
        return "step", tuple(Bin(f"{edge:g}", int(n)) for edge, n in zip(edges, counts, strict=False))
    days = float(times.max() - times.min()) / 86_400
    unit = "day" if days <= 62 else "month" if days <= 365 * 8 else "year"
    when = times.astype("datetime64[s]").astype(f"datetime64[{unit[0].upper()}]").astype(np.int64)
    first = int(when.min())
    counts = np.bincount(when - first)
    names = (first + np.arange(len(counts))).astype(f"datetime64[{unit[0].upper()}]")
    return unit, tuple(Bin(str(name), int(n)) for name, n in zip(names, counts, strict=True))


def ratings(values: np.ndarray, most: int = 20) -> tuple[Bin, ...]:
    """Each value that occurs, or equally wide steps where there are too many of them."""
    found, counts = np.unique(values, return_counts=True)
    if len(found) <= most:
        return tuple(Bin(f"{value:g}", int(n)) for value, n in zip(found, counts, strict=True))
    if found[0] >= 1 and found[-1] > 100 * found[0]:
        return _bins(values)
    steps, edges = np.histogram(values, bins=most)
    return tuple(Bin(f"{edge:.3g}", int(n)) for edge, n in zip(edges, steps, strict=False))


def _bins(counts: np.ndarray) -> tuple[Bin, ...]:
    edges = [1]
    while edges[-1] <= counts.max():
        edges.append(edges[-1] * 2 if str(edges[-1])[0] != "2" else edges[-1] * 5 // 2)
    found, _ = np.histogram(counts, bins=np.array(edges, dtype=np.float64))
    ends = list(pairwise(edges))[int(np.argmax(found > 0)) :]
    labels = [f"{low:,}" if high == low + 1 else f"{low:,} to {high - 1:,}" for low, high in ends]
    return tuple(Bin(label, int(n)) for label, n in zip(labels, found[-len(ends) :], strict=True))
