"""How well a student imitates its teacher, against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recdistill.analysis.imitation import imitation
from recdistill.data.interactions import Interactions
from recdistill.serving.scorers import BagScorer
from recdistill.tables.codecs import CodedTable

TRAIN = Interactions.from_ids([0, 0, 1, 2, 2, 2], [0, 1, 2, 0, 1, 2])


def bag(rows: list[list[float]]) -> BagScorer:
    return BagScorer(item_table=CodedTable.of(np.array(rows, np.float32)), popularity=np.zeros(len(rows), np.float32))


def test_a_model_imitates_itself_wholly() -> None:
    teacher = bag([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    found = imitation(teacher, teacher, TRAIN, np.arange(3), temperature=1.0, k=2)
    assert found["people"] == 2, "who has used all items has nothing left to rank"
    assert found["overlap"] == 1.0
    assert found["kl"] == pytest.approx(0.0, abs=1e-12)


def test_the_divergence_is_that_of_the_softmax_over_unused_items() -> None:
    teacher, student = bag([[2.0], [1.0], [0.5]]), bag([[1.0], [3.0], [0.5]])
    found = imitation(teacher, student, TRAIN, np.array([1]), temperature=0.5, k=1)
    p, q = (np.exp(one) / np.exp(one).sum() for one in (np.array([1.0, 0.5]) / 0.5, np.array([0.5, 1.5])))
    assert found["kl"] == pytest.approx(float((p * np.log(p / q)).sum()), rel=1e-6)
    assert found["overlap"] == 0.0, "one puts item 0 first, the other item 1"


def test_of_nobody_nothing_is_said() -> None:
    teacher = bag([[1.0], [0.5], [0.2]])
    assert imitation(teacher, teacher, TRAIN, np.array([2]), temperature=1.0, k=1)["people"] == 0
