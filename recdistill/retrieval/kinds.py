"""The kinds of index that have a name; any other is named by FAISS' own factory string."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recdistill.errors import ConfigError
from recdistill.registry import Registry

FLAT = "flat"
"""No index at all: every row of the table is read, as it is stored."""
AUTO = "auto"


@dataclass(frozen=True)
class Recipe:
    factory: str
    spreads: tuple[int, ...] = (2, 4, 8, 16)
    """How many candidates for each item asked for; the coarser the codes, the more."""


Kind = Callable[[int, int], Recipe]
"""From the number of items and the width of the index's vectors, a multiple of 8."""


def _lists(n_items: int) -> int:
    """About 4 √n, a power of two, and enough items for each to be trained on."""
    lists = 1
    while 2 * lists <= min(4.2 * n_items**0.5, n_items / 39):
        lists *= 2
    return lists


def sq8(n_items: int, width: int) -> Recipe:
    return Recipe("SQ8", (2, 4))


def ivf_flat(n_items: int, width: int) -> Recipe:
    return Recipe(f"IVF{_lists(n_items)},Flat", (1,))


def ivf_sq8(n_items: int, width: int) -> Recipe:
    return Recipe(f"IVF{_lists(n_items)},SQ8", (2, 4))


def ivf_pq(n_items: int, width: int) -> Recipe:
    """Four bits for two numbers of what the list's centre leaves, sixteen items read at a time."""
    return Recipe(f"IVF{_lists(n_items)},PQ{width // 2}x4fsr", (5, 10, 20, 40))


def hnsw(n_items: int, width: int) -> Recipe:
    return Recipe("HNSW32,Flat", (1,))


KINDS: Registry[Kind] = Registry("kind of index")
for _kind in (sq8, ivf_flat, ivf_sq8, ivf_pq, hnsw):
    KINDS.register(_kind.__name__, _kind)


def recipe(kind: str, n_items: int, width: int) -> Recipe:
    """Of a kind by name, or of a factory string as it is."""
    if kind in KINDS:
        return KINDS[kind](n_items, width)
    if kind.isidentifier() and kind.islower():  # a name, misspelt: factory strings have capitals
        try:
            KINDS[kind]
        except ConfigError as error:
            raise ConfigError(f"{error} Or auto, flat, or a factory string of FAISS.") from None
    exact = kind.endswith(",Flat") or kind == "Flat"
    return Recipe(kind, (1,) if exact else (2, 5, 10, 20, 40))
