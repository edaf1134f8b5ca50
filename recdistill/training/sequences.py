"""Users in shuffled batches, each with the last items of the history in the order of time."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_matrix

from recdistill.objectives.positives import Positives
from recdistill.training.bags import Bags
from recdistill.training.batches import Batch, UserBatches


class SequenceBatches(UserBatches):
    """`positives` are a user's last items, the oldest first; nothing stands in the bags."""

    def __init__(
        self,
        csr: csr_matrix,
        places: np.ndarray,
        *,
        length: int,
        batch_users: int,
        generator: np.random.Generator,
        device: torch.device,
    ) -> None:
        """places: (entries of csr,) int32 from the end, 0 for the last. Of each user so many items are given that the
        last has `length` before it. Whoever used one item is left out: nothing followed."""
        sequences = _in_order(csr, places, length + 1)
        super().__init__(
            sequences[np.diff(sequences.indptr) > 1], batch_users=batch_users, history_power=0.0, history_dropout=0.0,
            generator=generator, device=device,
        )  # fmt: skip

    def _batch(self, users: np.ndarray) -> Batch:
        rows, device = self._csr[users], self._device
        counts = np.diff(rows.indptr)
        sequences = Positives(
            offsets=torch.from_numpy(rows.indptr).long().to(device),
            items=torch.from_numpy(rows.indices).long().to(device),
            rows=torch.from_numpy(np.repeat(np.arange(len(users)), counts)).to(device),
        )
        nothing = Bags.of(csr_matrix((len(users), rows.shape[1]), dtype=np.float32), device)
        return Batch(torch.from_numpy(users).to(device), sequences, nothing)


def _in_order(csr: csr_matrix, places: np.ndarray, most: int) -> csr_matrix:
    """The last `most` items of each row, the oldest first; its columns are not sorted."""
    users = np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr))
    kept = np.flatnonzero(places < most)
    kept = kept[np.lexsort((-places[kept], users[kept]))]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(users[kept], minlength=csr.shape[0]))])
    return csr_matrix((np.ones(len(kept), np.float32), csr.indices[kept], indptr), shape=csr.shape)
