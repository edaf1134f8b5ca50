import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from recdistill.errors import ConfigError, DataError
from recdistill.tables.codecs import CodedTable, encode

MATRIX = np.array([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0], [1e-3, 2e-3, -3e-3]], np.float32)
FINITE = st.floats(-1e4, 1e4, width=32)
MATRICES = npst.arrays(np.float32, npst.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=FINITE)
WORST_ERROR = {"fp32": 0.0, "fp16": 2.0**-11, "bf16": 2.0**-8, "int8": 0.5 / 127 * 1.002}  # of a row's largest value


@pytest.mark.parametrize("codec", tuple(WORST_ERROR))
@given(matrix=MATRICES)
def test_a_decoded_row_is_within_half_a_step_of_what_was_coded(codec: str, matrix: np.ndarray) -> None:
    decoded = CodedTable.of(matrix, codec).matrix()
    largest = np.abs(matrix).max(axis=1, keepdims=True)
    smallest_step = 0.0 if codec == "fp32" else 2.0**-24
    assert decoded.dtype == np.float32
    assert (np.abs(decoded - matrix) <= WORST_ERROR[codec] * largest + smallest_step).all()


@pytest.mark.parametrize("codec", tuple(WORST_ERROR))
def test_a_row_of_zeros_stays_zero(codec: str) -> None:
    assert not CodedTable.of(MATRIX, codec).rows(np.array([1])).any()


@pytest.mark.parametrize("codec", ["fp16", "int8", "int4", "int2_row", "pq1", "sparse1", "qr1"])
def test_a_value_that_half_floats_cannot_hold_is_refused(codec: str) -> None:
    with pytest.raises(DataError, match="beyond half floats"):
        encode(codec, np.array([[1e9]]))


def test_bytes_are_those_of_codes_and_scales() -> None:
    matrix = np.ones((10, 32), np.float32)
    assert [CodedTable.of(matrix, codec).nbytes for codec in ("fp32", "bf16", "int8", "int4")] == [1280, 640, 340, 224]


def test_int8_uses_all_of_its_range_even_for_tiny_rows() -> None:
    for size in (1e-6, 1e-3, 1.0, 1e4):
        codes = encode("int8", np.array([[size, -size / 2]], np.float32))["codes"]
        assert codes[0, 0] > (60 if size > 1e-5 else 10)
        assert codes[0, 1] == pytest.approx(-codes[0, 0] / 2, abs=1)


def test_codes_stay_as_stored_in_memory() -> None:
    table = CodedTable.of(MATRIX, "int8")
    assert table.arrays["codes"].dtype == np.int8
    table.matrix()
    assert table.nbytes == sum(array.nbytes for array in table.arrays.values()) == 9 + 6


def test_coding_anew_keeps_what_the_codec_holds() -> None:
    table = CodedTable.of(MATRIX, "int8")
    assert table.recoded("int8") is table
    np.testing.assert_array_equal(table.recoded("fp32").matrix(), table.matrix())


def test_an_unknown_codec_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no codec 'int9'. Did you mean 'int2', 'int3', 'int4' or 'int8'\?"):
        CodedTable.of(MATRIX, "int9")


def test_a_matrix_of_one_dimension_is_refused() -> None:
    with pytest.raises(DataError, match=r"needs a matrix \(rows, columns\), found shape \(3,\)"):
        encode("fp32", np.ones(3))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"codes": np.zeros((2, 2), np.int8)}, "needs the arrays"),
        ({"codes": np.zeros((2, 2), np.int16), "scales": np.zeros(2, np.float16)}, "'codes' must be int8"),
        ({"codes": np.zeros((2, 2), np.int8), "scales": np.zeros((2, 1), np.float16)}, "'scales' must be float16"),
        ({"codes": np.zeros((2, 2), np.int8), "scales": np.zeros(3, np.float16)}, "differ in rows"),
    ],
)
def test_arrays_that_are_not_the_codecs_are_refused(arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        CodedTable("int8", arrays)


def test_bf16_rounds_to_even_and_keeps_the_largest_float_finite() -> None:
    largest = float(np.finfo(np.float32).max)
    given = np.array([[1.0, 1.0 + 2**-8, 1.0 + 3 * 2**-8, -largest, 1e-30]], np.float32)
    decoded = CodedTable.of(given, "bf16").matrix()
    np.testing.assert_array_equal(decoded[0, :3], [1.0, 1.0, 1.0 + 4 * 2**-8])
    assert np.isfinite(decoded).all() and decoded[0, 3] == pytest.approx(-largest, rel=2**-8)
    assert decoded[0, 4] == pytest.approx(1e-30, rel=2**-8)


def test_rows_that_are_rounded_together_or_apart_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = np.random.default_rng(0).standard_normal((11, 5)).astype(np.float32)
    whole = encode("bf16", matrix)["halves"]
    monkeypatch.setattr("recdistill.tables.codecs.floats.ROWS", 4)
    assert np.array_equal(encode("bf16", matrix)["halves"], whole)
