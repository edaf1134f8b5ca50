import numpy as np

from recdistill.serving.scorers import BagScorer
from recdistill.tables.codecs import CodedTable, grid

MATRIX = np.random.default_rng(0).standard_normal((50, 9)).astype(np.float32)
WEIGHTS = np.random.default_rng(1).permutation(50).astype(np.float32)
HEADS = WEIGHTS >= 45


def test_the_rows_that_count_most_are_on_the_finer_grid_and_each_part_is_as_if_it_were_alone() -> None:
    table = CodedTable.of(MATRIX, "mixed10_4_2", WEIGHTS)
    for rows, bits in ((HEADS, 4), (~HEADS, 2)):
        steps = grid.scales(MATRIX[rows], bits)
        want = grid.decode(grid.codes(MATRIX[rows], steps, bits), steps, bits)
        np.testing.assert_array_equal(table.rows(np.flatnonzero(rows)), want)


def test_a_scorer_gives_its_popular_items_more_bits() -> None:
    scorer = BagScorer(item_table=CodedTable.of(MATRIX), popularity=WEIGHTS, item_bias=-WEIGHTS)
    table = scorer.quantized("mixed10_4_2").item_table
    assert table is not None
    np.testing.assert_array_equal(table.matrix(), CodedTable.of(MATRIX, "mixed10_4_2", WEIGHTS).matrix())
    plain = BagScorer(item_table=CodedTable.of(MATRIX)).quantized("mixed10_4_2").item_table
    assert plain is not None and (plain.matrix() != table.matrix()).any()


def test_rows_that_are_added_are_of_the_coarser_grid() -> None:
    table = CodedTable.of(MATRIX, "mixed10_4_2", WEIGHTS)
    more = table.with_more(np.full((3, 9), 100, np.float32))
    assert more.shape == (53, 9) and more.nbytes == table.nbytes + 3 * 3
    np.testing.assert_array_equal(
        more.matrix()[50:], np.tile(1.5 * table.arrays["tail_scales"].astype(np.float32), (3, 1))
    )
