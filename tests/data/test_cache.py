from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recdistill.data import cache
from recdistill.data.log import Log
from recdistill.data.readers import read_interactions
from recdistill.data.vocab import Vocab
from recdistill.features import read_features


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECDISTILL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "logs"


def log(users: str = "ab") -> Log:
    titles = pa.table({"item_id": [5, 6], "title": ["Heat", "Alien"]})
    return Log(
        Vocab(users),
        Vocab([5, 6]),
        np.array([1, 0, 1], np.int32),
        np.array([0, 1, 1], np.int32),
        times=np.array([3, 1, 2]),
        values=np.array([1, 2, 3], np.float32),
        split=np.array([0, 1, 0], np.int8),
        notes=("as read",),
        source="log.csv",
        item_features=read_features(titles, of="item"),
        duplicates="first",
    )


def never() -> Log:
    raise AssertionError("the log is built again")


def test_a_log_comes_back_as_it_was_without_being_built(folder: Path) -> None:
    built, again = cache.cached({"content": "x"}, log), cache.cached({"content": "x"}, never)
    assert (again.users, again.items) == (built.users, built.items)
    for name in ("user_rows", "item_rows", "times", "values", "split"):
        assert getattr(again, name).tolist() == getattr(built, name).tolist()
        assert getattr(again, name).dtype == getattr(built, name).dtype
    assert (again.notes, again.source, again.duplicates) == (built.notes, built.source, built.duplicates)
    assert again.item_features.titles(again.items) == ["Heat", "Alien"]
    assert again.user_features is None
    assert again.interactions().sha256() == built.interactions().sha256()


def test_another_key_is_another_log(folder: Path) -> None:
    cache.cached({"content": "x"}, log)
    assert cache.cached({"content": "y"}, lambda: log("cd")).users.ids().tolist() == ["c", "d"]
    assert cache.cached({"content": "x"}, never).users.ids().tolist() == ["a", "b"]


@pytest.mark.parametrize("part", ["rows.arrow", "users.arrow", "items.arrow", "item_features.arrow", "log.json"])
@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_entry_is_built_again(folder: Path, part: str, damage: str) -> None:
    cache.cached({"content": "x"}, log)
    [path] = folder.glob(f"*/{part}")
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + (b"" if damage == "cut" else b"\x00\xff" + whole[middle + 2 :]))
    assert cache.cached({"content": "x"}, lambda: log("cd")).users.ids().tolist() == ["c", "d"]
    assert cache.cached({"content": "x"}, never).users.ids().tolist() == ["c", "d"]


def test_a_disk_that_refuses_leaves_the_log_uncached_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("RECDISTILL_CACHE", str(tmp_path / "file"))
    made = cache.cached({"content": "x"}, log)
    assert made.n_rows == 3
    assert "the encoded log is not kept for the next time" in made.notes[-1]


def test_it_can_be_switched_off_and_lies_with_the_user_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RECDISTILL_CACHE", "off")
    assert cache.cache_folder() is None
    assert cache.cached({"content": "x"}, log).n_rows == 3
    monkeypatch.delenv("RECDISTILL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / "recdistill" / "logs"


def test_what_was_used_longest_ago_goes_when_the_limit_is_reached(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in "abc":
        cache.cached({"content": content}, log)
    entries = {cache._entry(folder, {"content": content}): content for content in "abc"}
    for age, entry in enumerate(entries):
        os.utime(entry, (1_000 + age, 1_000 + age))
    cache.cached({"content": "a"}, never)  # used just now
    size = sum(file.stat().st_size for file in next(iter(entries)).iterdir())
    monkeypatch.setattr(cache, "LIMIT", 3 * size + size // 2)
    cache.cached({"content": "d"}, log)
    assert {entries.get(entry, "d") for entry in folder.iterdir()} == {"a", "c", "d"}


def test_half_written_entries_of_long_ago_are_swept_away(folder: Path) -> None:
    for name, age in ((".old.tmp", 3 * cache.DAY), (".new.tmp", 0)):
        (folder / name).mkdir(parents=True)
        os.utime(folder / name, (time.time() - age,) * 2)
    cache.cached({"content": "x"}, log)
    assert not (folder / ".old.tmp").exists() and (folder / ".new.tmp").exists()


def test_clearing_takes_the_logs_and_nothing_else(folder: Path) -> None:
    cache.cached({"content": "x"}, log)
    (folder / "mine.txt").write_text("keep")
    cache.clear()
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_a_file_is_known_by_its_content_and_settings(folder: Path, tmp_path: Path) -> None:
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text("user_id,item_id,uid\n1,2,7\n2,3,8\n")
    first = read_interactions(tmp_path / "one.csv", cache=True)
    assert len(list(folder.iterdir())) == 1
    second = read_interactions(tmp_path / "two.csv", cache=True)
    assert len(list(folder.iterdir())) == 1
    assert (first.source, second.source) == (str(tmp_path / "one.csv"), str(tmp_path / "two.csv"))
    other = read_interactions(tmp_path / "one.csv", columns={"user_id": "uid"}, cache=True)
    assert other.users.ids().tolist() == [7, 8]
    (tmp_path / "one.csv").write_text("user_id,item_id\n3,2\n4,3\n")
    assert read_interactions(tmp_path / "one.csv", cache=True).users.ids().tolist() == [3, 4]
