"""What every codec must satisfy: a new one inherits these tests by its name, or by its family's example."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from safetensors.numpy import load_file, save_file

from recdistill import artifact
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.serving.histories import Histories
from recdistill.serving.scorers import BagScorer
from recdistill.tables.codecs import CODECS, CodedTable, encode

SMALL = (
    "binary_row", "int3_group5", "int2_uniform", "binary_group1", "pq1", "pq3", "rq2", "svd2", "sparse3", "qr4",
    "mixed50_3_1", "fp16_dims30_0", "int3_dims50_2", "binary_sparse3", "fp16_sparse5", "hash3",
)  # fmt: skip
NAMES = (*CODECS, *CODECS.examples, *SMALL)
SHAPES = ((13, 11), (1, 8), (5, 1), (0, 9), (300, 9))
FINITE = st.floats(-1e3, 1e3, width=32)
MATRICES = npst.arrays(np.float32, npst.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=FINITE)
every_codec = pytest.mark.parametrize("codec", NAMES)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def fits(codec: str, columns: int) -> bool:
    return not codec.startswith("pq") or int(codec[2:]) <= columns


@every_codec
@pytest.mark.parametrize("shape", SHAPES)
def test_bytes_are_known_before_and_rows_tiles_and_the_matrix_agree(codec: str, shape: tuple[int, int]) -> None:
    if not fits(codec, shape[1]):
        with pytest.raises(ConfigError, match=f"{codec}: {shape[1]} dimensions cannot be cut"):
            encode(codec, normal(*shape))
        return
    table = CodedTable.of(normal(*shape), codec)
    assert table.shape == shape and len(table) == shape[0]
    assert table.nbytes == CODECS[codec].nbytes(*shape)
    whole = table.matrix()
    assert whole.shape == shape and whole.dtype == np.float32 and np.isfinite(whole).all()
    some = np.arange(shape[0])[::-2]
    np.testing.assert_array_equal(table.rows(some), whole[some])
    np.testing.assert_array_equal(table.tile(1, 4), whole[1:4])
    assert table.longest_row == pytest.approx(np.linalg.norm(whole, axis=1).max(initial=0), rel=1e-6)
    kept = table.decoded
    assert kept is not None
    np.testing.assert_array_equal(kept, whole)
    np.testing.assert_array_equal(table.rows(some), whole[some])


@every_codec
def test_what_is_written_is_read_byte_by_byte(codec: str, tmp_path: Path) -> None:
    table = CodedTable.of(normal(19, 34), codec)
    save_file(dict(table.arrays), tmp_path / "table.safetensors")
    again = CodedTable(codec, load_file(tmp_path / "table.safetensors"))
    assert {name: array.tobytes() for name, array in again.arrays.items()} == {
        name: array.tobytes() for name, array in table.arrays.items()
    }
    np.testing.assert_array_equal(again.matrix(), table.matrix())


@every_codec
def test_a_matrix_is_coded_in_the_same_bytes_each_time_and_comes_nearer_than_zeros(codec: str) -> None:
    matrix = normal(300, 34)
    one, two = encode(codec, matrix), encode(codec, matrix.copy())
    assert all(one[part].tobytes() == two[part].tobytes() for part in one)
    assert np.linalg.norm(CodedTable(codec, one).matrix() - matrix) < np.linalg.norm(matrix)


@every_codec
@settings(max_examples=25, deadline=None)
@given(matrix=MATRICES)
def test_any_finite_matrix_is_decoded_to_finite_numbers_that_are_no_larger_than_it_by_far(
    codec: str, matrix: np.ndarray
) -> None:
    if not fits(codec, matrix.shape[1]):
        return
    decoded = CodedTable.of(matrix, codec).matrix()
    assert np.isfinite(decoded).all()
    assert np.abs(decoded).max() <= 3 * np.linalg.norm(matrix) + 1e-6


@every_codec
def test_zeros_stay_zeros_and_constant_rows_nearly_constant(codec: str) -> None:
    assert not CodedTable.of(np.zeros((7, 34), np.float32), codec).matrix().any()
    if "sparse" in codec or codec.startswith(("qr", "hash", "fp16_dims30_0")):
        return
    constant = np.full((7, 34), 3.0, np.float32)
    np.testing.assert_allclose(CodedTable.of(constant, codec).matrix(), constant, rtol=0.55)


@every_codec
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_row(codec: str, value: float) -> None:
    with pytest.raises(DataError, match=rf"{codec} table: row 1 holds {value}.*diverge"):
        encode(codec, np.array([[1.0], [value]]))


@every_codec
def test_more_rows_leave_the_old_ones_as_they_are(codec: str) -> None:
    matrix = normal(20, 34)
    table = CodedTable.of(matrix[:15], codec)
    if codec.startswith(("qr", "hash")):
        with pytest.raises(DataError, match="its rows share vectors, so that none can be added"):
            table.with_more(matrix[15:])
        return
    more = table.with_more(matrix[15:])
    assert more.shape == (20, 34) and more.nbytes > table.nbytes
    np.testing.assert_array_equal(more.matrix()[:15], table.matrix())
    assert np.linalg.norm(more.matrix()[15:] - matrix[15:]) < 1.5 * np.linalg.norm(matrix[15:])


@every_codec
def test_arrays_that_are_not_the_codecs_are_refused(codec: str) -> None:
    arrays = encode(codec, normal(13, 34))
    for part, array in arrays.items():
        with pytest.raises(DataError, match=f"{codec} table: needs the arrays"):
            CodedTable(codec, {name: one for name, one in arrays.items() if name != part})
        with pytest.raises(DataError, match=f"{codec} table: {part!r} must be"):
            CodedTable(codec, arrays | {part: array.astype(np.complex64)})
        with pytest.raises(DataError, match=f"{codec} table: {part!r} must be"):
            CodedTable(codec, arrays | {part: array[None]})
    if "heads" in arrays:
        with pytest.raises(DataError, match=f"{codec} table: 'heads' must mark"):
            CodedTable(codec, arrays | {"heads": np.zeros_like(arrays["heads"])})
    by_row = [part for part, (_, axes) in CODECS[codec].layout.items() if "rows" in axes]
    if len(by_row) > 1:
        with pytest.raises(DataError, match=f"{codec} table: its arrays differ in rows"):
            CodedTable(codec, arrays | {by_row[0]: arrays[by_row[0]][:-1]})


@every_codec
def test_an_artifact_answers_as_what_was_saved_and_the_doctor_finds_its_bytes(codec: str, tmp_path: Path) -> None:
    n = 40
    whole = BagScorer(
        item_table=CodedTable.of(normal(n, 34)), history_weight=normal(n), item_bias=normal(n), popularity=normal(n),
        history_power=0.5, scale=2.0,
    )  # fmt: skip
    scorer = whole.quantized(codec)
    artifact.save(tmp_path / "it", scorer, Vocab(np.arange(n)), kind="two_tower", name="it", trained_on={})
    found = artifact.load(tmp_path / "it").scorer
    assert {name: array.tobytes() for name, array in found.arrays().items()} == {
        name: array.tobytes() for name, array in scorer.arrays().items()
    }
    asked = Histories.from_lists([[1, 5, 9], [], [29]])
    np.testing.assert_array_equal(found.score(asked), scorer.score(asked))
    told = artifact.doctor(tmp_path / "it")
    small = 3 * (n + 8 if CODECS[codec].short else 4 * n if codec == "fp32" else 2 * n)
    assert told["bytes"] == told["bytes_claimed"] == CODECS[codec].nbytes(n, 34) + small
    assert told["codecs"] == {"item_table": codec}
