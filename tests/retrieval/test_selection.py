from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.retrieval import selection
from recdistill.retrieval.selection import best_of_pairs, fixed_order, order_of

SCORES = st.one_of(st.sampled_from([-2.0, -0.0, 0.0, 1.0]), st.floats(-(2.0**100), 2.0**100, width=32))


@given(rows=st.lists(st.lists(SCORES, max_size=12), min_size=1, max_size=5), k=st.integers(1, 6), at_once=st.booleans())
@settings(max_examples=150, deadline=None)
def test_pairs_are_sorted_by_score_and_then_by_the_fixed_order(rows: list[list[float]], k: int, at_once: bool) -> None:
    order = fixed_order(12)
    users = np.repeat(np.arange(len(rows)), [len(one) for one in rows])
    items = np.concatenate([np.arange(len(one)) for one in rows])
    scores = np.array([score for one in rows for score in one], np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "PAIRS", selection.PAIRS if at_once else 7)
        found, values = best_of_pairs(users, items, scores, len(rows), k, order)
    for user, one in enumerate(rows):
        own = np.array(one, np.float32)
        want = sorted(range(len(one)), key=lambda item, own=own: (-own[item], order.place[item]))[:k]  # type: ignore[misc]
        assert found[user].tolist() == want + [-1] * (k - len(want))
        assert values[user, : len(want)].tolist() == own[want].tolist()
        assert (values[user, len(want) :] == -np.inf).all()


def test_an_order_goes_by_its_ranks_and_the_fixed_one_is_made_once() -> None:
    order = order_of(np.array([2.0, 0.0, 1.0]))
    assert order.item.tolist() == [1, 2, 0] and order.place.tolist() == [2, 0, 1]
    assert fixed_order(50) is fixed_order(50)
    assert sorted(fixed_order(50).place.tolist()) == list(range(50))
