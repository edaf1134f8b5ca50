"""Logs as JSON lines on stderr: one object each, with the time, the level, the process and what happened."""

from __future__ import annotations

import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

import orjson

LOG = logging.getLogger("recdistill.serving")


class JsonLines(logging.Formatter):
    """Whatever is passed as `extra={"fields": {…}}` stands beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "pid": os.getpid(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def to_stderr() -> None:
    """Every log of this process, uvicorn's too, in this form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers, root.level = [handler], logging.INFO
    sys.unraisablehook = _ignored
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # its news of start and end are told here already


def _ignored(told: sys.UnraisableHookArgs) -> None:
    """What Python itself would print of an error that nobody can take, as where an object is deleted."""
    error = None if told.exc_value is None else (told.exc_type, told.exc_value, told.exc_traceback)
    LOG.warning(told.err_msg or "an error was ignored", exc_info=error, extra={"fields": {"where": repr(told.object)}})


def log(message: str, level: int = logging.INFO, **fields: Any) -> None:
    LOG.log(level, message, extra={"fields": fields})
