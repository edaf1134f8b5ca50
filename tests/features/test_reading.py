"""A side table becomes typed columns: what was seen is said, what is missing is counted, nothing is invented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.features import Features, read_features

FILMS = pd.DataFrame(
    {
        "movieId": [3, 1, 2, 4],
        "title": ["Heat (1995)", "Alien (1979)", None, "Heat (1995)"],
        "genres": ["Action|Crime", "Horror|Sci-Fi", "Drama", ""],
        "studio": ["W", "F", "W", "F"],
        "year": [1995.0, 1979.0, float("nan"), 1995.0],
        "plot": ["A thief is hunted.", "A ship answers a call.", "", "Two men meet."],
        "picture": [[0.1, 0.2], None, [0.3, 0.4], [0.5, 0.6]],
    }
)


@pytest.fixture
def films() -> Features:
    return read_features(FILMS)


def kinds(features: Features) -> dict[str, str]:
    return {name: column.kind for name, column in features.columns.items()}


def values(features: Features, name: str) -> list[Any]:
    return features.columns[name].values.to_pylist()


def test_the_kind_of_a_column_is_seen_in_its_values(films: Features) -> None:
    seen = ["text", "list", "category", "number", "text", "vector"]
    assert list(kinds(films).values()) == seen
    assert films.title == "title" and films.ids == Vocab([1, 2, 3, 4])


def test_what_was_read_and_what_is_missing_is_told(films: Features) -> None:
    assert films.notes[0] == (
        "the pandas frame: 4 items by 'movieId'; title (title), genres (list), studio (category), year (number), "
        "plot (text), picture (vector)"
    )
    assert "column 'genres': lists separated by '|'" in films.notes
    assert films.notes[-1] == "missing values: title in 1, genres in 1, year in 1, plot in 1, picture in 1"


def test_null_empty_and_nan_are_missing_and_nothing_else(films: Features) -> None:
    described = films.describe()
    assert [column["missing"] for column in described.values()] == [1, 1, 0, 1, 1, 1]
    assert values(films, "genres") == [["Horror", "Sci-Fi"], ["Drama"], ["Action", "Crime"], None]
    assert values(films, "year") == [1979.0, None, 1995.0, 1995.0]
    assert described["genres"]["levels"] == 5 and described["picture"]["dimension"] == 2


def test_titles_come_in_the_order_of_the_log_with_their_year(films: Features) -> None:
    assert films.titles(Vocab(["2", "9", "1"])) == [None, None, "Alien (1979)"]
    assert read_features(FILMS.drop(columns="title")).titles(Vocab([1, 2])) is None


def test_ids_without_a_row_are_missing_everywhere_and_others_are_kept(films: Features) -> None:
    aligned = films.of(Vocab([4, 7, 3]))
    assert values(aligned, "studio") == ["F", None, "W"]
    assert values(aligned, "genres") == [None, None, ["Action", "Crime"]]
    np.testing.assert_array_equal(
        aligned.columns["picture"].array(), np.array([[0.5, 0.6], [np.nan, np.nan], [0.1, 0.2]], np.float32)
    )
    np.testing.assert_array_equal(aligned.columns["year"].array(), [1995.0, np.nan, 1995.0])
    assert len(films) == 4


def test_a_file_is_read_as_a_frame_is(films: Features, tmp_path: Path) -> None:
    FILMS.to_parquet(tmp_path / "films.parquet")
    FILMS.drop(columns="picture").to_csv(tmp_path / "films.csv", index=False)
    FILMS.to_json(tmp_path / "films.jsonl", orient="records", lines=True)
    for name in ("films.parquet", "films.csv", "films.jsonl"):
        read = read_features(tmp_path / name)
        assert read.ids == films.ids and read.source.endswith(name)
        for column in read.columns:
            assert values(read, column) == values(films, column), (name, column)
    read = read_features(pa.Table.from_pandas(FILMS))
    assert kinds(read) == kinds(films)


def test_columns_go_by_the_names_that_are_given() -> None:
    frame = pd.DataFrame({"code": ["a", "b"], "label": ["Red", "Blue"], "n": [1, 2]})
    read = read_features(frame, columns={"item_id": "code", "title": "label"})
    assert read.titles(Vocab(["b", "a"])) == ["Blue", "Red"]
    users = read_features(pd.DataFrame({"userId": [1, 2, 3, 4], "name": ["x", "y", "x", "y"]}), of="user")
    assert users.title is None and kinds(users) == {"name": "category"}
    assert read_features(pd.DataFrame({"id": [1, 2], "n": [1, 2]})).ids == Vocab([1, 2])


def test_a_kind_that_is_asked_for_is_taken(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item_id,zip,tags,size\n1,02134,a; b,3\n2,10001,c,4\n")
    asked = {"zip": "category", "tags": "list", "size": "category"}
    read = read_features(tmp_path / "items.csv", kinds=asked)  # type: ignore[arg-type]
    assert values(read, "zip") == ["02134", "10001"]
    assert values(read, "tags") == [["a", "b"], ["c"]]
    assert values(read, "size") == ["3", "4"]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([1, 2, 3]), "number"),
        (pa.array([True, False, None]), "category"),
        (pa.array(["1995-01-01", "1996-01-01", None]).cast(pa.timestamp("s")), "number"),
        (pa.array(["x", "x", "y"]).dictionary_encode(), "text"),
        (pa.array(["x"] * 2 + [None]), "category"),
        (pa.array(["a|b", "c", "a"]), "list"),
        (pa.array(["one | or two", "three | four", "five"]), "text"),
        (pa.array(["a|" + "long " * 20, "a|" + "words " * 20, "c"]), "text"),
        (pa.array([["a"], [], None], pa.list_(pa.string())), "list"),
        (pa.array([[1, 2], [3], [4, 5, 6]]), "list"),
        (pa.array([[1, 2], [3, 4], None]), "vector"),
        (pa.array([[1.5], [2.5], []], pa.list_(pa.float32())), "vector"),
    ],
)
def test_each_type_of_column_has_its_kind(column: pa.Array, kind: str) -> None:
    read = read_features(pa.table({"item_id": [1, 2, 3], "x": column}))
    assert kinds(read) == {"x": kind}


def test_what_a_column_holds_is_kept_in_the_form_of_its_kind() -> None:
    table = pa.table(
        {
            "item_id": [1, 2, 3],
            "flag": pa.array([True, False, None]),
            "day": pa.array([0, 86_400_500, None], pa.timestamp("ms")),
            "codes": pa.array([[1, 2], [3], None]),
            "age": pa.array([24.0, None, 30.0]),
        }
    )
    read = read_features(table, kinds={"age": "category"})
    assert values(read, "flag") == ["true", "false", None]
    assert values(read, "day") == [0.0, 86_400.5, None]
    assert values(read, "codes") == [["1", "2"], ["3"], None]
    assert values(read, "age") == ["24", None, "30"]
    assert values(read_features(table, kinds={"flag": "number"}), "flag") == [1.0, 0.0, None]


def test_numbers_in_text_are_read_where_they_are_asked_for() -> None:
    frame = pd.DataFrame({"item_id": [1, 2], "n": ["1.5", ""], "v": ["0.1 0.2", "0.3 0.4"]})
    read = read_features(frame, kinds={"n": "number", "v": "vector"})
    assert values(read, "n") == [1.5, None]
    assert values(read, "v") == [pytest.approx([0.1, 0.2]), pytest.approx([0.3, 0.4])]


def test_columns_that_hold_nothing_usable_are_left_out_and_named() -> None:
    table = pa.table({"item_id": [1, 2], "n": [1, 2], "gone": pa.nulls(2), "deep": [{"a": 1}, {"a": 2}]})
    notes = read_features(table).notes
    assert "column 'gone' is empty: left out" in notes
    assert any(note.startswith("column 'deep' holds struct<") for note in notes)


def test_the_index_of_a_data_frame_is_no_feature(tmp_path: Path) -> None:
    frame = pd.concat([FILMS.iloc[2:], FILMS.iloc[:2]])
    frame.to_parquet(tmp_path / "films.parquet")
    read = read_features(tmp_path / "films.parquet")
    assert set(read.columns) == set(FILMS.columns) - {"movieId"}
    assert "column '__index_level_0__' numbers the rows of a data frame: left out" in read.notes


def test_the_same_row_twice_is_kept_once_and_counted() -> None:
    frame = pd.DataFrame({"item_id": [1, 2, 1], "genre": [["a"], ["b"], ["a"]], "n": [1.0, None, 1.0]})
    read = read_features(frame)
    assert values(read, "n") == [1.0, None]
    assert "1 rows repeat an earlier one and were dropped" in read.notes


def test_a_typed_file_says_the_kinds_itself(tmp_path: Path) -> None:
    (tmp_path / "x.item").write_text(
        "item_id:token\tmovie_title:token_seq\tzip:token\tclass:token_seq\tsize:float\tv:float_seq\n"
        "1\tToy Story\t02134\ta b\t1.5\t0.1 0.2\n2\tHeat\t10001\tb\t2.5\t0.3 0.4\n"
    )
    read = read_features(tmp_path / "x.item")
    assert kinds(read) == {"movie_title": "text", "zip": "category", "class": "list", "size": "number", "v": "vector"}
    assert read.titles(Vocab([1])) == ["Toy Story"]
    assert values(read, "zip")[0] == "02134" and values(read, "class")[0] == ["a", "b"]


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (FILMS, {"columns": {"item_id": "movie"}}, r"no column 'movie'; found .*Did you mean 'movieId'"),
        (FILMS, {"columns": {"titel": "title"}}, r"columns has 'titel'.*Did you mean 'title'"),
        (FILMS, {"kinds": {"plot": "texts"}}, r"'plot' cannot be a 'texts'. Did you mean 'text'"),
        (FILMS, {"kinds": {"plots": "text"}}, r"no column 'plots' to be a text. Did you mean 'plot'"),
        (FILMS, {"kinds": {"plot": "number"}}, r"column 'plot' holds 'A thief is hunted.', not a number \(value 1\)"),
        (FILMS, {"kinds": {"genres": "vector"}}, r"column 'genres' holds 'Action\|Crime', not a number"),
        (FILMS, {"kinds": {"year": "vector"}}, r"column 'year' holds double, not lists of numbers"),
        (FILMS, {"kinds": {"picture": "number"}}, r"column 'picture' holds list<.*>, not numbers"),
        (FILMS, {"kinds": {"picture": "category"}}, r"column 'picture' holds list<.*>, not one value in each row"),
        (FILMS, {"of": "items"}, r"of='items': features are of an 'item' or of a 'user'"),
        (FILMS[["movieId"]], {}, r"has no column beside 'movieId'"),
        (FILMS[["title", "year"]], {}, r"no column for item_id; found \['title', 'year'\]"),
        (FILMS[:0], {}, r"no rows below the header"),
        (FILMS.assign(movieId=[1, None, 2, 3]), {}, r"column 'movieId'.*null"),
        (FILMS.assign(movieId=[1, 1, 2, 3]), {}, r"data rows 1 and 2 are both of movieId 1 and differ in 'title'"),
        (FILMS.assign(year=[1.0, 2.0, np.inf, 4.0]), {}, r"column 'year' holds inf in data row 3"),
        (FILMS.assign(picture=[[1.0], [1.0], [1.0, 2.0], None]), {}, r"has 2 numbers in data row 3, 1 in rows before"),
        (FILMS.assign(picture=[[1.0], None, [np.nan], None]), {}, r"not finite in data row 3"),
        (FILMS.rename(columns={"plot": "title"}), {}, r"2 columns are called 'title'; keep one"),
        (pd.DataFrame({"item_id": [1], "x": [None]}), {}, r"no column can be used .*column 'x' is empty"),
        (pd.DataFrame({"user": [1], "uid": [1], "x": [1]}), {"of": "user"}, r"the pandas frame: columns 'user' and"),
    ],
)
def test_a_fault_is_named_with_its_place_and_cure(frame: pd.DataFrame, options: dict[str, Any], message: str) -> None:
    with pytest.raises((DataError, ConfigError), match=message) as caught:
        read_features(frame, **options)
    assert "\n" not in str(caught.value)
