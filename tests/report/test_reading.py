"""What a report's page says of a model that was made from another."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from recdistill.report import reading


@pytest.fixture
def report(variants: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(variants["full_report"]())


@pytest.mark.parametrize(
    ("codec", "said"),
    [
        ("int8", "the student in 8 bits a number"),
        ("binary", "the student in 1 bit a number"),
        ("mixed20_4_1", "the student in 4 bits a number for the 20 % most popular items, 1 for others"),
        ("pq16", "made from the student"),
        ("int4_dims10_16", "made from the student"),
    ],
)
def test_how_a_compressed_student_is_held(report: dict[str, Any], codec: str, said: str) -> None:
    report["models"][f"student_{codec}"] = report["models"]["student"]
    found = reading.entry(report, f"student_{codec}")
    assert found is not None and found.role == "compressed" and found.about == said


def test_what_a_student_for_a_limit_was_trained_through(report: dict[str, Any]) -> None:
    chosen = {"dim": 80, "codec": "mixed40_3_1"}
    report["models"]["student_60kB"] = report["models"]["student"] | {"compressed_from": "student", "chosen": chosen}
    found = reading.entry(report, "student_60kB")
    assert found is not None
    assert found.about == (
        "made for its size: d=80, trained through 3 bits a number for the 40 % most popular items, 1 for others"
    )
