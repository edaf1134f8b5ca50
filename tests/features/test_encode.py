"""Features as numbers: what each kind becomes, what is left out and said, and what rows that were not fitted on get."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import random as random_sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.features import Feature, Features, encode_block
from recdistill.features.encode import FeatureEncoder
from recdistill.features.encode_block import leading_directions
from recdistill.features.table import TYPES

WORDS = ("river", "night", "gold", "train", "storm", "winter", "garden", "silver", "ocean", "fire")


def column(kind: Any, values: list[Any]) -> Feature:
    if kind == "vector":
        length = max(len(one) for one in values if one is not None)
        return Feature(kind, pa.array(values, pa.list_(pa.float32(), length)))
    return Feature(kind, pa.array(values, TYPES[kind]))


def table(**columns: tuple[str, list[Any]]) -> Features:
    """`name=(kind, values)`; ids count from 0."""
    made = {name: column(kind, values) for name, (kind, values) in columns.items()}
    return Features(Vocab(np.arange(len(next(iter(made.values()))))), made, source="items.csv")


def mixed(n: int = 60, seed: int = 0) -> Features:
    draw = np.random.default_rng(seed)
    return table(
        year=("number", draw.integers(1950, 2000, n).astype(float).tolist()),
        genre=("category", draw.choice(["drama", "comedy", "crime"], n).tolist()),
        tags=("list", [draw.choice(["a", "b", "c", "d"], 2, replace=False).tolist() for _ in range(n)]),
        plot=("text", [" ".join(draw.choice(WORDS, 6)) for _ in range(n)]),
        picture=("vector", draw.standard_normal((n, 5)).astype(np.float32).tolist()),
    )


def test_every_block_of_terms_and_vectors_has_a_mean_squared_length_of_one() -> None:
    features = mixed()
    for name in ("genre", "tags", "plot", "picture"):
        matrix = FeatureEncoder.fit(features.without(set(features.columns) - {name})).transform(features).matrix
        assert np.square(matrix).sum(axis=1).mean() == pytest.approx(1.0, rel=1e-5)
        assert matrix.dtype == np.float32


def test_a_number_is_standardised_and_outliers_are_brought_in() -> None:
    values = [*np.linspace(0.0, 1.0, 999).tolist(), 1e9]
    encoder = FeatureEncoder.fit(table(price=("number", values)))
    found = encoder.transform(table(price=("number", [0.5, 1e30, -1e30]))).matrix
    assert abs(found[0, 0]) < 0.01
    np.testing.assert_allclose(np.abs(found[1:, 0]), 1.7, atol=0.05)
    nearness = found[:, 1:]
    np.testing.assert_allclose(nearness.sum(axis=1), 1.0, rtol=1e-5)
    assert nearness[1, -1] == nearness[2, 0] == 1.0


def test_a_text_is_tf_idf_as_scikit_learn_has_it() -> None:
    plots = [
        "Gold, gold and the RIVER",
        "river of gold",
        "a Storm; storm storm river",
        "der Fluß und die Störung",
        None,
    ]
    plots += ["die Störung"]
    encoder = FeatureEncoder.fit(table(plot=("text", plots)))
    oracle = TfidfVectorizer(min_df=2, sublinear_tf=True, token_pattern=r"[^\W_]+", smooth_idf=True)
    want = oracle.fit_transform([(one or "").casefold() for one in plots]).toarray()
    np.testing.assert_allclose(encoder.transform(table(plot=("text", plots))).matrix, want, rtol=1e-5, atol=1e-7)


def test_a_wide_text_keeps_what_its_leading_directions_say() -> None:
    features = mixed(200).without({"year", "genre", "tags", "picture"})
    wide = FeatureEncoder.fit(features, width=len(WORDS)).transform(features).matrix
    cut = FeatureEncoder.fit(features, width=6).transform(features).matrix
    assert cut.shape == (200, 6)
    values = np.linalg.svd(wide, compute_uv=False)
    kept = np.linalg.svd(cut, compute_uv=False)
    np.testing.assert_allclose(kept / kept[0], values[:6] / values[0], rtol=1e-4)


@pytest.mark.parametrize("small", [0, encode_block.SMALL])
def test_directions_are_repeatable_with_fixed_signs_however_they_are_found(
    small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode_block, "SMALL", small)
    matrix = random_sparse(90, 50, 0.2, "csr", random_state=0)
    found = leading_directions(matrix, 4)
    _, _, want = np.linalg.svd(matrix.toarray(), full_matrices=False)
    np.testing.assert_allclose(np.abs(found.T @ want[:4].T), np.eye(4), atol=1e-4)
    assert (found[np.abs(found).argmax(axis=0), np.arange(4)] > 0).all()
    np.testing.assert_array_equal(leading_directions(matrix, 4), found)


def test_a_missing_value_is_zero_in_its_block_marked_and_counted() -> None:
    year = [*map(float, range(40)), None, float("nan")]
    text = [*["gold river", "river storm"] * 20, "", None]
    features = table(year=("number", year), plot=("text", text))
    found = FeatureEncoder.fit(features).transform(features)
    assert found.missing == {"year": 2, "plot": 2}
    assert found.blank.tolist() == [False] * 40 + [True] * 2
    marks = found.matrix[40:]
    assert (marks == 1).sum(axis=1).tolist() == [1, 1] and (marks != 0).sum(axis=1).tolist() == [1, 1]
    assert found.notes == ("items.csv: of 42 rows not known: year in 2, plot in 2",)


def test_columns_that_tell_nothing_are_left_out_and_said() -> None:
    n = 12
    features = table(
        year=("number", list(map(float, range(n)))),
        same=("category", ["film"] * n),
        none=("category", [None] * n),
        nan=("number", [float("nan")] * n),
        one=("number", [3.0] * n),
        blank=("text", [""] * n),
        distinct=("text", [f"word{row}" for row in range(n)]),
        signs=("text", ["?!", "..."] * (n // 2)),
    )
    encoder = FeatureEncoder.fit(features)
    assert list(encoder.columns) == ["year"]
    told = {note.split("'")[1]: note.partition("left out: ")[2] for note in encoder.notes}
    nothing, same = "no row that is fitted on has a value", "the same in every row that is fitted on"
    assert told == {
        "year": "",
        "same": same,
        "none": nothing,
        "nan": nothing,
        "one": same,
        "blank": nothing,
        "distinct": "no word is in 2 rows that are fitted on",
        "signs": nothing,
    }
    with pytest.raises(DataError, match=r"no feature can be used .*'same' is left out.*Give a table"):
        FeatureEncoder.fit(features.without({"year"}))


def test_a_level_that_some_have_and_others_do_not_is_no_constant() -> None:
    features = table(sale=("list", [["sale"], None] * 10))
    matrix = FeatureEncoder.fit(features).transform(features).matrix
    np.testing.assert_allclose(matrix[:, 0], [1.0, 0.0] * 10)


def test_what_is_fitted_does_not_depend_on_the_rows_that_are_encoded() -> None:
    features = mixed()
    encoder = FeatureEncoder.fit(features.of(Vocab(np.arange(40))))
    whole = encoder.transform(features).matrix
    rows = np.array([59, 3, 45])
    np.testing.assert_allclose(encoder.transform(features.of(Vocab(rows))).matrix, whole[rows], rtol=1e-5, atol=1e-6)
    unseen = encoder.transform(table(genre=("category", ["western", "drama"])))
    assert unseen.missing["genre"] == 1 and not unseen.matrix[0].any() and unseen.matrix[1].any()


def test_a_column_that_is_not_there_counts_as_not_known() -> None:
    features = mixed()
    found = FeatureEncoder.fit(features).transform(features.without({"plot"}))
    assert found.missing["plot"] == 60
    assert any("no column 'plot', which the model was fitted on: taken as not known" in note for note in found.notes)


def test_a_short_table_that_shows_another_kind_is_read_as_the_fitted_one() -> None:
    features = mixed().without({"year", "picture", "plot"})
    encoder = FeatureEncoder.fit(features)
    told = encoder.transform(table(genre=("text", ["drama"]), tags=("category", ["a|b"]))).matrix
    want = encoder.transform(table(genre=("category", ["drama"]), tags=("list", [["a", "b"]]))).matrix
    np.testing.assert_array_equal(told, want)
    with pytest.raises(DataError, match=r"items\.csv: column 'genre' holds .*Give it another kind"):
        encoder.transform(table(genre=("list", [["drama"]])))


def test_vectors_of_another_length_are_refused() -> None:
    encoder = FeatureEncoder.fit(mixed())
    with pytest.raises(DataError, match=r"items\.csv: column 'picture': vectors of 3 numbers where .* fitted on 5"):
        encoder.transform(table(picture=("vector", [[1.0, 2.0, 3.0]])))


def test_the_numbers_of_a_vector_that_never_differ_stay_out() -> None:
    values = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
    values[:, 2] = 7.0
    features = table(picture=("vector", values.tolist()))
    encoder = FeatureEncoder.fit(features)
    assert np.isfinite(encoder.transform(features).matrix).all()
    values[:, 2] = 1e6
    other = encoder.transform(table(picture=("vector", values.tolist()))).matrix
    np.testing.assert_array_equal(other, encoder.transform(features).matrix)


def test_long_vectors_are_cut() -> None:
    values = np.random.default_rng(0).standard_normal((64, 40)).astype(np.float32)
    features = table(picture=("vector", values.tolist()))
    assert FeatureEncoder.fit(features, width=10).width == 10
    assert FeatureEncoder.fit(features).width == 8  # a direction for each eighth row, not more


def test_what_is_learned_comes_back_from_arrays_and_json() -> None:
    features = mixed()
    encoder = FeatureEncoder.fit(features, width=4)
    again = FeatureEncoder.restored(json.loads(json.dumps(encoder.told())), encoder.arrays())
    np.testing.assert_array_equal(again.transform(features).matrix, encoder.transform(features).matrix)
    assert again.notes == encoder.notes


def test_a_width_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="features: width = 0: give at least 1"):
        FeatureEncoder.fit(mixed(), width=0)
