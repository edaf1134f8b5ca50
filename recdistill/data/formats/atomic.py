"""RecBole's atomic files: tabs, a header of `name:type`, and beside X.inter what is known as X.item and X.user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.data.formats.base import Source
from recdistill.data.formats.delimited import Delimited
from recdistill.data.formats.raw import Raw
from recdistill.data.formats.side import with_side_tables
from recdistill.data.names import find_role
from recdistill.errors import DataError

KINDS = ("token", "token_seq", "float", "float_seq")
ENDINGS = (".inter", ".item", ".user")


class Atomic(Source):
    """Names and kinds come from the header; sequences are separated by spaces."""

    typed = False

    def __init__(self, raw: Raw, beside: Mapping[str, Raw] | None = None) -> None:
        self.where = raw.where
        self._text = Delimited(raw, delimiter="\t", header=True)
        self._given: dict[str, str] = {}
        self.kinds = {}
        for given in self._text.names:
            name, _, kind = given.rpartition(":")
            if not name or kind not in KINDS:
                raise DataError(
                    f"{self.where}: the header holds {given!r}; in an atomic file each name is followed by its type, "
                    f"as in user_id:token ({', '.join(KINDS)})."
                )
            self._given[name], self.kinds[name] = given, kind
        self.names = list(self._given)
        self.notes = (*self._text.notes, "atomic file: names and types from its header")
        with_side_tables(self, _beside(raw, beside or {}))
        title = find_role(self.names, "title") if raw.ending == ".item" else None
        if title is not None:
            self.kinds.pop(title)  # a sequence of words to its format, a text to people

    def columns(self, wanted: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
        return self._text.columns({role: self._given[name] for role, name in wanted.items()})

    def table(self) -> pa.Table:
        read = self._text.table()
        return pa.table({name: self._typed(name, read[given]) for name, given in self._given.items()})

    def _typed(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        kind = self.kinds.get(name)
        if kind not in ("token_seq", "float_seq"):
            return column
        lists = pc.split_pattern_regex(pc.utf8_trim_whitespace(column.cast(pa.large_string())), r"\s+")
        if kind == "token_seq":
            return lists
        try:
            return lists.cast(pa.list_(pa.float64()))
        except pa.ArrowInvalid as fault:
            what = " ".join(str(fault).split())[:120]
            raise DataError(f"{self.where}: column {name!r} is no sequence of numbers: {what}.") from None


def _beside(raw: Raw, others: Mapping[str, Raw]) -> dict[str, Callable[[], Source]]:
    stem, dot, ending = raw.name.rpartition(".")
    if f"{dot}{ending}" != ".inter":
        return {}
    named = {"items": others.get(f"{stem}.item"), "users": others.get(f"{stem}.user")}
    return {part: partial(Atomic, found) for part, found in named.items() if found is not None}
