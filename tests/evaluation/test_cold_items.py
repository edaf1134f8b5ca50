"""New items measured apart, on a split that can be counted by eye."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recdistill.data.interactions import Unseen
from recdistill.data.split import Split
from recdistill.data.vocab import Vocab
from recdistill.evaluation.cold_items import cold_items
from recdistill.serving.scorers import BagScorer

MakeSplit = Callable[..., Split]


@pytest.fixture
def split(make_split: MakeSplit) -> Split:
    """Six items, 4 and 5 new; user 0 wants 2, 4 and 5, user 1 wants 5 and one that no table has, user 2 wants 3."""
    found = make_split([[0, 1], [0], [0, 1, 2]], [[2, 4, 5], [5], [3]], 6, unknown=[0, 1, 0])
    left = Unseen(Vocab([7]), csr_matrix(np.array([[0], [1], [0]], np.float32)))
    return replace(found, test=replace(found.test, unseen=left))


def scorer(scores: list[float]) -> BagScorer:
    return BagScorer(item_bias=np.array(scores, np.float32))


def test_new_items_are_counted_among_all_others(split: Split) -> None:
    """The two shown: user 0 gets 4 and 2, user 1 gets 4 and 2, user 2 gets 4 and 3."""
    found = cold_items(scorer([0, 0, 4, 1, 5, 0.5]), split, n_known=4, k=2)
    assert (found["items"], found["users"], found["relevant"], found["not_described"]) == (2, 2, 3, 1)
    assert found["recall@2"] == pytest.approx((1 / 2 + 0) / 2)
    assert found["chance"] == pytest.approx((2 / 4 + 2 / 5) / 2)  # of four and five items that are not hidden
    assert found["times_chance"] == pytest.approx(0.25 / 0.45)
    assert found["share_of_relevant"] == pytest.approx(3 / 6)
    assert found["share_of_recommended"] == pytest.approx(3 / 6)
    assert found["with_new"]["recall@2"] == pytest.approx((2 / 3 + 0 + 1) / 3)
    json.dumps(found, allow_nan=False)


def test_where_nobody_wants_a_new_item_there_is_no_mean(make_split: MakeSplit) -> None:
    found = cold_items(scorer([0, 1, 2]), make_split([[0], [0]], [[1], [1]], 3), n_known=2, k=20)
    assert (found["users"], found["relevant"], found["items"]) == (0, 0, 1)
    assert found["recall@3"] is None and found["chance"] is None and found["times_chance"] is None
    assert found["share_of_recommended"] == pytest.approx(1 / 2)
