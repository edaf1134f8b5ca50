"""The half that answers: numpy and safetensors alone, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recdistill.serving.recommender import Recommendation, Recommender

__all__ = ["Recommendation", "Recommender"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from recdistill.serving import recommender

        return getattr(recommender, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
