"""What one recommendation takes by counting: multiply-adds, bytes moved, and an estimate of the energy of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recdistill.evaluation.work import work_of
from recdistill.serving.scorers import Histories, Scorer

# Picojoules in 45 nm at 0.9 V: Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014.
MULTIPLY_ADD_PJ = 3.7 + 0.9
"""A product and a sum of 32-bit floats."""
CACHE_PJ_PER_BYTE = 100 / 8
"""64 bits from a cache of 1 MB."""
DRAM_PJ_PER_BYTE = 1300 / 8
"""64 bits from main memory: the lower end of the 1.3 to 2.6 nJ given there."""
CACHE_BYTES = 1_000_000
"""A model that takes no more is read from the cache, any other from main memory, every byte of it."""


@dataclass(frozen=True, slots=True)
class Account:
    """Means over the users who ask; None where the form of the model cannot be counted."""

    multiply_adds: int | None
    """A product that is added counts one, and so does a sum, product or quotient alone. Decoding and choosing the best
    of the scores are not counted."""
    bytes_moved: int | None
    """Of the model as stored, each array once: whole tables where all items are scored, rows where a history or a user
    is looked up. Histories and scores are not the model's."""
    microjoules: float | None
    """An estimate, not a measurement: instructions, control and idle time are left out."""


def account(scorer: Scorer, histories: Histories, user_rows: np.ndarray | None = None) -> Account:
    """Of a recommendation to each of these users, all items scored exactly, one user at a time."""
    work = work_of(scorer, histories, user_rows)
    if work is None:
        return Account(None, None, None)
    per_byte = CACHE_PJ_PER_BYTE if scorer.nbytes <= CACHE_BYTES else DRAM_PJ_PER_BYTE
    energy = (work.multiply_adds * MULTIPLY_ADD_PJ + work.bytes * per_byte) / 1e6
    return Account(round(work.multiply_adds), round(work.bytes), energy)
