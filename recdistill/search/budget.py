"""When a search ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recdistill.errors import ConfigError

DEFAULT_MINUTES = 60.0
MOST_TRIALS = 100
"""Where only minutes are given: on a small log they would hold thousands, all judged by the same valid rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Trials, minutes or both; 60 minutes where neither is given. The first trial is always finished."""

    minutes: float | None = None
    trials: int | None = None
    clock: Callable[[], float] = time.perf_counter
    """In seconds."""
    began: float = 0.0
    """What the clock said when the work began."""

    def __post_init__(self) -> None:
        if self.minutes is not None and not self.minutes > 0:
            raise ConfigError(f"tune: minutes = {self.minutes}: give a number above 0")
        if self.trials is not None and self.trials < 1:
            raise ConfigError(f"tune: trials = {self.trials}: give at least 1")

    def over(self, seconds: Sequence[float], earlier: float) -> str | None:
        """Why no further trial is started, or None; `seconds` of each trial, `earlier` the sum of earlier commands."""
        if not seconds:
            return None
        most = MOST_TRIALS if self.trials is None else self.trials
        if len(seconds) >= most:
            return f"ended after {len(seconds)} trials, " + ("the most" if self.trials is None else "as asked")
        minutes = DEFAULT_MINUTES if self.minutes is None and self.trials is None else self.minutes
        spent, mean = earlier + self.clock() - self.began, sum(seconds) / len(seconds)
        if minutes is None or spent + mean <= 60 * minutes:
            return None
        return (
            f"ended after {len(seconds)} trials and {spent / 60:.1f} of {minutes:g} minutes: another takes {mean:.0f} s"
        )
