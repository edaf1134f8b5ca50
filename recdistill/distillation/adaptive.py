"""Weights that follow the training: by the sizes of the losses, by their gradients, by how sure the teacher is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from recdistill.registry import Registry

if TYPE_CHECKING:
    from recdistill.knowledge.store import Knowledge

LEAST, MOST = 1e-2, 1e2
"""Of what the ratio of two losses may make of a weight."""


class Adaptive(ABC):
    """A factor of a method's weight; all of them are constants to the gradient."""

    @abstractmethod
    def factor(self, labels: Tensor, method: Tensor, shared: Tensor) -> Tensor:
        """The two losses, and the user vectors (batch, d) that both are made of."""


class LossRatio(Adaptive):
    """labels / method, within a hundred: both count the same whatever their units."""

    def factor(self, labels: Tensor, method: Tensor, shared: Tensor) -> Tensor:
        ratio = labels.detach() / method.detach().clamp_min(1e-12)
        return torch.where(labels > 0, ratio.clamp(LEAST, MOST), 1.0).detach()


class Gradients(Adaptive):
    """(1 + cos) / 2 of the two gradients by the users' vectors: nothing where they point apart (Du et al., 2018)."""

    def factor(self, labels: Tensor, method: Tensor, shared: Tensor) -> Tensor:
        if not (labels.requires_grad and method.requires_grad):
            return torch.ones_like(method)
        one, two = (
            torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True)[0] for loss in (labels, method)
        )
        if one is None or two is None:
            return torch.ones_like(method)
        return (1.0 + torch.cosine_similarity(one.flatten(), two.flatten(), dim=0)) / 2.0


class Certainty(Adaptive):
    """A user counts as much as the teacher is sure: 1 - entropy of its list / log of the length, mean 1."""

    def factor(self, labels: Tensor, method: Tensor, shared: Tensor) -> Tensor:
        return torch.ones_like(method)


ADAPTIVE: Registry[type[Adaptive]] = Registry("adaptive weight")
ADAPTIVE.register("loss_ratio", LossRatio)
ADAPTIVE.register("gradients", Gradients)
ADAPTIVE.register("certainty", Certainty)


def certainty(knowledge: Knowledge) -> np.ndarray:
    """(n_users,) float32, mean 1: how far the teacher's belief about a user's list is from an even one; 0 without."""
    listed = knowledge.top_items >= 0
    scores = np.where(listed, knowledge.top_scores.astype(np.float64), -np.inf)
    best = np.where(listed.any(1), scores.max(1, initial=-np.inf), 0.0)
    p = np.exp(scores - best[:, None])
    p /= np.maximum(p.sum(1, keepdims=True), 1e-300)
    entropy = -np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0.0).sum(1)
    sure = np.where(listed.any(1), 1.0 - entropy / np.log(np.maximum(listed.sum(1), 2)), 0.0)
    mean = sure.mean()
    return (sure / mean if mean > 0 else np.ones_like(sure)).astype(np.float32)
