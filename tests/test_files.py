"""Files and folders are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from recdistill import files
from recdistill.errors import ArtifactError


def test_a_folder_takes_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "thing"
    with files.whole_folder(target) as temporary:
        (temporary / "a.txt").write_text("new")
        assert not target.exists()
    assert (target / "a.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


def test_the_old_folder_stays_when_the_new_one_fails(tmp_path: Path) -> None:
    target = tmp_path / "thing"
    target.mkdir()
    (target / "a.txt").write_text("old")

    def fail() -> None:
        with files.whole_folder(target) as temporary:
            (temporary / "a.txt").write_text("new")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert (target / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


def test_the_old_file_stays_when_the_new_one_fails(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")

    def fail() -> None:
        with files.whole_file(target) as temporary:
            temporary.write_text("new")
            raise OSError(28, "No space left on device")

    with pytest.raises(ArtifactError, match="free space"):
        fail()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    assert files.fingerprint({"a": 1, "b": 2}) == files.fingerprint({"b": 2, "a": 1})
    assert files.fingerprint({"a": 1}) != files.fingerprint({"a": 2})


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "no report.json in it"), ("{", "cannot be read as JSON"), ("[]", "holds no JSON object")],
)
def test_a_json_file_that_cannot_be_read_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "report.json").write_text(text)
    with pytest.raises(ArtifactError, match=message):
        files.read_json(tmp_path / "report.json", "a run's folder")
