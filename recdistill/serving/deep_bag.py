"""A user is a bag of items that has gone through a network: the form of deep towers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np

from recdistill.errors import DataError
from recdistill.serving.bag import BagScorer
from recdistill.serving.base import Scorer
from recdistill.serving.histories import Histories
from recdistill.serving.perceptron import Perceptron


@dataclass(frozen=True, eq=False, kw_only=True)
class DeepBagScorer(BagScorer):
    """x = the bag and the user's row as in a bag scorer, of length 1; u = x + f(√d · x), brought to length 1.

    Items are rows, so that a score is a product of vectors as in a bag scorer. x is 0 where nothing is known of a user.
    """

    form: ClassVar[str] = "deep_bag"

    network: Perceptron
    """f, from d numbers to d."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.item_table is None:
            raise DataError("a deep bag scorer needs an item table.")
        if (self.network.inputs, self.network.outputs) != (self.dimension, self.dimension):
            raise DataError(
                f"the network must lead from {self.dimension} numbers to as many, the dimension of the item table; it "
                f"leads from {self.network.inputs} to {self.network.outputs}."
            )

    @classmethod
    def around(cls, bag: BagScorer, network: Perceptron) -> Self:
        """The bag scorer with a network between its bag and its items."""
        return cls(**{field.name: getattr(bag, field.name) for field in fields(BagScorer)}, network=network)

    @property
    def bag(self) -> BagScorer:
        """The same without the network."""
        return BagScorer(**{field.name: getattr(self, field.name) for field in fields(BagScorer)})

    def user_vectors(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        """(batch, dimension) float32; the same bits for a user whatever the batch."""
        users = _of_length_one(super().user_vectors(histories, user_rows))
        users += self.network(users * np.float32(np.sqrt(self.dimension)))
        return _of_length_one(users)

    def query_of(self, items: np.ndarray, user_row: int = -1) -> np.ndarray:
        return Scorer.query_of(self, items, user_row)

    def shares(self, history: Histories, user_row: int, item: int) -> tuple[np.ndarray, float, float]:
        return Scorer.shares(self, history, user_row, item)

    def quantized(self, codec: str) -> Self:
        return replace(super().quantized(codec), network=self.network.quantized(codec))

    @property
    def parameters(self) -> int:
        return super().parameters + self.network.parameters

    def arrays(self) -> dict[str, np.ndarray]:
        return super().arrays() | self.network.arrays()

    def config(self) -> dict[str, Any]:
        found = super().config()
        return {**found, "codecs": {**found["codecs"], **self.network.codecs}}

    @classmethod
    def from_arrays(cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        codecs = config.get("codecs")
        if not isinstance(codecs, Mapping):
            raise DataError(f"codecs must name tables, found {codecs!r}.")
        layers = {name: codec for name, codec in codecs.items() if str(name).startswith("layer_")}
        own = {name: codec for name, codec in codecs.items() if name not in layers}
        inside = {name: array for name, array in arrays.items() if name.startswith("layer_")}
        rest = {name: array for name, array in arrays.items() if name not in inside}
        bag = BagScorer.from_arrays({**config, "codecs": own}, rest)
        return cls.around(bag, Perceptron.from_arrays(layers, inside))

    @classmethod
    def _settings(cls) -> list[Any]:
        return [field for field in super()._settings() if field.name != "network"]


def _of_length_one(rows: np.ndarray) -> np.ndarray:
    """In place; rows of zeros stay."""
    length = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    rows /= np.where(length == 0, np.float32(1), length)
    return rows
