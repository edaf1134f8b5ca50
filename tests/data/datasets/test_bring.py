"""--from: a file or a folder that somebody brought, looked at before it is taken."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest

from recdistill.data.datasets import fetch, open_dataset
from recdistill.errors import DataError
from tests.data.datasets.conftest import TINY, entry, packed, tiny_ratings


def brought(source: Path, **changes: object) -> Path:
    return fetch(entry(**changes), source=source)  # type: ignore[arg-type]


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    folder = tmp_path / "brought" / "tiny"
    folder.mkdir(parents=True)
    (folder / "ratings.csv").write_text(tiny_ratings())
    (folder / "movies.csv").write_text("movieId,title\n")
    return folder


def test_a_zip_is_copied(tmp_path: Path, own_folder: Path) -> None:
    (tmp_path / "from-a-friend.zip").write_bytes(TINY)
    assert brought(tmp_path / "from-a-friend.zip") == own_folder / "tiny.zip"
    assert open_dataset(entry()).read_bytes() == TINY


def test_a_zip_that_somebody_packed_again_is_taken(tmp_path: Path) -> None:
    (tmp_path / "tiny.zip").write_bytes(packed({"ratings.csv": tiny_ratings(), "movies.csv": "movieId\n"}))
    assert brought(tmp_path / "tiny.zip").exists()


@pytest.mark.parametrize("above", [False, True], ids=["the folder itself", "the folder above it"])
def test_an_unpacked_folder_is_packed_under_the_published_names(above: bool, unpacked: Path) -> None:
    with zipfile.ZipFile(brought(unpacked.parent if above else unpacked)) as archive:
        assert archive.namelist() == ["tiny/movies.csv", "tiny/ratings.csv"]
        assert archive.read("tiny/ratings.csv").decode() == tiny_ratings()


def test_other_files_of_a_folder_stay_where_they_are(unpacked: Path) -> None:
    for name in ("diary.txt", "tiny.inter", "README.txt"):
        (unpacked / name).write_text("")
    with zipfile.ZipFile(brought(unpacked, also=("README.txt",))) as archive:
        assert archive.namelist() == ["tiny/README.txt", "tiny/movies.csv", "tiny/ratings.csv"]


def test_a_folder_with_the_zip_in_it_gives_the_zip(tmp_path: Path) -> None:
    (tmp_path / "tiny.zip").write_bytes(TINY)
    assert brought(tmp_path).read_bytes() == TINY


def test_what_was_brought_replaces_what_was_there(tmp_path: Path, own_folder: Path, unpacked: Path) -> None:
    (tmp_path / "tiny.zip").write_bytes(TINY)
    brought(tmp_path / "tiny.zip")
    assert brought(unpacked).read_bytes() != TINY
    assert open_dataset(entry()).exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (packed({"letter.txt": "dear"}), "not tiny: it holds letter.txt"),
        (TINY[:1000], "not a whole zip"),
        (b"userId,movieId\n1,2\n", "it begins with 'userId,movieId"),
        (TINY.replace(b"Nobody's", b"Somebody"), "movies.csv does not match its CRC"),
        (b"", "not a whole zip"),
    ],
    ids=["another zip", "a truncated zip", "no zip", "a damaged zip", "an empty file"],
)
def test_a_wrong_file_is_refused_and_nothing_taken(
    content: bytes, message: str, tmp_path: Path, own_folder: Path
) -> None:
    (tmp_path / "wrong.zip").write_bytes(content)
    with pytest.raises(DataError) as fault:
        brought(tmp_path / "wrong.zip")
    assert message in str(fault.value) and "wrong.zip" in str(fault.value)
    assert [path.name for path in own_folder.iterdir() if not path.name.endswith(".lock")] == []


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match=r"letter.txt found where ratings.csv, movies.csv should be"):
        brought(tmp_path)


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        brought(tmp_path / "nothing.zip")


PLAIN = {"file": "ratings.csv", "holds": (), "fields": 4, "pinned": False}


def test_a_log_that_is_one_plain_file_is_known_by_its_columns(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("u1,i1,5.0,1000\n")
    assert brought(tmp_path, **PLAIN).read_text() == "u1,i1,5.0,1000\n"
    (tmp_path / "other.csv").write_text("u1,i1\n")
    with pytest.raises(DataError, match="its first line has 2 columns, 4 are published"):
        brought(tmp_path / "other.csv", **PLAIN)


def test_a_folder_without_the_plain_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the folder holds no ratings.csv"):
        brought(tmp_path, **PLAIN)


def test_a_truncated_gzip_is_refused(tmp_path: Path) -> None:
    packed_log = gzip.compress(b"".join(b"%d\t2010-10-19\t30.2\t-97.7\t%d\n" % (n, n * n) for n in range(500)))
    settings = PLAIN | {"file": "checkins.txt.gz", "fields": 5}
    (tmp_path / "cut.txt.gz").write_bytes(packed_log[:-20])
    with pytest.raises(DataError, match="not a whole gzip file"):
        brought(tmp_path / "cut.txt.gz", **settings)
    (tmp_path / "whole.txt.gz").write_bytes(packed_log)
    assert brought(tmp_path / "whole.txt.gz", **settings).read_bytes() == packed_log
