"""docs/codecs.md is held to the registry, and its formulas to the codecs."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from recdistill.tables.codecs import CODECS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "codecs.md"
ROWS = [line.split("|")[1:3] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
TOLD = {name.strip().strip("`"): formula.strip() for name, formula in ROWS}


def test_every_codec_has_its_row_in_the_order_of_the_registry() -> None:
    assert tuple(TOLD) == (*CODECS, *CODECS.examples)


@pytest.mark.parametrize("codec", TOLD)
@pytest.mark.parametrize(("n", "d"), [(3043, 64), (1000, 48), (641, 77)])
def test_the_page_says_its_bytes(codec: str, n: int, d: int) -> None:
    text = re.sub(r"⌈([^⌉]*)⌉", r"math.ceil(\1)", TOLD[codec]).replace("3d", "3 * d").replace("nd", "n * d")
    text = re.sub(r"(?<=[\w)]) (?=[\w(])", " * ", text).replace("2d", "2 * d")
    assert eval(text, {"math": math, "n": n, "d": d}) == CODECS[codec].nbytes(n, d)
