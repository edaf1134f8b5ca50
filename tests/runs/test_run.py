"""The folder of a run: what is there is whole, what is unchanged is not done again."""

from __future__ import annotations

from pathlib import Path

import pytest

from recdistill.errors import ArtifactError, ConfigError
from recdistill.runs.run import Run


def write_hello(folder: Path) -> dict[str, str]:
    (folder / "hello.txt").write_text("hello")
    return {"said": "hello"}


def test_a_step_is_done_once_for_the_same_inputs(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with run.open():
        first = run.step("greet", 1, {"to": "you"}, write_hello)
        second = run.step("greet", 1, {"to": "you"}, lambda _: pytest.fail("built again"))
    assert not first.reused
    assert second.reused
    assert second.result == {"said": "hello"}
    assert (second.folder / "hello.txt").read_text() == "hello"


@pytest.mark.parametrize("change", [{"version": 2}, {"inputs": {"to": "me"}}, {"name": "shout"}])
def test_a_step_is_done_again_when_what_it_depends_on_changed(tmp_path: Path, change: dict[str, object]) -> None:
    run = Run(tmp_path / "run")
    asked = {"name": "greet", "version": 1, "inputs": {"to": "you"}}
    with run.open():
        first = run.step(**asked, build=write_hello)  # type: ignore[arg-type]
        again = run.step(**{**asked, **change}, build=write_hello)  # type: ignore[arg-type]
    assert not again.reused
    assert again.key != first.key


def test_a_step_that_fails_leaves_nothing_under_its_name(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")

    def fail(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise RuntimeError("killed")

    with run.open():
        with pytest.raises(RuntimeError):
            run.step("greet", 1, {}, fail)
        assert not list((tmp_path / "run" / "steps").rglob("half.txt"))
        assert not run.step("greet", 1, {}, write_hello).reused


def test_what_a_killed_run_left_is_swept_up(tmp_path: Path) -> None:
    left = tmp_path / "run" / "steps" / "greet" / ".key.1.tmp"
    left.mkdir(parents=True)
    (left / "half.txt").write_text("half")
    with Run(tmp_path / "run").open():
        assert not left.exists()


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    with (
        Run(tmp_path / "run").open(),
        pytest.raises(ConfigError, match="another run is working in it"),
        Run(tmp_path / "run").open(),
    ):
        pass


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="not of a run"):
        Run(tmp_path)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        Run(tmp_path / "run")


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")

    def full(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise OSError(28, "No space left on device")

    with run.open(), pytest.raises(ArtifactError, match=r"No space left on device.*free space"):
        run.step("greet", 1, {}, full)
    assert not list((tmp_path / "run" / "steps").rglob("half.txt"))


def test_a_published_folder_is_a_copy_without_the_step_record(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with run.open():
        done = run.step("greet", 1, {}, write_hello)
        target = run.publish(done.folder, "greeting")
        (target / "hello.txt").write_text("changed")
    assert (done.folder / "hello.txt").read_text() == "hello"
    assert not (target / "step.json").exists()
