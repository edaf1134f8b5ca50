"""What a format has to offer to the reader of logs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from recdistill.data.chunks import Numbers

EMPTY: Mapping[str, Any] = MappingProxyType({})


class Source(ABC):
    """A table somewhere: its column names at once, its columns when asked for."""

    where: str
    """How errors call it: the path as it was given."""
    names: list[str]
    columnar: bool = False
    """Whether reading two columns costs about what reading them one by one does."""
    typed: bool = True
    """False where everything is text, so that an id 12 is spelled "12"."""
    notes: tuple[str, ...] = ()
    """What was decided on the way, for people: delimiter, header, encoding, compression, member of an archive."""
    roles: Mapping[str, str] = EMPTY
    """What the format itself knows: role (user_id, rating, ...) to column name."""
    side: Mapping[str, Source] = EMPTY
    """Tables that lie beside the log: "items", "users"."""
    kinds: Mapping[str, str] = EMPTY
    """Column name to the kind that the format gives it ("token", "token_seq", "float", "float_seq")."""
    headed: bool = True
    """False where the names are made up (column_1, ...) since the table has none."""

    @abstractmethod
    def columns(self, wanted: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
        """`wanted` maps what a column is (user_id, rating, ...) to its name; what comes back has the same keys."""

    def numbers(self, name: str, kinds: Mapping[str, Any]) -> Numbers | None:
        """A column decoded bit by bit, or None where it is to be had only whole.

        `kinds` maps the kind of number in the file ("i", "f", as numpy has them) to the type that is wanted.
        """
        return None

    def table(self) -> pa.Table:
        """Every column, with the types that the format gives or that the text suggests."""
        return pa.table(self.columns({name: name for name in self.names}))

    def fault_in_names(self) -> str:
        """Why the names look wrong, as the end of an error message; empty where they do not."""
        return ""
