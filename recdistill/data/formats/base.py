"""What a format has to offer to the reader of logs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import pyarrow as pa


class Source(ABC):
    """A table somewhere: its column names at once, its columns when asked for."""

    where: str
    """How errors call it: the path as it was given."""
    names: list[str]
    typed: bool = True
    """False where everything is text, so that an id 12 is spelled "12"."""

    @abstractmethod
    def columns(self, wanted: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
        """`wanted` maps what a column is (user_id, rating, ...) to its name; what comes back has the same keys."""

    def fault_in_names(self) -> str:
        """Why the names look wrong, as the end of an error message; empty where they do not."""
        return ""
