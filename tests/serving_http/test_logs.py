"""Every line on stderr is a JSON object."""

from __future__ import annotations

import json
import subprocess
import sys

IGNORED = """
from recdistill.serving.http import logs
logs.to_stderr()
class Broken:
    def __del__(self):
        raise ValueError("cannot be taken by anybody")
Broken()
logs.log("after it")
"""


def test_an_error_that_python_can_only_print_is_a_line_too() -> None:
    done = subprocess.run([sys.executable, "-c", IGNORED], capture_output=True, text=True, check=True)
    ignored, after = (json.loads(line) for line in done.stderr.splitlines())
    assert ignored["level"] == "warning" and "ValueError: cannot be taken by anybody" in ignored["traceback"]
    assert "__del__" in ignored["where"] and after["message"] == "after it"
