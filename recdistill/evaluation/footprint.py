"""What a model costs to answer: bytes in memory, users per second, milliseconds per user, and what can be counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

import numpy as np
import scipy.sparse as sp

from recdistill.data.interactions import HeldOut
from recdistill.data.splits import Split
from recdistill.evaluation.account import Account, account
from recdistill.retrieval.exact import top_k
from recdistill.serving.scorers import Histories, Scorer

BATCH = 1024
TOP = 20
LEAST_SINGLE_USERS = 200
MOST_SINGLE_USERS = 1000


@dataclass(frozen=True, slots=True)
class Footprint:
    bytes: int
    """Every array that must be in memory to answer; vocabulary and card are outside."""
    parameters: int
    dimension: int | None
    queries_per_second: float
    """Users answered in batches of 1,024: exact top 20, seen items excluded."""
    latency_ms: dict[str, float]
    """p50 and p99 of one user at a time through the same door."""
    account: Account
    """Means over the users who were asked for."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def footprint(
    scorer: Scorer,
    split: Split,
    held: HeldOut | None = None,
    *,
    seconds: float = 1.5,
    clock: Callable[[], float] = time.perf_counter,
) -> Footprint:
    """Measure on the users of `held` (default: test), in turn and again from the first where they are too few.

    Takes about `seconds`: half for whole batches (at least one), half for single users, of whom at least 200 are timed
    unless that takes more than three times the whole. What is asked for is prepared beforehand; one answer warms up.
    """
    held = split.test if held is None else held
    queries = _Queries.of(scorer, split, held)
    return Footprint(
        bytes=int(scorer.nbytes),
        parameters=int(scorer.parameters),
        dimension=scorer.dimension,
        queries_per_second=_rate(queries, seconds / 2, clock),
        latency_ms=_latency(queries, seconds / 2, clock),
        account=account(scorer, queries.histories, held.user_rows),
    )


def latency(
    scorer: Scorer, split: Split, held: HeldOut, *, seconds: float, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Milliseconds that one user of `held` waits, p50 and p99, as `footprint` measures them, in about `seconds`."""
    return _latency(_Queries.of(scorer, split, held), seconds, clock)


@dataclass(frozen=True, eq=False, slots=True)
class _Queries:
    """Answers for chosen held-out users through the one door."""

    scorer: Scorer
    histories: Histories
    excluded: sp.csr_matrix
    user_rows: np.ndarray
    k: int

    @classmethod
    def of(cls, scorer: Scorer, split: Split, held: HeldOut) -> _Queries:
        bags = split.bags(held, ordered=scorer.ordered)
        return cls(scorer, bags, split.excluded(held), held.user_rows, min(TOP, split.train.n_items))

    def prepare(self, start: int, size: int) -> Callable[[], object]:
        """A call that answers `size` users from place `start` on, round and round."""
        rows = np.arange(start, start + size) % len(self.user_rows)
        bags, seen = self.histories.take(rows), Histories.from_csr(self.excluded[rows])
        users = self.user_rows[rows]
        return lambda: top_k(self.scorer, bags, users, self.k, seen, batch=BATCH)


def _rate(queries: _Queries, seconds: float, clock: Callable[[], float]) -> float:
    batches = max(1, -(-len(queries.user_rows) // BATCH))
    asked = [queries.prepare(place * BATCH, BATCH) for place in range(min(batches, 8))]
    asked[0]()
    spent = 0.0
    for done in count(1):
        spent += _timed(asked[done % len(asked)], clock)
        if spent >= seconds:
            break
    return done * BATCH / spent


def _latency(queries: _Queries, seconds: float, clock: Callable[[], float]) -> dict[str, float]:
    places = min(len(queries.user_rows), MOST_SINGLE_USERS)
    stride = max(1, len(queries.user_rows) // places)
    asked = [queries.prepare(place * stride, 1) for place in range(places)]
    for answer in asked[:10]:
        answer()
    taken: list[float] = []
    spent = 0.0
    while len(taken) < MOST_SINGLE_USERS:
        enough = seconds if len(taken) >= LEAST_SINGLE_USERS else 6 * seconds
        if spent >= enough:
            break
        taken.append(_timed(asked[len(taken) % len(asked)], clock))
        spent += taken[-1]
    p50, p99 = np.percentile(taken, [50, 99]) * 1000
    return {"p50": float(p50), "p99": float(p99)}


def _timed(answer: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    answer()
    return clock() - start
