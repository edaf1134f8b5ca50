"""The folder of a run: what is there is whole, what is unchanged is not done again."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from recdistill.data.interactions import Interactions
from recdistill.errors import ArtifactError, ConfigError
from recdistill.models.two_tower import TwoTower
from recdistill.runs.run import Run
from recdistill.training import loop
from recdistill.training.checkpoint import Checkpoints
from tests.conftest import tiny_frame


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
        pytest.raises(ConfigError, match=rf"another run is working in it \(process {os.getpid()}\)"),
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


def test_a_step_goes_on_with_the_training_that_a_stopped_run_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was trained is there for the same step again, and for no other; it is gone when the step is done."""
    frame, kept = tiny_frame(), tmp_path / "run" / "checkpoints"
    log = Interactions.from_ids(frame["user_id"].to_numpy(object), frame["item_id"].to_numpy(object))
    monkeypatch.setattr("recdistill.runs.run.Checkpoints", partial(Checkpoints, every=0))
    steps: list[int] = []

    def build(folder: Path, *, stop: bool) -> dict[str, Any]:
        def counted(step: int, total: int, warm_up: float) -> float:
            steps.append(step)
            if stop and len(steps) == 8:
                raise KeyboardInterrupt
            return plain(step, total, warm_up)

        monkeypatch.setattr(loop, "one_cycle", counted)
        TwoTower(dim=4, epochs=4, batch_users=40).fit(log, device="cpu").save(folder / "artifact")
        return {}

    plain, run = loop.one_cycle, Run(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt), run.open():
        run.step("teacher", 1, {"seed": 0}, partial(build, stop=True))
    assert len(list(kept.glob("teacher-*/001.safetensors"))) == 1
    with run.open():
        steps.clear()
        run.step("teacher", 1, {"seed": 1}, partial(build, stop=False))
        assert steps == list(range(12)), "another step begins at the beginning"
        steps.clear()
        done = run.step("teacher", 1, {"seed": 0}, partial(build, stop=False))
        assert steps == [7, 8, 9, 10, 11]
        assert not list(kept.glob("*"))
    assert not kept.exists()
    whole = TwoTower(dim=4, epochs=4, batch_users=40).fit(log, device="cpu").save(tmp_path / "whole")
    name = "model.safetensors"
    assert (done.folder / "artifact" / name).read_bytes() == (whole / name).read_bytes()
    assert '"goes_on": true' in (tmp_path / "run" / "log.jsonl").read_text()


def test_a_run_that_fails_before_anything_is_done_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="wrong file"), Run(tmp_path / "runs" / "mine").open():
        raise ConfigError("wrong file")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_later_keeps_what_was_done(tmp_path: Path) -> None:
    def fails(run: Run) -> None:
        run.step("greet", 1, {}, lambda folder: None)
        raise ConfigError("later")

    with pytest.raises(ConfigError, match="later"), Run(tmp_path / "mine").open() as run:
        fails(run)
    with Run(tmp_path / "mine").open() as run:
        assert run.step("greet", 1, {}, lambda folder: None).reused


def test_a_folder_that_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError, match="wrong file"), Run(tmp_path / "mine").open():
        raise ConfigError("wrong file")
    assert (tmp_path / "mine").is_dir()
