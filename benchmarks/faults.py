"""Claim: a fault in a log gives the right result or one line; no traceback, no hang, no silent wrong count.

python benchmarks/faults.py [FILES]     (default 10000 mutated files)
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from common import ROOT, write

sys.path.insert(0, str(ROOT))
from mutations import loose_count, mutated, slow_reading

from tests.data.fault_kinds import FAULTS, Fault

LIMIT = 20.0
"""Seconds that one file may take."""
SAMPLE = 12
"""Kinds that go through a process of their own."""


def by_command_line(folder: Path) -> dict[str, Any]:
    """Every kind of fault through `recdistill data describe`: exit 0, or 2 and one line that names the file."""
    from recdistill.cli.main import main

    wrong, refused = {}, 0
    for name, fault in FAULTS.items():
        words = _words(fault, folder / re.sub(r"\W", "_", name))
        said, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
            try:
                code: Any = main(words)
            except SystemExit as ended:
                code = ended.code
            except BaseException as fault_of_ours:
                code = f"traceback: {fault_of_ours!r}"
        if (found := _wrong(fault, code, errors.getvalue(), words[2])) is not None:
            wrong[name] = found
        refused += code == 2
    return {"kinds": len(FAULTS), "refused_in_one_line": refused, "wrong": wrong}


def by_process(folder: Path) -> dict[str, Any]:
    """Some of them through a process, for its exit code and all that it prints."""
    wrong = {}
    names = list(FAULTS)[:: max(len(FAULTS) // SAMPLE, 1)]
    for name in names:
        words = _words(FAULTS[name], folder / re.sub(r"\W", "_", f"process {name}"))
        done = subprocess.run(
            [sys.executable, "-m", "recdistill.cli.main", *words], capture_output=True, text=True, check=False
        )
        if (found := _wrong(FAULTS[name], done.returncode, done.stderr, words[2])) is not None:
            wrong[name] = found
    return {"kinds": names, "wrong": wrong}


def mutate(files: int) -> dict[str, Any]:
    """Mutated files, one after the other, read in a process that is given up where it takes too long."""
    counts: Counter[str] = Counter()
    odd: list[int] = []
    wrong: list[dict[str, Any]] = []
    reader = _Reader()
    for seed in range(files):
        name, data = mutated(seed)
        outcome = reader.read(seed, name, data)
        verdict = _verdict(outcome, name, data)
        counts[f"{name.partition('.')[2]}: {verdict}"] += 1
        if verdict == FINE[2]:
            odd.append(seed)
        if verdict not in FINE:
            wrong.append({"seed": seed, "file": name, "verdict": verdict, **outcome})
    reader.close()
    return {
        "files": files,
        "outcomes": dict(sorted(counts.items())),
        "read_where_the_slow_reading_refuses": odd[:50],
        "wrong": wrong[:50],
        "wrong_files": len(wrong),
    }


FINE = ("refused", "read as the slow reading has it", "read where the slow reading refuses, with as many rows as lines")


def _verdict(outcome: dict[str, Any], name: str, data: bytes) -> str:
    if "rows" not in outcome:
        return str(outcome["end"])
    slow = slow_reading(name, data)
    if slow is None:
        loose = loose_count(name, data)
        return FINE[2] if outcome["rows"] == loose else f"a count that none has: {loose} lines"
    same = outcome["rows"] == slow.rows
    if slow.users is not None and slow.items is not None:
        same &= outcome["users"] in slow.users and outcome["items"] in slow.items
    return "read as the slow reading has it" if same else f"a wrong count: {slow.rows} rows"


class _Reader:
    """One process that reads; started again when it dies or is too slow."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._start()

    def read(self, seed: int, name: str, data: bytes) -> dict[str, Any]:
        path = Path(self._folder.name) / str(seed) / name
        path.parent.mkdir()
        path.write_bytes(data)
        self._ours.send(str(path))
        try:
            outcome: dict[str, Any] = self._ours.recv() if self._ours.poll(LIMIT) else {"end": "hang"}
        except EOFError:
            outcome = {"end": "crash"}
        if outcome.get("end") in ("hang", "crash"):
            self.close()
            self._folder = tempfile.TemporaryDirectory()
            self._start()
        else:
            path.unlink()
            path.parent.rmdir()
        return outcome

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._folder.cleanup()

    def _start(self) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()


def _serve(pipe: Connection) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    from recdistill.data.readers import read_interactions
    from recdistill.errors import RecdistillError

    while True:
        path = pipe.recv()
        try:
            log = read_interactions(path)
            pipe.send({"rows": log.n_rows, "users": log.n_users, "items": log.n_items})
        except RecdistillError as refused:
            said = str(refused)
            fine = said.startswith(path) and "\n" not in said and len(said) < 1500
            pipe.send({"end": "refused" if fine else "refused badly", "said": said[:1000]})
        except Exception as fault:
            pipe.send({"end": "traceback", "said": repr(fault)[:1000]})


def _words(fault: Fault, folder: Path) -> list[str]:
    folder.mkdir()
    path = fault.put(folder)
    words = ["data", "describe", str(path)]
    if fault.settings.get("drop_null"):
        words.append("--drop-null")
    if "query" in fault.settings:
        words += ["--query", fault.settings["query"]]
    return words


def _wrong(fault: Fault, code: Any, errors: str, path: str) -> str | None:
    """What should not be so; None where all is well."""
    if code != (0 if fault.refused is None else 2):
        return f"exit {code}: {errors[:300]}"
    if fault.refused is None:
        return None
    if len(errors.strip().splitlines()) != 1 or Path(path.partition("!")[0]).name not in errors:
        return f"not one line that names the file: {errors[:300]}"
    return None if re.search(fault.refused, errors) else f"another fault than {fault.refused!r}: {errors[:300]}"


if __name__ == "__main__":
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        result: dict[str, Any] = {"command_line": by_command_line(Path(place)), "processes": by_process(Path(place))}
    result["mutated"] = mutate(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    result["seconds"] = round(time.perf_counter() - start, 1)
    for part in ("command_line", "processes"):
        print(part, result[part])
    print(result["mutated"]["outcomes"], result["mutated"]["wrong"][:10])
    write("faults", result)
