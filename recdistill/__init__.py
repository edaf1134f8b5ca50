"""recdistill: train a large recommender, distil it into a compact student, compare the two, embed the student.

The names below are loaded when they are first used: importing the package loads neither torch nor pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "read_interactions": "recdistill.data.readers",
    "read_features": "recdistill.features",
    "read_vectors": "recdistill.features",
    "attach": "recdistill.features",
    "Interactions": "recdistill.data.interactions",
    "HeldOut": "recdistill.data.interactions",
    "Vocab": "recdistill.data.vocab",
    "Split": "recdistill.data.splits",
    "Ranker": "recdistill.models.base",
    "TwoTower": "recdistill.models.two_tower",
    "DeepTower": "recdistill.models.deep_tower",
    "EASE": "recdistill.models.ease",
    "ALS": "recdistill.models.als",
    "SVD": "recdistill.models.svd",
    "Popularity": "recdistill.models.popularity",
    "MatrixFactorisation": "recdistill.models.matrix_factorisation",
    "LightGCN": "recdistill.models.lightgcn",
    "GraphFilter": "recdistill.models.graph_filter",
    "Ensemble": "recdistill.models.ensemble",
    "Reranked": "recdistill.models.reranked",
    "SelfAttention": "recdistill.models.self_attention",
    "Knowledge": "recdistill.knowledge.store",
    "distill": "recdistill.knowledge.distill",
    "Checkpoints": "recdistill.training.checkpoint",
    "compress": "recdistill.compression.convert",
    "evaluate": "recdistill.evaluation.evaluate",
    "Recommender": "recdistill.serving.recommender",
    "run": "recdistill.runs.pipeline",
    "RunConfig": "recdistill.runs.config",
    "tune": "recdistill.search.tune",
    "TuneResult": "recdistill.search.result",
    "RecdistillError": "recdistill.errors",
    "ArtifactError": "recdistill.errors",
    "ConfigError": "recdistill.errors",
    "DataError": "recdistill.errors",
    "KnowledgeError": "recdistill.errors",
}
_MODULES = {"split": "recdistill.data.splits", "filters": "recdistill.data.filters"}

__all__ = ["__version__", *_HOMES, *_MODULES]

if TYPE_CHECKING:
    from recdistill.compression.convert import compress
    from recdistill.data import filters
    from recdistill.data import splits as split
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.data.readers import read_interactions
    from recdistill.data.splits import Split
    from recdistill.data.vocab import Vocab
    from recdistill.errors import ArtifactError, ConfigError, DataError, KnowledgeError, RecdistillError
    from recdistill.evaluation.evaluate import evaluate
    from recdistill.features import attach, read_features, read_vectors
    from recdistill.knowledge.distill import distill
    from recdistill.knowledge.store import Knowledge
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
    from recdistill.runs.config import RunConfig
    from recdistill.runs.pipeline import run
    from recdistill.search.result import TuneResult
    from recdistill.search.tune import tune
    from recdistill.serving.recommender import Recommender
    from recdistill.training.checkpoint import Checkpoints


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'recdistill' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
