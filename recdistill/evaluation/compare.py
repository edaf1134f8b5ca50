"""Two models compared user by user: is the difference beyond the spread?

Beyond the spread: per-user differences are averaged over the seeds; their mean exceeds two standard errors over users
*and* has the same sign in every seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recdistill.errors import DataError

Floats = npt.NDArray[np.float64]
STANDARD_ERRORS = 2.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """a - b of one metric."""

    difference: float
    """Mean over users of the difference averaged over seeds."""
    standard_error: float
    """Of that mean over users (sample deviation / √users); NaN for a single user."""
    by_seed: tuple[float, ...]
    """Mean difference in each seed."""

    @property
    def seeds_same_sign(self) -> bool:
        """Every seed's difference is above 0, or every one below; one seed agrees with itself."""
        return len(self.by_seed) == 1 or all(d > 0 for d in self.by_seed) or all(d < 0 for d in self.by_seed)

    @property
    def beyond_spread(self) -> bool:
        return self.seeds_same_sign and abs(self.difference) > STANDARD_ERRORS * self.standard_error

    def as_row(self, a: str, b: str, metric: str, gap_recovered: float | None = None) -> dict[str, object]:
        """As it stands under `comparisons` in report.json; a standard error that does not exist is null."""
        return {
            "a": a,
            "b": b,
            "metric": metric,
            "difference": self.difference,
            "standard_error": None if math.isnan(self.standard_error) else self.standard_error,
            "seeds_same_sign": self.seeds_same_sign,
            "beyond_spread": self.beyond_spread,
            "gap_recovered": gap_recovered,
        }


def compare(a: npt.ArrayLike, b: npt.ArrayLike) -> Comparison:
    """a - b of per-user values, (seeds, users) each or (users,) for one seed: the same seeds, the same users."""
    values_a, values_b = np.atleast_2d(np.asarray(a, np.float64)), np.atleast_2d(np.asarray(b, np.float64))
    if values_a.shape != values_b.shape:
        raise DataError(
            f"cannot compare {values_a.shape} with {values_b.shape} (seeds, users). "
            "Measure both on the same users and seeds."
        )
    if values_a.size == 0:
        raise DataError("cannot compare without users. Give per-user values of at least one user and one seed.")
    gap = values_a - values_b  # (seeds, users)
    per_user = gap.mean(axis=0)
    users = len(per_user)
    error = float(per_user.std(ddof=1) / math.sqrt(users)) if users > 1 else math.nan
    return Comparison(float(per_user.mean()), error, tuple(float(d) for d in gap.mean(axis=1)))


def pooled(comparisons: Sequence[Comparison]) -> Comparison:
    """Over several logs: mean of the differences; root of the summed squared errors, divided by their number.

    A seed's difference is its mean over the logs, so every log must have been run with the same seeds.
    """
    if not comparisons:
        raise DataError("no comparison to pool. Give one for each log.")
    seeds = [len(c.by_seed) for c in comparisons]
    if len(set(seeds)) > 1:
        raise DataError(f"logs with {seeds} seeds cannot be pooled. Run the same seeds on each.")
    n = len(comparisons)
    difference = sum(c.difference for c in comparisons) / n
    error = math.sqrt(sum(c.standard_error**2 for c in comparisons)) / n
    by_seed = tuple(sum(one) / n for one in zip(*(c.by_seed for c in comparisons), strict=True))
    return Comparison(difference, error, by_seed)


def gap_recovered(teacher: npt.ArrayLike, distilled: npt.ArrayLike, alone: npt.ArrayLike) -> float | None:
    """(KD - S) / (T - S) of per-user values; None unless the teacher is above the student alone beyond the spread."""
    gap = compare(teacher, alone)
    if not (gap.beyond_spread and gap.difference > 0):
        return None
    return compare(distilled, alone).difference / gap.difference
