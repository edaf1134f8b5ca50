import numpy as np
import pytest

from recdistill.tables.codecs import CODECS, CodedTable

DRAW = np.random.default_rng(0)
MATRIX = DRAW.standard_normal((50, 9)).astype(np.float32)
WEIGHTS = DRAW.permutation(50).astype(np.float32)
HEADS = WEIGHTS >= 45


def test_the_rows_that_count_most_have_all_their_numbers() -> None:
    found = CodedTable.of(MATRIX, "fp16_dims10_2", WEIGHTS).matrix()
    np.testing.assert_array_equal(found[HEADS], MATRIX[HEADS].astype(np.float16))
    assert np.abs(found - MATRIX)[~HEADS].max() > 0.1


def test_the_others_are_the_nearest_rows_of_few_dimensions() -> None:
    left, sizes, right = np.linalg.svd(MATRIX[~HEADS], full_matrices=False)
    want = (left[:, :3] * sizes[:3]) @ right[:3]
    found = CodedTable.of(MATRIX, "fp16_dims10_3", WEIGHTS).matrix()[~HEADS]
    np.testing.assert_allclose(found, want, atol=5e-3)


def test_with_no_dimensions_the_others_are_gone() -> None:
    table = CodedTable.of(MATRIX, "int4_dims10_0", WEIGHTS)
    assert not table.matrix()[~HEADS].any() and table.matrix()[HEADS].all()
    assert table.nbytes == 7 + 5 * 5 + 2 * 9 == CODECS["int4_dims10_0"].nbytes(50, 9)


@pytest.mark.parametrize("codec", ["fp16_dims10_9", "fp16_dims10_12"])
def test_as_many_dimensions_as_there_are_lose_nothing_but_the_rounding(codec: str) -> None:
    np.testing.assert_allclose(CodedTable.of(MATRIX, codec).matrix(), MATRIX, atol=5e-3)


def test_rows_that_are_added_have_few_dimensions() -> None:
    table = CodedTable.of(MATRIX, "fp16_dims10_2", WEIGHTS)
    again = table.with_more(table.matrix()[~HEADS][:3])
    assert again.nbytes == table.nbytes + 3 * 2 * 2 and len(again) == 53
    np.testing.assert_allclose(again.matrix()[50:], table.matrix()[~HEADS][:3], atol=5e-3)
