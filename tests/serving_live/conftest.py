"""Small artifacts that differ, and a folder to publish them into."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recdistill import artifact
from recdistill.data.vocab import Vocab
from recdistill.serving.scorers import BagScorer
from recdistill.tables.codecs import CodedTable

N_ITEMS = 40


def save(folder: Path, seed: int, *, n_items: int = N_ITEMS, bad: bool = False) -> Path:
    """A whole artifact whose answers depend on `seed`; `bad` puts a NaN into it, under right checksums."""
    rng = np.random.default_rng(seed)
    table = rng.standard_normal((n_items, 8)).astype(np.float32)
    if bad:
        table[n_items // 2 :, 3] = np.nan
    scorer = BagScorer(
        item_table=CodedTable("fp32", {"values": table}),
        item_bias=rng.random(n_items).astype(np.float32),
        normalize=True,
    )
    return artifact.save(
        folder, scorer, Vocab(np.arange(n_items) * 10), kind="two_tower", name=f"seed {seed}", trained_on={}
    )


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    """A folder that holds an artifact; its parent is where the test may work."""
    return save(tmp_path / "student", 0)
