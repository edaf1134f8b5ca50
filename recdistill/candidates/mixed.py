"""Items of the batch and a uniform sample of the rest, with the probability that each is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from recdistill.errors import ConfigError
from recdistill.objectives.positives import Positives


@dataclass(frozen=True, slots=True)
class Shown:
    """The items that the users of one batch are scored against."""

    items: Tensor
    """(shown,) int64 rows, ascending, each once; every positive of the batch is among them"""
    offset: Tensor
    """(shown,) float32, -log of the probability that an item is shown: added to the logits of negatives, it makes sums
    of exponentials over the shown ones an unbiased estimate of those over all items"""
    positives: Positives
    """Of the batch, as places among `items`"""


class MixedNegatives:
    """Mixed negatives (Yang et al., 2020) with the logQ correction (Bengio and Senécal, 2008; Yi et al., 2019).

    An item is shown where it is in the uniform sample or where someone of the batch has used it. Both are drawn
    independently, so that it stays hidden with probability (1 - sample/items) · (1 - batch/users)^degree.
    """

    def __init__(self, csr: csr_matrix, *, batch_users: int, sample: int, generator: np.random.Generator) -> None:
        """csr: (users, items), the training log; sample: items drawn uniformly for each batch, without repetition."""
        n_users, n_items = csr.shape
        if not 1 <= sample <= n_items:
            raise ConfigError(f"negatives = {sample}: give a number from 1 to {n_items}, the catalogue.")
        self._n_items, self._sample, self._generator = n_items, sample, generator
        degrees = np.bincount(csr.indices, minlength=n_items)
        unused = degrees * np.log1p(-min(batch_users / n_users, 1 - 1e-9))
        hidden = np.log1p(-min(sample / n_items, 1 - 1e-9)) + unused
        self._offset = torch.from_numpy(-np.log(-np.expm1(hidden))).float()

    def of(self, positives: Positives) -> Shown:
        """Draws anew at each call; tensors are on the device of the positives."""
        device = positives.items.device
        drawn = torch.from_numpy(self._draw()).to(device)
        items, places = torch.unique(torch.cat([positives.items, drawn]), return_inverse=True)
        own = Positives(positives.offsets, places[: len(positives.items)], positives.rows)
        return Shown(items, self._offset.to(device)[items], own)

    def state(self) -> Mapping[str, Any]:
        """Of its generator."""
        return self._generator.bit_generator.state

    def restore(self, state: Mapping[str, Any]) -> None:
        self._generator.bit_generator.state = state

    def _draw(self) -> np.ndarray:
        return self._generator.choice(self._n_items, self._sample, replace=False, shuffle=False).astype(np.int64)
