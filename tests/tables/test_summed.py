import numpy as np
import pytest

from recdistill.errors import DataError
from recdistill.tables.codecs import CODECS, CodedTable
from recdistill.tables.codecs.double_hash import DoubleHashCodec


@pytest.mark.parametrize("codec", ["qr8", "hash20"])
def test_a_matrix_that_is_made_of_such_sums_is_found_again(codec: str) -> None:
    coder = CODECS[codec]
    draw, rows = np.random.default_rng(0), np.arange(60)
    first, second = (draw.integers(-8, 9, (size, 4)).astype(np.float32) for size in coder.sizes(60))  # type: ignore[attr-defined]
    at_first, at_second = coder.places(rows)  # type: ignore[attr-defined]
    matrix = first[at_first] + second[at_second]
    np.testing.assert_allclose(CodedTable.of(matrix, codec).matrix(), matrix, atol=0.05)


def test_buckets_are_even_and_hardly_two_rows_share_both() -> None:
    first, second = DoubleHashCodec(100).places(np.arange(10_000))
    for places in (first, second):
        counts = np.bincount(places, minlength=100)
        assert len(counts) == 100 and counts.min() > 50 and counts.max() < 160
    shared = 10_000 - len(np.unique(first * 100 + second))
    assert shared / 10_000 == pytest.approx(np.exp(-1), abs=0.03)  # as of 10,000 draws from 10,000


def test_buckets_of_a_row_are_part_of_the_format() -> None:
    first, second = DoubleHashCodec(64).places(np.arange(5))
    assert (first.tolist(), second.tolist()) == ([47, 52, 15, 44, 27], [16, 9, 18, 5, 16])


def test_arrays_of_other_sizes_are_refused() -> None:
    arrays = CODECS["hash3"].encode(np.ones((7, 2), np.float32))
    short = {name: arrays[name][:2] for name in ("first", "second")}
    with pytest.raises(DataError, match=r"hash3 table: 7 rows need \(3, 3\) first and second, found \(2, 2\)"):
        CodedTable("hash3", arrays | short)
