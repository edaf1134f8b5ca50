"""The models that a config or the command line can name."""

from __future__ import annotations

from recdistill.models.als import ALS
from recdistill.models.base import Ranker
from recdistill.models.deep_tower import DeepTower
from recdistill.models.ease import EASE
from recdistill.models.ensemble import Ensemble
from recdistill.models.graph_filter import GraphFilter
from recdistill.models.lightgcn import LightGCN
from recdistill.models.matrix_factorisation import MatrixFactorisation
from recdistill.models.popularity import Popularity
from recdistill.models.reranked import Reranked
from recdistill.models.self_attention import SelfAttention
from recdistill.models.svd import SVD
from recdistill.models.two_tower import TwoTower
from recdistill.registry import Registry

MODELS: Registry[type[Ranker]] = Registry("model")
for _model in (
    TwoTower,
    EASE,
    ALS,
    Popularity,
    SVD,
    GraphFilter,
    MatrixFactorisation,
    LightGCN,
    DeepTower,
    Ensemble,
    Reranked,
    SelfAttention,
):
    MODELS.register(_model.kind, _model)
