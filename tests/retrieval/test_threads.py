from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from recdistill.retrieval import threads
from recdistill.retrieval.threads import share_out


def blas_threads() -> list[int]:
    """Of numpy's own products and of what was there with them; other tests load more later."""
    return [one["num_threads"] for one in threads._libraries().info() if one["user_api"] == "blas"]


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_every_start_is_worked_on_once(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    monkeypatch.setattr(threads, "cores", lambda: cores)
    counts = np.zeros(97, np.int64)

    def work(starts: Iterator[int]) -> None:
        for start in starts:
            counts[start] += 1

    share_out(range(97), work)
    assert (counts == 1).all()


def test_what_fails_in_a_thread_fails_here_and_leaves_the_products_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 2)
    before = blas_threads()

    def work(starts: Iterator[int]) -> None:
        assert set(blas_threads()) == {1}
        raise KeyError(next(starts))

    with pytest.raises(KeyError):
        share_out(range(4), work)
    assert blas_threads() == before


def test_two_at_once_leave_the_products_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 2)
    before = blas_threads()

    def outer(starts: Iterator[int]) -> None:
        for _ in starts:
            share_out(range(3), lambda inner: [None for _ in inner] and None)

    share_out(range(4), outer)
    assert blas_threads() == before
    assert threads._inside == 0


def test_no_more_threads_than_omp_num_threads_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads.cores() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "nonsense")
    assert threads.cores() >= 1
