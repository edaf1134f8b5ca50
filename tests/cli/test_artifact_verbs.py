"""What the command line says of an artifact that is not what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recdistill import artifact
from recdistill.cli.main import main
from recdistill.data.vocab import Vocab
from recdistill.serving.scorers import BagScorer
from recdistill.tables.codecs import CodedTable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    table = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    scorer = BagScorer(item_table=CodedTable.of(table))
    told = {"trained_on": {}, "metrics": {}, "settings": {}}
    return artifact.save(tmp_path / "model", scorer, Vocab(np.arange(6)), kind="two_tower", name="model", **told)


@pytest.mark.parametrize("verb", ["doctor", "recommend"])
@pytest.mark.parametrize("name", ["model.safetensors", "vocab.safetensors", "config.json", "README.md"])
def test_a_changed_byte_is_refused_in_one_line(
    folder: Path, name: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    (folder / name).write_bytes(bytes(content))
    assert main([verb, str(folder)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert name in lines[0]


def test_more_than_the_catalogue_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", str(folder), "--k", "7"]) == 2
    assert "6" in capsys.readouterr().err


def test_ids_that_are_numbers_are_found_when_they_are_typed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", str(folder), "--history", "3", "--k", "5"]) == 0
    captured = capsys.readouterr()
    assert "not in the catalogue" not in captured.err
    assert " 3\n" not in captured.out
