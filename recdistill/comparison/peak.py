"""The most memory that was resident while a piece of work was done."""

from __future__ import annotations

import re
import resource
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc/self")


def forget_peak() -> None:
    """Begin anew, where the system can; elsewhere the peak is that of the whole process."""
    with suppress(OSError):
        (PROC / "clear_refs").write_text("5")


def peak_bytes() -> int:
    """Since `forget_peak`; what was held before it and still is counts."""
    with suppress(OSError):
        found = re.search(r"^VmHWM:\s+(\d+) kB", (PROC / "status").read_text(), re.MULTILINE)
        if found:
            return 1024 * int(found[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
