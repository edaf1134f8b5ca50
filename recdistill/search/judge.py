"""A training that is watched: each look at the valid part may end it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from recdistill.training.progress import Bar, Progress

OnCheck = Callable[[float, float], None]
"""Takes the share of the training that is done and the valid NDCG@20 there; raises to end the training."""


class JudgedProgress:
    """Progress that passes every measured valid NDCG@20 on to `on_check`, but the one at the end.

    A model says how far it is and what it measured to its progress alone, so this is where a training can be watched,
    and ended by an exception, whatever the model.
    """

    def __init__(self, shown: Progress, on_check: OnCheck) -> None:
        self._shown, self._on_check = shown, on_check

    def named(self, name: str, seed: int | None = None) -> JudgedProgress:
        return JudgedProgress(self._shown.named(name, seed), self._on_check)

    def task(self, name: str, total: int) -> Bar:
        return _JudgedBar(self._shown.task(name, total), total, self._on_check)

    def say(self, line: str) -> None:
        self._shown.say(line)


class _JudgedBar:
    def __init__(self, shown: Bar, total: int, on_check: OnCheck) -> None:
        self._shown, self._total, self._on_check = shown, total, on_check
        self._done = 0

    def __enter__(self) -> Self:
        self._shown.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.__exit__(kind, error, trace)

    def advance(self, steps: int = 1, *, valid_ndcg: float | None = None) -> None:
        self._shown.advance(steps, valid_ndcg=valid_ndcg)
        self._done += steps
        if valid_ndcg is not None and self._done < self._total:
            self._on_check(self._done / self._total, valid_ndcg)
