"""Items that a log never saw, ranked by their features alone: by the map that a model learned on those it did see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recdistill.artifact import Titles
from recdistill.data.vocab import Vocab
from recdistill.data.widened import is_number
from recdistill.errors import DataError
from recdistill.features.item_map import ItemMap, with_one
from recdistill.models.base import KnownBeside, Ranker, TrainVocab
from recdistill.models.fitted import FittedRanker
from recdistill.serving.additions import with_vectors

if TYPE_CHECKING:
    from recdistill.features import Features

__all__ = ["ColdItems", "ItemMap", "cold_items", "extended", "with_one"]


class ColdItems(NamedTuple):
    """New items as `Recommender.with_items` takes them."""

    ids: list[Any]
    vectors: np.ndarray
    """float32 (new, d), of the kind that `item_vectors()` gives"""
    bias: np.ndarray
    """float32 (new,)"""
    notes: tuple[str, ...]


def cold_items(item_map: ItemMap, vocab: Vocab, features: Features, *, margin: float = 0.0) -> ColdItems:
    """Vectors and biases of the items in `features` that `vocab` lacks, the items of a model; its own are left out.

    What is not known of an item is as if it were average. `margin` is taken off the learned biases: a score that rests
    on features alone is surer of itself than it has reason to be, and new items come at the cost of those well known.
    Raises DataError where no item is new.
    """
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
        if not is_number(one):
            raise DataError(
                f"{features.source}: the item {one!r} has no number for an id, as the model's items have. Leave it out."
            )
    return [int(one) for one in ids]


def extended(model: Ranker, items: Features, *, margin: float = 0.0) -> FittedRanker:
    """The model with the new ones of `items` after those that it has: ranked, evaluated, asked and saved among them.

    Evaluate it on `split.widened(result.train_vocab.items)`. Raises what `cold_items` raises, and ConfigError where the
    model has not learned from features.
    """
    vocab = model.train_vocab
    cold = cold_items(model.item_map, vocab.items, items, margin=margin)
    whole = Vocab([*vocab.items.ids().tolist(), *cold.ids])
    titles, told, item_map = model._known_beside
    called = items.titles(whole.subset(np.arange(len(vocab.items), len(whole))))
    if titles is not None or called is not None:
        old = [None] * len(vocab.items) if titles is None else [titles[row] for row in range(len(titles))]
        titles = Titles.of([*old, *(called or [None] * len(cold.ids))])
    return FittedRanker(
        with_vectors(model.scorer, cold.vectors, cold.bias), TrainVocab(vocab.users, whole), kind=model.kind,
        settings=model.settings(), trained_on=model._trained_on, softmax_scores=model.softmax_scores,
        known_beside=KnownBeside(titles, told, item_map),
    )  # fmt: skip
