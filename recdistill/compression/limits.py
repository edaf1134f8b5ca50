"""What a student may take, as it is written: bytes like 125kB, or the time of one answer like 50us."""

from __future__ import annotations

from recdistill.compression.sizes import budget_name, parsed_size
from recdistill.compression.times import parsed_time, time_name


def limit_name(text: str) -> str | None:
    """The one way of writing a limit; None for what is none, as a codec is."""
    if parsed_size(text) is not None:
        return budget_name(text)
    return time_name(text) if parsed_time(text) is not None else None
