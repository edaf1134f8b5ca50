"""Relaxed ranking of both sides: a user's items, and an item's users."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from recdistill.candidates.base import by_argument
from recdistill.candidates.teacher_top import TeacherTop
from recdistill.candidates.unused import Uniform
from recdistill.objectives.base import Objective, check_not_negative
from recdistill.objectives.listwise import list_loss


@dataclass(frozen=True, slots=True, kw_only=True)
class IRRRDConfig:
    item_weight: float = 1.0
    """Weight of the items' side beside the users'."""

    def __post_init__(self) -> None:
        check_not_negative("ir_rrd", item_weight=self.item_weight)


class IRRRD(Objective):
    """RRD over users + item_weight · RRD over items, whose candidates are users (IR-RRD: Kang et al., 2021).

    Each side is its own mean. `weight` is the users'.
    """

    needs = frozenset({"top_k", "item_lists"})
    config_type = IRRRDConfig
    shown = by_argument({"interesting": TeacherTop(k=20), "uninteresting": Uniform(n=20, apart_from=("interesting",))})
    item_users = 20

    def __init__(self, config: IRRRDConfig | None = None) -> None:
        super().__init__()
        self.config = config or IRRRDConfig()

    def forward(
        self,
        student: Tensor,
        interesting: Tensor,
        uninteresting: Tensor,
        student_item: Tensor,
        item_interesting: Tensor,
        item_uninteresting: Tensor,
        *,
        interesting_mask: Tensor | None = None,
        uninteresting_mask: Tensor | None = None,
        item_interesting_mask: Tensor | None = None,
        item_uninteresting_mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """student (users, candidate items) and student_item (items, candidate users): scores; the lists index them."""
        users = list_loss(student, interesting, uninteresting, interesting_mask, uninteresting_mask, weight)
        items = list_loss(
            student_item, item_interesting, item_uninteresting, item_interesting_mask, item_uninteresting_mask, None
        )
        return users + self.config.item_weight * items
