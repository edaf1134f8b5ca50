from __future__ import annotations

import datetime
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse

from recdistill.data.formats.memory import in_memory, object_column
from recdistill.data.readers import read_interactions
from recdistill.errors import DataError

TABLE = pa.table({"user_id": [3, 1, 2], "item_id": ["x", "y", "x"], "timestamp": [30, 10, 20]})
ROWS = [(1, "y", 10), (2, "x", 20), (3, "x", 30)]


def rows(source: object, **settings: object) -> list[tuple]:
    log = read_interactions(source, **settings).ordered()
    users, items = log.users.ids(log.user_rows).tolist(), log.items.ids(log.item_rows).tolist()
    times = [None] * log.n_rows if log.times is None else log.times.tolist()
    return sorted(zip(users, items, times, strict=True))


class Stream:
    """Whatever speaks Arrow's stream interface and nothing else."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return TABLE.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "source",
    [
        TABLE,
        TABLE.to_batches()[0],
        TABLE.to_reader(),
        Stream(),
        TABLE.to_pandas(),
        TABLE.to_pandas().convert_dtypes(),
        TABLE.to_pandas(types_mapper=pd.ArrowDtype),
        TABLE.to_pandas().astype({"item_id": "category", "user_id": object}),
        TABLE.to_pandas().to_records(index=False),
    ],
    ids=lambda source: type(source).__name__,
)
def test_every_kind_of_table_gives_the_same_log(source: object) -> None:
    assert rows(source) == ROWS


def test_views_of_strings_are_read_as_strings() -> None:
    views = pa.array(["b", "a", None], pa.string_view())
    coded = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.uint32()), pa.array(["x", "y"], pa.string_view()))
    found = rows(pa.table({"user_id": views, "item_id": coded}), drop_null=True)
    assert found == [("a", "y", None), ("b", "x", None)]


def test_a_polars_frame_gives_the_same_log_and_a_lazy_one_is_told_what_to_do() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.from_arrow(TABLE)
    assert rows(frame) == ROWS
    with pytest.raises(DataError, match=r"LazyFrame\. Call its collect\(\) first"):
        read_interactions(frame.lazy())


def test_times_of_a_frame_with_a_zone_are_seconds_in_utc() -> None:
    times = pd.to_datetime(["2020-01-01 01:00", "2020-01-02 00:00"]).tz_localize("Europe/Paris")
    frame = pd.DataFrame({"user_id": [1, 2], "item_id": [1, 2], "timestamp": times})
    assert [row[2] for row in rows(frame)] == [1577836800, 1577919600]


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.coo_array, sparse.csc_array, sparse.lil_matrix])
def test_a_sparse_matrix_has_users_as_rows_and_items_as_columns(form: type) -> None:
    log = read_interactions(form(np.array([[0, 2.0, 0], [0, 0, 3.0], [1.0, 0, 0]]))).ordered()
    assert log.users.ids(log.user_rows).tolist() == [0, 1, 2]
    assert log.items.ids(log.item_rows).tolist() == [1, 2, 0]
    assert log.values.tolist() == [2, 3, 1]
    assert "a sparse matrix: ids are the numbers of its rows and columns, from 0" in log.notes


def test_zeros_that_a_matrix_stores_are_left_out_and_counted() -> None:
    matrix = sparse.coo_array(([1.0, 0.0, 2.0], ([0, 0, 1], [0, 1, 1])), shape=(2, 2))
    log = read_interactions(matrix)
    assert log.n_rows == 2
    assert "1 zeros that the matrix stores were left out" in log.notes
    assert read_interactions(matrix.astype(bool)).values.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (sparse.coo_array(np.array([1.0, 2.0])), "the sparse matrix: it has 1 dimensions"),
        (sparse.csr_array(np.eye(2) * 1j), "the sparse matrix: it holds complex128"),
        (sparse.csr_array(np.array([[1.0, np.nan], [0, 1]])), "column 'value' holds nan"),
    ],
)
def test_a_matrix_that_is_no_log_is_refused(matrix: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_interactions(matrix)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.array([[1, 5], [2, 6]]), [(1, 5, None), (2, 6, None)]),
        (np.array([[1, 5, 4], [2, 6, 3]]), [(1, 5, None), (2, 6, None)]),
        (np.array([[1, 5, 1577836800], [2, 6, 1577836801]]), [(1, 5, 1577836800), (2, 6, 1577836801)]),
        (np.array([[1, 5, 4.5, 7], [2, 6, 3, 8]]), [(1, 5, 7), (2, 6, 8)]),
        (np.array([["1", "a", "4.5"], ["2", "b", "3"]]), [(1, "a", None), (2, "b", None)]),
        (np.array([[1, "a"], [2, "b"]], dtype=object), [(1, "a", None), (2, "b", None)]),
        (np.array([(1, 5), (2, 6)], dtype=[("user", "i8"), ("item", "i4")]), [(1, 5, None), (2, 6, None)]),
    ],
)
def test_the_columns_of_an_array_are_taken_by_order_or_by_name(array: np.ndarray, found: list) -> None:
    assert rows(array) == found


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5), r"the array: its shape is \(5,\); give \(rows, 2 to 4\)"),
        (np.zeros((5, 7)), r"its shape is \(5, 7\)"),
        (
            np.array([[1, "a"], ["x", "b"]], dtype=object),
            "column 'column_1' cannot be read: it holds int and str values",
        ),
        (np.array([[1, 2], [3, 4]], dtype=complex), "column 'column_1' cannot be read"),
    ],
)
def test_an_array_that_is_no_log_is_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_interactions(array)


def test_objects_of_one_type_are_read_and_of_two_refused() -> None:
    one, other = uuid.UUID(int=7), uuid.UUID(int=8)
    frame = pd.DataFrame({"user_id": [one, other], "item_id": [1, 2]})
    assert read_interactions(frame).users.ids().tolist() == [str(one), str(other)]
    assert object_column([2**80, 1], "x").to_pylist() == [str(2**80), "1"]
    with pytest.raises(DataError, match="x cannot be read: it holds int and str values"):
        object_column([1, "a"], "x")
    with pytest.raises(DataError, match="x cannot be read"):
        object_column([object()], "x")


def test_a_column_that_arrow_cannot_hold_is_refused() -> None:
    frame = pd.DataFrame({"user_id": np.array([1 + 1j, 2]), "item_id": [1, 2]})
    with pytest.raises(DataError, match="the pandas frame: column 'user_id' cannot be read: "):
        read_interactions(frame)
    assert in_memory(pd.DataFrame({"when": [datetime.date(2020, 1, 1)]})).table().num_rows == 1


class Broken:
    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        raise ValueError("no stream")


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(DataError, match=r"a log cannot be read from Broken: no stream"):
        read_interactions(Broken())
    with pytest.raises(DataError, match=r"a log cannot be read from dict\. Give a path, a frame or a table"):
        read_interactions({"user_id": [1, 2]})
