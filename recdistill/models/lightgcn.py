"""LightGCN: matrix factorisation whose vectors are spread over the graph of users and items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from recdistill.models.base import Ranker
from recdistill.models.embedding_rules import check, plan

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.serving.scorers import LinearFoldInScorer
    from recdistill.training.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class LightGCNConfig:
    """None means: by rule from the log's counts (see `embedding_rules`)."""

    dim: int = 64
    """Of users' and items' vectors."""
    layers: int = 3
    """Steps over the graph; the vectors are the mean of all layers, the learned one included."""
    loss: Literal["softmax", "bpr"] = "softmax"
    """Softmax over all items, or pairs with uniform negatives as in the paper, which ranks worse."""
    tau: float | None = None
    """Temperature of the softmax: a logit is cosine / tau."""
    user_weight: float | None = None
    """A user's labels count n^(1-w), n their number: 0 every interaction the same, 1 every user. Not of bpr."""
    regularization: float | None = None
    """λ of bpr's pairs, on the rows before they are spread."""
    epochs: int | None = None
    learning_rate: float | None = None
    batch_users: int = 2048
    """Many, since each batch spreads the vectors of the whole graph."""

    def __post_init__(self) -> None:
        counts = {"dim": self.dim, "layers": self.layers, "epochs": self.epochs, "batch_users": self.batch_users}
        check(
            "lightgcn",
            at_least_one=counts,
            above_zero={"tau": self.tau, "learning_rate": self.learning_rate},
            shares={"user_weight": self.user_weight},
            not_negative={"regularization": self.regularization},
        )


class LightGCN(Ranker):
    """E* = mean of Â^k E for k = 0…layers (He et al., 2020), Â the log normalised by both degrees; score = E*_u·E*_i.

    Cosine / τ but for bpr. E starts from the log's singular vectors, and E* is served. People without a row are placed
    by a linear map of their history, and answered with popularity without one.
    """

    kind: ClassVar[str] = "lightgcn"
    label: ClassVar[str] = "LightGCN"
    about: ClassVar[str] = "vectors spread along the graph"
    meaning: ClassVar[str] = "Vectors of users and items, each mixed with those of its neighbours in the log."
    Config: ClassVar[type] = LightGCNConfig
    config: LightGCNConfig

    def _fit(
        self, train: Interactions, valid: HeldOut | None, *, seed: int, device: str, progress: Progress | None
    ) -> LinearFoldInScorer:
        from recdistill.models.embedding_training import train_embeddings

        settings = plan(self.config, train, layers=self.config.layers)
        return train_embeddings(settings, train, valid, seed=seed, device=device, progress=progress, name=self.kind)
