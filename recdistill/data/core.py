"""The k-core of a log: users and items that keep enough of each other."""

from __future__ import annotations

import numpy as np

SHRUNK = 0.9
"""Rows that are gone are left behind once a tenth of those at hand is."""


def core_members(
    user_rows: np.ndarray, item_rows: np.ndarray, sizes: tuple[int, int], least: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the users and items that stay: each has at least `least` of the others that stay, counted until all do.

    `user_rows`, `item_rows`: distinct pairs in any order; `sizes`: numbers of users and items.
    """
    rows = [user_rows, item_rows]
    counts = [np.bincount(side, minlength=size) for side, size in zip(rows, sizes, strict=True)]
    stay = [np.ones(size, dtype=bool) for size in sizes]
    here = np.ones(len(user_rows), dtype=bool)  # pairs of `rows` that stay
    while any(((count < bound) & keeps).any() for count, bound, keeps in zip(counts, least, stay, strict=True)):
        for side in (0, 1):
            goes = stay[side] & (counts[side] < least[side])
            if not goes.any():
                continue
            stay[side] &= ~goes
            gone = np.flatnonzero(goes[rows[side]] & here)
            here[gone] = False
            for both in (0, 1):
                counts[both] -= np.bincount(rows[both][gone], minlength=sizes[both])
        if np.count_nonzero(here) < SHRUNK * len(here):
            rows, here = [side[here] for side in rows], np.ones(np.count_nonzero(here), dtype=bool)
    return stay[0], stay[1]
