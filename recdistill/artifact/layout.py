"""The names in an artifact's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SCHEMA_VERSION = 1
WHAT = "an artifact"

CONFIG = "config.json"
MODEL = "model.safetensors"
VOCAB = "vocab.safetensors"
TITLES = "titles.safetensors"
"""There where the items have titles."""
ITEM_MAP = "item_map.safetensors"
"""There where the model has learned from features: what ranks items that it has never seen, by theirs."""
CARD = "README.md"
CHECKSUMS = "checksums.json"
INDEX_FOLDER = "index"
"""There where an index was built: a retriever without its vectors."""
CHECKED = (CONFIG, MODEL, VOCAB, CARD)
"""Every file that is always there and that `checksums.json` vouches for."""


def checked(folder: Path, *, index: Sequence[str] = ()) -> tuple[str, ...]:
    """Every file of an artifact that `checksums.json` vouches for; `index` are the names within its index's folder."""
    there = (name for name in (TITLES, ITEM_MAP) if (folder / name).is_file())
    return (*CHECKED, *there, *(f"{INDEX_FOLDER}/{name}" for name in index))
