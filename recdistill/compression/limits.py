"""What a student may take, as it is written: bytes like 125kB, or the time of one answer like 50us; and what is
searched within it, like 125kB+search20min or 125kB+search40trials."""

from __future__ import annotations

import re
from dataclasses import dataclass

from recdistill.compression.sizes import budget_name, parsed_size
from recdistill.compression.times import parsed_time, time_name


def limit_name(text: str) -> str | None:
    """The one way of writing a limit; None for what is none, as a codec is."""
    if parsed_size(text) is not None:
        return budget_name(text)
    return time_name(text) if parsed_time(text) is not None else None


@dataclass(frozen=True, slots=True)
class Search:
    """Students that are searched within a limit, until minutes or trials are over."""

    limit: str
    minutes: float | None = None
    trials: int | None = None

    @property
    def model(self) -> str:
        """Its name in the report."""
        return f"student_{self.limit}_searched"

    def __str__(self) -> str:
        told = [f"{self.minutes:g}min"] if self.minutes is not None else []
        return f"{self.limit}+search{'+'.join([*told, *([f'{self.trials}trials'] if self.trials else [])])}"


def parsed_search(text: str) -> Search | None:
    """What `str` of a search gives; None for what is none."""
    match = re.fullmatch(r"([^+]+)\+search(?:(\d+(?:\.\d+)?)min)?\+?(?:(\d+)trials)?", text.strip())
    name = limit_name(match[1]) if match else None
    if match is None or name is None or not (match[2] or match[3]):
        return None
    return Search(name, float(match[2]) if match[2] else None, int(match[3]) if match[3] else None)
