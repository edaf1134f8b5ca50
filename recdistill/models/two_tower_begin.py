"""A two-tower model that goes on from another's rows: what lies between the phases of a training."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import torch

from recdistill.compression.rotation import rotation
from recdistill.errors import ConfigError
from recdistill.serving.bag import BagScorer
from recdistill.tables.codecs import CODECS
from recdistill.tables.coded import CodedTied
from recdistill.tables.composed import ComposedTied
from recdistill.tables.full import FullTables
from recdistill.tables.tied import TiedTable

if TYPE_CHECKING:
    from recdistill.models.towers import Towers
    from recdistill.serving.base import Scorer

ROW_LENGTH = 0.1
"""Times √d: what rows that are ranked start with, as in `training.start`; their length is lost in what is served."""


def checked_begin(scorer: Scorer, *, dim: int, n_items: int) -> BagScorer:
    """The scorer, where a history-only two-tower of this size can go on from it."""
    if not isinstance(scorer, BagScorer) or scorer.item_table is None or not scorer.normalize:
        raise ConfigError(
            "two_tower: it can only go on from a two-tower model. Give the one that was trained before, as it is."
        )
    if scorer.user_table is not None:
        raise ConfigError(
            "two_tower: it cannot go on from a model with rows of users. Give one made with user_id = false."
        )
    if (scorer.n_items, scorer.dimension) != (n_items, dim):
        raise ConfigError(
            f"two_tower: the model to go on from has {scorer.n_items} items of dim {scorer.dimension}, this one "
            f"{n_items} of dim {dim}. Train both on the same log, with the same dim."
        )
    return scorer


def sha256_of_begin(scorer: BagScorer) -> str:
    """Of all its arrays: a training that goes on from others is another training."""
    digest = hashlib.sha256()
    for name, array in sorted(scorer.arrays().items()):
        digest.update(name.encode() + str(array.dtype).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@torch.no_grad()
def go_on_from(towers: Towers, scorer: BagScorer, generator: np.random.Generator) -> None:
    """Puts the scorer's rows, biases and weights of places where the towers' training starts; before a grid the rows
    are turned at random, as drawn, unless they come from one."""
    assert scorer.item_table is not None
    items = scorer.item_table.matrix()
    history = items if scorer.history_table is None else scorer.history_table.matrix()
    if scorer.history_weight is not None:
        history = history * scorer.history_weight.astype(np.float32)[:, None]
    if isinstance(towers.tables, CodedTied | ComposedTied):
        codec = towers.tables.codec if isinstance(towers.tables, ComposedTied) else towers.tables.codec.codec
        if CODECS[codec].rotated and not CODECS[scorer.item_table.codec].rotated:
            history = history @ rotation(history.shape[1], generator)
        towers.tables.take(torch.from_numpy(history.astype(np.float32)))
    elif isinstance(towers.tables, TiedTable):
        towers.tables.rows.copy_(torch.from_numpy(history))
    elif isinstance(towers.tables, FullTables):
        towers.tables.history.copy_(torch.from_numpy(history))
        towers.tables.items.copy_(torch.from_numpy(items * np.float32(ROW_LENGTH * items.shape[1] ** 0.5)))
    else:
        raise ConfigError(
            "two_tower: two coded tables, and one that is pruned, start from the teacher or the log. Use "
            "table = 'tied' without pruned."
        )
    if scorer.item_bias is not None:
        towers.bias.copy_(torch.from_numpy(scorer.item_bias.astype(np.float32)))
    if towers.places is not None and scorer.place_weight is not None:
        towers.places.take(torch.from_numpy(scorer.place_weight.astype(np.float32)))
