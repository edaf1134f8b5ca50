"""Importing is cheap and honest."""

from __future__ import annotations

import subprocess
import sys

import pytest

import recdistill

HEAVY = ("torch", "pandas", "pyarrow", "scipy", "implicit", "matplotlib", "jinja2", "faiss")


@pytest.mark.parametrize("module", ["recdistill", "recdistill.serving", "recdistill.cli.main"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


@pytest.mark.parametrize("name", sorted(set(recdistill.__all__)))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(recdistill, name) is not None
    assert name in dir(recdistill)


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = recdistill.nothing
