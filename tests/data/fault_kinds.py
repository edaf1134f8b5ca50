"""A valid log of 2,000 rows, and one fault at a time put into it: what the reader has to say to each."""

from __future__ import annotations

import gzip
import json
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

N_ROWS, N_USERS, N_ITEMS = 2000, 200, 300
NAMES = ("user_id", "item_id", "rating", "timestamp")
HEADER = ",".join(NAMES)
MIDDLE = 1000
"""The place of the row that a fault is put into; data row 1,001, line 1,002."""

Row = tuple[Any, ...]


def valid_rows() -> list[Row]:
    """Distinct pairs; every user and item occurs."""
    draw = np.random.default_rng(0)
    pairs = np.sort(draw.choice(N_USERS * N_ITEMS, N_ROWS, replace=False))
    users, items = pairs // N_ITEMS, pairs % N_ITEMS
    order = draw.permutation(N_ROWS)
    times = draw.integers(1_000_000_000, 1_700_000_000, N_ROWS)
    ratings = draw.integers(1, 6, N_ROWS)
    return [
        (int(users[at]) + 1, int(items[at]) + 1, int(ratings[at]), int(time))
        for at, time in zip(order, times, strict=True)
    ]


ROWS = valid_rows()


def lines(rows: list[Row], delimiter: str = ",") -> list[str]:
    return [delimiter.join(map(str, row)) for row in rows]


def text(rows: list[Row] | None = None, delimiter: str = ",", end: str = "\n") -> str:
    return end.join([delimiter.join(NAMES), *lines(ROWS if rows is None else rows, delimiter), ""])


def with_value(column: str, value: Any, at: int = MIDDLE) -> str:
    rows = [list(row) for row in ROWS]
    rows[at][NAMES.index(column)] = value
    return text([tuple(row) for row in rows])


def with_line(line: str, at: int = MIDDLE, *, instead: bool = True) -> str:
    """`line` in the place of a row, or before it."""
    all_lines = lines(ROWS)
    all_lines[at : at + instead] = [line]
    return "\n".join([HEADER, *all_lines, ""])


def of_each(change: Callable[[Row], Row]) -> str:
    return text([change(row) for row in ROWS])


@dataclass(frozen=True)
class Fault:
    """Either `refused`, a pattern of the one line, or `rows` of a log that is right, with `holds` among its ids."""

    file: str
    """What is handed to the reader, relative to the folder of the case."""
    write: str | bytes | Callable[[Path], None]
    """The content of `file`, or what writes it there."""
    refused: str | None = None
    rows: int = N_ROWS
    holds: tuple[Any, ...] = ()
    said: str = ""
    """A pattern in the notes."""
    settings: dict[str, Any] = field(default_factory=dict)

    def put(self, folder: Path) -> Path:
        path = folder / self.file.partition("!")[0]
        if callable(self.write):
            self.write(path)
        else:
            path.write_bytes(self.write.encode() if isinstance(self.write, str) else self.write)
        return folder / self.file


def _csv(content: str | bytes, refused: str | None = None, **rest: Any) -> Fault:
    return Fault("log.csv", content, refused, **rest)


def _table(**columns: Any) -> pa.Table:
    plain = {name: [row[place] for row in ROWS] for place, name in enumerate(NAMES)}
    return pa.table(plain | columns)


def _parquet(table: pa.Table) -> Callable[[Path], None]:
    return lambda path: parquet.write_table(table, path)


def _broken_parquet(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        parquet.write_table(_table(), path)
        path.write_bytes(change(path.read_bytes()))

    return write


def _zip(members: dict[str, str | bytes], change: Callable[[bytes], bytes] | None = None) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        if change is not None:
            path.write_bytes(change(path.read_bytes()))

    return write


def _folder(files: dict[str, str | bytes | pa.Table]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.mkdir()
        for name, content in files.items():
            target = path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, pa.Table):
                parquet.write_table(content, target)
            else:
                target.write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def _json(change: Callable[[list[dict[str, Any]]], Any] | None = None) -> str:
    rows = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
    if change is not None:
        change(rows)
    return "".join(json.dumps(row) + "\n" for row in rows)


def _sqlite(*tables: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            for table in tables:
                connection.execute(f"create table {table} ({HEADER})")
                connection.executemany(f"insert into {table} values (?, ?, ?, ?)", ROWS)
            connection.commit()

    return write


def _encrypted(stored: bytes) -> bytes:
    """The flag alone, in both headers."""
    local, central = stored.find(b"PK\x03\x04"), stored.find(b"PK\x01\x02")
    changed = bytearray(stored)
    changed[local + 6] |= 1
    changed[central + 8] |= 1
    return bytes(changed)


def _claims_much(stored: bytes) -> bytes:
    """A ZIP64 field that says 100 GB."""
    central = stored.find(b"PK\x01\x02")
    name, extra = struct.unpack_from("<HH", stored, central + 28)
    size = struct.pack("<I", 0xFFFFFFFF)
    field64 = struct.pack("<HHQ", 1, 8, 100 << 30)
    end = stored.find(b"PK\x05\x06")
    entry = bytearray(stored[central:end])
    entry[24:28] = size
    entry[30:32] = struct.pack("<H", extra + len(field64))
    entry[46 + name : 46 + name] = field64
    tail = bytearray(stored[end:])
    tail[12:16] = struct.pack("<I", len(entry))
    return stored[:central] + bytes(entry) + bytes(tail)


def _flip(at: float) -> Callable[[bytes], bytes]:
    def change(stored: bytes) -> bytes:
        place = int(len(stored) * at)
        return stored[:place] + bytes([stored[place] ^ 0xFF]) + stored[place + 1 :]

    return change


GZ = gzip.compress(text().encode(), mtime=0)
ZST = pa.compress(text().encode(), codec="zstd", asbytes=True)
LAST = len(lines(ROWS)[-1])

FAULTS: dict[str, Fault] = {
    # nothing wrong, in several dresses
    "nothing": _csv(text(), holds=(1, 200)),
    "no line end at the end": _csv(text().rstrip("\n")),
    "Windows' line ends": _csv(text(end="\r\n")),
    "an old Macintosh's line ends": _csv(text(end="\r")),
    "line ends of two kinds": _csv(text().replace("\n", "\r\n", 500)),
    "tabs in a .csv": _csv(text(delimiter="\t"), said="tabs"),
    "semicolons": _csv(text(delimiter=";"), said="semicolons"),
    "bars": _csv(text(delimiter="|"), said=r"'\|'"),
    "double colons": _csv(text(delimiter="::"), said="'::'"),
    "no header": _csv(text().partition("\n")[2], said="no header"),
    "every field quoted": _csv(text([tuple(f'"{field}"' for field in row) for row in ROWS])),
    "a byte order mark": _csv(b"\xef\xbb\xbf" + text().encode()),
    "UTF-16": _csv(text().encode("utf-16"), said="utf-16"),
    "blank lines between": _csv(text().replace("\n", "\n\n")),
    "blank lines at the end": _csv(text() + "\n\n\n"),
    "columns in another order": _csv(
        "\n".join(["timestamp,rating,item_id,user_id", *(",".join(map(str, row[::-1])) for row in ROWS), ""])
    ),
    # cut short
    "an empty file": _csv("", "the file is empty"),
    "blank lines alone": _csv("\n\n\n", "the file is empty|no rows"),
    "the header alone": _csv(HEADER + "\n", "no rows below the header"),
    "half a header": _csv("user_id,item\n" + text().partition("\n")[2], "columns"),
    "cut between two fields": _csv(text()[: -LAST + 3], r"data row 2,000|row.* 2,00[01]"),
    "cut within the last time": _csv(text()[:-7], "in data row 2,000, while most of its times are seconds"),
    # fields and quotes
    "a quote that is never closed": _csv(with_line('"7,8,5,1200000000'), "quote|columns"),
    "a quote that is never closed in the last row": _csv(with_line('7,8,5,"1200000000', N_ROWS - 1)),
    "a row too short": _csv(with_line("7,8,5"), "1,00[12].*columns|columns.*1,00[12]"),
    "a row too long": _csv(with_line("7,8,5,1200000000,9"), "1,00[12].*columns|columns.*1,00[12]"),
    "a row of one word": _csv(with_line("7"), "columns"),
    "another delimiter in one row": _csv(with_line("7;8;5;1200000000"), "columns"),
    "another delimiter in the second half": _csv(
        "\n".join([HEADER, *lines(ROWS[:MIDDLE]), *lines(ROWS[MIDDLE:], ";"), ""]), "columns"
    ),
    "a comment before the header": _csv("# exported on a Monday\n" + text(), "column"),
    "a row of dashes": _csv(with_line("---,---,---,---"), "rating"),
    "the header twice": _csv(with_line(HEADER, instead=False), "header|rating"),
    "the header twice among words": _csv(
        "user_id,item_id\n" + "".join(f"u{u},i{i}\n" for u, i, *_ in ROWS) + "user_id,item_id\nu1,i1\n",
        "data row 2,001 is the header once more",
    ),
    "a page of an error": _csv("<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n", "column|users"),
    # bytes
    "a NUL byte": _csv(with_value("item_id", "1\x002"), "NUL"),
    "NUL bytes at the end": _csv(text() + "\0" * 512, "NUL"),
    "NUL bytes throughout": _csv(b"\0" * 4096, "NUL|empty"),
    "latin-1": _csv(with_value("item_id", "Café").encode("latin-1"), holds=("Café", "1"), said="UTF-8"),
    "bytes that are no text": _csv(
        with_value("item_id", "?!?").encode().replace(b"?!?", b"\xff\xfe\xc3"), r"UTF-8|not text"
    ),
    "UTF-8 cut in a letter": _csv(
        with_value("item_id", "?!?").encode().replace(b"?!?", b"Caf\xc3"), holds=("1",), said="UTF-8"
    ),
    # ids
    "a word among integers": _csv(with_value("item_id", "x12"), holds=("x12", "1")),
    "an empty user": _csv(with_value("user_id", ""), "'user_id' has 1 empty .* data row 1,001"),
    "an empty item": _csv(with_value("item_id", ""), "'item_id' has 1 empty .* data row 1,001"),
    "an empty item in quotes": _csv(with_value("item_id", '""'), "'item_id'.*empty"),
    "NULL among integers": _csv(with_value("user_id", "NULL"), "'user_id' holds 'NULL' .* data row 1,001"),
    "nan among integers": _csv(with_value("item_id", "nan"), "'item_id' holds 'nan' .* data row 1,001"),
    "an empty user, left out": _csv(
        with_value("user_id", ""), rows=N_ROWS - 1, said="1 rows? with", settings={"drop_null": True}
    ),
    "NULL among integers, left out": _csv(
        with_value("item_id", "NULL"), rows=N_ROWS - 1, holds=(1,), settings={"drop_null": True}
    ),
    "decimals as ids": _csv(of_each(lambda row: (row[0] + 0.5, *row[1:])), "'user_id' holds [0-9]+.5; ids are"),
    "one decimal as an id": _csv(with_value("user_id", "7.5"), "'user_id' holds .*7.5"),
    "whole decimals as ids": _csv(of_each(lambda row: (float(row[0]), *row[1:])), holds=(1, 200)),
    "an id beyond 64 bits": _csv(with_value("item_id", 2**63), holds=(str(2**63), "1")),
    "an id of forty digits": _csv(with_value("item_id", "9" * 40), holds=("9" * 40, "1")),
    "a negative id": _csv(with_value("item_id", -5), holds=(-5, 1)),
    "an id with leading zeros": _csv(with_value("item_id", "007"), holds=("007", "7")),
    "ids with powers of ten": _csv(with_value("item_id", "1e3"), holds=("1e3", "1")),
    "true and false as users": _csv(of_each(lambda row: ("true" if row[0] % 2 else "false", *row[1:]))),
    "UUIDs": _csv(of_each(lambda row: (f"00000000-0000-4000-8000-{row[0]:012}", *row[1:]))),
    "one user": _csv(of_each(lambda row: (1, *row[1:])), "only one user"),
    "one item": _csv(of_each(lambda row: (row[0], 1, *row[2:])), "only one item"),
    "a line's end in an id": _csv(
        with_value("item_id", '"two\nlines"'), "'item_id' goes on over several lines in .* 1,001"
    ),
    "a delimiter in an id": _csv(with_value("item_id", '"a,b"'), holds=("a,b", "1")),
    "repeated rows": _csv(text(ROWS + ROWS[:100]), rows=N_ROWS + 100, said="repeated"),
    # ratings
    "a rating that is NaN": _csv(with_value("rating", "nan"), "'rating' holds nan in data row 1,001"),
    "an infinite rating": _csv(with_value("rating", "inf"), "'rating' holds inf in data row 1,001"),
    "a rating of minus infinity": _csv(with_value("rating", "-inf"), "'rating' holds -inf in data row 1,001"),
    "a rating beyond all numbers": _csv(with_value("rating", "1e400"), "'rating'.*(inf|1e400)"),
    "a word as a rating": _csv(with_value("rating", "good"), "'rating'.*'good'"),
    "an empty rating": _csv(with_value("rating", ""), "'rating' has 1 empty or null .* data row 1,001"),
    "a decimal comma": _csv(with_value("rating", "4,5"), "columns"),
    "a decimal comma in quotes": _csv(with_value("rating", '"4,5"'), "'rating'.*4,5.*decimal comma: write"),
    "hexadecimal": _csv(with_value("rating", "0x1F"), "'rating'.*0x1F"),
    # times
    "a time of -1": _csv(with_value("timestamp", -1), "'timestamp' holds -1 in data row 1,001"),
    "a time before 1970": _csv(with_value("timestamp", -300_000_000), said="1 of them before 1970"),
    "a time far in the future": _csv(with_value("timestamp", 99_999_999_999), "data row 1,001; times lie between"),
    "a time in milliseconds": _csv(with_value("timestamp", 1_300_000_000_000), "1,001, while most .* are seconds"),
    "a time beyond 64 bits": _csv(with_value("timestamp", "1" * 25), "'timestamp' holds .* data row 1,001"),
    "a word as a time": _csv(with_value("timestamp", "soon"), "'timestamp'.*'soon'"),
    "an empty time": _csv(with_value("timestamp", ""), "'timestamp' has 1 empty or null .* data row 1,001"),
    "a time that is NaN": _csv(with_value("timestamp", "nan"), "'timestamp' holds '?nan'?"),
    "a date among seconds": _csv(with_value("timestamp", "2010-05-06"), "'timestamp' holds"),
    "the 30th of February": _csv(
        of_each(lambda row: (*row[:3], f"2010-02-{row[0] % 29 + 1:02}")), "no such date", rows=0
    ),
    "days or months first": _csv(
        of_each(lambda row: (*row[:3], f"{row[0] % 12 + 1}/{row[1] % 12 + 1}/2010")), "day or with the month first"
    ),
    "every time in milliseconds": _csv(of_each(lambda row: (*row[:3], row[3] * 1000)), said="milliseconds"),
    # names
    "no column of users": _csv(text().replace("user_id", "whose", 1), "no column 'user_id'; found"),
    "two columns of one name": _csv(text().replace("rating", "item_id", 1), "2 columns are called 'item_id'"),
    "two columns that could be items": _csv(
        text().replace("item_id", "movie_id", 1).replace("rating", "book_id", 1), "'movie_id' and 'book_id'"
    ),
    "an ending that no one knows": Fault("log.xlsx", text(), "no reader for a file ending in '.xlsx'"),
    "no such file": Fault("log.csv", lambda path: None, "no such file"),
    # wrapped
    "gzip": Fault("log.csv.gz", GZ, said="gzip"),
    "gzip cut short": Fault("log.csv.gz", GZ[: len(GZ) // 2], "cut short|damaged"),
    "gzip cut in its last bytes": Fault("log.csv.gz", GZ[:-6], "cut short|damaged"),
    "gzip with a changed byte": Fault("log.csv.gz", _flip(0.5)(GZ), "cut short|damaged"),
    "gzip in name alone": Fault("log.csv.gz", text()),
    "gzip without the name": _csv(GZ, said="gzip"),
    "zstd": Fault("log.csv.zst", ZST, said="zstd"),
    "zstd cut short": Fault("log.csv.zst", ZST[: len(ZST) // 2], "cut short|damaged"),
    "a zip with one log": Fault("log.zip", _zip({"log.csv": text(), "README.txt": "of a log"}), said="log.csv"),
    "a zip with two logs": Fault("log.zip", _zip({"a.csv": text(), "b.csv": text()}), "2 logs in it, a.csv, b.csv"),
    "one of two logs in a zip": Fault("log.zip!b.csv", _zip({"a.csv": "x", "b.csv": text()})),
    "a member that is not there": Fault("log.zip!c.csv", _zip({"a.csv": text()}), "no member 'c.csv'; it holds a.csv"),
    "a zip without a log": Fault("log.zip", _zip({"notes.pdf": "x"}), "no log in it; it holds notes.pdf"),
    "a zip with nothing": Fault("log.zip", _zip({}), "no log in it"),
    "a zip cut short": Fault("log.zip", _zip({"log.csv": text()}, lambda stored: stored[:-200]), "not a whole zip"),
    "a zip with a changed byte": Fault("log.zip", _zip({"log.csv": text()}, _flip(0.5)), "cut short|damaged|log.csv"),
    "an encrypted zip": Fault("log.zip", _zip({"log.csv": text()}, _encrypted), "'log.csv' in it is encrypted"),
    "a zip that unpacks to 100 GB": Fault("log.zip", _zip({"log.csv": text()}, _claims_much), "unpacks to 100 GB"),
    "a zip in name alone": Fault("log.zip", text(), "not a whole zip"),
    # Parquet
    "Parquet": Fault("log.parquet", _parquet(_table()), holds=(1, 200)),
    "a broken footer": Fault(
        "log.parquet", _broken_parquet(lambda s: s[:-40] + b"x" * 32 + s[-8:]), "not a whole Parq"
    ),
    "Parquet cut short": Fault("log.parquet", _broken_parquet(lambda s: s[: len(s) // 2]), "not a whole Parquet file"),
    "Parquet in name alone": Fault("log.parquet", text(), "not a whole Parquet file"),
    "Parquet of no rows": Fault("log.parquet", _parquet(_table().slice(0, 0)), "no rows"),
    "a null id in Parquet": Fault(
        "log.parquet", _parquet(_table(user_id=[None, *(row[0] for row in ROWS[1:])])), "'user_id' has 1 empty .* row 1"
    ),
    "an empty string as an id in Parquet": Fault(
        "log.parquet", _parquet(_table(item_id=["", *(str(row[1]) for row in ROWS[1:])])), "'item_id' holds an empty id"
    ),
    "lists as ids": Fault("log.parquet", _parquet(_table(item_id=[[row[1]] for row in ROWS])), "'item_id' holds list"),
    "NaN ratings in Parquet": Fault(
        "log.parquet", _parquet(_table(rating=[float("nan")] * N_ROWS)), "'rating' holds nan in data row 1"
    ),
    # folders
    "a folder without files": Fault("logs", _folder({}), "no log in it; it holds nothing"),
    "a folder without a log": Fault("logs", _folder({"notes.pdf": b"x"}), "no log in it; it holds notes.pdf"),
    "a folder with two logs": Fault("logs", _folder({"a.csv": text(), "b.csv": text()}), "2 logs in it, a.csv, b.csv"),
    "a folder with a log and a table of items": Fault(
        "logs", _folder({"log.csv": text(), "films.csv": "item_id,title\n1,Heat\n"}), said="read from log.csv"
    ),
    "a folder of parts": Fault(
        "logs",
        _folder({"year=1/a.parquet": _table().slice(0, 900), "year=2/b.parquet": _table().slice(900)}),
        said="2 Parquet files",
    ),
    "parts whose columns differ": Fault(
        "logs",
        _folder({"year=1/a.parquet": _table(), "year=2/b.parquet": _table().drop_columns("rating")}),
        "different columns: 'rating'",
    ),
    "parts whose types differ": Fault(
        "logs",
        _folder({"a.parquet": _table(), "b.parquet": _table(item_id=[f"i{row[1]}" for row in ROWS])}),
        "different types",
    ),
    # other formats
    "JSON lines": Fault("log.jsonl", _json(), holds=(1, 200)),
    "a JSON array": Fault("log.json", json.dumps([dict(zip(NAMES, row, strict=True)) for row in ROWS]), holds=(1,)),
    "JSON cut short": Fault("log.jsonl", _json()[:-20], "line 2,000"),
    "a word among integers in JSON": Fault(
        "log.jsonl",
        _json(lambda rows: rows[MIDDLE].update(item_id="x")),
        "'item_id' holds text in line 1,001 and a num",
    ),
    "objects as ids in JSON": Fault(
        "log.jsonl", _json(lambda rows: [row.update(item_id={"id": 1}) for row in rows]), "'item_id' holds objects"
    ),
    "an object without an item": Fault(
        "log.jsonl", _json(lambda rows: rows[MIDDLE].pop("item_id")), "'item_id' has 1 empty or null .* data row 1,001"
    ),
    "a line that is no JSON": Fault("log.jsonl", _json().replace("}\n", "}\nsoon\n", 1), "line 2: Expecting value"),
    "SQLite": Fault("shop.sqlite", _sqlite("sales"), holds=(1, 200)),
    "SQLite with two logs": Fault("shop.sqlite", _sqlite("sales", "views"), "2 tables with users and items"),
    "SQLite in name alone": Fault("shop.sqlite", text(), "not an SQLite file"),
    "a query that cannot be answered": Fault(
        "shop.sqlite", _sqlite("sales"), "no such table", settings={"query": "select * from nowhere"}
    ),
    "an atomic file without types": Fault("log.inter", text(delimiter="\t"), "header holds 'user_id'; in an atomic"),
}
"""Name of the fault to what it looks like and what has to be said."""
