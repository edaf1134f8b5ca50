"""Vectors from elsewhere come with their ids, whole and finite, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recdistill.data.vocab import Vocab
from recdistill.errors import DataError
from recdistill.features import read_vectors

VECTORS = np.arange(6, dtype=np.float64).reshape(3, 2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "texts.npy", VECTORS)
    return tmp_path / "texts.npy"


def ids_of_every_sort(folder: Path) -> list[Any]:
    (folder / "ids.txt").write_text("b\na\nc\n")
    pd.DataFrame({"asin": ["b", "a", "c"], "n": [1, 2, 3]}).to_csv(folder / "items.csv", index=False)
    np.save(folder / "ids.npy", np.array(["b", "a", "c"]))
    given = ["b", "a", "c"]
    files = [folder / name for name in ("ids.txt", "items.csv", "ids.npy")]
    return [given, np.array(given), pa.array(given), pd.Series(given), *files, str(files[0])]


def test_ids_come_from_a_list_a_file_or_a_column(path: Path) -> None:
    for ids in ids_of_every_sort(path.parent):
        read = read_vectors(path, ids=ids)
        assert read.ids == Vocab(["b", "a", "c"]) and list(read.columns) == ["texts"]
        np.testing.assert_array_equal(read.of(Vocab(["a"])).columns["texts"].array(), [[2.0, 3.0]])


def test_a_column_of_lists_is_read_with_the_column_of_ids(tmp_path: Path) -> None:
    frame = pd.DataFrame({"item_id": [7, 5, 6], "v": VECTORS.tolist(), "w": (VECTORS + 1).tolist(), "n": [1, 2, 3]})
    frame.drop(columns="w").to_parquet(tmp_path / "v.parquet")
    read = read_vectors(tmp_path / "v.parquet", name="picture")
    assert read.ids == Vocab([7, 5, 6]) and read.describe() == {
        "picture": {"kind": "vector", "missing": 0, "dimension": 2}
    }
    frame.rename(columns={"item_id": "code"}).to_parquet(tmp_path / "w.parquet")
    read = read_vectors(tmp_path / "w.parquet", ids="code", column="w")
    np.testing.assert_array_equal(read.columns["w"].array(), VECTORS + 1)
    with pytest.raises(DataError, match=r"columns \['v', 'w'\] hold vectors; name one as column="):
        read_vectors(tmp_path / "w.parquet", ids="code")
    with pytest.raises(DataError, match="pass the name of their column as ids=, not list"):
        read_vectors(tmp_path / "w.parquet", ids=[1, 2, 3])
    frame[["item_id", "n"]].to_parquet(tmp_path / "n.parquet")
    with pytest.raises(DataError, match="no column holds lists of numbers"):
        read_vectors(tmp_path / "n.parquet")
    pd.concat([frame, frame]).to_parquet(tmp_path / "twice.parquet")
    with pytest.raises(DataError, match="the id 7 stands in rows 1 and 4"):
        read_vectors(tmp_path / "twice.parquet", column="v")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[1.0, 2.0], [np.nan, 1.0], [1.0, 1.0]]), r"row 1 \(counted from 0\) has a number that is NaN"),
        (np.array([[1.0, 2.0], [1.0, 1e300], [1.0, 1.0]]), r"row 1 \(counted from 0\)"),
        (np.arange(3.0), r"holds float64 of shape \(3,\); vectors are numbers of the shape"),
        (np.array([["a"], ["b"], ["c"]]), r"holds <U1 of shape"),
        (np.zeros((3, 0)), r"holds float64 of shape \(3, 0\)"),
        (np.zeros((2, 4)), r"2 vectors for 3 ids in ids"),
        (np.array([[{}], [1], [2]], dtype=object), "not a NumPy array"),
    ],
)
def test_vectors_that_cannot_be_used_are_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "v.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=message) as caught:
        read_vectors(tmp_path / "v.npy", ids=[1, 2, 3])
    assert "\n" not in str(caught.value)


def test_files_that_are_not_what_they_are_called_are_refused(path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_vectors(path.with_name("other.npy"), ids=[1])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="not a NumPy array"):
        read_vectors(path, ids=[1, 2, 3])
    path.write_bytes(b"hello")
    with pytest.raises(DataError, match="not a NumPy array"):
        read_vectors(path, ids=[1, 2, 3])


def test_ids_that_do_not_fit_are_refused(path: Path) -> None:
    with pytest.raises(DataError, match=r"an array has no ids. Pass ids=, one for each of its 3 rows"):
        read_vectors(path)
    ids = path.with_name("ids.txt")
    for text, message in (("a\nb\na\n", "the id 'a' stands in rows 1 and 3"), ("a\n\nb\n", "row 2 holds no id")):
        ids.write_text(text)
        with pytest.raises(DataError, match=message):
            read_vectors(path, ids=ids)
    ids.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="ids cannot be read"):
        read_vectors(path, ids=ids)
    np.save(path.with_name("ids.npy"), np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="ids cannot be read"):
        read_vectors(path, ids=path.with_name("ids.npy"))
