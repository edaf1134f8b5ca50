"""How much two models' lists agree, per user: overlap@k and rank-biased overlap."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recdistill.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RBO_P = 0.9
"""Persistence of `rbo`: the reader goes on to the next rank with this probability; the first 10 ranks weigh 86 %."""


def overlap(a: Ints, b: Ints, k: int) -> Floats:
    """Items that stand in both top k / min(k, length of the longer list); 1 where both lists are empty.

    `a` and `b` (m, K) are lists of item rows, best first, without repeats, empty places (-1) at the end.
    """
    shared, depth = _shared_by_depth(a, b, k)
    return _agreement(shared[:, -1:], depth[:, -1:])[:, 0]


def rbo(a: Ints, b: Ints, k: int, p: float = RBO_P) -> Floats:
    """Rank-biased overlap (Webber et al., 2010), extrapolated: (1-p) Σ_{d<=k} p^(d-1) A_d + p^k A_k, in [0, 1].

    A_d is the overlap of the top d. Where the lists end before d, A_d is that of their whole length.
    """
    if not 0.0 < p < 1.0:
        raise ValueError(f"rbo: p must lie between 0 and 1, got {p}")
    shared, depth = _shared_by_depth(a, b, k)
    agreement = _agreement(shared, depth)
    weight = (1 - p) * p ** np.arange(k)
    return (agreement * weight).sum(axis=1) + p**k * agreement[:, -1]


def agreement(a: Ints, b: Ints, k: int = 20) -> dict[str, float]:
    """Means over users, as they stand in report.json: `overlap@k`, and `rbo` of the same top k with p = .9."""
    return {f"overlap@{k}": float(overlap(a, b, k).mean()), "rbo": float(rbo(a, b, k).mean())}


def _agreement(shared: Ints, depth: Ints) -> Floats:
    return np.where(depth > 0, shared / np.maximum(depth, 1), 1.0)


def _shared_by_depth(a: Ints, b: Ints, k: int) -> tuple[Ints, Ints]:
    """For d = 1..k: how many items the top d of both lists share, and how many could be shared; (m, k) each."""
    if len(a) != len(b):
        raise DataError(f"lists of {len(a)} and {len(b)} users cannot be compared. Give both for the same users.")
    if not 0 < k <= min(a.shape[1], b.shape[1]):
        raise DataError(f"lists of {a.shape[1]} and {b.shape[1]} items have no top {k}. Ask for longer lists.")
    rank_in_b = _rank_in(b[:, :k], a[:, :k])
    enters = np.maximum(rank_in_b, np.arange(k))  # depth - 1 at which an item of a is in both; k: never
    rows = np.broadcast_to(np.arange(len(a))[:, None], enters.shape)
    both = enters < k
    counts = np.bincount(rows[both] * k + enters[both], minlength=len(a) * k).reshape(len(a), k)
    longest = np.maximum((a[:, :k] >= 0).sum(axis=1), (b[:, :k] >= 0).sum(axis=1))
    return np.cumsum(counts, axis=1), np.minimum(np.arange(1, k + 1), longest[:, None])


def _rank_in(lists: Ints, asked: Ints) -> Ints:
    """Rank (from 0) of each asked item (m, k) in the same row of `lists` (m, k); k where it is not there."""
    m, k = lists.shape
    if m == 0:
        return np.empty((0, k), dtype=np.int64)
    stride = max(int(lists.max()), int(asked.max()), 0) + 2  # + 1 for -1
    offset = np.arange(m, dtype=np.int64)[:, None] * stride + 1
    keys = (lists + offset).ravel()
    order = np.argsort(keys, kind="stable")
    wanted = asked + offset
    at = np.searchsorted(keys[order], wanted).clip(max=len(keys) - 1)
    found = (keys[order[at]] == wanted) & (asked >= 0)
    return np.where(found, order[at] % k, k)
