"""What a long piece of work says while it runs."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Protocol, Self

from tqdm import tqdm


class Bar(Protocol):
    """One task in progress."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def advance(self, steps: int = 1, *, valid_ndcg: float | None = None) -> None:
        """So many steps further; the valid NDCG@20 where it was measured."""


class Progress(Protocol):
    """Where the bars come from."""

    def named(self, name: str, seed: int | None = None) -> Progress:
        """The same, each task prefixed by what it is done for."""

    def task(self, name: str, total: int) -> Bar:
        """A bar of `total` steps."""

    def say(self, line: str) -> None:
        """Something that a person should know before the long work begins."""


class _NullBar:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def advance(self, steps: int = 1, *, valid_ndcg: float | None = None) -> None:
        return None


class NullProgress:
    """Says nothing."""

    def named(self, name: str, seed: int | None = None) -> NullProgress:
        return self

    def task(self, name: str, total: int) -> Bar:
        return _NullBar()

    def say(self, line: str) -> None:
        return None


class _TqdmBar:
    def __init__(self, bar: tqdm) -> None:
        self._bar = bar

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self, steps: int = 1, *, valid_ndcg: float | None = None) -> None:
        if valid_ndcg is not None:
            self._bar.set_postfix_str(f"valid ndcg@20 {valid_ndcg:.4f}", refresh=False)
        self._bar.update(steps)


class TqdmProgress:
    """Bars with time left on standard error, where that is a terminal; what is said stands there in any case."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix

    def named(self, name: str, seed: int | None = None) -> TqdmProgress:
        return TqdmProgress(name if seed is None else f"{name} (seed {seed})")

    def task(self, name: str, total: int) -> Bar:
        label = ": ".join(part for part in (self._prefix, name) if part)
        return _TqdmBar(tqdm(total=total, desc=label, disable=not sys.stderr.isatty(), leave=False, dynamic_ncols=True))

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)
