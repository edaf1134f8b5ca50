"""How many processor cores this process may use."""

from __future__ import annotations

import os


def cores() -> int:
    """Those that the system gives to it, as many as OMP_NUM_THREADS allows."""
    given = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(given, int(asked)) if asked.isdigit() and int(asked) > 0 else given
