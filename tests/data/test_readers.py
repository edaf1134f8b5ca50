from __future__ import annotations

import datetime
import decimal
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from recdistill.data.formats.registry import FORMATS
from recdistill.data.log import Log
from recdistill.data.readers import read_interactions
from recdistill.errors import ConfigError, DataError

REAL = Path(__file__).parents[3] / "shared" / "data"
HEADER = "user_id,item_id,rating,timestamp,split\n"
ROWS = "1,a,5,100,train\n1,b,4,200,test\n2,a,3,300,train\n2,c,1,50,valid\n"


def csv(folder: Path, text: str | bytes, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def rows(log: Log) -> list[tuple]:
    users, items = log.users.ids(log.user_rows).tolist(), log.items.ids(log.item_rows).tolist()
    times = [None] * log.n_rows if log.times is None else log.times.tolist()
    return list(zip(users, items, times, strict=True))


def test_a_csv_is_read_with_all_that_it_offers(tmp_path: Path) -> None:
    log = read_interactions(csv(tmp_path, HEADER + ROWS), split_column="split")
    assert rows(log) == [(1, "a", 100), (1, "b", 200), (2, "a", 300), (2, "c", 50)]
    assert log.values.tolist() == [5, 4, 3, 1]
    assert log.values.dtype == np.float32
    assert log.split.tolist() == [0, 1, 0, 2]
    assert log.times.dtype == np.int64
    assert (log.users.kind, log.items.kind) == ("int64", "utf8")
    assert log.notes == (
        "columns read: user_id, item_id, rating, timestamp, split",
        "times: small numbers (50 to 300), taken as an order in time",
    )


@pytest.mark.parametrize("kind", ["csv", "parquet", "pandas", "arrow"])
def test_every_kind_of_source_gives_the_same_log(tmp_path: Path, kind: str) -> None:
    path = csv(tmp_path, HEADER + ROWS)
    frame = pd.read_csv(path)
    frame.to_parquet(tmp_path / "log.parquet")
    sources = {
        "csv": path,
        "parquet": str(tmp_path / "log.parquet"),
        "pandas": frame,
        "arrow": pa.Table.from_pandas(frame),
    }
    log, same = read_interactions(sources[kind], split_column="split"), read_interactions(path, split_column="split")
    assert (log.users, log.items, rows(log)) == (same.users, same.items, rows(same))
    assert (log.split.tolist(), log.values.tolist()) == (same.split.tolist(), same.values.tolist())


def test_columns_can_have_other_names_and_what_is_not_read_is_said(tmp_path: Path) -> None:
    path = csv(tmp_path, "userId,movieId,when,title,split\n1,a,5,x,0\n2,b,6,y,1\n")
    log = read_interactions(path, columns={"user_id": "userId", "item_id": "movieId", "timestamp": "when"})
    assert log.times.tolist() == [5, 6]
    assert "user_id = 'userId'" in log.notes[0]
    assert "not read: title, split" in log.notes[0]
    assert "a column 'split' is there and was not used" in log.notes[1]


def test_ids_keep_their_spelling_where_a_number_would_lose_it(tmp_path: Path) -> None:
    spelled = csv(tmp_path, "user_id,item_id\n007,9223372036854775808\n7,1\n")
    log = read_interactions(spelled)
    assert log.users.ids().tolist() == ["007", "7"]
    assert log.items.ids().tolist() == ["1", "9223372036854775808"]


def test_words_that_stand_for_null_elsewhere_are_ids_among_words(tmp_path: Path) -> None:
    assert "None" in read_interactions(csv(tmp_path, "user_id,item_id\nann,None\nbob,Alien\n")).items.ids()


@pytest.mark.parametrize(
    "width", ["int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "float32", "float64"]
)
def test_ids_of_any_width_and_whole_floats_become_integers(width: str) -> None:
    log = read_interactions(pd.DataFrame({"user_id": np.array([3, 1, 2], dtype=width), "item_id": ["x", "y", "x"]}))
    assert log.users.kind == "int64"
    assert log.users.ids().tolist() == [1, 2, 3]


def test_whole_floats_in_text_become_integers_and_ids_above_64_bits_strings(tmp_path: Path) -> None:
    assert read_interactions(csv(tmp_path, "user_id,item_id\n1.0,4\n2.0,5\n")).users.ids().tolist() == [1, 2]
    large = pa.table({"user_id": pa.array([2**64 - 1, 1], pa.uint64()), "item_id": [1, 2]})
    assert read_interactions(large).users.ids().tolist() == ["1", "18446744073709551615"]


def test_categories_that_no_row_has_do_not_enter_the_vocabulary() -> None:
    items = pd.Categorical(["b", "a", "b"], categories=["z", "b", "a"])
    assert read_interactions(pd.DataFrame({"user_id": [1, 2, 3], "item_id": items})).items.ids().tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        (pa.array([1, 2], pa.int32()), [1, 2]),
        (pa.array([1.0, 2.0]), [1, 2]),
        (pa.array([1.5, 2.0]), [1.5, 2.0]),
        (pa.array([1000, 2000], pa.timestamp("ms")), [1, 2]),
        (pa.array([1500, 2000], pa.timestamp("ms", "Europe/Paris")), [1.5, 2.0]),
        (pa.array([datetime.date(1970, 1, 2), datetime.date(1970, 1, 3)]), [86400, 172800]),
        (pa.array([decimal.Decimal("1.5"), decimal.Decimal("2")]), [1.5, 2.0]),
    ],
)
def test_times_are_seconds_whatever_they_came_as(times: pa.Array, seconds: list) -> None:
    log = read_interactions(pa.table({"user_id": [1, 2], "item_id": [1, 2], "timestamp": times}))
    assert log.times.tolist() == seconds


def test_dates_in_text_are_seconds(tmp_path: Path) -> None:
    path = csv(tmp_path, "user_id,item_id,timestamp\n1,4,1970-01-02 00:00:00\n2,5,1970-01-01 00:00:07\n")
    assert read_interactions(path).times.tolist() == [86400, 7]


def test_repeated_rows_are_counted_and_the_last_by_time_counts() -> None:
    frame = pd.DataFrame(
        {"user_id": [1, 1, 1, 2], "item_id": [5, 5, 6, 5], "timestamp": [9, 3, 1, 1], "rating": [1, 2, 3, 4]}
    )
    log = read_interactions(frame).ordered()
    assert "1 repeated (user, item) rows: the last of each by time is kept" in log.notes
    assert log.unique().values.tolist() == [1, 3, 4]
    without = read_interactions(frame.drop(columns="timestamp")).ordered()
    assert without.unique().values.tolist() == [2, 3, 4]
    assert "the last of each by place in the file is kept" in without.notes[-1]


def test_a_pair_in_two_parts_is_no_repetition() -> None:
    frame = pd.DataFrame({"user_id": [1, 1, 2], "item_id": [5, 5, 6], "split": ["train", "test", "train"]})
    assert not any("repeated" in note for note in read_interactions(frame, split_column="split").ordered().notes)
    assert any("repeated" in note for note in read_interactions(frame).ordered().notes)


TABLES = {
    "no such column": (
        {"owner": [1, 2], "item_id": [1, 2]},
        r"no column 'user_id'; found \['owner', 'item_id'\]\. Pass columns=",
    ),
    "null id": (
        {"user_id": [1, None], "item_id": [1, 2]},
        "column 'user_id' has 1 empty or null entries, the first in data row 2",
    ),
    "null string": ({"user_id": ["a", None], "item_id": [1, 2]}, "empty or null entries"),
    "empty id": ({"user_id": ["a", ""], "item_id": [1, 2]}, "column 'user_id' holds an empty id"),
    "decimal id": (
        {"user_id": [1.5, 2.0], "item_id": [1, 2]},
        "column 'user_id' holds 1.5; ids are integers or strings",
    ),
    "infinite id": ({"user_id": [float("inf"), 2.0], "item_id": [1, 2]}, "column 'user_id' holds inf"),
    "inexact id": ({"user_id": [2.0**60, 2.0], "item_id": [1, 2]}, "column 'user_id' holds 1.15"),
    "list id": ({"user_id": [[1], [2]], "item_id": [1, 2]}, "column 'user_id' holds list"),
    "bool id": ({"user_id": [True, False], "item_id": [1, 2]}, "column 'user_id' holds bool"),
    "text rating": (
        {"user_id": [1, 2], "item_id": [1, 2], "rating": ["good", "bad"]},
        "'rating' holds .*'good'; it must hold numbers",
    ),
    "rating with a decimal comma": (
        {"user_id": [1, 2], "item_id": [1, 2], "rating": ["4,5", "3"]},
        "such as '4,5'; it must hold numbers. That is a decimal comma: replace it by a point",
    ),
    "infinite rating": (
        {"user_id": [1, 2], "item_id": [1, 2], "rating": [1.0, float("inf")]},
        "holds inf in data row 2",
    ),
    "null time": ({"user_id": [1, 2], "item_id": [1, 2], "timestamp": [1, None]}, "'timestamp' has 1 empty or null"),
    "text time": (
        {"user_id": [1, 2], "item_id": [1, 2], "timestamp": ["x", "y"]},
        "'x' in data row 1; it must hold seconds since 1970",
    ),
    "one user": ({"user_id": [1, 1], "item_id": [1, 2]}, r"only one user \(1\) in 2 rows"),
    "one item": ({"user_id": [1, 2], "item_id": ["x", "x"]}, r"only one item \('x'\) in 2 rows"),
    "no rows": ({"user_id": pa.array([], pa.int64()), "item_id": pa.array([], pa.int64())}, "no rows below the header"),
}


@pytest.mark.parametrize("fault", TABLES)
def test_a_table_with_a_fault_is_refused_in_one_line_with_the_file_and_the_fault(tmp_path: Path, fault: str) -> None:
    columns, message = TABLES[fault]
    path = tmp_path / "log.parquet"
    parquet.write_table(pa.table(columns), path)
    with pytest.raises(DataError, match=message) as refused:
        read_interactions(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


TEXTS = {
    "null id": ("user_id,item_id\n1,2\n,3\n", "column 'user_id' has 1 empty or null entries, the first in data row 2"),
    "null word": (
        "user_id,item_id\n1,2\nnan,3\n",
        "column 'user_id' holds 'nan' among integers, the first in data row 2",
    ),
    "decimals as ids": ("user_id,item_id\n1.5,2\n2,3\n", "column 'user_id' holds 1.5"),
    "text rating": ("user_id,item_id,rating\n1,2,4\n2,3,good\n", "column 'rating': .*'good'"),
    "nan rating": ("user_id,item_id,rating\n1,2,4\n2,3,nan\n", "column 'rating' holds nan in data row 2"),
    "text time": (
        "user_id,item_id,timestamp\n1,2,soon\n2,3,later\n",
        "column 'timestamp' holds .*'soon' in data row 1; it must hold seconds",
    ),
    "late text time": (
        "user_id,item_id,timestamp\n1,2,5\n2,3,later\n",
        "column 'timestamp' holds .*it must hold seconds",
    ),
    "ragged": ("user_id,item_id\n1,2\n2\n", "Expected 2 columns, got 1"),
    "five columns and no header": (
        "1,2,3,4,5\n2,3,4,5,6\n",
        "5 columns and no header; say which are which with --columns user_id=column_1,item_id=column_2",
    ),
    "one column": ("1\n2\n", "a log has at least user and item|1 columns? and no header"),
    "two usual names": ("user_id,movie_id,book_id\n1,2,3\n2,3,4\n", "'movie_id' and 'book_id' could both be item_id"),
    "a second header": ("user_id,item_id\n1,2\nuser_id,item_id\n2,3\n", "data row 2 is the header once more"),
    "two columns of a name": ("user_id,item_id,item_id\n1,2,3\n2,3,4\n", "2 columns are called 'item_id'; keep one"),
    "header only": ("user_id,item_id\n", "no rows below the header"),
    "empty file": ("", "the file is empty"),
    "not text": (b"user_id,item_id\n\xff\xfe,2\n1,2\n", "UTF"),
    "one user": ("user_id,item_id\n1,2\n1,3\n", "only one user"),
}


@pytest.mark.parametrize("fault", TEXTS)
def test_a_csv_with_a_fault_is_refused_in_one_line_with_the_file_and_the_fault(tmp_path: Path, fault: str) -> None:
    text, message = TEXTS[fault]
    path = csv(tmp_path, text)
    with pytest.raises(DataError, match=message) as refused:
        read_interactions(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (["train", "tset"], "holds 'tset'; a split column holds train, valid, test or 0, 2, 1. Did you mean 'test'?"),
        ([0, 3], "holds 3; a split column"),
        ([True, False], "a split column"),
        ([0.5, 1.0], "holds 0.5; a split column"),
        (["train", None], "column 'split' has 1 empty or null"),
        (["train", "valid"], "the split column has no test rows; mark some as 'test'"),
        ([1, 1], "the split column has no train rows"),
    ],
)
def test_a_split_column_with_a_fault_is_refused(split: list, message: str) -> None:
    table = pa.table({"user_id": [1, 2], "item_id": [1, 2], "split": split})
    with pytest.raises(DataError, match=message.replace("?", r"\?")):
        read_interactions(table, split_column="split")


@pytest.mark.parametrize("split", [["train", "test", "valid"], [0, 1, 2], [0.0, 1.0, 2.0], ["0", "1", "2"]])
def test_a_split_column_may_be_spelled_in_names_or_numbers(split: list) -> None:
    table = pa.table({"user_id": [1, 2, 3], "item_id": [1, 2, 3], "part": split})
    assert read_interactions(table, split_column="part").split.tolist() == [0, 1, 2]


def test_files_that_cannot_be_a_log_are_refused(tmp_path: Path) -> None:
    for path, message in {
        tmp_path / "none.csv": "no such file",
        csv(tmp_path, "x", "log.xlsx"): "no reader for a file ending in '.xlsx'; known are .csv",
        csv(tmp_path, "x", "log.tar.gz"): "no reader for a file ending in '.tar.gz'; known are .csv",
        csv(tmp_path, "x", "shop.sqlite.gz"): "no reader for a file ending in '.sqlite.gz'",
        csv(tmp_path, "PAR1 and then nothing", "log.parquet"): "not a whole Parquet file",
    }.items():
        with pytest.raises(DataError, match=message) as refused:
            read_interactions(path)
        assert str(path) in str(refused.value)


def test_settings_that_name_nothing_are_refused() -> None:
    frame = pd.DataFrame({"user_id": [1, 2], "item_id": [1, 2]})
    with pytest.raises(ConfigError, match="columns: no 'user'"):
        read_interactions(frame, columns={"user": "user_id"})
    with pytest.raises(DataError, match="no column 'splt'"):
        read_interactions(frame, split_column="splt")
    with pytest.raises(DataError, match="column 'user_id' cannot be both user_id and item_id"):
        read_interactions(frame, columns={"item_id": "user_id"})
    with pytest.raises(ConfigError, match="query: only a connection"):
        read_interactions(frame, query="select 1")
    with pytest.raises(DataError, match="no column 'stars'"):
        read_interactions(frame, columns={"rating": "stars"})
    with pytest.raises(DataError, match="cannot be read from list"):
        read_interactions([1, 2])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="column 'item_id' cannot be read"):
        read_interactions(pd.DataFrame({"user_id": [1, 2], "item_id": pd.Series([1, "a"], dtype=object)}))


@pytest.mark.parametrize(
    ("text", "separated"),
    [
        ("user_id\titem_id\n1\t2\n2\t3\n", "tabs"),
        ("user_id;item_id\n1;2\n2;3\n", "semicolons"),
        ("user_id::item_id\n1::2\n2::3\n", "'::'"),
    ],
)
def test_other_delimiters_than_commas_are_seen_and_said(tmp_path: Path, text: str, separated: str) -> None:
    log = read_interactions(csv(tmp_path, text))
    assert rows(log) == [(1, 2, None), (2, 3, None)]
    assert f"columns are separated by {separated}" in log.notes


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("1,2\n2,3\n", "user_id = 'column_1', item_id = 'column_2'"),
        ("1,2,5\n2,3,4\n", "item_id = 'column_2', rating = 'column_3'"),
        ("1,2,1577836800\n2,3,1577836801\n", "item_id = 'column_2', timestamp = 'column_3'"),
        ("1,2,2020-01-01\n2,3,2020-01-02\n", "item_id = 'column_2', timestamp = 'column_3'"),
        ("1,2,5,7\n2,3,4,8\n", "item_id = 'column_2', rating = 'column_3', timestamp = 'column_4'"),
    ],
)
def test_without_a_header_columns_are_taken_by_their_order(tmp_path: Path, text: str, roles: str) -> None:
    log = read_interactions(csv(tmp_path, text))
    assert log.n_rows == 2
    assert any(roles in note for note in log.notes)
    assert "no header: columns taken by their order" in log.notes


def test_without_a_header_columns_can_be_named_all_the_same(tmp_path: Path) -> None:
    path = csv(tmp_path, "9,1,2\n9,2,3\n")
    log = read_interactions(path, columns={"user_id": "column_2", "item_id": "column_3"})
    assert rows(log) == [(1, 2, None), (2, 3, None)]


def test_usual_names_are_taken_and_printed(tmp_path: Path) -> None:
    log = read_interactions(csv(tmp_path, "userId,movieId,stars,ts\n1,4,5,100\n2,5,4,200\n"))
    assert rows(log) == [(1, 4, 100), (2, 5, 200)]
    assert log.notes[0] == "columns read: user_id = 'userId', item_id = 'movieId', rating = 'stars', timestamp = 'ts'"


def test_a_partition_column_is_used_only_when_it_is_asked_for() -> None:
    table = pa.table({"user_id": [1, 2], "item_id": [1, 2], "partition": ["train", "test"]})
    assert read_interactions(table).split is None
    assert any("a column 'partition' is there and was not used" in note for note in read_interactions(table).notes)
    assert read_interactions(table, split_column="partition").split.tolist() == [0, 1]


NULLS = (
    "user_id,item_id,rating,timestamp\n1,2,5,100\n,3,4,200\n2,3,,300\n2,NULL,1,400\n3,4,nan,500\n3,5,2,\n4,6,3,600\n"
)


def test_rows_with_something_missing_are_left_out_where_that_is_asked_for(tmp_path: Path) -> None:
    path = csv(tmp_path, NULLS)
    with pytest.raises(DataError, match="data row"):
        read_interactions(path)
    log = read_interactions(path, drop_null=True)
    assert rows(log) == [(1, 2, 100), (4, 6, 600)]
    note = next(note for note in log.notes if "left out" in note)
    assert note == (
        "5 rows with something missing were left out: 1 without 'user_id', 1 without 'item_id', "
        "2 without 'rating', 1 without 'timestamp'"
    )


def test_a_fault_behind_rows_that_were_left_out_says_how_rows_are_counted() -> None:
    table = pa.table({"user_id": [None, 1, 2], "item_id": [1, 2, 3], "timestamp": [1577836800, 1577836801, 15e10]})
    with pytest.raises(DataError, match=r"in data row 2.* \(Rows are counted without those that were left out"):
        read_interactions(table, drop_null=True)


def test_missing_values_of_a_frame_are_left_out_too() -> None:
    frame = pd.DataFrame({"user_id": [1, None, 3], "item_id": ["a", "b", "c"], "rating": [1.0, 2.0, 3.0]})
    assert rows(read_interactions(frame, drop_null=True)) == [(1, "a", None), (3, "c", None)]
    with pytest.raises(DataError, match="no row has all of user_id, item_id"):
        read_interactions(frame.assign(item_id=None), drop_null=True, columns={"item_id": "item_id"})


UUIDS = [uuid.UUID(int=number) for number in (3, 1, 2)]


@pytest.mark.parametrize(
    ("ids", "spelled"),
    [
        (UUIDS, sorted(map(str, UUIDS))),
        ([2**70, 5, 7], [str(2**70), "5", "7"]),
        (pa.array([one.bytes for one in UUIDS], pa.binary(16)), sorted(map(str, UUIDS))),
        (pa.array([one.bytes for one in UUIDS], pa.uuid()), sorted(map(str, UUIDS))),
        (pa.array([b"x", b"y", b"x"], pa.binary()), ["x", "y"]),
        (pa.array([b"xx", b"yy", b"xx"], pa.binary(2)), ["xx", "yy"]),
        (pa.array([decimal.Decimal(5), decimal.Decimal(7), decimal.Decimal(5)], pa.decimal128(20, 0)), [5, 7]),
        (pa.array([decimal.Decimal(10**25), decimal.Decimal(7), None], pa.decimal128(30, 0)), [str(10**25), "7"]),
    ],
)
def test_ids_of_unusual_types_become_integers_or_strings(ids: list | pa.Array, spelled: list) -> None:
    table = pa.table({"user_id": ids, "item_id": [1, 2, 3]}) if isinstance(ids, pa.Array) else None
    frame = pd.DataFrame({"user_id": pd.Series(ids, dtype=object), "item_id": [1, 2, 3]}) if table is None else table
    assert read_interactions(frame, drop_null=True).users.ids().tolist() == spelled


def test_bytes_that_are_no_text_are_no_ids() -> None:
    with pytest.raises(DataError, match="column 'user_id' holds bytes that are no UTF-8 text such as"):
        read_interactions(pa.table({"user_id": pa.array([b"\xff\xfe", b"a"]), "item_id": [1, 2]}))


def test_ratings_in_text_are_numbers_where_all_are_spelled_as_such() -> None:
    table = pa.table({"user_id": [1, 2], "item_id": [1, 2], "rating": ["4.5", "3"]})
    assert read_interactions(table).values.tolist() == [4.5, 3.0]


def test_the_endings_that_are_read_are_registered() -> None:
    assert {".csv", ".tsv", ".parquet", ".jsonl", ".inter", ".dat", ".data"} <= set(FORMATS)


ids = st.integers(0, 5)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(ids, ids, st.integers(0, 9)), min_size=4, max_size=40, unique=True), st.randoms())
def test_the_order_of_the_file_plays_no_part(tmp_path_factory: pytest.TempPathFactory, table: list, random) -> None:
    latest = {(user, item): time for user, item, time in sorted(table, key=lambda row: row[2])}
    if len({user for user, _ in latest}) < 2 or len({item for _, item in latest}) < 2:
        return
    shuffled = random.sample(table, len(table))
    logs = [
        read_interactions(csv(tmp_path_factory.mktemp("logs"), "user_id,item_id,timestamp\n" + "".join(
            f"{user},{item},{time}\n" for user, item, time in order)))
        for order in (table, shuffled)
    ]  # fmt: skip
    assert rows(logs[0].ordered()) == rows(logs[1].ordered()) == sorted(table)
    assert {(user, item): time for user, item, time in rows(logs[0].unique())} == latest


@pytest.mark.real_log
@pytest.mark.skipif(not REAL.is_dir(), reason="the real logs are not beside the checkout")
def test_a_real_log_gives_the_counts_that_its_owner_states() -> None:
    log = read_interactions(REAL / "ml-1m-lcfn" / "interactions.parquet", split_column="split")
    assert (log.n_users, log.n_items) == (6022, 3043)
    assert np.bincount(log.split).tolist() == [796244, 99455, 99455]
