from __future__ import annotations

import pytest

from recdistill.data.formats.sniff import BLANKS, encoding_of, sniff
from recdistill.errors import DataError

LAYOUTS = {
    "commas": ("userId,movieId,rating\n1,2,3.5\n2,3,4\n", ",", True),
    "tabs without a header": ("196\t242\t3\t881250949\n186\t302\t3\t891717742\n", "\t", False),
    "double colons": ("1::1193::5::978300760\n1::661::3::978302109\n", "::", False),
    "semicolons and decimal commas": ("user;item;rating\n1;2;3,5\n2;3;4,0\n", ";", True),
    "bars": ("user|item\n1|2\n2|3\n", "|", True),
    "single spaces": ("1 2 3\n2 3 4\n", " ", False),
    "blanks": ("1   2 3\n2 33  4\n", BLANKS, False),
    "lists within a field": ("1,Alien,Horror|Sci-Fi\n2,Heat,Action|Crime|Thriller\n", ",", False),
    "times with spaces": ("user,item,time\na,b,2020-01-01 10:00\nc,d,2020-01-02 11:00\n", ",", True),
    "commas in titles": ("1\tAlien, the film\n2\tHeat\n3\tCopycat, a film\n", "\t", False),
    "quoted commas": ('user,title\n1,"Heat, the film"\n2,"Alien"\n', ",", True),
    "names that no one knows": ("foo,bar\na1,b1\na2,b2\n", ",", True),
    "text that comes again": ("ann,alien\nbob,heat\nann,heat\n", ",", False),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_delimiter_and_header_are_seen(kind: str) -> None:
    text, delimiter, headed = LAYOUTS[kind]
    layout = sniff(text, where="log.csv")
    assert (layout.delimiter, layout.headed) == (delimiter, headed)
    assert text[len(layout.first) :] == (text[text.index("\n") + 1 :] if headed else text)
    assert layout.names == (text.split("\n")[0].split(delimiter) if headed else layout.names)


def test_what_is_not_usual_is_told() -> None:
    assert sniff("user,item\n1,2\n", where="x").notes == ()
    notes = sniff("1\t2\n2\t3\n", where="x").notes
    assert notes == ("columns are separated by tabs", "no header line: the columns are called column_1 to column_2")


def test_what_is_given_is_not_guessed() -> None:
    layout = sniff("1,2;3\n4,5;6\n", where="x", delimiter=";", header=True)
    assert layout.names == ["1,2", "3"]
    assert sniff("user;item\n1;2\n", where="x", header=False).names == ["column_1", "column_2"]


def test_names_are_freed_of_blanks_and_a_nameless_column_gets_a_name() -> None:
    assert sniff(" user , item ,\n1,2,3\n", where="x").names == ["user", "item", "column_3"]


def test_quotes_in_titles_are_no_quoting_where_they_do_not_wrap_fields() -> None:
    assert not sniff('1\t"Heat\n2\tAlien\n', where="x").quoted
    assert sniff('1\t"Heat"\n2\tAlien\n', where="x").quoted


def test_a_text_without_a_line_is_refused() -> None:
    with pytest.raises(DataError, match="the file is empty"):
        sniff("\n\n", where="log.csv")


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ("é".encode(), ("utf-8", 0)),
        ("\ufeffé".encode(), ("utf-8", 3)),
        ("é".encode("utf-16"), ("utf-16", 0)),
        ("café au lait, naïve".encode("latin-1"), ("cp1252", 0)),
        ("cut é".encode()[:-1], ("utf-8", 0)),
    ],
)
def test_the_encoding_is_seen(head: bytes, encoding: tuple[str, int]) -> None:
    assert encoding_of(head, "log.csv") == encoding


@pytest.mark.parametrize("head", [b"1,2\n\xff\xfe,2\n", "café\n".encode() + b"caf\xe9\n"])
def test_bytes_that_are_no_text_are_refused_with_their_line(head: bytes) -> None:
    with pytest.raises(DataError, match=r"log\.csv: line 2 holds the byte 0x.., which is not UTF-8"):
        encoding_of(head, "log.csv")
