"""The layouts of the MovieLens archives: the log and, beside it, what is known of films and people."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.data.formats.base import Source
from recdistill.data.formats.delimited import Delimited
from recdistill.data.formats.raw import Raw
from recdistill.data.formats.side import with_side_tables
from recdistill.data.names import find_role

LOG = ("user_id", "item_id", "rating", "timestamp")
_GENRES = (
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir Horror Musical "
    "Mystery Romance Sci-Fi Thriller War Western"
)
GENRES = _GENRES.split()
NO_GENRE = "(no genres listed)"


def log_of_layout(members: Mapping[str, Raw], log: str) -> Source | None:
    """The log of this name among a folder's files, if they are laid out as in one of the archives."""
    return LAYOUTS[log](members) if log in members else None


class Films(Source):
    """A table of films whose genres are lists."""

    def __init__(self, text: Source, genres: str = "genres") -> None:
        self._text, self._genres = text, genres
        self.where, self.names, self.typed = text.where, text.names, text.typed
        self.notes, self.roles = text.notes, text.roles

    def columns(self, wanted: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
        return self._text.columns(wanted)

    def table(self) -> pa.Table:
        read = self._text.table()
        if self._genres not in read.column_names:
            return read
        column = pc.fill_null(read[self._genres].cast(pa.large_string()), "")
        known = pc.and_(pc.not_equal(column, ""), pc.not_equal(column, NO_GENRE))
        lists = pc.split_pattern(pc.if_else(known, column, pa.scalar(None, pa.large_string())), "|")
        return read.set_column(read.column_names.index(self._genres), self._genres, lists)


class FlaggedFilms(Source):
    """u.item: a flag for each genre, here as one list."""

    typed = False

    def __init__(self, raw: Raw) -> None:
        leading = ("item_id", "title", "release_date", "video_release_date", "url")
        self._text = Delimited(raw, delimiter="|", header=False, names=[*leading, *GENRES], encoding=_encoding(raw))
        self.where, self.notes = self._text.where, self._text.notes
        self.names = ["item_id", "title", "release_date", "genres"]

    def columns(self, wanted: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
        return self._text.columns(wanted)

    def table(self) -> pa.Table:
        read = self._text.table()
        flags = [pc.equal(read[genre].cast(pa.large_string()), "1").to_pylist() for genre in GENRES]
        genres = [
            [genre for genre, flag in zip(GENRES, row, strict=True) if flag and genre != "unknown"] or None
            for row in zip(*flags, strict=True)
        ]
        return read.select(self.names[:3]).append_column("genres", pa.array(genres, pa.list_(pa.string())))


def _dat(members: Mapping[str, Raw]) -> Source | None:
    log = members["ratings.dat"]
    if log.head(1 << 12).split(b"\n")[0].count(b"::") != 3:
        return None
    side: dict[str, Callable[[], Source]] = {}
    if "movies.dat" in members:
        side["items"] = lambda: Films(_headless(members["movies.dat"], "::", ("item_id", "title", "genres")))
    if "users.dat" in members:
        users = ("user_id", "gender", "age", "occupation", "zip_code")
        side["users"] = lambda: _headless(members["users.dat"], "::", users)
    return with_side_tables(_log(log, "::"), side)


def _u_data(members: Mapping[str, Raw]) -> Source | None:
    log = members["u.data"]
    if log.head(1 << 12).split(b"\n")[0].count(b"\t") != 3:
        return None
    side: dict[str, Callable[[], Source]] = {}
    if "u.item" in members:
        side["items"] = lambda: FlaggedFilms(members["u.item"])
    if "u.user" in members:
        users = ("user_id", "age", "gender", "occupation", "zip_code")
        side["users"] = lambda: _headless(members["u.user"], "|", users)
    return with_side_tables(_log(log, "\t"), side)


def _csv(members: Mapping[str, Raw]) -> Source | None:
    """The names are in the headers; what lies beside and names no item is none of it."""
    films = members.get("movies.csv")
    if films is None or b"\n" not in films.head(1 << 12):
        return None
    header = films.head(1 << 12).split(b"\n")[0].decode("utf-8", "replace").strip().split(",")
    if find_role(header, "item_id") is None:
        return None
    return with_side_tables(
        Delimited(members["ratings.csv"]), {"items": lambda: Films(Delimited(films, delimiter=","))}
    )


def _log(raw: Raw, delimiter: str) -> Source:
    log = Delimited(raw, delimiter=delimiter, header=False, names=list(LOG))
    log.roles = {name: name for name in LOG}
    log.notes = (*log.notes, f"the layout of MovieLens' {raw.name}")
    return log


def _headless(raw: Raw, delimiter: str, names: tuple[str, ...]) -> Source:
    return Delimited(raw, delimiter=delimiter, header=False, names=list(names), encoding=_encoding(raw))


def _encoding(raw: Raw) -> str:
    """The older archives hold titles in latin-1."""
    try:
        bytes(raw.buffer()).decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


LAYOUTS: Mapping[str, Callable[[Mapping[str, Raw]], Source | None]] = {
    "ratings.dat": _dat,
    "u.data": _u_data,
    "ratings.csv": _csv,
}
"""By the name of the log."""
