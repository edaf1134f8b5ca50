"""Users at a moment of their history, for models that look at the order of it."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_matrix

from recdistill.candidates.mixed import MixedNegatives, Shown
from recdistill.objectives.positives import Positives
from recdistill.training.bags import Bags
from recdistill.training.batches import Batch, UserBatches


class OrderedBatches(UserBatches):
    """Of each user a moment is drawn in each epoch: the bag is what came before it, the one positive what came next.

    A bag that held its own labels would teach nothing about order. Users with a single item have no such moment; they
    are in the batch of whole histories alone.
    """

    def __init__(
        self,
        csr: csr_matrix,
        places: np.ndarray,
        *,
        whole: bool,
        batch_users: int,
        history_power: float,
        history_dropout: float,
        generator: np.random.Generator,
        device: torch.device,
        negatives: MixedNegatives | None = None,
    ) -> None:
        """places: (entries of csr,) int32 from the end, 0 for the last. whole: give the batch of whole histories, for a
        teacher's labels, with the other in its `moment`."""
        placed = csr_matrix((places, csr.indices, csr.indptr), shape=csr.shape)
        super().__init__(
            placed, batch_users=batch_users, history_power=history_power, history_dropout=history_dropout,
            generator=generator, device=device, negatives=negatives,
        )  # fmt: skip
        self._whole = whole

    def _batch(self, users: np.ndarray) -> Batch:
        rows = self._csr[users]
        counts = np.diff(rows.indptr)
        shown, items = self._shown(rows, counts)
        entries = csr_matrix((rows.data, items, rows.indptr), shape=(len(users), _width(rows, shown)))
        moments = 1 + np.floor(self._generator.random(len(users)) * np.maximum(counts - 1, 1)).astype(np.int64)
        at = np.repeat(moments, counts)
        early, following, enough = rows.data >= at, rows.data == at - 1, counts > 1
        known = np.repeat(enough, counts)
        moment = self._part(
            users[enough], _kept(entries, early & known, enough), _kept(entries, following & known, enough), shown
        )
        if not self._whole:
            return moment
        whole = self._part(users, entries, entries, shown)
        return Batch(whole.users, whole.positives, whole.bags, whole.shown, whole.places, moment)

    def _shown(self, rows: csr_matrix, counts: np.ndarray) -> tuple[Shown | None, np.ndarray]:
        """The items that the batch is scored against, and all of its users' as places among them."""
        if self._negatives is None:
            return None, rows.indices
        shown = self._negatives.of(_positives(rows, self._device))
        return shown, shown.positives.items.cpu().numpy()

    def _part(self, users: np.ndarray, history: csr_matrix, positives: csr_matrix, shown: Shown | None) -> Batch:
        """`history` and `positives` hold places from the end as data; those of the bag are counted from its own end."""
        counts = np.diff(history.indptr)
        ends = np.append(history.data, np.iinfo(np.int32).max)
        nearest = np.minimum.reduceat(ends, history.indptr[:-1]) if len(counts) else counts
        from_end = history.data - np.repeat(nearest, counts)
        weighed = csr_matrix((from_end, history.indices, history.indptr), shape=history.shape)
        if self._dropout > 0.0:
            weighed = _kept(weighed, self._generator.random(history.nnz, dtype=np.float32) >= self._dropout)
        raised = np.maximum(counts, 1).astype(np.float32) ** -self._power / np.float32(1.0 - self._dropout)
        weights = np.repeat(raised, np.diff(weighed.indptr))
        bag = csr_matrix((weights, weighed.indices, weighed.indptr), shape=history.shape)
        return Batch(
            torch.from_numpy(users).to(self._device),
            _positives(positives, self._device),
            Bags.weighable(bag, self._device),
            shown,
            torch.from_numpy(weighed.data.astype(np.int64)).to(self._device),
        )


def _width(rows: csr_matrix, shown: Shown | None) -> int:
    return rows.shape[1] if shown is None else len(shown.items)


def _kept(matrix: csr_matrix, entries: np.ndarray, rows: np.ndarray | None = None) -> csr_matrix:
    """The entries of a mask, and, if given, of its rows those of a mask."""
    indptr = np.concatenate([[0], np.cumsum(entries)])[matrix.indptr]
    if rows is not None:
        indptr = np.append(indptr[:-1][rows], indptr[-1])
    shape = (len(indptr) - 1, matrix.shape[1])
    return csr_matrix((matrix.data[entries], matrix.indices[entries], indptr), shape=shape)


def _positives(rows: csr_matrix, device: torch.device) -> Positives:
    return Positives(
        offsets=torch.from_numpy(rows.indptr).long().to(device),
        items=torch.from_numpy(rows.indices).long().to(device),
        rows=torch.from_numpy(np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))).to(device),
    )
