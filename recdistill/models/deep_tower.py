"""The deep tower: a two-tower model whose users go through a network before they meet the items."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from recdistill.errors import ConfigError
from recdistill.models.two_tower import TwoTower, TwoTowerConfig
from recdistill.models.two_tower_rules import LogFacts, TwoTowerPlan, plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from recdistill.models.towers import Towers

BYTES_PER_PARAMETER = 20
"""The number, its gradient, two moments, and the scorer's copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepTowerConfig(TwoTowerConfig):
    """The two-tower's settings and rules, and how deep it is."""

    hidden: tuple[int, ...] = (512,)
    """Widths of the hidden layers, from the bag on."""

    def __post_init__(self) -> None:
        try:
            TwoTowerConfig.__post_init__(self)
        except ConfigError as error:
            raise ConfigError(str(error).replace("two_tower", "deep_tower", 1)) from None
        if self.nested is not None:
            raise ConfigError(
                f"deep_tower: nested = {list(self.nested)}: what comes out of its network is not cut. Leave it out, "
                "or use two_tower."
            )
        if self.pruned_by == "dimensions":
            raise ConfigError(
                "deep_tower: pruned_by = 'dimensions': its network has the dimensions that it starts with. Prune "
                "values or rows, or use two_tower."
            )
        if not self.hidden or min(self.hidden) < 1:
            raise ConfigError(
                f"deep_tower: hidden = {list(self.hidden)}: give the width of at least one layer, from 1."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepTowerPlan(TwoTowerPlan):
    hidden: tuple[int, ...]


class DeepTower(TwoTower):
    """User = x + f(x), x the two-tower's user and f a perceptron, item = a row; logit = cosine / τ + bias.

    The user's side of Covington et al., 2016, as a residual: f starts at 0, so that training starts as the two-tower's.
    """

    kind: ClassVar[str] = "deep_tower"
    label: ClassVar[str] = "deep tower"
    about: ClassVar[str] = "histories through a network"
    meaning: ClassVar[str] = (
        "A user is the sum of vectors of the history, changed by a small network; a score is a product of vectors."
    )
    Config: ClassVar[type] = DeepTowerConfig
    config: DeepTowerConfig

    def memory_bytes(self, *, n_items: int, n_users: int, n_rows: int) -> int:
        rule = self._plan(self.config, LogFacts(n_users, n_items, n_rows), distilled=False)
        rows = n_items * (1 if rule.tied else 2) + (n_users if rule.user_id else 0)
        widths = (rule.dim, *rule.hidden, rule.dim)
        inside = sum(width * (1 + before) for before, width in pairwise(widths))
        used = rule.batch_users * n_rows // max(1, n_users)
        shown = n_items if rule.negatives is None else min(n_items, rule.negatives + used)
        return BYTES_PER_PARAMETER * (rule.dim * rows + inside) + 3 * 4 * rule.batch_users * shown + 48 * n_rows

    def _plan(self, config: TwoTowerConfig, facts: LogFacts, *, distilled: bool) -> DeepTowerPlan:
        assert isinstance(config, DeepTowerConfig)
        return DeepTowerPlan(**asdict(plan(config, facts, distilled=distilled)), hidden=config.hidden)

    def _towers(self, plan: TwoTowerPlan, seed: int) -> Callable[..., Towers]:
        from recdistill.models.deep_tower_training import DeepTowers

        assert isinstance(plan, DeepTowerPlan)
        return partial(DeepTowers, hidden=plan.hidden, seed=seed)
