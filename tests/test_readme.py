"""What the README shows works, and what it claims is a committed result."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from recdistill.cli.main import main
from tests.conftest import tiny_frame

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def test_every_block_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_frame().rename(columns={"user_id": "userId", "item_id": "movieId"}).to_csv("ratings.csv", index=False)
    commands = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("recdistill ")]
    assert len(commands) >= 4
    for command in commands:
        assert main(shlex.split(command, comments=True)[1:]) == 0, command
    namespace: dict[str, object] = {}
    python = blocks("python")
    assert len(python) >= 3
    for block in python:
        exec(block, namespace)
    assert (tmp_path / "artifacts" / "student" / "config.json").is_file()


def test_every_file_that_the_readme_names_is_there() -> None:
    for name in re.findall(r"`((?:objectives|models)/[\w/]+\.py)`", README):
        assert (ROOT / "recdistill" / name).is_file(), name
    for name in re.findall(r"\]\(([\w./]+)\)", README):
        assert (ROOT / name).is_file(), name


def test_the_tables_of_the_readme_are_the_committed_results() -> None:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
    assert spec is not None and spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    assert tables.filled(README) == README, "run python benchmarks/tables.py"
    assert README.count("| **student**") >= 1
