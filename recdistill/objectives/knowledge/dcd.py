"""Dual Correction Distillation: what the student ranks too low goes above what it ranks too high."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from recdistill.candidates.base import by_argument
from recdistill.candidates.student_top import Overestimated, Underestimated
from recdistill.errors import ConfigError
from recdistill.objectives.base import Objective, check_not_negative
from recdistill.objectives.listwise import list_loss


@dataclass(frozen=True, slots=True, kw_only=True)
class DCDConfig:
    item_weight: float = 1.0
    """Weight of the items' side beside the users', where it is given."""

    def __post_init__(self) -> None:
        check_not_negative("dcd", item_weight=self.item_weight)


class DCD(Objective):
    """RRD's loss with underestimated items in their order above overestimated ones (DCD: Lee & Kim, 2021).

    Both are drawn each epoch from the gap between the student's and the teacher's rank, so the student has to rank
    the teacher's items first. The same over items and their users where `student_item` is given, which then needs
    the teacher's item lists. `weight` is the users'.
    """

    needs = frozenset({"top_k"})
    config_type = DCDConfig
    shown = by_argument({"underestimated": Underestimated(), "overestimated": Overestimated()})

    def __init__(self, config: DCDConfig | None = None) -> None:
        super().__init__()
        self.config = config or DCDConfig()

    def forward(
        self,
        student: Tensor,
        underestimated: Tensor,
        overestimated: Tensor,
        student_item: Tensor | None = None,
        item_underestimated: Tensor | None = None,
        item_overestimated: Tensor | None = None,
        *,
        underestimated_mask: Tensor | None = None,
        overestimated_mask: Tensor | None = None,
        item_underestimated_mask: Tensor | None = None,
        item_overestimated_mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """student (users, candidate items) and student_item (items, candidate users): scores; the lists index them."""
        users = list_loss(student, underestimated, overestimated, underestimated_mask, overestimated_mask, weight)
        if student_item is None:
            return users
        if item_underestimated is None or item_overestimated is None:
            raise ConfigError("dcd: student_item is given without both item lists; give them or leave it out.")
        items = list_loss(
            student_item,
            item_underestimated,
            item_overestimated,
            item_underestimated_mask,
            item_overestimated_mask,
            None,
        )
        return users + self.config.item_weight * items
