from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest

from recdistill.data.formats import json_lines
from recdistill.data.formats.json_lines import JsonLines
from recdistill.data.formats.raw import Raw
from recdistill.data.readers import read_interactions
from recdistill.errors import DataError

ROWS = [{"user": 1, "item": "a", "ts": 10}, {"user": 2, "item": "b", "ts": 20, "tags": ["x"]}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def put(folder: Path, content: str | bytes, name: str = "log.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.jsonl", LINES),
        ("log.ndjson", LINES.replace("\n", "\r\n")),
        ("log.json", LINES.strip()),
        ("log.json", json.dumps(ROWS, indent=2)),
        ("log.jsonl", "\ufeff" + LINES),
        ("log.jsonl", LINES.replace("\n", "\n\n")),
        ("log.jsonl.gz", gzip.compress(LINES.encode())),
        ("log.jsonl.zst", pa.compress(LINES.encode(), codec="zstd", asbytes=True)),
    ],
)
def test_objects_in_lines_or_in_an_array_give_the_same_log(tmp_path: Path, name: str, content: str | bytes) -> None:
    log = read_interactions(put(tmp_path, content, name)).ordered()
    assert (log.users.ids().tolist(), log.items.ids().tolist(), log.times.tolist()) == ([1, 2], ["a", "b"], [10, 20])


def test_what_is_not_wanted_may_be_nested_and_comes_with_the_table(tmp_path: Path) -> None:
    path = put(tmp_path, LINES)
    assert any("not read: tags" in note for note in read_interactions(path).notes)
    assert JsonLines(Raw.of(path)).table()["tags"].to_pylist() == [None, ["x"]]


def test_ids_in_quotes_are_strings_as_they_are_written(tmp_path: Path) -> None:
    log = read_interactions(put(tmp_path, '{"user":"007","item":1}\n{"user":"8","item":2}\n'))
    assert log.users.ids().tolist() == ["007", "8"]


def test_a_line_longer_than_a_block_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "BLOCK", 64)
    lines = "".join(json.dumps(row | {"note": "x" * 500}) + "\n" for row in ROWS * 50)
    assert read_interactions(put(tmp_path, lines)).n_rows == 100


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"user":1,"item":2}\n{"user":2,"it', "not JSON with one object in each line: line 2: "),
        ('{"user":1,"item":2}\n{"user":"x","item":2}\n', "column 'user' holds text in line 2 and a number in line 1"),
        ('{"user":1,"item":2}\n[1]\n', "line 2 holds no object"),
        ('{"user":1,"item":2},\n{"user":2,"item":3}\n', "line 1: Extra data"),
        (b'{"user":"\xff","item":2}\n{"user":"b","item":3}\n', "'user' is not UTF-8 text"),
        (b'{"us\xffer":1,"item":2}\n{"user":"b","item":3}\n', "line 1 is not UTF-8 text"),
        ('{"user":{"id":1},"item":2}\n{"user":{"id":2},"item":3}\n', "column 'user' holds objects; give each value"),
        ('{"user":1,"item":2}\n{"user":2}\n', "'item' has 1 empty or null entries, the first in data row 2"),
        ('{"user":18446744073709551616,"item":2}\n{"user":2,"item":3}\n', "column 'user' holds 1.8446744073709552e"),
        ('{"user":true,"item":2}\n{"user":false,"item":3}\n', "holds bool"),
        ('{"user":1,"user":2,"item":2}\n', "specified twice"),
        ('[{"user":1},', "not a whole JSON array"),
        ("[" * 5000, "not a whole JSON array"),
        ('[{"user":1,"item":1},5]', "element 2 of the array is no object"),
        ("\n\n", "the file is empty"),
        (b"\0" * 64, "line 1 holds NUL bytes"),
        ('{"user_log": [1]}', "no column 'user_id'; found"),
    ],
)
def test_json_with_a_fault_is_refused_in_one_line_with_the_place(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    path = put(tmp_path, content)
    with pytest.raises(DataError, match=message) as refused:
        read_interactions(path)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)
