"""Numbers that change while a student is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from recdistill.errors import ConfigError
from recdistill.settings import from_mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """From `start` at the share `begin` of the training to `end` at the share `until`; level before and after."""

    schedule: Literal["constant", "linear", "cosine", "decay"] = "linear"
    """decay: by equal factors, so that both ends must be above 0."""
    start: float = 1.0
    end: float = 1.0
    begin: float = 0.0
    until: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end)):
            raise ConfigError(f"schedule: goes from {self.start} to {self.end}; give two numbers.")
        if not 0 <= self.begin <= self.until <= 1:
            raise ConfigError(f"schedule: from {self.begin} until {self.until}; both are shares, the first not above.")
        if self.schedule == "decay" and not (self.start > 0 and self.end > 0):
            raise ConfigError(f"schedule: decay from {self.start} to {self.end} needs both above 0; take linear.")

    def at(self, progress: float) -> float:
        """progress: share of the training that is done, 0 to 1."""
        if self.schedule == "constant":
            return self.start
        width = self.until - self.begin
        share = min(1.0, max(0.0, (progress - self.begin) / width)) if width > 0 else float(progress >= self.until)
        if self.schedule == "cosine":
            share = (1.0 - math.cos(math.pi * share)) / 2.0
        if self.schedule == "decay":
            return self.start * (self.end / self.start) ** share
        return self.start + (self.end - self.start) * share


def schedule_of(given: Any, where: str) -> Schedule:
    """A number, or `{"schedule": "linear", "start": 1.0, "end": 0.1}`."""
    if isinstance(given, Schedule):
        return given
    if isinstance(given, Mapping):
        try:
            return from_mapping(Schedule, given, where)
        except ConfigError as error:
            raise error if where in str(error) else ConfigError(f"{where}: {error}") from None
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ConfigError(f"{where} = {given!r}: give a number, or a schedule with start and end.")
    if not math.isfinite(given):
        raise ConfigError(f"{where}: is {given}; give a finite number, or a schedule with start and end.")
    return Schedule(schedule="constant", start=float(given), end=float(given))
