"""FAISS, and all that has to be known to use it: its traps are handled in this file and nowhere else.

- Vectors of unequal length: a graph is made and asked by inner product, which at the same effort finds .96 where the
  usual way to distances, a coordinate that makes all lengths equal (Bachrach et al., 2014), finds .43; lists get
  centres of length 1, or the longest items crowd into a few of them. Where lengths are alike plain centres find more
  (.95 against .90 in 4 of 64 lists). An item's bias is one more coordinate.
- Scalar quantisation is ten times slower where the dimension is no multiple of 8, and product quantisation fails where
  it is no multiple of its parts: zeros are added.
- Fewer than 39 training points for each list or code make bad ones, fewer than one an error: refused with a remedy.
- What is not finite would come back as -1: refused. Answers that end in -1 are left to the caller, who fills them.
- Settings that are kept in the index are given with each search instead, so that threads may share it.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from recdistill.cores import cores
from recdistill.errors import ArtifactError, ConfigError, DataError
from recdistill.retrieval.items import Items

TRAINING_POINTS = 39
"""For each list: what FAISS itself asks for."""
TRAINED_POINTS = 64
"""For each list, where there are so many."""
FEW = 16
"""Queries that one thread answers sooner than several that have to be woken."""
TILE_ROWS = 65_536
LIST_ROUNDS = 10
"""Of k-means."""
UNEQUAL = 0.25
"""Lengths are unequal where their deviation is more than this part of their mean."""


@dataclass(frozen=True)
class Space:
    """How items and queries lie in the index, so that its order is that of query · item + bias."""

    columns: int
    """Of the item vectors."""
    width: int
    """Of the vectors in the index."""
    query_length: float
    """The bias is divided by it and the queries' last coordinate is it, so that both weigh alike."""
    biased: bool

    def items(self, tile: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
        placed = np.zeros((len(tile), self.width), np.float32)
        placed[:, : self.columns] = tile
        if self.biased and bias is not None:
            placed[:, self.columns] = bias / self.query_length
        return placed

    def queries(self, queries: np.ndarray) -> np.ndarray:
        placed = np.zeros((len(queries), self.width), np.float32)
        placed[:, : self.columns] = queries
        if self.biased:
            placed[:, self.columns] = self.query_length
        return placed


class FaissIndex:
    """Candidates for the best items; what they score is the caller's to find out."""

    def __init__(self, index: Any, space: Space, factory: str) -> None:
        self.index, self.space, self.factory = index, space, factory

    @classmethod
    def build(
        cls, factory: str, items: Items, *, query_length: float = 1.0, seed: int = 0, threads: int | None = None
    ) -> Self:
        """Trained and filled; `factory` is a name that FAISS knows, such as IVF1024,SQ8 (without ",RFlat" and ids)."""
        faiss = _faiss()
        space = _space(factory, items, query_length)
        if refused := re.search(r"\b(RFlat|Refine\w*|IDMap2?|IDMap)\b", factory):
            raise ConfigError(f"index {factory!r}: leave {refused[0]} off; candidates are always scored exactly.")
        with _faiss_errors(f"index {factory!r} of {len(items)} items"), faiss_threads(threads or cores()):
            index = faiss.index_factory(space.width, factory, faiss.METRIC_INNER_PRODUCT)
            lists = _lists(index)
            _check_lists(factory, lists, len(items))
            sample = _sample(items, space, lists, seed)
            if lists is not None:
                lists.cp.seed, lists.cp.niter, lists.cp.spherical = seed, LIST_ROUNDS, _unequal(sample)
            if isinstance(index, faiss.IndexPQ):
                index.do_polysemous_training = False  # minutes, for a search that is never made
            if not index.is_trained:
                index.train(sample)
            del sample
            for start in range(0, len(items), TILE_ROWS):
                index.add(_placed(items, space, start, min(start + TILE_ROWS, len(items))))
        return cls(index, space, factory)

    def __len__(self) -> int:
        return int(self.index.ntotal)

    def candidates(self, queries: np.ndarray, count: int, effort: int | None, threads: int | None = None) -> np.ndarray:
        """Rows (B, count) int64, -1 where fewer were found; `effort` is the lists or the graph's nodes looked at."""
        few = len(queries) < FEW
        with faiss_threads(1 if few else threads or cores()):
            placed = self.space.queries(queries)
            _, rows = self.index.search(placed, min(count, len(self)), params=_settings(self.index, effort))
        found: np.ndarray = rows
        return found

    @cached_property
    def effort_most(self) -> int | None:
        """The effort beyond which nothing more is found; None where the index has no such setting."""
        faiss = _faiss()
        lists = _lists(self.index)
        if lists is not None:
            return int(lists.nlist)
        return min(len(self), 4096) if isinstance(self.index, faiss.IndexHNSW) else None

    @cached_property
    def nbytes(self) -> int:
        """Bytes of all that the index holds."""
        faiss = _faiss()
        total = 0

        def count(part: bytes) -> int:
            nonlocal total
            total += len(part)
            return len(part)

        writer = faiss.PyCallbackIOWriter(count, 1 << 20)
        faiss.write_index(self.index, writer)
        del writer
        return total

    def save(self, path: Path) -> None:
        faiss = _faiss()
        with _faiss_errors(str(path)):
            faiss.write_index(self.index, str(path))

    @classmethod
    def load(cls, path: Path, space: Space, factory: str, *, mmap: bool = True) -> Self:
        """`mmap` leaves codes and lists on disk until they are read. Raises ArtifactError for what is no index."""
        faiss = _faiss()
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mmap else 0)
        except RuntimeError as fault:
            raise ArtifactError(f"{path}: cannot be read as an index ({_line(fault)}). Build it again.") from fault
        if index.d != space.width:
            raise ArtifactError(f"{path}: of {index.d} columns, its index.json says {space.width}. Build it again.")
        return cls(index, space, factory)


@contextmanager
def faiss_threads(threads: int) -> Iterator[None]:
    """FAISS in this thread alone, with this many of its own: other threads' settings are left as they are."""
    faiss = _faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _space(factory: str, items: Items, query_length: float) -> Space:
    columns = items.item_table.shape[1]
    biased = items.item_bias is not None
    parts = [int(found) for found in re.findall(r"(?:PQ|RQ|LSQ|PRQ|PLSQ)(\d+)", factory)]
    step = math.lcm(8, *parts)
    width = -(-(columns + biased) // step) * step
    return Space(columns, width, query_length, biased)


def _placed(items: Items, space: Space, start: int, stop: int) -> np.ndarray:
    placed = space.items(items.item_table.tile(start, stop), items.bias_of(slice(start, stop)))
    if not np.isfinite(placed).all():
        row = start + int(np.flatnonzero(~np.isfinite(placed).all(axis=1))[0])
        raise DataError(f"item row {row}: holds what is not a finite number. Vectors must be finite.")
    return placed


def _sample(items: Items, space: Space, lists: Any, seed: int) -> np.ndarray:
    wanted = max(65_536, TRAINED_POINTS * (0 if lists is None else lists.nlist))
    if wanted >= len(items):
        return _placed(items, space, 0, len(items))
    rows = np.sort(np.random.default_rng(seed).choice(len(items), wanted, replace=False))
    return space.items(items.item_table.rows(rows), items.bias_of(rows))


def _unequal(vectors: np.ndarray) -> bool:
    lengths = np.linalg.norm(vectors, axis=1)
    return bool(lengths.std() > UNEQUAL * lengths.mean())


def _lists(index: Any) -> Any:
    """The part of the index that has lists, if any has."""
    faiss = _faiss()
    try:
        return faiss.extract_index_ivf(index)
    except RuntimeError:
        return None


def _check_lists(factory: str, lists: Any, n_items: int) -> None:
    if lists is not None and lists.nlist > 1 and n_items < TRAINING_POINTS * lists.nlist:
        most = n_items // TRAINING_POINTS
        cure = f"at most IVF{most}" if most > 1 else "kind='flat'"
        raise ConfigError(
            f"index {factory!r}: {lists.nlist} lists need {TRAINING_POINTS * lists.nlist} items to be found from, "
            f"there are {n_items}. Use {cure}."
        )


def _faiss() -> Any:
    """Its type stubs lack much of what it has; and its threads, where they wait, spin unless told so before it is
    loaded: with other processes on the cores, training then takes ten times as long."""
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    import faiss

    return faiss


def _settings(index: Any, effort: int | None) -> Any:
    faiss = _faiss()

    if effort is None:
        return None
    if isinstance(index, faiss.IndexPreTransform):
        inner = _settings(faiss.downcast_index(index.index), effort)
        return faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=effort)
    return faiss.SearchParametersIVF(nprobe=effort)


@contextmanager
def _faiss_errors(what: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, AssertionError) as fault:
        raise ConfigError(f"{what}: FAISS refuses it ({_line(fault)}). Name another kind, such as 'auto'.") from fault


def _line(fault: BaseException) -> str:
    return str(fault).strip().splitlines()[-1].split("Error: ")[-1]
