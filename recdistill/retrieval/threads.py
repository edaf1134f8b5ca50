"""Batches of users shared out among the processor's cores: selection and bags, unlike products, use but one each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

from recdistill.cores import cores

_lock = threading.Lock()
_inside = 0
_limits: Any = None


def share_out(starts: Sequence[int], work: Callable[[Iterator[int]], None]) -> None:
    """`work` on every one of `starts`, in as many threads as there are cores; each takes the next that is left."""
    threads = min(cores(), len(starts))
    if threads < 2:
        work(iter(starts))
        return
    left = _Shared(iter(starts))
    with _single_threaded_products(), ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, left) for _ in range(threads)]:
            done.result()


@cache
def _libraries() -> Any:
    """To look for them takes some milliseconds, and numpy's own is there from the start."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


class _Shared(Iterator[int]):
    """An iterator that several threads draw from."""

    def __init__(self, source: Iterator[int]) -> None:
        self._source, self._lock = source, threading.Lock()

    def __next__(self) -> int:
        with self._lock:
            return next(self._source)


@contextmanager
def _single_threaded_products() -> Iterator[None]:
    """The limit is the whole process's: the first to come sets it, the last to go takes it away."""
    global _inside, _limits
    with _lock:
        if _inside == 0:
            _limits = _libraries().limit(limits=1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limits.restore_original_limits()
