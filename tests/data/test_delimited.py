from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.data.columns import encode_ids
from recdistill.data.formats.delimited import Delimited
from recdistill.data.formats.scan import STEP, count_lines, scan
from recdistill.errors import DataError

HEADER = "user_id,item_id,rating,timestamp\n"
ROLES = ("user_id", "item_id", "rating", "timestamp")
MANY = 200_000
"""Rows that fill more than the sample by which types are guessed."""


def source(folder: Path, text: str | bytes) -> Delimited:
    path = folder / "log.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Delimited(path)


def read(folder: Path, text: str | bytes) -> dict[str, list]:
    table = source(folder, text)
    named = {role: role for role in ROLES if role in table.names}
    known = named if "user_id" in named else dict(zip(ROLES, table.names, strict=False))
    columns = table.columns(known)
    return {role: column.to_pylist() for role, column in columns.items()}


TEXTS = {
    "plain": HEADER + "1,2,3.5,100\n2,3,4,200\n",
    "without a header": "1,2,3.5,100\n2,3,4,200\n",
    "tabs": "1\t2\t3.5\t100\n2\t3\t4\t200\n",
    "double colons": "1::2::3.5::100\n2::3::4::200\n",
    "blanks": "  1   2  3.5\t100\n2 3 4 200  \n",
    "bars": "user|item|rating|time\n1|2|3.5|100\n2|3|4|200\n",
    "decimal commas": "user;item;rating;time\n1;2;3,5;100\n2;3;4,0;200\n",
    "a byte order mark": "\ufeff" + HEADER + "1,2,3.5,100\n2,3,4,200\n",
    "two bytes a letter": (HEADER + "1,2,3.5,100\n2,3,4,200\n").encode("utf-16"),
    "carriage returns": (HEADER + "1,2,3.5,100\n2,3,4,200\n").replace("\n", "\r"),
    "both line ends": (HEADER + "1,2,3.5,100\n2,3,4,200\n").replace("\n", "\r\n"),
    "blank lines": "\n" + HEADER + "\n1,2,3.5,100\n\n2,3,4,200\n\n",
    "quotes": '"user_id","item_id","rating","timestamp"\n"1","2",3.5,"100"\n"2","3",4,"200"\n',
    "blanks around numbers": "user_id, item_id, rating, timestamp\n1, 2, 3.5, 100\n2 , 3, 4, 200\n",
    "compressed": gzip.compress((HEADER + "1,2,3.5,100\n2,3,4,200\n").encode()),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_every_layout_gives_the_same_columns(tmp_path: Path, kind: str) -> None:
    expected = {"user_id": [1, 2], "item_id": [2, 3], "rating": [3.5, 4.0], "timestamp": [100, 200]}
    assert read(tmp_path, TEXTS[kind]) == expected


def test_what_was_decided_is_told(tmp_path: Path) -> None:
    assert source(tmp_path, HEADER + "1,2,3,4\n").notes == ()
    told = source(tmp_path, gzip.compress(b"1;2\n2;3\n")).notes
    assert told[:2] == ("compressed by gzip", "columns are separated by semicolons")
    commas = source(tmp_path, "user;item;rating\n1;2;3,5\n")
    commas.columns({"rating": "rating"})
    assert "a comma is the decimal point" in commas.notes
    assert source(tmp_path, "user,item\n1,café\n".encode("latin-1")).notes == ("not UTF-8: read as cp1252",)


@pytest.mark.parametrize(
    "odd", ["007", "-07", "0x1F", "+5", "1e5", "9223372036854775808", "a", "00", '"007"', "12.50", "1_000"]
)
@pytest.mark.parametrize("rows_before", [0, MANY])
def test_an_id_that_is_not_spelled_as_a_number_keeps_its_spelling(tmp_path: Path, odd: str, rows_before: int) -> None:
    text = HEADER + "1,2,3,4\n" * rows_before + f"{odd},2,3,4\n7,2,3,4\n"
    assert read(tmp_path, text)["user_id"][-2:] == [odd.strip('"'), "7"]


@pytest.mark.parametrize("number", ["0", "10", "-5", "100", "2147483648", "-9223372036854775808"])
@pytest.mark.parametrize("rows_before", [0, MANY])
def test_an_id_that_is_spelled_as_an_integer_is_one(tmp_path: Path, number: str, rows_before: int) -> None:
    text = HEADER + "1,2,0.5,0\n" * rows_before + f"{number},2,0.05,0\n7,2,1,4\n"
    assert read(tmp_path, text)["user_id"][-2:] == [int(number), 7]


ids = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.integers(0, 300).map(lambda number: f"{number:03}"),
    st.sampled_from(["0", "-0", "+1", "1.0", "1.", "0x10", "1e3", "u1", "007", " 7", "00"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ids, min_size=1, max_size=8), st.sampled_from(",\t;|"), st.booleans())
def test_numbers_and_text_give_the_vocabulary_that_the_text_alone_gives(
    tmp_path_factory: pytest.TempPathFactory, spelled: list[str], delimiter: str, first: bool
) -> None:
    rows = [[one, "x"] if first else ["x", one] for one in spelled]
    path = tmp_path_factory.mktemp("logs") / "log.csv"
    path.write_text("".join(delimiter.join(row) + "\n" for row in [["user_id", "item_id"], *rows]))
    role = "user_id" if first else "item_id"

    def encoded(column: pa.ChunkedArray) -> list | str:
        try:
            vocab, places = encode_ids(column, "log.csv", typed=False)
        except DataError as fault:
            return str(fault)
        return [str(one) for one in vocab.ids(places)]

    text = encoded(pa.chunked_array([pa.array(spelled, pa.string())]))
    fast = encoded(Delimited(path, delimiter=delimiter, header=True).columns({role: role})[role])
    assert fast == text or (isinstance(text, list) and "-0" in spelled)  # the number -0 is 0


FAULTS = {
    "ragged": (HEADER + "1,2,3,4\n2,3\n", "data row 2: Expected 4 columns, got 2: 2,3"),
    "cut short": (HEADER + "1,2,3,4\n" * MANY + "1,2", "data row 200,001: Expected 4 columns, got 2"),
    "text as a rating": (HEADER + "1,2,3,4\n2,3,good,5\n", "column 'rating': .* numbers; data row 2 has 'good'"),
    "header twice among numbers": (HEADER + "1,2,3,4\n" + HEADER + "2,3,4,5\n", "data row 2 is the header once more"),
    "header twice among words": ("user_id,item_id\na,b\nuser_id,item_id\nc,d\n", "data row 2 is the header once more"),
    "NUL byte": (HEADER + "1,2,3,4\n2,3\0,4,5\n", "data row 2 holds a NUL byte"),
    "open quote": (HEADER + '1,"2,3,4\n2,3,4,5\n', "data row 1: .* a quote that is not closed"),
    "open quote at the end of a row": ('user_id,item_id\nu1,"a\nu2,b\n', "data row 1: .* a quote that is not closed"),
    "open quote before a quoted field": (
        'user_id,item_id,text,rating\n1,2,"a\nb",3\n2,3,"x,4\n3,4,"y",5\n',
        "data row 2: .* a quote that is not closed",
    ),
    "an id over two lines": ('user_id,item_id\nu1,"a\nb"\nu2,b\n', "'item_id' goes on over several lines in data ro"),
    "not text": (b"user_id,item_id\n\xff\xfe,2\n1,2\n", "line 2 holds the byte 0xff, which is not UTF-8"),
    "damaged far below": (b"user_id,item_id\ncaf\xc3\xa9,1\n" + b"a,2\n" * 400_000 + b"\xe9,3\n", "not UTF-8"),
    "empty": ("", "the file is empty"),
    "nothing but line ends": ("\n\n", "the file is empty"),
    "one endless line": ("1," * (1 << 20), "no line ends within its first 1,048,576 bytes"),
    "half a letter": ("user_id,item_id\n1,2\n".encode("utf-16")[:-1], "not utf-16 text"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_text_with_a_fault_is_refused_in_one_line_that_says_where(tmp_path: Path, fault: str) -> None:
    text, message = FAULTS[fault]
    with pytest.raises(DataError, match=message) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith(str(tmp_path / "log.csv"))
    assert "\n" not in str(refused.value)


def test_a_text_over_several_lines_in_quotes_is_one_field(tmp_path: Path) -> None:
    text = 'user_id,item_id,text,rating\n1,2,"good, or\nso it seems",3\n2,3,"a ""must""",4\n'
    assert read(tmp_path, text)["user_id"] == [1, 2]
    assert source(tmp_path, text).table()["text"].to_pylist() == ["good, or\nso it seems", 'a "must"']


@pytest.mark.parametrize("note", ['a ""good"" one,\n1,2,3\nend', "1,2,x,3\n4,5,y,6", ",\n,", "\r\n" * 3])
def test_a_text_that_looks_like_rows_is_still_one_field(tmp_path: Path, note: str) -> None:
    text = "user_id,item_id,note,rating\n" + f'1,2,"{note}",3\n2,3,x,4\n' * 3
    assert read(tmp_path, text)["user_id"] == [1, 2] * 3


def test_fields_over_lines_may_lie_across_the_parser_s_blocks(tmp_path: Path) -> None:
    line = '"12","34","he said ""ok"",\nand left","3.5"\n'
    text = '"user_id","item_id","note","rating"\n' + line * 60_000  # some of them over a border of 1 MiB
    found = read(tmp_path, text)
    assert [int(one) for one in found["user_id"]] == [12] * 60_000 and found["rating"] == [3.5] * 60_000


def test_a_file_with_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER) == {role: [] for role in ROLES}


def test_latin_1_below_the_sample_is_read_and_told(tmp_path: Path) -> None:
    table = source(tmp_path, b"user_id,item_id\n" + b"1,2\n" * 300_000 + "1,café\n".encode("latin-1"))
    assert table.columns({"item_id": "item_id"})["item_id"][-1].as_py() == "café"
    assert "not UTF-8: read as cp1252" in table.notes


def test_empty_fields_are_null(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER + ',2,3,4\n5,"",,\n')["user_id"] == [None, 5]
    assert read(tmp_path, HEADER + ",2,3,4\na,,3,4\n")["item_id"] == [2, None]


def test_a_side_table_has_the_types_that_its_text_suggests_but_no_number_that_loses_its_spelling(
    tmp_path: Path,
) -> None:
    table = source(tmp_path, "item_id,zip,year,price,title\n1,01234,1999,1.5,Heat\n2,99999,2001,2,Alien\n").table()
    assert [str(kind) for kind in table.schema.types] == ["int64", "string", "int64", "double", "string"]
    assert table["zip"].to_pylist() == ["01234", "99999"]


def test_names_can_be_given_and_must_be_as_many_as_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "u.data"
    path.write_text("1\t2\n3\t4\n")
    assert Delimited(path, delimiter="\t", header=False, names=["user", "item"]).table().column_names == [
        "user",
        "item",
    ]
    with pytest.raises(DataError, match="its first row has 2 columns; 3 were expected"):
        Delimited(path, delimiter="\t", header=False, names=["user", "item", "rating"])


@pytest.mark.parametrize("place", [0, 1, STEP - 2, STEP - 1, STEP, STEP + 1, 3 * STEP])
def test_a_zero_that_counts_is_seen_wherever_it_stands(place: int) -> None:
    text = b"1,2\n" * STEP
    start = place // 4 * 4
    data = text[:start] + b"07,1\n" + text[start:]
    assert scan(pa.py_buffer(data), ",").zeros
    assert not scan(pa.py_buffer(text), ",").zeros
    assert not scan(pa.py_buffer(text[:start] + b"0,0.05\n10,2020-01-05\n" + text[start:]), ",").zeros


@settings(max_examples=60, deadline=None)
@given(st.text("a\n\r,", max_size=40))
def test_lines_that_are_not_blank_are_counted(text: str) -> None:
    lines = text.replace("\r", "\n").split("\n")
    assert count_lines(pa.py_buffer(text.encode())) == sum(bool(line) for line in lines)
