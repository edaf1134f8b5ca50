"""Of a folder only what its checksums vouch for is copied, and only when all of it is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recdistill.cli.main import main
from recdistill.errors import ArtifactError
from recdistill.serving import publication
from recdistill.serving.generation_store import Store
from recdistill.serving.generations import Generation
from recdistill.serving.publication import Publication, copy, look
from tests.serving_live.conftest import save

FILES = ("README.md", "checksums.json", "config.json", "model.safetensors", "vocab.safetensors")


def seen(folder: Path) -> Publication:
    found = look(folder)
    assert found is not None
    return found


@pytest.mark.parametrize("place", [0, 0.3, 0.6, -1])
@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_in_any_file_is_refused(watched: Path, tmp_path: Path, name: str, place: float) -> None:
    raw = bytearray((watched / name).read_bytes())
    raw[int(place * len(raw)) if place > 0 else int(place)] ^= 1
    (watched / name).write_bytes(raw)
    with pytest.raises(ArtifactError):
        Generation.load(Store(tmp_path / "state").hold(seen(watched)))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_cut_file_is_refused(watched: Path, tmp_path: Path, name: str) -> None:
    raw = (watched / name).read_bytes()
    (watched / name).write_bytes(raw[:-1])
    with pytest.raises(ArtifactError):
        Generation.load(Store(tmp_path / "state").hold(seen(watched)))
    (watched / name).unlink()
    with pytest.raises(ArtifactError, match=r"so it is not a whole artifact|so the artifact is not whole"):
        Store(tmp_path / "other").hold(seen(watched))
    assert not any((tmp_path / "other" / "generations").iterdir()), "nothing is left of it"


def test_a_folder_that_changes_while_it_is_copied_is_refused(watched: Path, tmp_path: Path) -> None:
    first = seen(watched)
    save(watched, 1)
    with pytest.raises(ArtifactError, match="changed while it was copied"):
        Store(tmp_path / "state").hold(first)


def test_the_signature_tells_a_changed_file_and_nothing_else(watched: Path) -> None:
    first = seen(watched)
    assert seen(watched) == first
    raw = (watched / "config.json").read_bytes()
    (watched / "config.json").unlink()
    (watched / "config.json").write_bytes(raw)
    assert seen(watched).id == first.id and seen(watched).signature != first.signature


def test_no_folder_an_empty_one_and_a_file_are_no_publication(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert look(tmp_path / "nothing") is look(tmp_path / "empty") is look(tmp_path / "file") is None


def test_a_folder_without_checksums_has_no_id(watched: Path, tmp_path: Path) -> None:
    (watched / "checksums.json").unlink()
    assert seen(watched).id == ""
    with pytest.raises(ArtifactError, match=r"no checksums.json in it, so it is not a whole artifact"):
        copy(seen(watched), tmp_path / "copy")


@pytest.mark.parametrize("content", ["", "[]", "{}", "{", '"text"'])
def test_checksums_that_name_nothing_are_refused(watched: Path, tmp_path: Path, content: str) -> None:
    (watched / "checksums.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"cannot be read as JSON|names no files"):
        copy(seen(watched), tmp_path / "copy")


def test_a_folder_of_something_else_is_not_walked_to_its_end(watched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (watched / "loop").symlink_to(watched, target_is_directory=True)
    with pytest.raises(OSError, match="deeper than an artifact"):
        look(watched)
    (watched / "loop").unlink()
    monkeypatch.setattr(publication, "MOST_FILES", 2)
    with pytest.raises(OSError, match="more than 2 files"):
        look(watched)


def test_a_large_file_under_the_name_of_the_checksums_is_not_read(
    watched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "MOST_CHECKSUMS", 20)
    with pytest.raises(ArtifactError, match="cannot be read as JSON"):
        copy(seen(watched), tmp_path / "copy")


def test_what_the_checksums_do_not_name_stays_behind(watched: Path, tmp_path: Path) -> None:
    (watched / "notes.txt").write_text("left here by somebody")
    shutil.copytree(watched, watched / "old")
    folder = Store(tmp_path / "state").hold(seen(watched))
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_an_index_that_is_built_into_the_artifact_makes_another_generation(watched: Path, tmp_path: Path) -> None:
    before = seen(watched)
    assert main(["index", str(watched), "--kind", "hnsw", "--k", "5"]) == 0
    assert seen(watched).id != before.id
    folder = Store(tmp_path / "state").hold(seen(watched))
    assert (folder / "index").is_dir() and Generation.load(folder).id == seen(watched).id
