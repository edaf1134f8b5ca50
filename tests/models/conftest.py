"""A small log with a popular end and two tastes."""

from __future__ import annotations

import numpy as np

from recdistill.data.interactions import Interactions
from recdistill.data.vocab import Vocab

N_USERS, N_ITEMS = 60, 25


def draw_log(seed: int = 0) -> Interactions:
    """Each user uses about a third of 25 items, those of the own taste and the first ones more often."""
    draw = np.random.default_rng(seed)
    same = np.add.outer(np.arange(N_USERS), np.arange(N_ITEMS)) % 2 == 0
    chance = (0.1 + 0.4 * same) * np.linspace(1.4, 0.6, N_ITEMS)
    chance[0, 0] = 1.0
    used = draw.random((N_USERS, N_ITEMS)) < chance
    return Interactions(Vocab(np.arange(N_USERS)), Vocab(np.arange(100, 100 + N_ITEMS)), *np.nonzero(used))
