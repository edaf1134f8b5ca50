"""What is known of items and users beside their use: categories, lists, numbers, texts, vectors, and titles."""

from __future__ import annotations

from recdistill.features.attaching import attach
from recdistill.features.reading import read_features
from recdistill.features.table import Feature, Features
from recdistill.features.vectors import read_vectors

__all__ = ["Feature", "Features", "attach", "read_features", "read_vectors"]
