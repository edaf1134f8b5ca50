"""Tables that lie beside a log; nobody asked for them, so that a fault in one is told and not refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from recdistill.data.formats.base import Source
from recdistill.errors import DataError


def with_side_tables(log: Source, tables: Mapping[str, Callable[[], Source]]) -> Source:
    """`log` with its `items` and `users`, and a note where one of them cannot be opened."""
    side: dict[str, Source] = {}
    for part, opened in tables.items():
        try:
            side[part] = opened()
        except DataError as fault:
            log.notes = (*log.notes, f"what is known of {part} was not read: {fault}")
    log.side = side
    return log
