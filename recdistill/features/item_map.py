"""What a model learned of features: the map by which an item that its log never saw is ranked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from recdistill.errors import DataError
from recdistill.features.encode import FeatureEncoder
from recdistill.features.table import Features

ENCODER, WEIGHTS, BIAS, SCALE, TOLD = "encoder.", "weights", "bias_weights", "scale", "told"


@dataclass(frozen=True, eq=False)
class ItemMap:
    """From the features of an item to its vector and bias."""

    encoder: FeatureEncoder
    weights: np.ndarray
    """float32 (f + 1, d); the last row is that of a 1 beside the features."""
    bias_weights: np.ndarray
    """float32 (f + 1,)"""
    scale: float
    """Length of a vector."""

    def __post_init__(self) -> None:
        wanted = self.encoder.width + 1
        if self.weights.ndim != 2 or len(self.weights) != wanted or self.bias_weights.shape != (wanted,):
            raise DataError(
                f"item map: weights of the shapes {self.weights.shape} and {self.bias_weights.shape} for "
                f"{wanted - 1} features; one row for each and one for all."
            )

    @property
    def dimension(self) -> int:
        return self.weights.shape[1]

    def items(self, features: Features) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        """Vectors, biases and notes on what is not known, for every row of `features`."""
        encoded = self.encoder.transform(features)
        whole = with_one(encoded.matrix)
        rows = whole @ self.weights
        length = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
        notes = encoded.notes
        if blank := int(encoded.blank.sum()):
            notes += (f"{features.source}: {blank:,} items have no feature at all: ranked as the average item",)
        return rows * np.float32(self.scale) / np.where(length > 0, length, 1.0), whole @ self.bias_weights, notes

    def turned(self, turn: np.ndarray) -> ItemMap:
        """To vectors that are multiplied by an orthogonal matrix (d, d)."""
        return replace(self, weights=(self.weights.astype(np.float64) @ turn).astype(np.float32))

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it, what is told in words included, as UTF-8 bytes."""
        told = json.dumps(self.encoder.told(), ensure_ascii=False).encode()
        own: dict[str, np.ndarray] = {
            WEIGHTS: self.weights,
            BIAS: self.bias_weights,
            SCALE: np.array([self.scale], dtype=np.float64),
            TOLD: np.frombuffer(told, dtype=np.uint8),
        }
        return own | {ENCODER + name: array for name, array in self.encoder.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> ItemMap:
        """The inverse of `arrays`; raises DataError where they are not what it wrote."""
        learned = {name.removeprefix(ENCODER): one for name, one in arrays.items() if name.startswith(ENCODER)}
        try:
            told = json.loads(arrays[TOLD].tobytes())
            encoder = FeatureEncoder.restored(told, learned)
            return cls(encoder, arrays[WEIGHTS], arrays[BIAS], float(arrays[SCALE][0]))
        except (KeyError, IndexError, TypeError, ValueError) as fault:
            what = f"no {fault}" if isinstance(fault, KeyError) else " ".join(str(fault).split())[:200]
            raise DataError(f"item map: not as it was written ({what}); the file was changed or cut.") from None


def with_one(features: np.ndarray) -> np.ndarray:
    """float32 (n, f + 1)"""
    return np.hstack([features, np.ones((len(features), 1), np.float32)])
