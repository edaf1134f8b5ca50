"""What a two-tower model shows a person of whom nothing is known: the vector whose ranking is nearest to popularity."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.optimize import minimize

from recdistill.serving.scorers import BagScorer

RIDGE = 1e-4
STEPS = 200


def with_stranger(scorer: BagScorer, popularity: np.ndarray) -> BagScorer:
    """`scorer` with the vector s that makes softmax(scale · s·V + bias) likeliest for all of the log's interactions.

    `popularity` (n_items,): train rows of each item. A convex problem of d unknowns (multinomial logistic regression),
    solved after the training, so that it changes nothing for people with a history. Without it the bias alone would
    answer, and the bias is only what popularity leaves unexplained.
    """
    if scorer.item_table is None or not popularity.sum():
        return scorer
    items = scorer.item_vectors().astype(np.float64)
    bias = 0.0 if scorer.item_bias is None else scorer.item_bias.astype(np.float64)
    share = popularity / popularity.sum()

    def loss(vector: np.ndarray) -> tuple[float, np.ndarray]:
        logits = items @ vector + bias
        top = logits.max()
        belief = np.exp(logits - top)
        total = belief.sum()
        value = top + np.log(total) - share @ logits + RIDGE * (vector @ vector)
        return float(value), items.T @ (belief / total - share) + 2 * RIDGE * vector

    found = minimize(loss, np.zeros(items.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    return dataclasses.replace(scorer, stranger=found.x.astype(np.float32))
