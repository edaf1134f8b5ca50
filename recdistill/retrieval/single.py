"""One person at a time over a small catalogue: the same answer to the bit as in a batch, in few steps."""

from __future__ import annotations

import numpy as np

LEAST = float(np.finfo(np.float32).min)
ONE_PRODUCT = 9216
"""Numbers of a matrix up to which OpenBLAS multiplies it by a vector in the calling thread. Waiting for other threads
takes longer than the product: on a busy processor 8 ms, where it takes .01."""
SHARE = 10
"""A floor is taken from the maxima of blocks where there are as many blocks for each item asked for."""


class Single:
    """Item vectors laid out in small matrices, so that a stack of products needs no other thread; nothing changes."""

    def __init__(
        self,
        vectors: np.ndarray,
        bias: np.ndarray | None,
        popularity: np.ndarray | None,
        order: np.ndarray,
        rows: np.ndarray | None,
        error_per_length: float,
        error: float,
    ) -> None:
        """vectors: (n, dimension) float32; order: (n,) which of equals comes first; rows: (n,) what an item is called
        in the answer, where that is not its place."""
        n_items, dimension = vectors.shape
        self.vectors, self.order, self.rows, self.n_items = vectors, order, rows, n_items
        chunks = max(1, -(-n_items * max(1, dimension) // (ONE_PRODUCT - 1)))
        width = -(-n_items // chunks)
        padded = np.zeros((chunks * width, dimension), np.float32)
        padded[:n_items] = vectors
        self.stack = np.ascontiguousarray(padded.reshape(chunks, width, dimension).transpose(0, 2, 1))
        self.bias = np.full(chunks * width, -np.inf, np.float32)
        self.bias[:n_items] = 0 if bias is None else bias
        self.popularity = popularity
        self.error_per_length, self.error = error_per_length, error

    def best(
        self,
        query: np.ndarray,
        k: int,
        seen: np.ndarray | None = None,
        *,
        stranger: bool = False,
        penalty: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Items int64 and scores float32, best first, k of them or as many as there are.

        query: (dimension,) float32; seen: places that must not come; penalty: (n,) added to the scores, 0 or -inf.
        A stranger gets popularity, where there is such.
        """
        popular = self.popularity if stranger else None
        scores, error = self._near(query, seen, popular, penalty)
        places = self._reaching(scores, k, error)
        exact = self._exact(query, places) if popular is None else popular[places]
        first = np.lexsort((self.order[places], -exact))[:k]
        return self._named(places[first]), exact[first]

    def best_items(
        self, query: np.ndarray, k: int, seen: np.ndarray | None = None, penalty: np.ndarray | None = None
    ) -> np.ndarray:
        """The same items without their scores: these are computed exactly only where they lie so close to each other
        that rounding could have changed their order."""
        scores, error = self._near(query, seen, None, penalty)
        places = self._reaching(scores, k, error)
        near = scores[places]
        first = near.argsort()[::-1]
        near = near[first]
        if len(near) > 1 and float(np.minimum.reduce(near[:-1] - near[1:])) <= 2 * error:
            exact = self._exact(query, places)
            first = np.lexsort((self.order[places], -exact))
        return self._named(places[first[:k]])

    def _near(
        self, query: np.ndarray, seen: np.ndarray | None, popular: np.ndarray | None, penalty: np.ndarray | None
    ) -> tuple[np.ndarray, float]:
        """The scores of all items, -inf where one must not come, and how far they may lie from the truth."""
        if popular is None:
            scores = np.matmul(query, self.stack).reshape(-1)
            scores += self.bias
            length = float(np.dot(query, query)) ** 0.5
            error = self.error_per_length * length + self.error if length else 0.0
        else:
            scores, error = self.bias.copy(), 0.0
            scores[: self.n_items] = popular
        if penalty is not None:
            scores[: self.n_items] += penalty
        if seen is not None:
            scores[seen] = -np.inf
        return scores, error

    def _reaching(self, scores: np.ndarray, k: int, error: float) -> np.ndarray:
        """Places of what may be among the k best: all that comes near a score which at least k reach."""
        blocks = self.stack.shape[2]
        maxima = np.maximum.reduce(scores.reshape(-1, blocks), axis=0) if blocks >= SHARE * k else scores
        if k > len(maxima):
            return (scores > -np.inf).nonzero()[0]
        place = len(maxima) - k
        lowest = float(np.partition(maxima, place)[place]) - 2 * error
        return (scores >= max(lowest, LEAST)).nonzero()[0]

    def _exact(self, query: np.ndarray, places: np.ndarray) -> np.ndarray:
        rows = self.vectors.take(places, axis=0).astype(np.float64)
        sums = np.einsum("kd,d->k", rows, query.astype(np.float64))
        sums += self.bias[places]
        return sums.astype(np.float32)

    def _named(self, places: np.ndarray) -> np.ndarray:
        return places if self.rows is None else self.rows[places]


def times_one(matrix: np.ndarray, vector: np.ndarray, out: np.ndarray) -> None:
    """matrix @ vector in this thread alone, as the product of a stack of small matrices."""
    rows, columns = matrix.shape
    step = max(1, (ONE_PRODUCT - 1) // max(1, columns))
    whole = rows - rows % step
    if whole:
        np.matmul(matrix[:whole].reshape(-1, step, columns), vector, out=out[:whole].reshape(-1, step))
    if whole < rows:
        np.matmul(matrix[whole:], vector, out=out[whole:])
