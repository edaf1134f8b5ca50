"""A step's version stands for its result: a result that changes without its version being raised is seen here.

The digests are a few numbers of each step's output on a tiny log, compared within 2 %: rounding differs between
processors, a changed method does not stay within it. Of the evaluations only the one of popularity is looked at: where
two items are nearly level, rounding decides what a trained model puts first, and with it whole hits. After raising a
version in `recdistill.runs.steps.VERSIONS`:

    python -m tests.runs.test_digests
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from recdistill.cli.main import main
from recdistill.runs.steps import VERSIONS
from tests.conftest import TINY_SETTINGS, tiny_frame, with_split

STORED = Path(__file__).with_name("digests.json")
BASELINES = "ease,als,popularity,svd"


def digests(folder: Path) -> dict[str, Any]:
    """Version and digest of every step of a run on the tiny log; steps done several times are taken together."""
    log = folder / "tiny.csv"
    with_split(tiny_frame()).to_csv(log, index=False)
    plain, phases = folder / "plain", folder / "phases"
    _run(log, plain, f"baselines={BASELINES}")
    _run(log, phases, "distil.pre_train=2", "distil.fine_tune=1")
    fixed = {path.name for path in (plain / "steps" / "popularity").iterdir()}
    found: dict[str, Any] = {}
    every = sorted((plain / "steps").iterdir()) + [phases / "steps" / name for name in ("pre_train", "fine_tune")]
    for of, name in ((path, path.name) for path in every):
        if name == "footprint":  # a clock's numbers
            continue
        steps = sorted(of.iterdir())
        if name == "evaluate":  # of models whose lists no processor's rounding changes
            steps = [step for step in steps if _model_of(step) in fixed]
        numbers = np.sort(np.concatenate([_numbers(step) for step in steps]))
        version = json.loads((steps[0] / "step.json").read_text())["version"]
        found[name] = {"version": version, "digest": [float(f"{number:.6g}") for number in numbers]}
    return found


def _run(log: Path, out: Path, *given: str) -> None:
    words = [word for setting in (*TINY_SETTINGS, *given) for word in ("--set", setting)]
    words += ["--out", str(out), "--quiet", "--split-column", "split", "--device", "cpu"]
    assert main(["run", "--log", str(log), *words]) == 0


def _model_of(step: Path) -> str:
    return json.loads((step / "step.json").read_text())["inputs"]["model"]


def _numbers(step: Path) -> np.ndarray:
    """Size, mean absolute value and root mean square of each array, and the numbers of the step's result."""
    numbers: list[float] = []
    for path in sorted(step.rglob("*.safetensors")):
        for array in load_file(path).values():
            values = array.astype(np.float64)
            numbers += [array.size, np.abs(values).mean(), np.sqrt((values**2).mean())] if array.size else [0]
    return np.array(numbers + _leaves(json.loads((step / "step.json").read_text())["result"]))


def _leaves(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [
            leaf
            for key, inner in value.items()
            if key not in ("expected_seconds", "memory_bytes")
            for leaf in _leaves(inner)
        ]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in _leaves(inner)]
    return [float(value)] if isinstance(value, int | float) else []


def test_a_step_whose_result_changed_has_a_new_version(tmp_path: Path) -> None:
    stored, found = json.loads(STORED.read_text()), digests(tmp_path)
    assert found.keys() == stored.keys(), "steps came or went; run python -m tests.runs.test_digests"
    for name, step in found.items():
        if step["version"] != stored[name]["version"]:
            pytest.fail(f"step {name!r} has a new version; run python -m tests.runs.test_digests")
        same = len(step["digest"]) == len(stored[name]["digest"]) and np.allclose(
            step["digest"], stored[name]["digest"], rtol=0.02, atol=0.01
        )
        assert same, f"the result of step {name!r} changed: raise its version in recdistill.runs.steps.VERSIONS"


def test_every_version_is_that_of_a_step() -> None:
    stored = json.loads(STORED.read_text())
    assert set(VERSIONS) - {"footprint", "baseline", "cold_items", "budget", "shapes", "searched", "rival"} <= set(
        stored
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        STORED.write_text(json.dumps(digests(Path(folder)), indent=1) + "\n")
