"""The form of sequence models, with numbers that were drawn."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from recdistill.errors import DataError
from recdistill.serving.histories import Histories
from recdistill.serving.scorers import scorer_from_arrays
from recdistill.serving.self_attention import SelfAttentionScorer, padded_length
from recdistill.tables.codecs import CodedTable

N, D, BLOCKS, HEADS, LENGTH = 20, 8, 2, 2, 6


@pytest.fixture
def scorer() -> SelfAttentionScorer:
    draw = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray:
        return draw.standard_normal(shape, dtype=np.float32)

    return SelfAttentionScorer(
        item_table=CodedTable.of(drawn(N, D)), history_weight=draw.random(N, dtype=np.float32) + 0.5,
        item_bias=drawn(N), popularity=drawn(N), attention=drawn(BLOCKS, 4, D, D),
        distance=drawn(BLOCKS, HEADS, LENGTH),
        norms=drawn(BLOCKS, 2, D), widen=drawn(BLOCKS, 12, D), widen_bias=drawn(BLOCKS, 12),
        narrow=drawn(BLOCKS, D, 12), narrow_bias=drawn(BLOCKS, D), scale=4.0,
    )  # fmt: skip


LISTS = [[3, 1, 4], [], [15, 9, 2, 6, 5, 3, 8, 7, 0], [7], [1, 3, 4], list(range(6)), list(range(7))]


def test_a_user_has_the_same_bits_alone_and_among_others(scorer: SelfAttentionScorer) -> None:
    histories = Histories.from_lists(LISTS)
    together = scorer.user_vectors(histories)
    alone = [scorer.user_vectors(histories.take(slice(user, user + 1)))[0] for user in range(len(LISTS))]
    assert together.tobytes() == np.stack(alone).tobytes()
    assert not together[1].any()
    np.testing.assert_allclose(np.linalg.norm(together[[0, 2, 3]], axis=1), 1, rtol=1e-5)


def test_order_counts_and_only_the_last_items_are_looked_at(scorer: SelfAttentionScorer) -> None:
    vectors = scorer.user_vectors(Histories.from_lists(LISTS))
    assert not np.allclose(vectors[0], vectors[4])
    last = scorer.user_vectors(Histories.from_lists([LISTS[2][-LENGTH:]]))
    np.testing.assert_allclose(vectors[2], last[0], rtol=1e-4, atol=1e-5)


def test_without_an_order_items_are_taken_by_their_rows(scorer: SelfAttentionScorer) -> None:
    known, unordered = Histories.from_lists([[1, 3, 4]]), Histories(np.array([0, 3]), np.array([1, 3, 4]))
    assert scorer.user_vectors(unordered).tobytes() == scorer.user_vectors(known).tobytes()


def test_who_has_no_history_gets_what_is_popular(scorer: SelfAttentionScorer) -> None:
    scores = scorer.score(Histories.from_lists(LISTS))
    assert scorer.popularity is not None and scores[1].tolist() == scorer.popularity.tolist()


def test_it_survives_being_written_and_halved(scorer: SelfAttentionScorer) -> None:
    histories = Histories.from_lists(LISTS)
    config = json.loads(json.dumps(scorer.config()))
    back = scorer_from_arrays(config, scorer.arrays())
    assert back.score(histories).tobytes() == scorer.score(histories).tobytes()
    for codec in ("fp16", "int8"):
        small = scorer.quantized(codec)
        assert small.nbytes < 0.6 * scorer.nbytes
        cosines = (small.user_vectors(histories) * scorer.user_vectors(histories)).sum(1)
        assert (cosines[np.array([bool(one) for one in LISTS])] > 0.98).all()


def test_arrays_that_do_not_fit_each_other_are_refused(scorer: SelfAttentionScorer) -> None:
    with pytest.raises(DataError, match=r"norms must have the shape \(2, 2, 8\), found \(2, 1, 8\)"):
        replace(scorer, norms=scorer.norms[:, :1])
    with pytest.raises(DataError, match="has 3 heads for 8 dimensions"):
        replace(scorer, distance=np.zeros((BLOCKS, 3, LENGTH), np.float32))
    with pytest.raises(DataError, match="item row 20 is outside a catalogue of 20 items"):
        scorer.user_vectors(Histories.from_lists([[20]]))


@pytest.mark.parametrize(("length", "padded"), [(0, 4), (1, 4), (4, 4), (5, 8), (50, 64), (200, 256)])
def test_lengths_are_padded_to_few_shapes(length: int, padded: int) -> None:
    assert padded_length(length) == padded
