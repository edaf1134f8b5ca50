"""The forms that a trained model takes when it answers, by the name that stands in an artifact's config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recdistill.registry import Registry
from recdistill.serving.bag import BagScorer
from recdistill.serving.base import Scorer
from recdistill.serving.fold_in import FoldInScorer
from recdistill.serving.histories import Histories
from recdistill.serving.item_to_item import ItemScorer

__all__ = ["FORMS", "BagScorer", "FoldInScorer", "Histories", "ItemScorer", "Scorer", "scorer_from_arrays"]

FORMS: Registry[type[Scorer]] = Registry("scorer form")
for _form in (BagScorer, ItemScorer, FoldInScorer):
    FORMS.register(_form.form, _form)


def scorer_from_arrays(config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Scorer:
    """The scorer that `Scorer.config` and `Scorer.arrays` describe, of whichever form."""
    return FORMS[str(config.get("form"))].from_arrays(config, arrays)
