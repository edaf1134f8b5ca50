import numpy as np
import pytest

from recdistill.tables.codecs.marks import marked, places

COUNT = 203
HEADS = np.random.default_rng(0).random(COUNT) < 0.3
ALL = np.arange(COUNT)


@pytest.mark.parametrize(
    "index",
    [
        slice(0, COUNT), slice(37, 150), slice(200, None), slice(8, 8), slice(None, None, 3), slice(20, 3, -1),
        np.array([5, 5, 202, 0, 64]), np.array([-1, -203, 7]), np.array([], np.int64), np.array([150], np.int32),
    ],
)  # fmt: skip
def test_the_place_of_a_row_among_those_of_its_kind(index: np.ndarray | slice) -> None:
    of_all = np.where(HEADS, np.cumsum(HEADS), np.cumsum(~HEADS)) - 1
    heads, place = places(marked(HEADS), COUNT, index)
    np.testing.assert_array_equal(heads, HEADS[index])
    np.testing.assert_array_equal(place, of_all[index])


@pytest.mark.parametrize("row", [COUNT, -COUNT - 1])
def test_no_row_beyond_the_last(row: int) -> None:
    with pytest.raises(IndexError, match="of a table of 203"):
        places(marked(HEADS), COUNT, np.array([row]))
