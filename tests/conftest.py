"""A log small enough to train on in a second, with tastes that can be learned."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # on logs this small a second thread costs more than it gives
os.environ["RECDISTILL_CACHE"] = "off"  # whoever runs the tests keeps their own cache

import numpy as np
import pandas as pd
import pytest

GROUPS, ITEMS_EACH, USERS = 4, 12, 120
TINY_SETTINGS = ["teacher.dim=16", "teacher.epochs=30", "student.dim=4", "student.epochs=30"]


def tiny_frame(seed: int = 0) -> pd.DataFrame:
    """Users of four tastes, twelve items each; nine rows a user from the own taste, two from anywhere."""
    draw = np.random.default_rng(seed)
    rows = []
    for user in range(USERS):
        taste = user % GROUPS
        weights = 1.0 / np.arange(1, ITEMS_EACH + 1)
        own = draw.choice(ITEMS_EACH, 9, replace=False, p=weights / weights.sum()) + taste * ITEMS_EACH
        other = draw.choice(GROUPS * ITEMS_EACH, 2, replace=False)
        items = list(dict.fromkeys([*own.tolist(), *other.tolist()]))
        rows += [(f"u{user:03}", f"item {item}", 1_000_000 + 1000 * place + user) for place, item in enumerate(items)]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


def with_split(frame: pd.DataFrame, *, valid: bool = True) -> pd.DataFrame:
    """The last row of each user is test, the one before it valid (or train)."""
    from_end = frame.groupby("user_id").cumcount(ascending=False)
    split = np.where(from_end == 0, "test", np.where((from_end == 1) & valid, "valid", "train"))
    return frame.assign(split=split)


def with_random_test_items(frame: pd.DataFrame) -> pd.DataFrame:
    """The same log with other items in its test rows, for whoever must not have looked at them."""
    other, test = frame.copy(), frame["split"] == "test"
    other.loc[test, "item_id"] = np.random.default_rng(1).choice(frame["item_id"].unique(), test.sum())
    return other


@pytest.fixture(autouse=True, scope="session")
def short_footprint() -> Iterator[None]:
    """Speed is measured for a moment only: no test looks at it."""
    from recdistill.runs import steps

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "FOOTPRINT_SECONDS", 0.02)
        yield


@pytest.fixture
def tiny_log(tmp_path: Path) -> Path:
    """CSV with user_id, item_id, timestamp."""
    path = tmp_path / "tiny.csv"
    tiny_frame().to_csv(path, index=False)
    return path


@pytest.fixture
def tiny_split_log(tmp_path: Path) -> Path:
    """The same with a split column: train, valid and test."""
    path = tmp_path / "tiny_split.csv"
    with_split(tiny_frame()).to_csv(path, index=False)
    return path
