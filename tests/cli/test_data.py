"""`recdistill data …` from the outside."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from recdistill.cli.main import main
from tests.conftest import tiny_frame, with_split

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECDISTILL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RECDISTILL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


@pytest.fixture
def small_movielens(tmp_path: Path) -> Path:
    """GroupLens' layout with made-up content."""
    frame = tiny_frame()
    users, items = (frame[name].factorize()[0] + 1 for name in ("user_id", "item_id"))
    rows = [
        f"{u}::{i}::{1 + (u + i) % 5}::{t + 960_000_000}" for u, i, t in zip(users, items, frame.timestamp, strict=True)
    ]
    films = [f"{item}::Nobody's Film {item} (2000)::Drama|War" for item in sorted(set(items))]
    path = tmp_path / "brought.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-1m/ratings.dat", "\n".join(rows) + "\n")
        archive.writestr("ml-1m/movies.dat", "\n".join(films) + "\n")
    return path


def refused(words: list[str], capsys: Capture) -> str:
    assert main(words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_without_a_word_it_says_what_there_is(capsys: Capture) -> None:
    assert "fetch, list, describe, cache" in refused(["data"], capsys)


def test_an_unknown_word_names_the_nearest(capsys: Capture) -> None:
    assert "no verb 'fetsh'. Did you mean 'fetch'" in refused(["data", "fetsh", "ml-1m"], capsys)


def test_a_data_set_is_brought_listed_and_described(small_movielens: Path, own_folder: Path, capsys: Capture) -> None:
    assert main(["data", "fetch", "ml-1m", "--from", str(small_movielens)]) == 0
    out = capsys.readouterr().out
    assert out.count("Licence") == 1 and "GroupLens" in out and str(own_folder / "ml-1m.zip") in out
    assert main(["data", "list"]) == 0
    listed = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.startswith("ml-")}
    assert " yes " in listed["ml-1m"] and " yes " not in listed["ml-20m"]
    assert main(["data", "describe", "--dataset", "ml-1m"]) == 0
    assert "ml-1m.zip: " in capsys.readouterr().out


def test_the_list_is_json_too(capsys: Capture) -> None:
    assert main(["data", "list", "--json"]) == 0
    told = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert told["ml-1m"]["rows"] == 1_000_209 and told["ml-1m"]["fetched"] is False


def test_a_folder_of_ones_own(small_movielens: Path, tmp_path: Path, own_folder: Path, capsys: Capture) -> None:
    words = ["data", "fetch", "ml-1m", "--from", str(small_movielens), "--folder", str(tmp_path / "mine")]
    assert main(words) == 0
    assert (tmp_path / "mine" / "ml-1m.zip").exists() and not own_folder.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fetch", "ml-1n"], "Did you mean 'ml-1m'"),
        (["fetch", "ml-1m", "--from", "nowhere.zip"], "no such file or folder"),
        (["fetch", "ml-1m", "--mirror", "here"], "begins with http:// or https://"),
        (["describe"], "give either FILE or --dataset NAME"),
        (["describe", "a.csv", "--dataset", "ml-1m"], "give either FILE or --dataset NAME"),
        (["describe", "--dataset", "ml-1m"], "Run: recdistill data fetch ml-1m"),
        (["describe", "nowhere.csv"], "no such file"),
        (["describe", "a.csv", "--columns", "user_id"], "user_id=yours"),
    ],
)
def test_what_cannot_be_is_one_line(words: list[str], message: str, capsys: Capture) -> None:
    assert message in refused(["data", *words], capsys)


def test_a_log_is_described_as_text_json_and_page(tmp_path: Path, capsys: Capture) -> None:
    log, page = tmp_path / "log.csv", tmp_path / "page.html"
    with_split(tiny_frame()).rename(columns={"user_id": "who"}).to_csv(log, index=False)
    words = ["data", "describe", str(log), "--columns", "user_id=who", "--split-column", "split"]
    assert main([*words, "--out", str(page)]) == 0
    text = capsys.readouterr().out
    assert "log.csv: " in text and str(page) in text and page.exists()
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["users"] == 120 and {shape["name"] for shape in told["splits"]} >= {"given", "global_time"}


def test_the_cache_is_shown_and_cleared(capsys: Capture) -> None:
    assert main(["data", "cache"]) == 0
    assert "Encoded logs: 0 B" in capsys.readouterr().out
    assert main(["data", "cache", "--clear"]) == 0
    assert "Removed: 0 B" in capsys.readouterr().out


def test_a_reader_that_has_seen_enough_ends_it_quietly() -> None:
    words = [sys.executable, "-m", "recdistill.cli.main", "data", "list", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 0


def test_a_log_is_described_as_the_filters_leave_it(tmp_path: Path, capsys: Capture) -> None:
    frame = tiny_frame()
    frame.to_csv(tmp_path / "log.csv", index=False)
    assert main(["data", "describe", str(tmp_path / "log.csv"), "--json", "--core", "10"]) == 0
    assert 0 < json.loads(capsys.readouterr().out)["rows"] < len(frame)
