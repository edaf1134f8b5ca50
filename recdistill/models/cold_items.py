"""Items that a log never saw, ranked by their features alone: by the map that a model learned on those it did see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recdistill.artifact import Titles
from recdistill.data.vocab import Vocab
from recdistill.errors import DataError
from recdistill.models.base import KnownBeside, TrainVocab
from recdistill.models.fitted import FittedRanker
from recdistill.serving.additions import with_vectors

if TYPE_CHECKING:
    from recdistill.features import Features
    from recdistill.features.encode import FeatureEncoder
    from recdistill.models.two_tower import TwoTower


class ColdItems(NamedTuple):
    """New items as `Recommender.with_items` takes them."""

    ids: list[Any]
    vectors: np.ndarray
    """float32 (new, d), of the kind that `item_vectors()` gives"""
    bias: np.ndarray
    """float32 (new,)"""
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ItemMap:
    """From the features of an item to its vector and bias."""

    encoder: FeatureEncoder
    weights: np.ndarray
    """float32 (f + 1, d); the last row is that of a 1 beside the features."""
    bias_weights: np.ndarray
    """float32 (f + 1,)"""
    scale: float
    """Length of a vector."""

    def items(self, features: Features) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        """Vectors, biases and notes on what is not known, for every row of `features`."""
        encoded = self.encoder.transform(features)
        whole = with_one(encoded.matrix)
        rows = whole @ self.weights
        length = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
        notes = encoded.notes
        if blank := int(encoded.blank.sum()):
            notes += (f"{features.source}: {blank:,} items have no feature at all: ranked as the average item",)
        return rows * np.float32(self.scale) / np.where(length > 0, length, 1.0), whole @ self.bias_weights, notes


def cold_items(model: TwoTower, features: Features, *, margin: float = 0.0) -> ColdItems:
    """Vectors and biases of the items in `features` that the model's log never saw; those that it saw are left out.

    What is not known of an item is as if it were average. `margin` is taken off the learned biases: a score that rests
    on features alone is surer of itself than it has reason to be, and new items come at the cost of those well known.
    Raises ConfigError where the model was fitted without `item_features`, DataError where no item is new.
    """
    item_map = model.item_map
    vocab = model.train_vocab.items
    known = vocab.rows(features.ids.ids()) >= 0
    new = np.flatnonzero(~known)
    if not len(new):
        raise DataError(f"{features.source}: the model knows all its {len(known):,} items. Give features of new ones.")
    part = features.of(Vocab(features.ids.ids(new)))
    vectors, bias, notes = item_map.items(part)
    if old := len(known) - len(new):
        notes = (f"{features.source}: {old:,} items are in the model's log, and keep what was learned of them", *notes)
    return ColdItems(_spelled_as(vocab, part), vectors, bias - np.float32(margin), notes)


def _spelled_as(vocab: Vocab, features: Features) -> list[Any]:
    """The ids of `features` as numbers or strings, as the model's are."""
    ids: list[Any] = features.ids.ids().tolist()
    if vocab.kind == features.ids.kind:
        return ids
    if vocab.kind == "utf8":
        return [str(one) for one in ids]
    for one in ids:
        if not (one.removeprefix("-").isdecimal() and str(int(one)) == one):
            raise DataError(
                f"{features.source}: the item {one!r} has no number for an id, as the model's items have. Leave it out."
            )
    return [int(one) for one in ids]


def extended(model: TwoTower, items: Features, *, margin: float = 0.0) -> FittedRanker:
    """The model with the new ones of `items` after those that it has: ranked, evaluated, asked and saved among them.

    Evaluate it on a split whose catalogue is `train_vocab.items` of the result. Raises what `cold_items` raises.
    """
    cold, vocab = cold_items(model, items, margin=margin), model.train_vocab
    whole = Vocab([*vocab.items.ids().tolist(), *cold.ids])
    titles, told = model._known_beside
    called = items.titles(whole.subset(np.arange(len(vocab.items), len(whole))))
    if titles is not None or called is not None:
        old = [None] * len(vocab.items) if titles is None else [titles[row] for row in range(len(titles))]
        titles = Titles.of([*old, *(called or [None] * len(cold.ids))])
    return FittedRanker(
        with_vectors(model.scorer, cold.vectors, cold.bias), TrainVocab(vocab.users, whole), kind=model.kind,
        settings=model.settings(), trained_on=model._trained_on, softmax_scores=model.softmax_scores,
        known_beside=KnownBeside(titles, told),
    )  # fmt: skip


def with_one(features: np.ndarray) -> np.ndarray:
    """float32 (n, f + 1)"""
    return np.hstack([features, np.ones((len(features), 1), np.float32)])
