"""The two towers in torch: what users and items are made of, and what is left of them to serve."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from recdistill.models.two_tower_features import FeatureRows
from recdistill.models.two_tower_order import PlaceWeights
from recdistill.serving.scorers import BagScorer
from recdistill.tables.codec_names import composed
from recdistill.tables.codecs import CodedTable
from recdistill.tables.coded import CodedFull, CodedTied
from recdistill.tables.composed import ComposedTied
from recdistill.tables.full import FullTables
from recdistill.tables.pruned import PrunedTied
from recdistill.tables.tied import TiedTable
from recdistill.training.bags import bag_sum, weighed_bag_sum
from recdistill.training.batches import Batch

HISTORY_POWER = 0.5
"""A bag is divided by the root of the history's length: it grows beside the user's own row as more is known."""

USERS_BY_ROWS = 200_000
"""Users from which a step changes only the rows of those in it: each has one gradient in an epoch of hundreds of
steps, and Adam on all of them takes longer than the rest of a step (`benchmarks/growth.py`)."""


class Towers(nn.Module):
    """User = bag of history rows (+ own row), item = row; both are brought to length 1."""

    def __init__(
        self,
        items: Tensor,
        users: Tensor | None,
        *,
        tied: bool,
        tau: float,
        item_side: FeatureRows | None = None,
        user_side: FeatureRows | None = None,
        ordered: bool = False,
        codec: str | None = None,
        learned_step: bool = False,
        pruned: tuple[str, float] | None = None,
        counts: Tensor | None = None,
    ) -> None:
        """`items` and `users` are what the rows start as, what the sides say of them included; a `codec` is one to
        train through, without sides; `pruned`: what by, and the share of it that goes; `counts` (n_items,): how often
        items were used."""
        super().__init__()
        own = items if item_side is None else items - item_side.rows().detach()
        self.tables: TiedTable | FullTables | CodedTied | CodedFull | ComposedTied | PrunedTied
        if codec is not None and pruned is not None:
            self.tables = PrunedTied(items, codec, by=pruned[0], share=pruned[1], learned=learned_step)
        elif codec is not None and composed(codec):
            self.tables = ComposedTied(items, codec)
        elif codec is not None:
            made = CodedTied(items, codec, learned=learned_step, counts=counts) if tied else None
            self.tables = made or CodedFull(items, items, codec, learned=learned_step, counts=counts)
        else:
            self.tables = TiedTable(own) if tied else FullTables(own, items)
        if users is not None and user_side is not None:
            users = users - user_side.rows().detach()
        self.users = None if users is None else nn.Parameter(users.clone())
        self.bias = nn.Parameter(torch.zeros(len(items)))
        self.tau = tau
        self.item_side, self.user_side = item_side, user_side
        self.places = PlaceWeights() if ordered else None

    def forward(self, batch: Batch, kept: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Users (batch, d) and items (n_items, d) and biases such that logit = user · item + bias.

        `kept` (n_items, 1) is 0 for items that are ranked by their features alone.
        """
        if batch.shown is not None:
            return self._among(batch, batch.shown.items)
        said = None if self.item_side is None else self.item_side.rows()
        users = self._bag(self._history(said), batch)
        if self.users is not None:
            seldom = len(self.users) >= USERS_BY_ROWS
            users = users + (embedding(batch.users, self.users, sparse=True) if seldom else self.users[batch.users])
            if self.user_side is not None:
                users = users + self.user_side.rows(batch.users)
        return normalize(users, dim=1) / self.tau, *self._items(said, kept)

    def _bag(self, history: Tensor, batch: Batch) -> Tensor:
        """(batch, d) sums of history rows, weighed by their places where order counts."""
        if self.places is None or batch.places is None:
            return bag_sum(history, batch.bags)
        return weighed_bag_sum(history, self.places(batch.places), batch.bags)

    def _history(self, said: Tensor | None) -> Tensor:
        """Rows of histories: where they are tied, with what features say, whatever is kept of the ranked ones."""
        rows = self.tables.history_rows()
        return rows if said is None or not isinstance(self.tables, TiedTable) else rows + said

    def _items(self, said: Tensor | None, kept: Tensor | None) -> tuple[Tensor, Tensor]:
        """Items of length 1, and biases."""
        if self.item_side is None or said is None:
            return self.tables.item_rows(), self.bias
        own: Tensor = self._own()
        bias: Tensor = self.bias
        if kept is not None:
            own, bias = own * kept, bias * kept[:, 0]
        return normalize(own + said, dim=1), bias + self.item_side.biases()

    def _among(self, batch: Batch, shown: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same of a sample of the items; the gradients of tables are of the rows in it."""
        history, items = self.tables.among(shown)
        users = self._bag(history, batch)
        if self.users is not None:
            users = users + embedding(batch.users, self.users, sparse=True)
            if self.user_side is not None:
                users = users + self.user_side.rows(batch.users)
        return normalize(users, dim=1) / self.tau, items, self.bias[shown]

    def by_rows(self) -> list[nn.Parameter]:
        """Tables of which a step over a sample of the items touches a few rows."""
        return [one for name, one in self.tables.named_parameters() if "codec" not in name]

    def seldom(self, *, sampled: bool) -> list[nn.Parameter]:
        """The users' own rows, where a step changes those in it alone; `sampled`: over a sample of the items."""
        return [self.users] if self.users is not None and (sampled or len(self.users) >= USERS_BY_ROWS) else []

    def _own(self) -> Tensor:
        assert not isinstance(self.tables, ComposedTied)  # it has no rows of its own, and no sides
        return self.tables.items if isinstance(self.tables, FullTables | CodedFull) else self.tables.rows

    def _whole_tables(self) -> TiedTable | FullTables | CodedTied | CodedFull | ComposedTied | PrunedTied:
        """Tables of the rows with what the features say of them."""
        if self.item_side is None:
            return self.tables
        whole = self._own() + self.item_side.rows()
        return FullTables(whole, self.tables.history) if isinstance(self.tables, FullTables) else TiedTable(whole)

    @torch.no_grad()
    def scorer(self) -> BagScorer:
        """The rows as they are ranked, whatever they are made of."""
        bias = self.bias if self.item_side is None else self.bias + self.item_side.biases()
        exported: dict[str, Tensor | CodedTable] = {**self._whole_tables().export(), "item_bias": bias}
        if self.users is not None:
            exported["user_table"] = self.users if self.user_side is None else self.users + self.user_side.rows()
        if self.places is not None:
            exported["place_weight"] = self.places.export()
        fields = {name: _field(value) for name, value in exported.items()}
        return BagScorer(**fields, normalize=True, history_power=HISTORY_POWER, scale=1.0 / self.tau)  # type: ignore[arg-type]


def _field(value: Tensor | CodedTable) -> CodedTable | np.ndarray:
    if isinstance(value, CodedTable):
        return value
    array = value.detach().float().cpu().numpy().copy()
    return CodedTable.of(array) if array.ndim == 2 else array
