"""Splits of the tiny log, with valid rows of its own and without."""

from __future__ import annotations

import pytest

from recdistill.data import readers, splits
from recdistill.data.splits import Split
from tests.conftest import tiny_frame, with_split


def split_of_tiny(*, valid: bool = True, seed: int = 0) -> Split:
    frame = with_split(tiny_frame(seed), valid=valid)
    return splits.given(readers.read_interactions(frame, split_column="split"))


@pytest.fixture(scope="session")
def tiny_split() -> Split:
    """Of 120 users each has one valid and one test row."""
    return split_of_tiny()


@pytest.fixture(scope="session")
def no_valid() -> Split:
    """The valid rows are train rows here."""
    return split_of_tiny(valid=False)
