from __future__ import annotations

import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from recdistill.data.formats.parquet import Parquet, parquet_files
from recdistill.data.formats.raw import Raw
from recdistill.data.readers import read_interactions
from recdistill.errors import DataError

TABLE = pa.table({"user_id": [1, 2, 3], "item_id": ["a", "b", "a"], "rating": [1.0, 2.0, 3.0], "what": [[1], [], [2]]})


def ids(log) -> list[tuple]:
    return sorted(zip(log.users.ids(log.user_rows).tolist(), log.items.ids(log.item_rows).tolist(), strict=True))


WHOLE = [(1, "a"), (2, "b"), (3, "a")]


def put(path: Path, table: pa.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path)
    return path


def test_a_folder_of_files_is_one_table_in_the_order_of_their_names(tmp_path: Path) -> None:
    put(tmp_path / "log" / "part-1.parquet", TABLE.slice(2))
    put(tmp_path / "log" / "part-0.parquet", TABLE.slice(0, 2))
    put(tmp_path / "log" / ".hidden.parquet", TABLE)
    (tmp_path / "log" / "_SUCCESS").write_bytes(b"")
    log = read_interactions(tmp_path / "log")
    assert ids(log) == WHOLE
    assert "2 Parquet files" in log.notes


def test_a_column_of_the_partitions_can_be_read(tmp_path: Path) -> None:
    put(tmp_path / "log" / "split=train" / "a.parquet", TABLE.slice(0, 2))
    put(tmp_path / "log" / "split=test" / "a.parquet", TABLE.slice(2))
    log = read_interactions(tmp_path / "log", split_column="split")
    assert ids(log) == WHOLE
    assert sorted(log.split.tolist()) == [0, 0, 1]
    assert read_interactions(tmp_path / "log").split is None


def test_a_frame_that_pandas_partitioned_can_be_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": [1, 2, 3], "item_id": [5, 6, 7], "year": [2019, 2020, 2020]})
    frame.to_parquet(tmp_path / "log", partition_cols=["year"])
    assert ids(read_interactions(tmp_path / "log")) == [(1, 5), (2, 6), (3, 7)]


def test_integers_of_two_widths_and_columns_in_another_order_are_one_table(tmp_path: Path) -> None:
    put(tmp_path / "log" / "a.parquet", pa.table({"user_id": pa.array([1, 2], pa.int32()), "item_id": [5, 6]}))
    put(tmp_path / "log" / "b.parquet", pa.table({"item_id": [7], "user_id": pa.array([2**40], pa.int64())}))
    assert ids(read_interactions(tmp_path / "log")) == [(1, 5), (2, 6), (2**40, 7)]


def test_files_of_one_folder_with_different_columns_are_not_mixed(tmp_path: Path) -> None:
    put(tmp_path / "log" / "interactions.parquet", TABLE)
    put(tmp_path / "log" / "items.parquet", pa.table({"item_id": ["a"], "title": ["Heat"]}))
    assert ids(read_interactions(tmp_path / "log")) == WHOLE
    put(tmp_path / "log" / "more.parquet", pa.table({"user": [1], "item": ["a"]}))
    with pytest.raises(DataError, match=r"2 logs in it, interactions.parquet, more.parquet"):
        read_interactions(tmp_path / "log")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (TABLE.drop_columns("rating"), "its files have different columns: 'rating' is in one of"),
        (TABLE.set_column(0, "user_id", pa.array(["x", "y", "z"])), "its files have columns of different types"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(tmp_path: Path, other: pa.Table, message: str) -> None:
    put(tmp_path / "log" / "year=1" / "a.parquet", TABLE)
    put(tmp_path / "log" / "year=2" / "b.parquet", other)
    with pytest.raises(DataError, match=message) as refused:
        read_interactions(tmp_path / "log")
    assert "\n" not in str(refused.value)


def test_one_broken_part_is_named(tmp_path: Path) -> None:
    put(tmp_path / "log" / "a.parquet", TABLE)
    broken = put(tmp_path / "log" / "b.parquet", TABLE)
    broken.write_bytes(broken.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"b.parquet: not a whole Parquet file"):
        read_interactions(tmp_path / "log")


def test_parquet_within_a_zip_is_read(tmp_path: Path) -> None:
    path = put(tmp_path / "log.parquet", TABLE)
    with zipfile.ZipFile(tmp_path / "log.zip", "w") as archive:
        archive.write(path, "log.parquet")
    assert ids(read_interactions(tmp_path / "log.zip")) == WHOLE


def test_only_visible_parquet_files_are_found(tmp_path: Path) -> None:
    for name in ("b/c.pq", "a.parquet", "_temporary/x.parquet", ".y.parquet"):
        put(tmp_path / name, TABLE)
    assert [str(path.relative_to(tmp_path)) for path in parquet_files(tmp_path)] == ["a.parquet", "b/c.pq"]


def test_the_table_has_every_column(tmp_path: Path) -> None:
    assert Parquet(Raw.of(put(tmp_path / "log.parquet", TABLE))).table().equals(TABLE)
