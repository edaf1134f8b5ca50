"""Files with a few changes in them, and how many rows a slow and strict reading finds there."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import parquet

from tests.data.fault_kinds import NAMES, ROWS, Row

NUMBERS = ROWS[:150]
WORDS = [
    (f"u{user}", f"film {item}, the", rating + 0.5, f"2020-01-{time % 28 + 1:02} 10:00:{time % 60:02}")
    for user, item, rating, time in NUMBERS
]
TOKENS = (
    b'"', b"'", b",", b";", b"\t", b"::", b"|", b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b" ", b"#", b"\\", b"{", b"}",
    b"[", b"\xef\xbb\xbf", b"\xff", b"\xc3", b"\xe9", b"nan", b"inf", b"-", b".", b"e9", b"1e999", b"NULL", b"null",
    b"true", b"0", b"99999999999999999999", b"user_id,item_id,rating,timestamp\n", b'""', b"\x1a",
    b"\xe2\x80\xa8", b"\x85",
)  # fmt: skip


@dataclass(frozen=True)
class Slow:
    """What a strict reading found: the number of rows; how many users and items, as spelled or as numbers."""

    rows: int
    users: frozenset[int] | None = None
    items: frozenset[int] | None = None


def mutated(seed: int) -> tuple[str, bytes]:
    """The name of a file, and its content with one to three changes."""
    draw = random.Random(seed)
    ending = draw.choice(("csv", "csv", "tsv", "jsonl", "parquet", "zip", "csv.gz"))
    inner = "tsv" if ending == "tsv" else "jsonl" if ending == "jsonl" else "csv"
    rows = WORDS if draw.random() < 0.3 else NUMBERS
    data = _text(inner, rows)
    wrapped = ending in ("zip", "csv.gz", "parquet")
    if wrapped and draw.random() < 0.5:
        return f"log.{ending}", _changed(_wrap(ending, data, rows), draw)
    if ending == "parquet":
        return "log.parquet", _changed(_wrap(ending, data, rows), draw)
    return f"log.{ending}", _wrap(ending, _changed(data, draw), rows)


def slow_reading(name: str, data: bytes) -> Slow | None:
    """None where a strict reader would take the file for damaged."""
    try:
        if name.endswith(".parquet"):
            return Slow(parquet.ParquetFile(pa.BufferReader(data)).metadata.num_rows)
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                data = archive.read(archive.namelist()[0])
        if name.endswith(".gz"):
            data = gzip.decompress(data)
        return _json_rows(data) if name.endswith(".jsonl") else _csv_rows(data, "\t" if name.endswith(".tsv") else ",")
    except Exception:  # whatever it is, it does not call the file valid
        return None


def loose_count(name: str, data: bytes) -> int | None:
    """Rows as the eye counts them: lines that are not blank, but for the header; closed objects in JSON."""
    try:
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                data = archive.read(archive.namelist()[0])
        if name.endswith(".gz"):
            data = gzip.decompress(data)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    if name.endswith(".jsonl"):
        return data.count(b"}")
    lines = [line for line in re.split(rb"[\r\n]+", data) if line.strip()]
    return len(lines) - (re.search(rb"^\W*\d+[,\t]", lines[0]) is None) if lines else 0


def _text(kind: str, rows: list[Row]) -> bytes:
    if kind == "jsonl":
        return "".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in rows).encode()
    written = io.StringIO()
    csv.writer(written, delimiter="\t" if kind == "tsv" else ",", lineterminator="\n").writerows([NAMES, *rows])
    return written.getvalue().encode()


def _wrap(ending: str, data: bytes, rows: list[Row]) -> bytes:
    if ending == "csv.gz":
        return gzip.compress(data, mtime=0)
    stream = io.BytesIO()
    if ending == "zip":
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("log.csv", data)
        return stream.getvalue()
    if ending == "parquet":
        columns = {name: [row[place] for row in rows] for place, name in enumerate(NAMES)}
        parquet.write_table(pa.table(columns), stream, write_page_checksum=True)
        return stream.getvalue()
    return data


def _changed(data: bytes, draw: random.Random) -> bytes:
    changes: tuple[Callable[[bytearray, random.Random], None], ...] = (
        _flip, _flip, _replace, _delete, _insert, _token, _token, _token, _swap_lines, _drop_line, _repeat_line,
        _truncate, _move,
    )  # fmt: skip
    stored = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        if stored:
            draw.choice(changes)(stored, draw)
    return bytes(stored)


def _flip(stored: bytearray, draw: random.Random) -> None:
    stored[draw.randrange(len(stored))] ^= 1 << draw.randrange(8)


def _replace(stored: bytearray, draw: random.Random) -> None:
    stored[draw.randrange(len(stored))] = draw.randrange(256)


def _delete(stored: bytearray, draw: random.Random) -> None:
    place = draw.randrange(len(stored))
    del stored[place : place + draw.choice((1, 1, 2, 5, 40))]


def _insert(stored: bytearray, draw: random.Random) -> None:
    place = draw.randrange(len(stored))
    stored[place:place] = draw.randbytes(draw.choice((1, 1, 2, 5, 40)))


def _token(stored: bytearray, draw: random.Random) -> None:
    place = draw.randrange(len(stored))
    stored[place : place + draw.choice((0, 0, 1))] = draw.choice(TOKENS)


def _swap_lines(stored: bytearray, draw: random.Random) -> None:
    lines = stored.split(b"\n")
    one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    stored[:] = b"\n".join(lines)


def _drop_line(stored: bytearray, draw: random.Random) -> None:
    lines = stored.split(b"\n")
    del lines[draw.randrange(len(lines))]
    stored[:] = b"\n".join(lines)


def _repeat_line(stored: bytearray, draw: random.Random) -> None:
    lines = stored.split(b"\n")
    lines.insert(draw.randrange(len(lines)), draw.choice(lines))
    stored[:] = b"\n".join(lines)


def _truncate(stored: bytearray, draw: random.Random) -> None:
    del stored[draw.randrange(len(stored)) :]


def _move(stored: bytearray, draw: random.Random) -> None:
    start, size, target = draw.randrange(len(stored)), draw.randint(1, 30), draw.randrange(len(stored))
    piece = stored[start : start + size]
    del stored[start : start + size]
    stored[target:target] = piece


def _csv_rows(data: bytes, mark: str) -> Slow | None:
    text = data.decode("utf-8-sig")
    if "\0" in text:
        return None
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True) if row]
    if not rows or len({len(row) for row in rows}) > 1 or len(rows[0]) < 2:
        return None
    header, body = rows[0], rows[1:]
    if not set(NAMES[:2]) <= set(header):
        return Slow(len(rows) if all(field.isdigit() for field in header[:2]) else len(body))
    users, items = ([row[header.index(name)] for row in body] for name in NAMES[:2])
    return None if "" in (*users, *items) else Slow(len(body), _counts(users), _counts(items))


def _counts(ids: list[str]) -> frozenset[int]:
    """Distinct ids as they are spelled, and where blanks around them do not count and `12.` is 12."""
    return frozenset((len(set(ids)), len({_spelled(one) for one in ids})))


def _spelled(field: str) -> str:
    """`12.` and `12.0` among integers are 12 to a reader of numbers."""
    return re.sub(r"^(\d+)\.0*$", r"\1", field.strip())


def _json_rows(data: bytes) -> Slow | None:
    rows = [json.loads(line) for line in data.decode("utf-8-sig").split("\n") if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        return None
    users, items = ([str(row.get(name, "")) for row in rows] for name in NAMES[:2])
    return Slow(len(rows), _counts(users), _counts(items)) if not {"", "None"} & {*users, *items} else None
