"""The forms that a trained model takes when it answers, by the name that stands in an artifact's config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recdistill.registry import Registry
from recdistill.serving.bag import BagScorer
from recdistill.serving.base import Scorer
from recdistill.serving.deep_bag import DeepBagScorer
from recdistill.serving.ensemble import EnsembleScorer
from recdistill.serving.fold_in import FoldInScorer
from recdistill.serving.graph_filter import GraphFilterScorer
from recdistill.serving.histories import Histories
from recdistill.serving.item_to_item import ItemScorer
from recdistill.serving.linear_fold_in import LinearFoldInScorer
from recdistill.serving.low_rank import LowRankScorer
from recdistill.serving.reranked import RerankedScorer
from recdistill.serving.self_attention import SelfAttentionScorer

__all__ = [
    "FORMS", "BagScorer", "DeepBagScorer", "EnsembleScorer", "FoldInScorer", "GraphFilterScorer", "Histories",
    "ItemScorer", "LinearFoldInScorer", "LowRankScorer", "RerankedScorer", "Scorer", "SelfAttentionScorer",
    "scorer_from_arrays",
]  # fmt: skip

FORMS: Registry[type[Scorer]] = Registry("scorer form")
for _form in (
    BagScorer,
    DeepBagScorer,
    ItemScorer,
    FoldInScorer,
    GraphFilterScorer,
    LinearFoldInScorer,
    LowRankScorer,
    EnsembleScorer,
    RerankedScorer,
    SelfAttentionScorer,
):
    FORMS.register(_form.form, _form)


def scorer_from_arrays(config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Scorer:
    """The scorer that `Scorer.config` and `Scorer.arrays` describe, of whichever form."""
    return FORMS[str(config.get("form"))].from_arrays(config, arrays)
