"""What every objective is: a function of tensors, a mean over the users (or entities) that have a term."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from recdistill.errors import ConfigError

if TYPE_CHECKING:
    from recdistill.candidates.base import Candidates

NEEDS = {
    "top_k": "the teacher's best items of every user",
    "scores": "the teacher's scores of these; where the candidates are others, all_scores",
    "all_scores": "the teacher's score of any item, also of those that the student picks",
    "vectors": "the teacher's user and item vectors",
    "item_lists": "the teacher's best users of every item",
    "trajectory": "the teacher's lists at several checkpoints of its training, easy to hard",
    "teacher": "the teacher itself, to be trained along",
}
"""The words in which an objective says what it needs and a knowledge source what it gives."""


class Objective(nn.Module):
    """A loss of tensors. It may own projectors and a schedule; it never holds a teacher or a student.

    Convention: within a user a mean over list positions, over the batch the weighted mean of the users that have a
    term, so that a weight of 1 means the same everywhere; temperature-softened divergences carry τ². Index tensors
    (batch, K) point into the user's candidates; their masks say which positions count, absent means all.
    """

    version: ClassVar[int] = 1
    """Raised by hand when the same settings give another loss: what was measured with it is then measured again."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """What the knowledge source must give, in the words of `NEEDS`; nothing where labels are enough."""
    config_type: ClassVar[type | None] = None
    """The dataclass of its settings, which it takes as its first argument; None where it has none."""
    shown: ClassVar[Mapping[str | tuple[str, ...], Candidates]] = {}
    """Where the lists of its arguments come from in a training; a tuple names arguments that come as pairs, and
    "candidates" stands for all that is scored. Empty where it reads vectors."""
    entities: ClassVar[Literal["", "each side", "together"]] = ""
    """Of one that reads vectors: users and items each with an objective of their own, or in one matrix."""
    item_users: ClassVar[int] = 0
    """Users of an item that it is shown on each side of the item's list; 0 where it has no item side."""
    distinct: ClassVar[bool] = False
    """Whether an item that stands in several lists must be one candidate."""
    untrained: ClassVar[str] = "it names no source for its lists"
    """Of one that a plain training cannot feed: why, and what to do."""

    @property
    def noise(self) -> int:
        """Columns of Gumbel noise that it takes for every entity."""
        return 0

    def advance(self, progress: float) -> None:
        """Told before every epoch which share of the training is done, 0 to 1; only a schedule listens."""


def weighted_mean(terms: Tensor, has_term: Tensor, weight: Tensor | None) -> Tensor:
    """Σ w·ℓ / Σ w over the rows with a term; 0, with zero gradients, where there is none. All inputs are (batch,)."""
    weight = has_term.to(terms.dtype) if weight is None else weight.to(terms.dtype) * has_term
    total = weight.sum()
    kept = torch.where(has_term, terms, 0.0)
    return (kept * weight.detach()).sum() / torch.where(total > 0, total, 1.0).detach()


def masked_mean(values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over the valid entries of the last dimension, and whether there are any."""
    count = valid.sum(-1)
    return torch.where(valid, values, 0.0).sum(-1) / count.clamp(min=1), count > 0


def masked_log_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Log-softmax over the valid candidates; 0 at masked ones, which get no gradient. Rows without any are all 0."""
    if mask is None:
        return scores.log_softmax(-1)
    logits = masked_scores(scores, mask)
    return torch.where(mask, logits - logits.logsumexp(-1, keepdim=True), 0.0)


def softmax_in_place(logits: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Probabilities and their logarithms, the latter written over the logits; both 0 at what is masked."""
    if mask is not None:
        logits = masked_scores(logits, mask)
    logits.sub_(logits.amax(-1, keepdim=True))
    p = logits.exp()
    total = p.sum(-1, keepdim=True)
    logits.sub_(total.log())
    p.div_(total)
    if mask is not None:
        p.masked_fill_(~mask, 0.0)
        logits.masked_fill_(~mask, 0.0)
    return p, logits


def masked_scores(scores: Tensor, mask: Tensor) -> Tensor:
    """Scores with -inf at masked candidates; a row that is masked whole becomes 0, so that gradients stay numbers."""
    empty = ~mask.any(-1, keepdim=True)
    return torch.where(mask, scores, -torch.inf).masked_fill(empty, 0.0)


def valid_positions(index: Tensor, index_mask: Tensor | None) -> Tensor:
    """Which positions of a list count, as bool of its shape: all of them where no mask is given."""
    return torch.ones_like(index, dtype=torch.bool) if index_mask is None else index_mask


def gather_valid(scores: Tensor, index: Tensor, valid: Tensor) -> Tensor:
    """The scores of the listed candidates (batch, K); 0 at positions that do not count, which get no gradient."""
    return torch.where(valid, scores.gather(-1, index), 0.0)


def membership(index: Tensor, valid: Tensor, candidates: Tensor) -> Tensor:
    """Which candidates stand in a list: bool of the shape of `candidates` (batch, C)."""
    nowhere = torch.zeros_like(candidates, dtype=torch.int8)
    return nowhere.scatter_reduce(-1, index, valid.to(torch.int8), "amax").view(torch.bool)


def check_positive(where: str, **settings: float) -> None:
    """Refuse settings that are not above 0; `where` is the name of the objective."""
    for name, value in settings.items():
        if not value > 0:
            raise ConfigError(f"{where}: {name} must be above 0, found {value}.")


def check_share(where: str, **settings: float) -> None:
    """Refuse settings that are not between 0 and 1, both included."""
    for name, value in settings.items():
        if not 0 <= value <= 1:
            raise ConfigError(f"{where}: {name} must be from 0 to 1, found {value}.")


def check_not_negative(where: str, **settings: float) -> None:
    """Refuse settings below 0."""
    for name, value in settings.items():
        if not value >= 0:
            raise ConfigError(f"{where}: {name} must not be below 0, found {value}.")
