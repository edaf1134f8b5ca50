import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from recdistill.errors import DataError
from recdistill.serving.histories import Histories
from recdistill.serving.scorers import BagScorer, scorer_from_arrays
from recdistill.tables.codecs import CodedTable, CodedVector
from recdistill.tables.codecs.vector import vector_of

VALUES = np.random.default_rng(0).standard_normal(3043).astype(np.float32)


@given(values=npst.arrays(np.float32, st.integers(0, 30), elements=st.floats(-1e4, 1e4, width=32)))
def test_a_number_is_within_half_a_step_and_codes_are_kept_when_coded_anew(values: np.ndarray) -> None:
    coded = CodedVector.of(values, "it")
    decoded = np.asarray(coded)
    assert decoded.dtype == np.float32 and decoded.shape == coded.shape == values.shape
    largest = np.abs(values).max(initial=0)
    assert (np.abs(decoded - values) <= 0.51 * coded.range[1] + 1e-6 * largest + 1e-38).all()
    np.testing.assert_array_equal(CodedVector.of(decoded, "it").codes, coded.codes)


def test_it_is_read_where_an_array_is() -> None:
    coded = CodedVector.of(VALUES, "it")
    whole = np.asarray(coded)
    assert len(coded) == coded.size == 3043 and coded.ndim == 1 and coded.dtype == np.float32
    np.testing.assert_array_equal(coded[np.array([5, 2])], whole[[5, 2]])
    assert coded[7] == whole[7] and coded.min(initial=9.0) == whole.min() and coded.min(initial=-9.0) == -9
    np.testing.assert_array_equal(coded.astype(np.float64), whole.astype(np.float64))
    assert sum(array.nbytes for array in coded.arrays().values()) == 3043 + 8


def test_the_same_number_everywhere_is_kept_as_it_is() -> None:
    np.testing.assert_array_equal(
        np.asarray(CodedVector.of(np.full(4, 0.3, np.float32), "it")), np.full(4, np.float32(0.3))
    )


def test_more_numbers_are_cut_to_the_range() -> None:
    coded = CodedVector.of(np.array([0.0, 1.0, 0.5]), "it").with_more(np.array([2.0, -3.0, 1.0]))
    np.testing.assert_allclose(np.asarray(coded), [0, 1, 0.5, 1, 0, 1], atol=0.003)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"codes": np.zeros(3, np.uint8)}, r"it: stored as \['codes', 'range'\], found \['codes'\]"),
        ({"codes": np.zeros(3, np.int8), "range": np.zeros(2, np.float32)}, "it: 'codes' must be uint8"),
        ({"codes": np.zeros(3, np.uint8), "range": np.zeros(3, np.float32)}, "it: 'range' must be float32"),
        ({"codes": np.zeros(3, np.uint8), "range": np.array([0, np.nan], np.float32)}, "it: 'range': row 1 holds nan"),
    ],
)
def test_arrays_that_are_none_are_refused(parts: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        vector_of(parts, "it")


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match="bias: row 1 holds nan"):
        CodedVector.of(np.array([1.0, np.nan]), "bias")


def scorer(codec: str) -> BagScorer:
    table = CodedTable.of(np.random.default_rng(1).standard_normal((3043, 8)).astype(np.float32))
    whole = BagScorer(item_table=table, history_weight=VALUES, item_bias=VALUES[::-1], popularity=VALUES)
    return whole.quantized(codec)


@pytest.mark.parametrize("codec", ["int4", "int2", "pq2"])
def test_weights_and_biases_beside_few_bits_take_a_byte_an_item(codec: str) -> None:
    small = scorer(codec)
    table = small.item_table
    assert table is not None and small.nbytes == table.nbytes + 3 * (3043 + 8)
    assert scorer("int8").nbytes == 3043 * (8 + 2 + 3 * 2)
    assert small.parameters == scorer("fp32").parameters
    again = small.quantized(codec)
    assert again.history_weight is small.history_weight and again.item_table is table


def test_from_eight_bits_the_same_scores_come_alone_and_in_a_batch_and_from_the_plain_floats_too() -> None:
    small = scorer("int4")
    asked = Histories.from_lists([[4, 9, 900], [], [3000]])
    assert small.item_table is not None
    plain = BagScorer(
        item_table=CodedTable.of(small.item_table.matrix()), history_weight=np.asarray(small.history_weight),
        item_bias=np.asarray(small.item_bias), popularity=np.asarray(small.popularity),
    )  # fmt: skip
    np.testing.assert_array_equal(small.score(asked), plain.score(asked))
    np.testing.assert_array_equal(small.queries(asked), plain.queries(asked))
    np.testing.assert_array_equal(small.query_of(np.array([4, 9, 900])), plain.queries(asked)[0])
    np.testing.assert_array_equal(scorer_from_arrays(small.config(), small.arrays()).score(asked), small.score(asked))


def test_an_array_that_is_there_plainly_and_in_eight_bits_is_refused() -> None:
    small = scorer("int4")
    with pytest.raises(DataError, match="'item_bias' is there twice"):
        scorer_from_arrays(small.config(), small.arrays() | {"item_bias": VALUES})
