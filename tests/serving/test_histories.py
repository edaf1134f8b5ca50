from __future__ import annotations

import sys

import numpy as np
import pytest

from recdistill.serving.histories import Histories, bag_sums
from recdistill.tables.codecs import CodedTable


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_have_the_same_bits_with_scipy_and_without(monkeypatch: pytest.MonkeyPatch, weighted: bool) -> None:
    draw = np.random.default_rng(5)
    table = CodedTable.of(draw.standard_normal((40, 7)).astype(np.float32))
    weights = draw.random(40).astype(np.float32) if weighted else None
    histories = Histories.from_lists([draw.choice(40, size, replace=False) for size in (0, 1, 40, 17, 23, 5)])
    assert "scipy.sparse" in sys.modules
    with_scipy = bag_sums(table, weights, histories)
    monkeypatch.delitem(sys.modules, "scipy.sparse")
    without = bag_sums(table, weights, histories)
    alone = np.concatenate([bag_sums(table, weights, histories.take(slice(at, at + 1))) for at in range(6)])
    assert with_scipy.tobytes() == without.tobytes() == alone.tobytes()
