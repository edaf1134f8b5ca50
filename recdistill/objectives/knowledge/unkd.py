"""Unbiased distillation: pairs of items of about the same popularity."""

from __future__ import annotations

from recdistill.candidates.base import by_argument
from recdistill.candidates.groups import PopularityPairs
from recdistill.objectives.labels.bpr import BPR


class UnKD(BPR):
    """Mean over pairs drawn inside popularity groups of -log σ(s_higher - s_lower) (UnKD: Chen et al., 2023).

    Items are split into groups of equal total popularity; in every group pairs are drawn from the teacher's order,
    so that popularity cannot explain it. A user's pairs of all groups are averaged together.
    """

    needs = frozenset({"top_k"})
    shown = by_argument({("higher", "lower"): PopularityPairs()})
