"""What the README shows works, and what it claims is a committed result."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from recdistill.cli.main import main
from recdistill.search import budget
from tests.conftest import tiny_frame

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@contextmanager
def served(words: list[str]) -> Iterator[str]:
    """Where the service answers, at a port that is free."""
    command = [sys.executable, "-m", "recdistill.cli.main", "serve", *words, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        try:
            yield found[0]
        finally:
            process.terminate()


def asked(curl: list[str], place: str) -> bool:
    """What the line asks of port 8000, asked of where the service is."""
    body, path = curl[curl.index("-d") + 1], curl[-1].removeprefix("localhost:8000")
    request = urllib.request.Request(place + path, body.encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:  # raises for what is refused
        return bool(json.load(answer))


def test_every_block_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(budget, "MOST_TRIALS", 3)  # of a search that may take minutes
    log = tiny_frame().rename(columns={"user_id": "userId", "item_id": "movieId"})
    log["movieId"] = log["movieId"].astype(str).str.extract(r"(\d+)", expand=False).astype(int)
    log["timestamp"] += 1_500_000_000
    log.to_csv("ratings.csv", index=False)
    words = [shlex.split(line, comments=True) for block in blocks("sh") for line in block.splitlines()]
    assert {"run", "recommend", "serve", "events", "index"} <= {line[1] for line in words if line[:1] == ["recdistill"]}
    with ExitStack() as running:
        place = ""
        for line in words:
            if line[:2] == ["recdistill", "serve"]:
                place = running.enter_context(served(line[2:]))
            elif line[:1] == ["recdistill"]:
                assert main(line[1:]) == 0, line
            elif line[:1] == ["curl"]:
                assert asked(line, place)
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
    methods = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert tables.measured(methods) == methods, "run python benchmarks/tables.py"
    assert README.count("| **student**") >= 1
