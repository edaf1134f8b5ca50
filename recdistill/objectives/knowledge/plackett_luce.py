"""RankDistil: the likelihood of permutations drawn from the teacher."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from recdistill.candidates.base import by_argument
from recdistill.candidates.orders import TeacherOrders
from recdistill.errors import ConfigError
from recdistill.objectives.base import Objective, gather_valid, masked_mean, valid_positions, weighted_mean
from recdistill.objectives.listwise import lowest, order_losses


@dataclass(frozen=True, slots=True, kw_only=True)
class PlackettLuceConfig:
    k: int | None = None
    """Positions of a permutation that count; the others only stand below. None: all."""

    def __post_init__(self) -> None:
        if self.k is not None and self.k < 1:
            raise ConfigError(f"plackett_luce: k must be 1 or more, found {self.k}; none counts all positions.")


class PlackettLuce(Objective):
    """Mean over permutations π of (1/k) Σ_{p≤k} [log Σ_{q≥p} e^{s_{π_q}} - s_{π_p}] (RankDistil: Reddi et al., 2021).

    The permutations are drawn from the teacher's Plackett–Luce distribution: sort t/τ + Gumbel noise.
    """

    needs = frozenset({"scores"})
    config_type = PlackettLuceConfig
    shown = by_argument({"permutations": TeacherOrders()})

    def __init__(self, config: PlackettLuceConfig | None = None) -> None:
        super().__init__()
        self.config = config or PlackettLuceConfig()

    def forward(
        self,
        student: Tensor,
        permutations: Tensor,
        *,
        permutation_mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """student: scores (batch, candidates); permutations: indices (batch, draws, n), best first.

        permutation_mask (batch, n): the positions that count, the same in all draws of a user.
        """
        valid = valid_positions(permutations[:, 0], permutation_mask)[:, None].expand(permutations.shape)
        scores = gather_valid(student, permutations.flatten(1), valid.flatten(1)).view(permutations.shape)
        nothing = scores.new_full(permutations.shape[:2], lowest(scores))
        counted = valid if self.config.k is None else valid & (valid.cumsum(-1) <= self.config.k)
        terms, has_term = masked_mean(order_losses(scores, valid, nothing), counted)
        return weighted_mean(terms.mean(-1), has_term.any(-1), weight)
