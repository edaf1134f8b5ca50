"""A sequence model: what comes next follows from the last items and their order, by self-attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from recdistill.errors import ConfigError
from recdistill.models.base import Ranker
from recdistill.models.self_attention_rules import MOST, plan
from recdistill.tables.codecs import TILE_BYTES

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.serving.self_attention import SelfAttentionScorer
    from recdistill.training.progress import Progress


BYTES_PER_PARAMETER = 20
"""The number, its gradient, two moments, and the scorer's copy."""
LAYER_BYTES = 100
"""What a block keeps of one number of one moment until its gradients are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfAttentionConfig:
    """None means: by rule from the log's counts (see `self_attention_rules`)."""

    dim: int = 64
    """Of users' and items' vectors."""
    layers: int = 2
    heads: int = 2
    length: int | None = None
    """The most items of a history that are looked at, the last ones."""
    dropout: float | None = None
    table: Literal["tied", "full"] = "tied"
    """Tied: one table for the items of histories and those ranked. Full: one for each."""
    tau: float | None = None
    """Temperature: a logit is cosine / tau + bias."""
    epochs: int | None = None
    learning_rate: float | None = None
    batch_users: int = 128
    negatives: int | None = None
    """Items drawn for each batch beside those that its users have used (mixed negatives with the logQ correction); 0:
    all items; none: all, up to fifty thousand of them."""

    def __post_init__(self) -> None:
        whole = {"dim": self.dim, "layers": self.layers, "heads": self.heads, "length": self.length}
        for name, count in {**whole, "epochs": self.epochs, "batch_users": self.batch_users}.items():
            if count is not None and count < 1:
                raise ConfigError(f"self_attention: {name} = {count}: give at least 1.")
        for name, number in {"tau": self.tau, "learning_rate": self.learning_rate}.items():
            if number is not None and not 0 < number < float("inf"):
                raise ConfigError(f"self_attention: {name} = {number}: give a number above 0.")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ConfigError(f"self_attention: dropout = {self.dropout}: give a number from 0 to below 1.")
        if self.negatives is not None and self.negatives < 0:
            raise ConfigError(f"self_attention: negatives = {self.negatives}: give 0 for all items, or how many.")
        if self.dim % self.heads:
            raise ConfigError(f"self_attention: heads = {self.heads} with dim = {self.dim}: give a divisor of dim.")


class SelfAttention(Ranker):
    """What follows each moment of a history, by causal self-attention over the items before it (SASRec, Kang and
    McAuley, 2018), trained by a softmax over all items (as Klenitskiy and Vasilev, 2023, found best); needs times.

    Places are distances back from the moment that is asked about, so that all moments share them.
    """

    kind: ClassVar[str] = "self_attention"
    label: ClassVar[str] = "self-attention"
    about: ClassVar[str] = "what comes next, from the order"
    meaning: ClassVar[str] = "A network reads the last items in their order; a score is a product of vectors."
    Config: ClassVar[type] = SelfAttentionConfig
    softmax_scores: ClassVar[bool] = True
    config: SelfAttentionConfig

    def memory_bytes(self, *, n_items: int, n_users: int, n_rows: int) -> int:
        """Tables with their moments, scores of a tile, the layers of a batch with what their gradients need."""
        tables = BYTES_PER_PARAMETER * self.config.dim * n_items * (2 if self.config.table == "full" else 1)
        moments = min(self.config.batch_users * (self.config.length or MOST), n_rows)
        return tables + moments * self.config.layers * LAYER_BYTES * self.config.dim + 24 * n_rows + TILE_BYTES

    def _fit(
        self, train: Interactions, valid: HeldOut | None, *, seed: int, device: str, progress: Progress | None
    ) -> SelfAttentionScorer:
        if train.times is None:
            raise ConfigError(
                "self_attention: the log has no times, and without an order nothing comes next. Name their column "
                "(--columns timestamp=…; a place in each user's order will do), or choose another model."
            )
        if train.places().max() == 0:  # type: ignore[union-attr]
            raise ConfigError("self_attention: nobody has used two items, so nothing follows. Choose another model.")
        from recdistill.models.self_attention_training import train_self_attention

        return train_self_attention(
            plan(self.config, train), train, valid, seed=seed, device=device, progress=progress,
            name=f"{self.label} d={self.config.dim}",
        )  # fmt: skip
