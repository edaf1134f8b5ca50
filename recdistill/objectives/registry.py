"""The objectives by the name that stands in a config."""

from __future__ import annotations

from recdistill.objectives.base import Objective
from recdistill.objectives.knowledge.hard_labels import HardLabelsBPR, HardLabelsSoftmax, HardLabelsSoftplus
from recdistill.objectives.knowledge.soft_kl import SoftKL
from recdistill.objectives.knowledge.soft_kl_topk import SoftKLTopK
from recdistill.objectives.labels.softmax import Softmax
from recdistill.registry import Registry

OBJECTIVES: Registry[type[Objective]] = Registry("objective")
OBJECTIVES.register("softmax", Softmax)
OBJECTIVES.register("hard_labels_softplus", HardLabelsSoftplus)
OBJECTIVES.register("hard_labels_softmax", HardLabelsSoftmax)
OBJECTIVES.register("hard_labels_bpr", HardLabelsBPR)
OBJECTIVES.register("soft_kl", SoftKL)
OBJECTIVES.register("soft_kl_topk", SoftKLTopK)
