import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from recdistill.errors import DataError
from recdistill.tables.codecs import CodedTable, grid
from recdistill.tables.codecs.packing import looked_up, pack, packed_bytes

BITS = {"int4": 4, "int3": 3, "int2": 2, "binary": 1}
NORMAL = np.random.default_rng(0).standard_normal((20_000, 3)).astype(np.float32)


@given(data=st.data(), bits=st.sampled_from([1, 2, 3, 4]))
def test_what_is_packed_is_looked_up_again(data: st.DataObject, bits: int) -> None:
    shape = data.draw(st.tuples(st.integers(0, 5), st.integers(0, 30)))
    codes = data.draw(npst.arrays(np.uint8, shape, elements=st.integers(0, 2**bits - 1)))
    packed = pack(codes, bits)
    assert packed.dtype == np.uint8
    assert packed.shape == (shape[0], packed_bytes(shape[1], bits)) == (shape[0], -(-shape[1] * bits // 8))
    values = tuple(float(value) for value in range(10, 10 + 2**bits))
    np.testing.assert_array_equal(looked_up(packed, bits, shape[1], values), codes + 10)


def test_a_row_is_one_stream_of_bits_the_lowest_first() -> None:
    codes = np.array([[1, 2, 15]], np.uint8)
    assert pack(codes, 4).tolist() == [[0x21, 0x0F]]
    assert pack(np.array([[1, 2, 3, 0, 1]], np.uint8), 2).tolist() == [[0b00111001, 1]]
    assert pack(np.array([[1, 0, 0, 0, 0, 0, 0, 0, 1]], np.uint8), 1).tolist() == [[1, 1]]
    assert pack(np.array([[1, 2, 7]], np.uint8), 3).tolist() == [[0b11010001, 1]]


@pytest.mark.parametrize(("codec", "bits"), BITS.items())
def test_a_value_is_the_middle_of_its_step_and_the_outermost_steps_hold_the_rest(codec: str, bits: int) -> None:
    scales = np.array([0.5, 2.0], np.float16)
    half = 2 ** (bits - 1)
    whole = np.arange(-half - 2, half + 2)
    matrix = np.stack([(whole + 0.3) * 0.5, (whole + 0.9) * 2.0], axis=1).astype(np.float32)
    decoded = grid.decode(grid.codes(matrix, scales, bits), scales, bits)
    want = np.clip(whole, -half, half - 1) + 0.5
    np.testing.assert_array_equal(decoded, np.stack([want * 0.5, want * 2.0], axis=1).astype(np.float32))


@pytest.mark.parametrize(("bits", "error"), [(4, 0.01154), (3, 0.03744), (2, 0.1188), (1, 0.3634)])
def test_the_step_is_that_of_the_least_square_error_of_a_normal_distribution(bits: int, error: float) -> None:
    steps = grid.scales(NORMAL, bits)
    assert steps.shape == (3,) and steps.dtype == np.float16
    found = np.square(grid.decode(grid.codes(NORMAL, steps, bits), steps, bits) - NORMAL).mean()
    assert found == pytest.approx(error, rel=0.02)
    for other in (0.9, 1.1):
        moved = (steps * other).astype(np.float16)
        assert np.square(grid.decode(grid.codes(NORMAL, moved, bits), moved, bits) - NORMAL).mean() > found


@pytest.mark.parametrize("codec", BITS)
def test_each_dimension_has_its_own_scale_and_one_of_zeros_stays_zero(codec: str) -> None:
    sizes = np.array([2.0**-8, 0.0, 2.0**8], np.float32)
    decoded = CodedTable.of(NORMAL[:500] * sizes, codec).matrix()
    alone = CodedTable.of(NORMAL[:500], codec).matrix()
    assert not decoded[:, 1].any()
    np.testing.assert_array_equal(decoded[:, [0, 2]] / sizes[[0, 2]], alone[:, [0, 2]])


@pytest.mark.parametrize("codec", BITS)
def test_what_the_grid_holds_is_kept_when_it_is_coded_with_the_same_scales(codec: str) -> None:
    table = CodedTable.of(NORMAL[:200], codec)
    again = grid.codes(table.matrix(), table.arrays["scales"], BITS[codec])
    np.testing.assert_array_equal(again, table.arrays["codes"])


def test_values_that_are_not_finite_have_no_codes() -> None:
    with pytest.raises(DataError, match="grid: row 0 holds nan"):
        grid.codes(np.array([[np.nan]], np.float32), np.ones(1, np.float16), 4)


def test_codes_of_another_width_are_refused() -> None:
    arrays = {"codes": np.zeros((2, 3), np.uint8), "scales": np.zeros(7, np.float16)}
    with pytest.raises(DataError, match="int4 table: 'codes' must hold 4 bytes a row for 7 columns of 4 bits, found 3"):
        CodedTable("int4", arrays)


@pytest.mark.parametrize("codec", ["int4", "int4_row", "int4_group2", "int4_uniform"])
def test_a_scale_for_each_part_follows_the_sizes_of_that_part_alone(codec: str) -> None:
    sizes = {"int4": (1, 4), "int4_row": (800, 1), "int4_group2": (800, 2), "int4_uniform": (1, 1)}[codec]
    rng = np.random.default_rng(1)
    factors = np.exp(rng.normal(0, 1.5, sizes)).repeat(4 // sizes[1], axis=1)
    matrix = (rng.standard_normal((800, 4)) * factors).astype(np.float32)
    errors = {
        name: np.square((CodedTable.of(matrix, name).matrix() - matrix) / factors).mean()
        for name in ("int4", "int4_row", "int4_group2", "int4_uniform")
    }
    if codec != "int4_uniform":  # which is no worse anywhere only where all are of one size
        assert errors[codec] == min(errors[codec], errors["int4_uniform"])
    assert errors[codec] < 0.12
