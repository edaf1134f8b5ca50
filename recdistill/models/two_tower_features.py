"""Side information in the two-tower model: what features say of the rows of items and users.

An item's row is V_i + F_i W and its bias b_i + F_i w, F_i its encoded features and a 1. At each step a random share of
the items is ranked by F_i W and F_i w alone, as in DropoutNet (Volkovs et al., 2017), so that these can stand for an
item that has no row of its own: one that is new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from recdistill.errors import ConfigError
from recdistill.features.encode import FeatureEncoder
from recdistill.models.cold_items import ItemMap, with_one

if TYPE_CHECKING:
    from recdistill.data.interactions import Interactions

STRENGTH = 1.0
"""Of the ridge that the map starts from, in units of the features' mean square."""
PACE = 0.01
"""Features are held so much smaller, and the map so much larger. Adam moves every weight equally far whatever its
gradient: at a pace of 1 the hundreds that make up one row of the map outrun the item's own row, and fit the items that
there are rather than those to come."""


class Side(NamedTuple):
    """What is known of the items, or the users, of a training log, as numbers."""

    encoder: FeatureEncoder
    matrix: np.ndarray
    """float32 (n, f)"""


@dataclass(frozen=True, slots=True)
class Sides:
    """The features that a model learns from."""

    items: Side | None = None
    users: Side | None = None

    @classmethod
    def of(cls, train: Interactions, *, items: bool, users: bool) -> Sides:
        """Encoded from the rows of train's own ids alone."""
        return cls(_side(train, "item") if items else None, _side(train, "user") if users else None)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(note for side in (self.items, self.users) if side is not None for note in side.encoder.notes)

    def sha256(self) -> str:
        """Of the features as numbers."""
        matrices = [side.matrix for side in (self.items, self.users) if side is not None]
        return hashlib.sha256(b"".join(np.ascontiguousarray(one).data for one in matrices)).hexdigest()


def _side(train: Interactions, of: str) -> Side:
    features, vocab = getattr(train, f"{of}_features"), getattr(train, f"{of}s")
    if features is None:
        raise ConfigError(
            f"two_tower: {of}_features = true, and nothing is known of the {of}s of {train.source or 'the log'} beside "
            f"their use. Attach a table: attach(log, {of}s=…), or data.{of}s in a run; or leave {of}_features out."
        )
    own = features.of(vocab)
    encoder = FeatureEncoder.fit(own)
    return Side(encoder, encoder.transform(own).matrix)


class FeatureRows(nn.Module):
    """F W and F w; W starts as the ridge regression of the rows that there are, w at zero.

    The map is linear: a hidden layer beside it ranked new items of ml-1m no better.
    """

    def __init__(self, features: np.ndarray, rows: np.ndarray, *, bias: bool = True) -> None:
        """`features` (n, f) and `rows` (n, d), float32."""
        super().__init__()
        whole = with_one(features)
        self.features: Tensor
        self.register_buffer("features", torch.from_numpy(whole * np.float32(PACE)), persistent=False)
        self.weights = nn.Parameter(torch.from_numpy(_ridge(whole, rows) / np.float32(PACE)))
        self.bias_weights = nn.Parameter(torch.zeros(whole.shape[1])) if bias else None

    def rows(self, of: Tensor | None = None) -> Tensor:
        """(n, d), or those of the rows `of`."""
        return (self.features if of is None else self.features[of]) @ self.weights

    def biases(self) -> Tensor:
        """(n,)"""
        assert self.bias_weights is not None
        return self.features @ self.bias_weights

    def item_map(self, encoder: FeatureEncoder, *, scale: float) -> ItemMap:
        """What of it ranks items that are not among these."""
        assert self.bias_weights is not None
        weights, bias_weights = (one.detach().float().cpu().numpy() for one in (self.weights, self.bias_weights))
        return ItemMap(encoder, weights * np.float32(PACE), bias_weights * np.float32(PACE), scale)


class OwnRowDropout:
    """Which items keep their own row in a step: a new draw at each call."""

    def __init__(self, n_items: int, share: float, generator: np.random.Generator, device: torch.device) -> None:
        self._n_items, self._share, self._generator, self._device = n_items, share, generator, device

    def __call__(self) -> Tensor:
        """float32 (n_items, 1), 0 for the share that is left to its features."""
        kept = self._generator.random((self._n_items, 1), dtype=np.float32) >= self._share
        return torch.from_numpy(kept.astype(np.float32)).to(self._device)

    def state(self) -> Mapping[str, Any]:
        """Of its generator."""
        return self._generator.bit_generator.state

    def restore(self, state: Mapping[str, Any]) -> None:
        self._generator.bit_generator.state = state


def _ridge(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """float32 (f, d): argmin |F W - rows|² + λ |W|²."""
    wide = features.astype(np.float64)
    gram = wide.T @ wide
    gram[np.diag_indices_from(gram)] += STRENGTH * float(np.trace(gram)) / len(gram)
    return np.linalg.solve(gram, wide.T @ rows.astype(np.float64)).astype(np.float32)
