"""The names in an artifact's folder."""

from __future__ import annotations

SCHEMA_VERSION = 1
WHAT = "an artifact"

CONFIG = "config.json"
MODEL = "model.safetensors"
VOCAB = "vocab.safetensors"
TITLES = "titles.safetensors"
"""There where the items have titles."""
CARD = "README.md"
CHECKSUMS = "checksums.json"
CHECKED = (CONFIG, MODEL, VOCAB, CARD)
"""Every file that is always there and that `checksums.json` vouches for."""


def checked(*, titles: bool) -> tuple[str, ...]:
    """Every file that `checksums.json` vouches for."""
    return (*CHECKED, TITLES) if titles else CHECKED
