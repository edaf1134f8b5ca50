"""What the command line says of an artifact that is not what was written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recdistill import artifact
from recdistill.cli import recommend
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


@pytest.fixture
def titled(tmp_path: Path) -> Path:
    scorer = BagScorer(item_bias=np.arange(5, dtype=np.float32))
    titles = ["Toy Story (1995)", "Heat (1995)", "Heat (1995)", None, "Ran\x1b[31m"]
    told = {"trained_on": {}, "titles": titles, "kind": "popularity", "name": "model"}
    return artifact.save(tmp_path / "titled", scorer, Vocab(np.arange(5)), **told)


def test_titles_are_printed_beside_ids(titled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", str(titled), "--history", "Toy Story (1995)", "--k", "3"]) == 0
    captured = capsys.readouterr()
    assert [line.split(maxsplit=2)[2] for line in captured.out.splitlines()] == ["4  Ran [31m", "3", "2  Heat (1995)"]
    assert captured.err == ""


def test_titles_are_in_the_json(titled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", str(titled), "--k", "5", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["title"] for row in rows][2:] == ["Heat (1995)", "Heat (1995)", "Toy Story (1995)"]
    assert rows[1] == {"item_id": 3, "title": None, "score": 3.0, "rank": 2}


def test_a_title_of_several_items_is_refused_in_one_line(titled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", str(titled), "--history", "Heat (1995)"]) == 2
    assert "2 items have the title 'Heat (1995)': 1, 2" in capsys.readouterr().err


def test_items_are_found_by_their_title(titled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", str(titled), "--find", "heat"]) == 0
    assert capsys.readouterr().out == "1  Heat (1995)\n2  Heat (1995)\n"
    assert main(["recommend", str(titled), "--find", "toy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"item_id": 0, "title": "Toy Story (1995)"}]
    assert main(["recommend", str(titled), "--find", "solaris"]) == 0
    assert "no item has 'solaris' in its title" in capsys.readouterr().out


def test_what_is_like_an_unknown_title_is_shown(titled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", str(titled), "--history", "toy story", "--k", "1"]) == 0
    assert "like 'toy story': 0  Toy Story (1995)" in capsys.readouterr().err


def test_a_misspelt_title_is_answered_with_the_nearest(
    titled: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["recommend", str(titled), "--history", "Toy Storry", "--k", "1"]) == 0
    assert "like 'Toy Storry': 0  Toy Story (1995)\n" in capsys.readouterr().err
    monkeypatch.setattr(recommend, "COMPARED", 4)
    assert main(["recommend", str(titled), "--history", "Toy Storry", "--k", "1"]) == 0
    assert "like" not in capsys.readouterr().err


def test_an_option_that_is_not_there_is_refused_by_its_verb(titled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["recommend", str(titled), "--histroy", "1"])
    line = capsys.readouterr().err
    assert line == (
        "recdistill recommend: error: unrecognized arguments: --histroy 1. Did you mean '--history'? "
        "See recdistill recommend --help\n"
    )
    with pytest.raises(SystemExit):
        main(["data", "list", "--zzzzzz"])
    assert "unrecognized arguments: --zzzzzz. See recdistill data list --help" in capsys.readouterr().err
