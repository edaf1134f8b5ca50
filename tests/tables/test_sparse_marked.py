import numpy as np
import pytest

from recdistill.errors import DataError
from recdistill.tables.codecs import CODECS, CodedTable
from recdistill.tables.codecs.sparse_marked import STEPS

MATRIX = np.random.default_rng(0).standard_normal((2000, 12)).astype(np.float32)


def test_each_row_keeps_its_largest_values_as_half_floats_and_nothing_else() -> None:
    rows = np.array([[1.0, -3.0, 0.5, 2.0], [0.0, 0.25, 0.0, -0.125]], np.float32)
    found = CodedTable.of(rows, "fp16_sparse2").matrix()
    np.testing.assert_array_equal(found, [[0, -3, 0, 2], [0, 0.25, 0, -0.125]])


def test_it_holds_what_the_codec_with_columns_holds_in_fewer_bytes() -> None:
    marked, named = (CodedTable.of(MATRIX, codec) for codec in ("fp16_sparse6", "sparse6"))
    np.testing.assert_array_equal(marked.matrix(), named.matrix())
    assert marked.nbytes < named.nbytes


@pytest.mark.parametrize(("codec", "bits"), [("int4", 4), ("int3", 3), ("int2", 2), ("binary", 1)])
def test_kept_values_lie_on_the_grid_of_their_dimension_and_the_others_are_zero(codec: str, bits: int) -> None:
    sizes = np.linspace(0.5, 2.0, 12).astype(np.float32)
    table = CodedTable.of(MATRIX * sizes, f"{codec}_sparse6")
    found, steps = table.matrix(), table.arrays["scales"].astype(np.float32)
    kept = np.argsort(-np.abs(MATRIX * sizes), axis=1)[:, :6]
    assert ((found != 0).sum(axis=1) == 6).all()
    assert (np.take_along_axis(found, kept, axis=1) != 0).all()
    places = (found / steps)[found != 0] - 0.5
    np.testing.assert_allclose(places, np.rint(places), atol=1e-3)
    assert places.min() >= -(2 ** (bits - 1)) and places.max() <= 2 ** (bits - 1) - 1


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_the_step_is_the_best_for_the_larger_half_of_normal_values(bits: int) -> None:
    codec = CODECS[f"int{bits}_sparse6" if bits > 1 else "binary_sparse6"]
    arrays = codec.encode(MATRIX)
    largest = np.sort(np.abs(MATRIX), axis=1)[:, 6, None]
    kept = np.where(np.abs(MATRIX) >= largest, MATRIX, 0)
    rms = np.sqrt(np.square(kept).sum(axis=0) / (kept != 0).sum(axis=0))
    np.testing.assert_allclose(arrays["scales"], STEPS[bits] * rms, rtol=2e-3)

    def error(factor: float) -> float:
        from recdistill.tables.codecs.grid import codes, decode

        steps = (arrays["scales"] * factor).astype(np.float16)
        decoded = decode(codes(kept, steps, bits), steps, bits)
        return float(np.square(np.where(kept != 0, decoded - kept, 0)).sum())

    assert error(1.0) < min(error(0.8), error(1.25))


def test_marks_of_another_number_of_values_are_refused() -> None:
    arrays = CODECS["int4_sparse6"].encode(MATRIX)
    with pytest.raises(DataError, match="'marks' must name 6 columns of each row"):
        CodedTable("int4_sparse6", arrays | {"marks": np.full_like(arrays["marks"], 255)})
    with pytest.raises(DataError, match="'marks' must hold 2 bytes a row for 12 columns, found 3"):
        CodedTable("int4_sparse6", arrays | {"marks": np.zeros((2000, 3), np.uint8)})
    halves = CODECS["fp16_sparse6"].encode(MATRIX)
    with pytest.raises(DataError, match="'values' must hold 6 numbers a row, found 5"):
        CodedTable("fp16_sparse6", halves | {"values": halves["values"][:, :5]})
