"""The objectives by the name that stands in a config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from recdistill.errors import ConfigError
from recdistill.objectives.base import Objective
from recdistill.objectives.knowledge.cd import CD
from recdistill.objectives.knowledge.dcd import DCD
from recdistill.objectives.knowledge.hard_labels import HardLabelsBPR, HardLabelsSoftmax, HardLabelsSoftplus
from recdistill.objectives.knowledge.hetcomp import HetCompOverall, HetCompRanking
from recdistill.objectives.knowledge.ir_rrd import IRRRD
from recdistill.objectives.knowledge.js import JS
from recdistill.objectives.knowledge.margin_mse import MarginMSE
from recdistill.objectives.knowledge.mutual import MutualBCE, MutualKL
from recdistill.objectives.knowledge.plackett_luce import PlackettLuce
from recdistill.objectives.knowledge.rce_kd import RCEKD
from recdistill.objectives.knowledge.rd import RD
from recdistill.objectives.knowledge.reverse_kl import ReverseKL
from recdistill.objectives.knowledge.rrd import RRD
from recdistill.objectives.knowledge.soft_bce import SoftBCE
from recdistill.objectives.knowledge.soft_kl import SoftKL
from recdistill.objectives.knowledge.soft_kl_topk import SoftKLTopK
from recdistill.objectives.knowledge.standardised_kl import StandardisedKL
from recdistill.objectives.knowledge.unkd import UnKD
from recdistill.objectives.labels.bce import BCE
from recdistill.objectives.labels.bpr import BPR
from recdistill.objectives.labels.bsl import BSL
from recdistill.objectives.labels.sampled_softmax import SampledSoftmax
from recdistill.objectives.labels.softmax import Softmax
from recdistill.objectives.vectors.de import DE
from recdistill.objectives.vectors.fitnet import FitNet
from recdistill.objectives.vectors.freqd import FreqD
from recdistill.objectives.vectors.ftd import FTD
from recdistill.objectives.vectors.htd import HTD
from recdistill.objectives.vectors.owned import OwningObjective
from recdistill.objectives.vectors.pckd import PCKDList, PCKDPair
from recdistill.objectives.vectors.rkd import RKDDistance, RKDGram
from recdistill.registry import Registry
from recdistill.settings import from_mapping

OBJECTIVES: Registry[type[Objective]] = Registry("objective")
OBJECTIVES.register("softmax", Softmax)
OBJECTIVES.register("sampled_softmax", SampledSoftmax)
OBJECTIVES.register("bpr", BPR)
OBJECTIVES.register("bce", BCE)
OBJECTIVES.register("bsl", BSL)
OBJECTIVES.register("hard_labels", HardLabelsSoftplus)  # a name without a form is the form that the paper gives first
OBJECTIVES.register("hard_labels_softplus", HardLabelsSoftplus)
OBJECTIVES.register("hard_labels_softmax", HardLabelsSoftmax)
OBJECTIVES.register("hard_labels_bpr", HardLabelsBPR)
OBJECTIVES.register("soft_kl", SoftKL)
OBJECTIVES.register("soft_kl_topk", SoftKLTopK)
OBJECTIVES.register("reverse_kl", ReverseKL)
OBJECTIVES.register("js", JS)
OBJECTIVES.register("standardised_kl", StandardisedKL)
OBJECTIVES.register("soft_bce", SoftBCE)
OBJECTIVES.register("rd", RD)
OBJECTIVES.register("cd", CD)
OBJECTIVES.register("rrd", RRD)
OBJECTIVES.register("ir_rrd", IRRRD)
OBJECTIVES.register("dcd", DCD)
OBJECTIVES.register("unkd", UnKD)
OBJECTIVES.register("margin_mse", MarginMSE)
OBJECTIVES.register("plackett_luce", PlackettLuce)
OBJECTIVES.register("rce_kd", RCEKD)
OBJECTIVES.register("hetcomp", HetCompRanking)
OBJECTIVES.register("hetcomp_overall", HetCompOverall)
OBJECTIVES.register("hetcomp_ranking", HetCompRanking)
OBJECTIVES.register("mutual", MutualBCE)
OBJECTIVES.register("mutual_bce", MutualBCE)
OBJECTIVES.register("mutual_kl", MutualKL)
OBJECTIVES.register("fitnet", FitNet)
OBJECTIVES.register("de", DE)
OBJECTIVES.register("ftd", FTD)
OBJECTIVES.register("htd", HTD)
OBJECTIVES.register("rkd_distance", RKDDistance)
OBJECTIVES.register("rkd_gram", RKDGram)
OBJECTIVES.register("pckd", PCKDList)
OBJECTIVES.register("pckd_list", PCKDList)
OBJECTIVES.register("pckd_pair", PCKDPair)
OBJECTIVES.register("freqd", FreqD)


def build(
    name: str,
    settings: Mapping[str, Any] | None = None,
    *,
    student_dim: int | None = None,
    teacher_dim: int | None = None,
    generator: torch.Generator | None = None,
) -> Objective:
    """The objective of a config: its name and settings; the widths and a generator for one that owns parameters.

    Raises ConfigError for an unknown name or setting, and where an objective with projectors is not told the widths.
    """
    kind = OBJECTIVES[name]
    new: Callable[..., Objective] = kind
    if kind.config_type is not None:
        new = partial(new, from_mapping(kind.config_type, settings or {}, name))
    elif settings:
        raise ConfigError(f"{name}: has no settings, found {', '.join(settings)}; leave them out.")
    if not issubclass(kind, OwningObjective):
        return new()
    if student_dim is None or teacher_dim is None or generator is None:
        raise ConfigError(f"{name}: owns projectors; give student_dim, teacher_dim and a generator.")
    return new(student_dim=student_dim, teacher_dim=teacher_dim, generator=generator)
