from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from recdistill.data.formats import sql
from recdistill.data.readers import read_interactions
from recdistill.errors import ConfigError, DataError

QUERY = "select customer as user_id, sku as item_id, at as timestamp from sales"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table sales (customer integer, sku text, at integer, note)")
        connection.executemany("insert into sales values (?, ?, ?, ?)", [(1, "a", 10, 1), (2, "b", 20, "x")])
        connection.execute("create table prices (sku text, price real)")
        connection.commit()
    return path


@pytest.fixture
def connection(shop: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(shop)) as opened:
        yield opened


def test_a_query_through_a_connection_gives_a_log(connection: sqlite3.Connection) -> None:
    log = read_interactions(connection, query=QUERY)
    assert (log.users.ids().tolist(), log.items.ids().tolist(), log.times.tolist()) == ([1, 2], ["a", "b"], [10, 20])
    assert log.notes[0] == f"query: {QUERY}"
    assert connection.execute("select count(*) from sales").fetchone() == (2,)  # it is still open


def test_a_file_needs_no_query_where_one_table_has_users_and_items(shop: Path) -> None:
    log = read_interactions(shop)
    assert log.items.ids().tolist() == ["a", "b"]
    assert 'query: select * from "sales"' in log.notes


def test_a_table_may_be_named_in_the_place_of_a_query(shop: Path) -> None:
    assert read_interactions(shop, query="sales", columns={"timestamp": "at"}).times.tolist() == [10, 20]


def test_rows_come_in_batches(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "BATCH", 1)
    assert read_interactions(shop, query=QUERY).n_rows == 2
    with pytest.raises(DataError, match="column 'rating' holds values of two types"):
        read_interactions(shop, query="select customer as user_id, sku as item_id, note as rating from sales")


def test_a_file_is_opened_for_reading_only(shop: Path) -> None:
    with pytest.raises(DataError, match="readonly database"):
        read_interactions(shop, query="delete from sales where 1")
    with closing(sqlite3.connect(shop)) as opened:
        assert opened.execute("select count(*) from sales").fetchone() == (2,)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("select * from nowhere", "no such table: nowhere. The query was: select"),
        ("select * frm sales", "syntax error"),
        ("select note as user_id, sku as item_id from sales", "column 'user_id' cannot be read: it holds int and str"),
        ("select customer as user_id, sku as item_id from sales where 0", "no rows"),
        ("select customer, price from sales, prices", "no column 'item_id'; found"),
        ("pragma user_version = 0", "readonly|no rows and columns"),
    ],
)
def test_a_query_with_a_fault_is_refused_in_one_line(shop: Path, query: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        read_interactions(shop, query=query)
    assert str(refused.value).startswith(str(shop))
    assert "\n" not in str(refused.value)


def test_a_file_with_two_logs_or_none_wants_a_query(shop: Path, connection: sqlite3.Connection) -> None:
    connection.execute("create view seen as select * from sales")
    connection.commit()
    with pytest.raises(DataError, match="2 tables with users and items; it holds sales, seen"):
        read_interactions(shop)
    connection.execute("drop view seen")
    connection.execute("drop table sales")
    connection.commit()
    with pytest.raises(DataError, match="no table with users and items; it holds prices"):
        read_interactions(shop)


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    path.write_text("user_id,item_id\n1,2\n" * 100)
    with pytest.raises(DataError, match="not an SQLite file that can be read: file is not a database"):
        read_interactions(path)


def test_a_connection_wants_a_query_and_a_text_file_wants_none(connection: sqlite3.Connection, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a connection needs query="):
        read_interactions(connection)
    path = tmp_path / "log.csv"
    path.write_text("user_id,item_id\n1,2\n2,3\n")
    with pytest.raises(ConfigError, match="is no database file"):
        read_interactions(path, query="select 1")


class Cursor:
    """ADBC's: DBAPI and one method more."""

    description = (("user_id", None), ("item_id", None))

    def execute(self, query: str) -> None:
        self.query = query

    def fetch_arrow_table(self) -> pa.Table:
        return pa.table({"user_id": [1, 2], "item_id": [5, 6]})

    def close(self) -> None: ...


class Connection:
    def cursor(self) -> Cursor:
        return Cursor()

    def close(self) -> None: ...


def test_a_connection_that_gives_arrow_is_asked_for_it() -> None:
    assert read_interactions(Connection(), query="select 1").items.ids().tolist() == [5, 6]


def test_duckdb_gives_a_log() -> None:
    duckdb = pytest.importorskip("duckdb")
    query = "select range as user_id, range % 3 as item_id from range(9)"
    assert read_interactions(duckdb.connect(), query=query).n_rows == 9
    assert read_interactions(duckdb.connect().sql(query)).n_rows == 9
    with pytest.raises(DataError, match=r"no rows and columns|no column 'user_id'"):
        read_interactions(duckdb.connect(), query="create table t (a integer)")
    with pytest.raises(DataError, match="The query was: select"):
        read_interactions(duckdb.connect(), query="select * from nowhere")
