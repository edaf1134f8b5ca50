"""The student behind HTTP: an ASGI service on uvicorn, lean enough that the model is most of what a request costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recdistill.serving.http.service import Service
    from recdistill.serving.http.settings import Limits, Settings

__all__ = ["Limits", "Service", "Settings"]


def __getattr__(name: str) -> Any:
    if name == "Service":
        from recdistill.serving.http.service import Service

        return Service
    if name in __all__:
        from recdistill.serving.http import settings

        return getattr(settings, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
