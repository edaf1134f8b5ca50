"""Which index, and how far it has to look: built, set on one half of the queries, proved on the other, and timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from recdistill.errors import ConfigError, DataError
from recdistill.retrieval.exact import top_k
from recdistill.retrieval.faiss_index import FaissIndex
from recdistill.retrieval.items import Items, Queries
from recdistill.retrieval.kinds import AUTO, FLAT, KINDS, Recipe, recipe
from recdistill.retrieval.measured import Measured, Tried
from recdistill.retrieval.retriever import ORDERED, Retriever, Settings
from recdistill.serving.histories import Histories, bag_sums

QUERIES = 1000
"""More are not looked at."""
FEWEST = 10
TIMED = 256
SAME_TIME = 1.1
"""Two times that differ by less than this factor are one, and the bytes decide."""
SLOWLY_BUILT = ("sq8", "hnsw")
QUICKLY_BUILT = 100_000
"""Items up to which these are tried unasked: a graph of 10^6 takes ten minutes, and sq8 reads every row anyway."""


@dataclass(frozen=True)
class Built:
    kind: str
    index: FaissIndex | None
    settings: Settings
    measured: Measured


@dataclass(frozen=True, eq=False)
class _Proof:
    """Queries with their exact answers, and the seconds that these took."""

    queries: np.ndarray
    truth: np.ndarray
    """(queries, k)"""
    recall: float
    source: str
    exact_microseconds: float

    @property
    def halves(self) -> tuple[slice, slice]:
        return slice(0, len(self.queries) // 2), slice(len(self.queries) // 2, None)


def built(
    items: Items, *, kind: str, queries: np.ndarray | None, k: int, recall: float, seed: int, threads: int | None,
    source: str = "given",
) -> Built:  # fmt: skip
    """What `Retriever.build` says; `source` names the queries in its words."""
    if not 0 < recall <= 1:
        raise ConfigError(f"recall={recall}: must lie above 0 and at most at 1.")
    if not 1 <= k <= len(items):
        raise ConfigError(f"k={k}: must lie between 1 and the catalogue's {len(items)} items.")
    if queries is None:
        bags = made_up_histories(items, QUERIES, seed)
        queries, source = bag_sums(items.item_table, None, bags), "made up from the items"
    if len(queries) < FEWEST:
        raise DataError(f"queries: {len(queries)} say too little about a recall; give at least {FEWEST}, better 1,000.")
    proof = _proof(items, queries, k, recall, seed, source)
    if kind != AUTO:
        found, tried = _try(items, kind, proof, seed, threads)
        if found is None:
            raise ConfigError(f"index {kind}: {tried.why}. Ask for less recall, or use 'auto'.")
        return found
    return _best(items, proof, seed, threads)


def made_up_histories(items: Items, count: int, seed: int) -> Histories:
    """Of people who like a few things and have used what is nearest to them: for where there are no real ones."""
    rng = np.random.default_rng(seed)
    tastes = 1 + rng.poisson(1.5, count)
    liked = rng.integers(0, len(items), int(tastes.sum()))
    near, _ = top_k(
        Items(item_table=items.item_table), Queries(items.item_table.rows(liked)), None, min(30, len(items))
    )
    near[:, 0] = liked
    used = rng.random(near.shape) < 0.3
    used[:, 0] = True
    users = np.repeat(np.arange(count), tastes)
    return Histories.from_pairs(np.repeat(users, used.sum(axis=1)), near[used], count)


def _proof(items: Items, queries: np.ndarray, k: int, recall: float, seed: int, source: str) -> _Proof:
    order = np.random.default_rng(seed).permutation(len(queries))[:QUERIES]
    queries = queries[order]
    truth, _ = top_k(items, Queries(queries), None, k)
    return _Proof(queries, truth, recall, source, _microseconds(Retriever(items), queries, k))


def _best(items: Items, proof: _Proof, seed: int, threads: int | None) -> Built:
    best = _flat(proof)
    tried = [Tried(FLAT, "none", 1.0, proof.exact_microseconds, 0)]
    for kind in KINDS:
        if kind in SLOWLY_BUILT and len(items) > QUICKLY_BUILT:
            factory = recipe(kind, len(items), 8).factory
            why = f"not tried with more than {QUICKLY_BUILT:,} items, as it is slow; name it to have it"
            tried.append(Tried(kind, factory, None, None, 0, why))
            continue
        found, said = _try(items, kind, proof, seed, threads)
        if found is not None and _cheaper(found.measured, best.measured):
            best = found
        tried.append(said)
    losers = [_with_reason(one, best.measured) for one in tried if one.kind != best.kind]
    return Built(best.kind, best.index, best.settings, replace(best.measured, tried=tuple(losers)))


def _cheaper(one: Measured, other: Measured) -> bool:
    if max(one.microseconds, other.microseconds) < SAME_TIME * min(one.microseconds, other.microseconds):
        return one.nbytes < other.nbytes
    return one.microseconds < other.microseconds


def _with_reason(one: Tried, best: Measured) -> Tried:
    if one.why or one.microseconds is None:
        return one
    held = "exact" if one.kind == FLAT else f"holds {one.recall:.4f}"
    return Tried(one.kind, one.factory, one.recall, one.microseconds, one.nbytes,
                 f"{held}, but takes {one.microseconds:,.0f} µs a query and {one.nbytes / 1e6:,.2f} MB")  # fmt: skip


def _flat(proof: _Proof) -> Built:
    time_of = proof.exact_microseconds
    _, held_out = proof.halves
    queries, k = proof.queries[held_out].shape[0], proof.truth.shape[1]
    measured = Measured(FLAT, "none", k, proof.recall, 1.0, 0.0, queries, proof.source, time_of, time_of, 0)
    return Built(FLAT, None, Settings(), measured)


def _try(items: Items, kind: str, proof: _Proof, seed: int, threads: int | None) -> tuple[Built | None, Tried]:
    """The index if it holds the recall, and what is to be said of it."""
    if kind == FLAT:
        return _flat(proof), Tried(FLAT, "none", 1.0, proof.exact_microseconds, 0)
    how = recipe(kind, len(items), -(-(items.dimension + (items.item_bias is not None)) // 8) * 8)
    length = float(np.linalg.norm(proof.queries, axis=1).mean()) or 1.0
    index = FaissIndex.build(how.factory, items, query_length=length, seed=seed, threads=threads)
    choose, held_out = proof.halves
    settings, most = _set(index, proof.queries[choose], proof.truth[choose], proof.recall, how, threads)
    if settings is None:
        why = f"recall@{proof.truth.shape[1]} reaches {most:.4f} at most, {proof.recall:g} was asked for"
        return None, Tried(kind, how.factory, most, None, index.nbytes, why)
    while True:
        each = _recalls(index, proof.queries[held_out], proof.truth[held_out], settings, threads)
        further = _further(index, settings)
        if each.mean() >= proof.recall or further is None:
            break
        settings = further
    error = float(each.std() / len(each) ** 0.5)
    retriever = Retriever(items, index, settings, threads=threads)
    microseconds = _microseconds(retriever, proof.queries, proof.truth.shape[1])
    measured = Measured(
        kind, how.factory, proof.truth.shape[1], proof.recall, float(each.mean()), error, len(each), proof.source,
        microseconds, proof.exact_microseconds, index.nbytes,
    )  # fmt: skip
    said = Tried(kind, how.factory, measured.recall, microseconds, index.nbytes)
    return Built(kind, index, settings, measured), said


def _set(
    index: FaissIndex, queries: np.ndarray, truth: np.ndarray, recall: float, how: Recipe, threads: int | None
) -> tuple[Settings | None, float]:
    """The quickest setting that holds the recall (None where none does), and the most that was reached.

    An index gives its candidates in order, so that one search at the largest spread shows what the others would find.
    """
    k = truth.shape[1]
    least: dict[int, int | None] = {}  # spread: effort
    most = 0.0
    for effort in _efforts(index.effort_most):
        picked = index.candidates(queries, how.spreads[-1] * k + ORDERED, effort, threads)
        hits = _hits(picked, truth)
        reached = 0.0
        for spread in how.spreads:
            each = hits[:, : spread * k + ORDERED].sum(axis=1) / k
            reached = max(reached, float(each.mean()))
            if spread not in least and each.mean() >= min(1.0, recall + each.std() / len(each) ** 0.5):
                least[spread] = effort
        gained, most = reached - most, max(most, reached)
        if how.spreads[0] in least or (least and gained < 0.0005):
            break
    if not least:
        return None, most
    choices = [Settings(effort, spread) for spread, effort in least.items()]
    return min(choices, key=lambda one: _seconds(index, queries, k, one, threads)), most


def _efforts(most: int | None) -> Iterator[int | None]:
    """1, 2, 3, 4, 6, 8, 12, … up to the most that can be."""
    if most is None:
        yield None
        return
    effort = 1
    while effort < most:
        yield effort
        if effort > 1 and effort * 3 // 2 < most:
            yield effort * 3 // 2
        effort *= 2
    yield most


def _further(index: FaissIndex, settings: Settings) -> Settings | None:
    most = index.effort_most
    if most is None or settings.effort is None or settings.effort >= most:
        return None
    return Settings(min(most, settings.effort + max(1, settings.effort // 4)), settings.spread)


def _hits(picked: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(queries, candidates) bool: which candidates are among the truth."""
    hits = np.empty(picked.shape, bool)
    for row, (one, true) in enumerate(zip(picked, truth, strict=True)):
        hits[row] = np.isin(one, true)
    return hits


def _recalls(
    index: FaissIndex, queries: np.ndarray, truth: np.ndarray, settings: Settings, threads: int | None
) -> np.ndarray:
    k = truth.shape[1]
    picked = index.candidates(queries, settings.spread * k + ORDERED, settings.effort, threads)
    each: np.ndarray = _hits(picked, truth).sum(axis=1) / k
    return each


def _seconds(index: FaissIndex, queries: np.ndarray, k: int, settings: Settings, threads: int | None) -> float:
    """The best of three, with a guess for the candidates that have to be scored."""
    some, count, best = queries[:TIMED], settings.spread * k + ORDERED, np.inf
    for _ in range(3):
        start = time.perf_counter()
        index.candidates(some, count, settings.effort, threads)
        best = min(best, time.perf_counter() - start)
    return float(best) + len(some) * count * 100e-9


def _microseconds(retriever: Retriever, queries: np.ndarray, k: int) -> float:
    """A query in a batch: the best of three."""
    some, best = queries[:TIMED], np.inf
    for _ in range(3):
        start = time.perf_counter()
        retriever.search(some, k)
        best = min(best, time.perf_counter() - start)
    return round(float(best) / len(some) * 1e6, 1)
