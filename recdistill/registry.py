"""One generic registry: names in a config to the classes or functions they stand for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from recdistill.errors import ConfigError

T = TypeVar("T")


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known name, all that are equally near, or every one where none is."""
    known = sorted(known)
    return did_you_mean(name, known) or f"Known: {', '.join(known)}."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The same where the message has told what is known already: nothing where no name is near."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=max(1, len(known)), cutoff=0.5)
    if not close:
        return ""
    near = [difflib.SequenceMatcher(None, one, name).ratio() for one in close]
    *others, last = sorted(repr(one) for one, ratio in zip(close, near, strict=True) if ratio == near[0])
    return f"Did you mean {', '.join(others)} or {last}?" if others else f"Did you mean {last}?"


class Registry(Generic[T]):
    """Filled by explicit calls of `register`, never by looking into files."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._entries: dict[str, T] = {}

    def register(self, name: str, entry: T) -> None:
        if name in self._entries:
            raise ValueError(f"{self.what} {name!r} is registered twice")
        self._entries[name] = entry

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise ConfigError(f"no {self.what} {name!r}. {nearest(name, self._known())}")
        return self._entries[name]

    def _known(self) -> Iterable[str]:
        """The names that a message offers."""
        return self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries
