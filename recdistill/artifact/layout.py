"""The names in an artifact's folder."""

from __future__ import annotations

SCHEMA_VERSION = 1
WHAT = "an artifact"

CONFIG = "config.json"
MODEL = "model.safetensors"
VOCAB = "vocab.safetensors"
CARD = "README.md"
CHECKSUMS = "checksums.json"
CHECKED = (CONFIG, MODEL, VOCAB, CARD)
"""Every file that `checksums.json` vouches for."""
