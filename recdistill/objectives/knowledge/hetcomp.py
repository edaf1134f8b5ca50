"""HetComp: from an easy target to a strict order, always against the whole catalogue."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recdistill.candidates.base import by_argument
from recdistill.candidates.catalogue import Catalogue
from recdistill.candidates.own import Own
from recdistill.candidates.trajectory import TrajectoryTop
from recdistill.errors import ConfigError
from recdistill.objectives.base import (
    Objective,
    masked_mean,
    membership,
    valid_positions,
    weighted_mean,
)
from recdistill.objectives.listwise import first_valid, group_logsumexp, listed_and_rest, order_losses


class HetCompOverall(Objective):
    """Mean over i∈P∪Q of log(e^{s_i} + Σ_{j∈rest} e^{s_j}) - s_i: the easy stage (HetComp: Kang et al., 2023).

    P: the user's observed items, Q: the target list of this point of the curriculum, rest: all other candidates. No
    order inside P and Q, which do not overlap.
    """

    needs = frozenset({"top_k", "trajectory"})
    shown = by_argument({"candidates": Catalogue(unseen=True), "positives": Own(n=10), "top": TrajectoryTop(k=50)})

    def forward(
        self,
        student: Tensor,
        positives: Tensor,
        top: Tensor,
        *,
        positives_mask: Tensor | None = None,
        top_mask: Tensor | None = None,
        mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """student: scores (batch, candidates); positives (batch, P) and top (batch, K); mask: unobserved candidates."""
        listed = torch.cat([positives, top], dim=-1)
        valid = torch.cat([valid_positions(positives, positives_mask), valid_positions(top, top_mask)], dim=-1)
        outside = valid_positions(student, mask) & ~membership(listed, valid, student)
        scores, rest = listed_and_rest(student, listed, valid, outside)
        losses = torch.logaddexp(scores, rest[:, None]) - scores
        return weighted_mean(*masked_mean(losses, valid), weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class HetCompRankingConfig:
    cuts: tuple[int, ...] = ()
    """Lengths to which the target list is cut; none given: a half and a tenth of it."""

    def __post_init__(self) -> None:
        if any(cut < 1 for cut in self.cuts):
            raise ConfigError(f"hetcomp: cuts must be 1 or more, found {self.cuts}; none at all for K/2 and K/10.")


class HetCompRanking(Objective):
    """PL(P | rest(Q_{:c₁})) + mean over cuts c of PL(Q_{:c} | rest(Q_{:c})): the last stage (Kang et al., 2023).

    PL(A | N) is the mean over A, in its order, of log(Σ_{j≥k} e^{s_{A_j}} + Σ_{l∈N} e^{s_l}) - s_{A_k}; rest(X) is
    all unobserved candidates outside of P and X; Q_{:c} the first c of the target list.
    """

    needs = frozenset({"top_k", "trajectory"})
    config_type = HetCompRankingConfig
    shown = by_argument({"candidates": Catalogue(unseen=True), "positives": Own(n=10), "top": TrajectoryTop(k=50)})

    def __init__(self, config: HetCompRankingConfig | None = None) -> None:
        super().__init__()
        self.config = config or HetCompRankingConfig()

    def forward(
        self,
        student: Tensor,
        positives: Tensor,
        top: Tensor,
        *,
        positives_mask: Tensor | None = None,
        top_mask: Tensor | None = None,
        mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """As in `HetCompOverall`; positives and top best first."""
        observed, targets = valid_positions(positives, positives_mask), valid_positions(top, top_mask)
        n = positives.shape[-1]
        listed, valid = torch.cat([positives, top], dim=-1), torch.cat([observed, targets], dim=-1)
        outside = valid_positions(student, mask) & ~membership(positives, observed, student)
        in_rest = targets & outside.gather(-1, top)
        # the catalogue outside of both lists once; what a cut leaves of the list comes to it
        scores, beyond = listed_and_rest(student, listed, valid, outside & ~membership(top, targets, student))
        cuts = self.config.cuts or (max(1, top.shape[-1] // 2), max(1, top.shape[-1] // 10))
        of_targets, of_positives = student.new_zeros(len(student)), student.new_zeros(len(student))
        for number, cut in enumerate(cuts):
            rest = torch.logaddexp(beyond, group_logsumexp(scores[:, n:], in_rest & (targets.cumsum(-1) > cut)))
            kept, there = first_valid(scores[:, n:], targets, min(cut, top.shape[-1]))
            of_targets = of_targets + masked_mean(order_losses(kept, there, rest), there)[0] / len(cuts)
            if number == 0:
                of_positives = masked_mean(order_losses(scores[:, :n], observed, rest), observed)[0]
        return weighted_mean(of_positives + of_targets, observed.any(-1) | targets.any(-1), weight)
