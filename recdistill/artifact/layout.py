"""The names in an artifact's folder."""

from __future__ import annotations

from collections.abc import Sequence

SCHEMA_VERSION = 1
WHAT = "an artifact"

CONFIG = "config.json"
MODEL = "model.safetensors"
VOCAB = "vocab.safetensors"
TITLES = "titles.safetensors"
"""There where the items have titles."""
CARD = "README.md"
CHECKSUMS = "checksums.json"
INDEX_FOLDER = "index"
"""There where an index was built: a retriever without its vectors."""
CHECKED = (CONFIG, MODEL, VOCAB, CARD)
"""Every file that is always there and that `checksums.json` vouches for."""


def checked(*, titles: bool, index: Sequence[str] = ()) -> tuple[str, ...]:
    """Every file that `checksums.json` vouches for; `index` are the names within its folder."""
    return (*CHECKED, *([TITLES] if titles else []), *(f"{INDEX_FOLDER}/{name}" for name in index))
