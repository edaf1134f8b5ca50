"""Numbers mixed so well that their order looks drawn, and is the same everywhere."""

from __future__ import annotations

import numpy as np


def splitmix64(numbers: np.ndarray) -> np.ndarray:
    """uint64, one for each integer, no two alike (Steele et al., 2014)."""
    mixed = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
