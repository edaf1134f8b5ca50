"""What a client is told when a request is not answered: a status, a code for programs, one line for people."""

from __future__ import annotations

import json
from typing import Any

import orjson

from recdistill.errors import ConfigError, DataError, RecdistillError
from recdistill.serving.events import EventsError

Header = tuple[bytes, bytes]
SHOWN = 80
"""Characters of what was found that an error repeats."""


class Refusal(Exception):
    """Becomes {"error": {"code", "message", "request_id"}}."""

    def __init__(self, status: int, code: str, message: str, *headers: Header) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers


def invalid(where: str, want: str, found: Any, cure: str = "") -> Refusal:
    """What a field must be, and what it was instead."""
    message = f"{where}: must be {want}, found {shown(found)}." + (f" {cure}" if cure else "")
    return Refusal(422, "invalid", message)


def shown(value: Any) -> str:
    """The value as JSON, cut where it is long."""
    if isinstance(value, (list, dict)) and len(value) > SHOWN:
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = json.dumps(_shallow(value), ensure_ascii=False)  # not orjson: an integer may have any length
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _shallow(value: Any, depth: int = 3) -> Any:
    """Lists within lists to a depth that can be written, and is enough to see what was meant."""
    if not isinstance(value, (list, dict)) or not value:
        return value
    if not depth:
        return "…"
    if isinstance(value, list):
        return [_shallow(one, depth - 1) for one in value]
    return {name: _shallow(one, depth - 1) for name, one in value.items()}


def of_error(error: RecdistillError) -> Refusal:
    """What the Python API refused: an id that is not there, or a thing that this model cannot do."""
    line = " ".join(str(error).split())
    if isinstance(error, EventsError):
        return Refusal(503, "events", line, (b"retry-after", b"1"))
    if isinstance(error, DataError):
        return Refusal(404, "unknown_id", line)
    return Refusal(409, "not_possible" if isinstance(error, ConfigError) else "refused", line)


def body(refusal: Refusal, request_id: str) -> bytes:
    return orjson.dumps({"error": {"code": refusal.code, "message": refusal.message, "request_id": request_id}})
