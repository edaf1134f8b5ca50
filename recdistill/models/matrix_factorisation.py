"""Matrix factorisation: a vector for every user and every item, learned by ranking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from recdistill.models.base import Ranker, check_log
from recdistill.models.embedding_rules import check, plan

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.distillation.methods import Methods
    from recdistill.knowledge.store import Knowledge
    from recdistill.serving.scorers import LinearFoldInScorer
    from recdistill.training.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixFactorisationConfig:
    """None means: by rule from the log's counts (see `embedding_rules`)."""

    dim: int = 64
    """Of users' and items' vectors."""
    loss: Literal["softmax", "bpr", "bsl"] = "softmax"
    """Softmax over all items, pairs with uniform negatives (Rendle et al., 2009), or bilateral softmax over all items
    (Wu et al., 2024)."""
    tau: float | None = None
    """Temperature of the cosines, of bsl's negatives too; bpr has none."""
    tau_positive: float | None = None
    """Temperature of bsl's positives."""
    user_weight: float | None = None
    """A user's labels count n^(1-w), n their number: 0 every interaction the same, 1 every user. Not of bpr."""
    regularization: float | None = None
    """λ of bpr's pairs; the cosines of the others need none."""
    epochs: int | None = None
    learning_rate: float | None = None
    batch_users: int = 512

    def __post_init__(self) -> None:
        check(
            "mf",
            at_least_one={"dim": self.dim, "epochs": self.epochs, "batch_users": self.batch_users},
            above_zero={"tau": self.tau, "tau_positive": self.tau_positive, "learning_rate": self.learning_rate},
            shares={"user_weight": self.user_weight},
            not_negative={"regularization": self.regularization},
        )


class MatrixFactorisation(Ranker):
    """score = u·v of learned rows; cosine / τ but for bpr. Starts from the log's singular vectors.

    People without a row are placed by a linear map of their history, and answered with popularity without one.
    """

    kind: ClassVar[str] = "mf"
    label: ClassVar[str] = "MF"
    about: ClassVar[str] = "a vector for each user and item"
    meaning: ClassVar[str] = (
        "Matrix factorisation by gradient descent: a score is the product of a user's and an item's vector."
    )
    Config: ClassVar[type] = MatrixFactorisationConfig
    config: MatrixFactorisationConfig

    def _fit(
        self, train: Interactions, valid: HeldOut | None, *, seed: int, device: str, progress: Progress | None
    ) -> LinearFoldInScorer:
        from recdistill.models.embedding_training import train_embeddings

        return train_embeddings(
            plan(self.config, train), train, valid, seed=seed, device=device, progress=progress, name=self.kind
        )

    def distil(
        self,
        train: Interactions,
        knowledge: Knowledge,
        valid: HeldOut | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
        progress: Progress | None = None,
        methods: Methods | None = None,
    ) -> Self:
        """Learn from the labels of `train` and, by `methods`, from a teacher; without them by `soft_kl`.

        `valid` is only looked at for the progress bar.
        """
        from recdistill.distillation.methods import read_methods
        from recdistill.models.embedding_distillation import distil_embeddings

        check_log(train, self.kind, valid)
        self.chosen = {}
        told, rule = methods or read_methods("soft_kl"), plan(self.config, train)
        scorer = distil_embeddings(
            rule, train, knowledge, told, valid, seed=seed, device=device, progress=progress, name=self.kind
        )
        self._keep(scorer, train, seed)
        return self
