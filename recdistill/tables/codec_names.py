"""Which codecs a table can be trained through, said without torch."""

from __future__ import annotations

BITS = {"int4": 4, "int3": 3, "int2": 2, "binary": 1}
"""Of a value on an even grid with one step for each dimension."""
WITH_STEPS = tuple(BITS)
TRAINED_CODECS = ("fp16", "int8", *BITS)
"""From the most precise to the smallest."""
