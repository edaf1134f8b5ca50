"""Multiply-adds, bytes and energy of an answer, against counts made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recdistill.evaluation import account as module
from recdistill.evaluation.account import account
from recdistill.serving.perceptron import Perceptron
from recdistill.serving.scorers import (
    BagScorer,
    DeepBagScorer,
    EnsembleScorer,
    FoldInScorer,
    GraphFilterScorer,
    Histories,
    ItemScorer,
    LinearFoldInScorer,
    LowRankScorer,
    RerankedScorer,
    SelfAttentionScorer,
)
from recdistill.tables.codecs import CodedTable

ITEMS, DIM = 10, 4
TWO = Histories.from_lists([[1, 2, 3], [4]])
"""A mean of 2 items."""
ROWS = np.array([0, -1])
"""The first has a row in the user table."""


def table(rows: int = ITEMS, columns: int = DIM, codec: str = "fp32") -> CodedTable:
    return CodedTable.of(np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32), codec)


def numbers(n: int = ITEMS) -> np.ndarray:
    return np.linspace(0.1, 1, n, dtype=np.float32)


def counted(scorer, histories: Histories = TWO, user_rows: np.ndarray | None = None) -> tuple[int | None, int | None]:
    found = account(scorer, histories, user_rows)
    return found.multiply_adds, found.bytes_moved


def test_a_bag_of_two_items_is_summed_and_multiplied_with_every_item() -> None:
    assert counted(BagScorer(item_table=table())) == (2 * 4 + 10 * 4, 2 * 16 + 10 * 16)


def test_each_part_of_a_bag_scorer_adds_what_it_takes() -> None:
    plain = BagScorer(item_table=table())
    ops, moved = 48, 192
    assert counted(replace(plain, item_bias=numbers())) == (ops + 10, moved + 40)
    assert counted(replace(plain, history_weight=numbers())) == (ops, moved + 2 * 4)
    assert counted(replace(plain, history_table=table())) == (ops, moved)
    assert counted(replace(plain, history_power=0.5)) == (ops + 4, moved)
    assert counted(replace(plain, normalize=True, scale=2.0)) == (ops + 8 + 4, moved)
    assert counted(replace(plain, user_table=table(3)), user_rows=ROWS) == (ops + 2, moved + 8)
    assert counted(replace(plain, popularity=numbers()), Histories.from_lists([[1], []])) == (2 + 40, 8 + 160 + 20)


def test_a_bias_alone_is_read_and_added() -> None:
    assert counted(BagScorer(item_bias=numbers())) == (10, 40)


@pytest.mark.parametrize(("codec", "row", "shared"), [("fp16", 8, 0), ("int8", 6, 0), ("int4", 2, 8), ("int2", 1, 8)])
def test_a_coded_table_moves_what_is_stored(codec: str, row: int, shared: int) -> None:
    tied = BagScorer(item_table=table(codec=codec))
    assert counted(tied) == (48, 10 * row + shared + 2 * row)
    apart = replace(tied, history_table=table(codec=codec))
    assert counted(apart) == (48, 10 * row + shared + 2 * row + shared)


def test_four_bits_move_half_of_what_eight_do_but_for_the_scales() -> None:
    eight, four = (BagScorer(item_table=table(1000, 64, codec)) for codec in ("int8", "int4"))
    scales = 2 * 1000 + 2 * 2
    ops, moved = counted(eight)
    assert counted(four) == (ops, (moved - scales) // 2 + 2 * 64)  # type: ignore[operator]


def test_only_codebooks_are_read_whole_for_a_few_rows_of_another_table() -> None:
    histories = table(1000, 8, "pq4")
    moved = counted(BagScorer(item_table=table(1000, 8), history_table=histories))[1]
    assert moved == 1000 * 32 + 2 * 4 + 256 * 8 * 2


@pytest.mark.parametrize("codec", ["mixed10_4_2", "qr16", "rq2", "svd2", "sparse3", "int4_group4", "bf16"])
def test_a_row_is_looked_up_for_less_than_the_table_in_any_codec(codec: str) -> None:
    items = table(600, 8, codec)
    tied = counted(BagScorer(item_table=items))[1]
    assert tied is not None and items.nbytes < tied < 1.1 * items.nbytes


def test_a_linear_fold_in_reads_a_row_or_a_history() -> None:
    scorer = LinearFoldInScorer(item_table=table(), user_table=table(3))
    assert counted(scorer, user_rows=ROWS) == (2 + 40, 0.5 * 16 + 0.5 * 16 + 160)


def test_a_deep_bag_adds_its_network() -> None:
    network = Perceptron.of((np.ones((8, 4), np.float32), numbers(8)), (np.ones((4, 8), np.float32), numbers(4)))
    scorer = DeepBagScorer(item_table=table(), network=network)
    inside = 2 * 32 + 8 + 4
    assert counted(scorer) == (48 + 6 * 4 + inside, 192 + 4 * inside)


def test_a_fold_in_solves_for_who_has_no_row() -> None:
    scorer = FoldInScorer(item_table=table(), user_table=table(3), gram=np.eye(4, dtype=np.float32), regularization=1.0)
    stranger = 1 * 4 * 5 + 4**3 / 3 + 2 * 16
    assert counted(scorer, user_rows=ROWS) == (round(stranger / 2 + 40), 160 + 8 + 0.5 * (64 + 16))
    assert counted(scorer, user_rows=np.array([0, 1])) == (40, 160 + 16)


def test_item_to_item_reads_the_rows_of_the_history_alone() -> None:
    assert counted(ItemScorer(item_to_item=table(10, 10))) == (20, 80)


def test_low_rank_item_to_item_takes_off_what_an_item_says_of_itself() -> None:
    assert counted(LowRankScorer(item_table=table(), item_weight=numbers())) == (48 + 2 + 10, 192 + 40)


def test_a_graph_filter_reads_the_entries_of_its_history() -> None:
    indptr = np.array([0, 0, 1, 3, 6, 8, *[8] * 5], np.int64)
    scorer = GraphFilterScorer(
        gram_indptr=indptr, gram_indices=np.array([0, 1, 2, 3, 4, 5, 1, 2], np.int32), gram_data=numbers(8)
    )
    entries = (1 + 2 + 3 + 2) / 2
    assert counted(scorer) == (entries, entries * 8 + 2 * 16)
    assert counted(replace(scorer, item_table=table())) == (entries + 8 + 40 + 10, entries * 8 + 32 + 192)


def test_an_ensemble_is_its_members_and_their_sum() -> None:
    bag, item = BagScorer(item_table=table()), ItemScorer(item_to_item=table(10, 10))
    scorer = EnsembleScorer(members=(bag, item), weights=np.ones((1, 2), np.float32))
    assert counted(scorer) == (48 + 20 + 20, 192 + 80 + 8)


def test_a_reranked_model_asks_its_network_for_each_retrieved_item() -> None:
    network = Perceptron.of((np.ones((1, 9), np.float32), numbers(1)))
    scorer = RerankedScorer(
        base=BagScorer(item_table=table()), network=network, item_facts=np.ones((10, 2), np.float32), depth=5
    )
    assert counted(scorer) == (48 + 5 * (10 + 4), 192 + 40 + 5 * 8 + 5 * 16)


def test_self_attention_is_counted_over_padded_histories() -> None:
    d, wide, places = 4, 6, 8
    arrays = {
        "attention": (1, 4, d, d), "distance": (1, 2, places), "norms": (1, 2, d), "widen": (1, wide, d),
        "widen_bias": (1, wide), "narrow": (1, d, wide), "narrow_bias": (1, d),
    }  # fmt: skip
    inside = {name: np.ones(shape, np.float32) for name, shape in arrays.items()}
    found = counted(SelfAttentionScorer(item_table=table(), **inside))
    padded = 4
    products = 2 * d * d * padded + 2 * d * padded + 2 * d * d + 2 * d * wide
    assert found == (products + 40, 192 + sum(array.nbytes for array in inside.values()))


class Foreign(BagScorer):
    """A form of somebody else's."""


def test_a_form_that_is_not_known_has_no_account() -> None:
    foreign = Foreign(item_table=table())
    assert account(foreign, TWO) == module.Account(None, None, None)
    ensemble = EnsembleScorer(members=(foreign,), weights=np.ones((1, 1), np.float32))
    assert counted(ensemble) == (None, None)


def test_more_dimensions_items_and_history_take_more_of_everything() -> None:
    small = account(BagScorer(item_table=table(100, 8)), TWO)
    longer = Histories.from_lists([[1, 2, 3, 4], [4, 5]])
    for more in (
        account(BagScorer(item_table=table(100, 16)), TWO),
        account(BagScorer(item_table=table(200, 8)), TWO),
        account(BagScorer(item_table=table(100, 8)), longer),
    ):
        assert more.multiply_adds > small.multiply_adds  # type: ignore[operator]
        assert more.bytes_moved > small.bytes_moved and more.microjoules > small.microjoules  # type: ignore[operator]


def test_energy_is_of_the_cache_up_to_its_size_and_of_main_memory_beyond() -> None:
    inside, beyond = (BagScorer(item_table=table(rows, 250)) for rows in (1000, 1001))
    ops, moved = 1000 * 250 + 500, 1_000_000 + 2000
    assert account(inside, TWO).microjoules == pytest.approx((ops * 4.6 + moved * 12.5) / 1e6)
    assert account(beyond, TWO).microjoules == pytest.approx(((ops + 250) * 4.6 + (moved + 1000) * 162.5) / 1e6)


def test_nobody_who_asks_takes_nothing() -> None:
    assert account(BagScorer(item_table=table()), Histories.empty(0)) == module.Account(0, 0, 0.0)
