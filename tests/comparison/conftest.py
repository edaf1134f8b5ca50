"""A comparison of a few methods on the tiny log, made once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import recdistill as rd
from recdistill.comparison.comparing import compare
from recdistill.comparison.config import ComparisonConfig
from recdistill.data import splits
from tests.conftest import tiny_frame, with_split

TINY = {
    "student": {"epochs": 6}, "teacher": {"two_tower": {"dim": 8, "epochs": 8, "order": False}, "als": {"dim": 4}},
    "dims": (4,), "trials": 2, "device": "cpu",
}  # fmt: skip
METHODS = ("default", "alone", "teacher_svd", "shuffled", "fitnet")


def config(**given: Any) -> ComparisonConfig:
    return ComparisonConfig(**{**TINY, **given})


def split_of(folder: Path, frame: pd.DataFrame) -> rd.Split:
    path = folder / "log.csv"
    frame.to_csv(path, index=False)
    return splits.given(rd.read_interactions(path, split_column="split"))


@dataclass(frozen=True)
class Compared:
    logs: dict[str, rd.Split]
    out: Path
    work: Path
    table: dict[str, Any]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """Two logs, one with valid rows and one without; two seeds."""
    folder = tmp_path_factory.mktemp("compared")
    (folder / "other").mkdir()
    logs = {
        "first": split_of(folder, with_split(tiny_frame())),
        "other": split_of(folder / "other", with_split(tiny_frame(seed=1), valid=False)),
    }
    out, work = folder / "out", folder / "work"
    table = compare(logs, config(methods=METHODS, seeds=2), out=out, work=work)
    return Compared(logs, out, work, table)
