"""A training that is stopped anywhere and begun again ends with the bits of one that never was."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open

import recdistill as rd
from recdistill.data.interactions import Interactions
from recdistill.errors import ArtifactError, ConfigError
from recdistill.knowledge.store import Knowledge
from recdistill.models.base import Ranker
from recdistill.training import checkpoint, loop
from recdistill.training.checkpoint import Checkpoints
from recdistill.training.teacher import VectorTeacher
from tests.conftest import tiny_frame

SMALL: dict[str, Any] = {"dim": 8, "epochs": 4, "batch_users": 40}
"""Three batches an epoch, twelve steps."""
SAMPLED: dict[str, Any] = {"negatives": 12, "batch_users": 10, "epochs": 1}
"""As many steps; the users of a batch leave some items to the sample."""


class StoppedError(Exception):
    pass


@pytest.fixture(scope="module")
def train() -> Interactions:
    frame = tiny_frame()
    ids = (frame[name].to_numpy(object) for name in ("user_id", "item_id"))
    log = Interactions.from_ids(*ids, times=frame["timestamp"].to_numpy())
    items = pd.DataFrame({"item_id": log.items.ids(), "taste": [f"taste {row % 5}" for row in range(log.n_items)]})
    return rd.attach(log, items=items)


def two_tower(train: Interactions, **settings: Any) -> Ranker:
    return rd.TwoTower(**{**SMALL, "history_dropout": 0.3, **settings}).fit(train, seed=3, device="cpu")


def distilled(train: Interactions, *, method: Any = None, **settings: Any) -> Ranker:
    draw = np.random.default_rng(5)
    known = Knowledge.from_vectors(
        draw.normal(size=(train.n_users, 6)), draw.normal(size=(train.n_items, 6)), train, top_k=20
    )
    student = rd.TwoTower(**{**SMALL, "user_id": False, "history_dropout": 0.3, **settings})
    return rd.distill(known, student=student, on=train, seed=3, device="cpu", method=method)


def embeddings(kind: type[Ranker]) -> Callable[..., Ranker]:
    return lambda train, **settings: kind(**{**SMALL, **settings}).fit(train, seed=3, device="cpu")


TRAININGS: dict[str, Callable[[Interactions], Ranker]] = {
    "two-tower": two_tower,
    "mixed negatives": lambda train: two_tower(train, **SAMPLED),
    "item features": lambda train: two_tower(train, item_features=True, feature_dropout=0.4),
    "distilled": distilled,
    "distilled over a sample": lambda train: distilled(train, **SAMPLED),
    "distilled by soft labels": lambda train: distilled(train, method="soft_labels"),
    "distilled by lists": lambda train: distilled(train, method="rrd"),
    "distilled by the student's own lists": lambda train: distilled(train, method="dcd"),
    "distilled by vectors, weight adapting": lambda train: distilled(train, method={"de": {"adapt": "loss_ratio"}}),
    "by order": lambda train: two_tower(train, order=True, user_id=False),
    "through centroids": lambda train: two_tower(train, codec="pq2", user_id=False),
    "through a low rank": lambda train: two_tower(train, codec="svd3", user_id=False),
    "through sums": lambda train: two_tower(train, codec="qr8", user_id=False),
    "deep tower": embeddings(rd.DeepTower),
    "self-attention": embeddings(rd.SelfAttention),
    "mf": embeddings(rd.MatrixFactorisation),
    "mf by bpr": lambda train: embeddings(rd.MatrixFactorisation)(train, loss="bpr"),
    "mf by bsl": lambda train: embeddings(rd.MatrixFactorisation)(train, loss="bsl"),
    "lightgcn": embeddings(rd.LightGCN),
}


@pytest.fixture
def stop_before(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Stops the process's trainings before the n-th step from now on."""
    left = [sys.maxsize]
    plain = loop.one_cycle

    def counted(step: int, total: int, warm_up: float) -> float:
        left[0] -= 1
        if left[0] < 0:
            raise StoppedError
        return plain(step, total, warm_up)

    monkeypatch.setattr(loop, "one_cycle", counted)
    return lambda steps: left.__setitem__(0, steps)


def bits(model: Ranker) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in model.scorer.arrays().items()}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_stopped_again_and_again_ends_as_one_that_was_not(
    name: str, train: Interactions, tmp_path: Path, stop_before: Callable[[int], None]
) -> None:
    """Within epochs and between them; a run gets four or five steps further each time."""
    whole = bits(TRAININGS[name](train))
    stopped = 0
    while True:
        stop_before(4 + stopped % 2)
        try:
            with Checkpoints(tmp_path / "kept", every=0) as kept:
                model = TRAININGS[name](train)
            break
        except StoppedError:
            stopped += 1
            assert kept.found
    assert stopped == 2, "twelve steps by four and five"
    assert bits(model) == whole
    assert not (tmp_path / "kept").exists()


def test_a_live_teacher_goes_on_with_the_sums_that_it_has_kept(train: Interactions) -> None:
    """They are of the batch that a user was first asked in, which rounds them."""
    draw, rows = np.random.default_rng(5), torch.arange(4)
    known = Knowledge.from_vectors(draw.normal(size=(train.n_users, 6)), draw.normal(size=(train.n_items, 6)), train)
    first, second = (VectorTeacher(known, 1.0, torch.float32, torch.device("cpu")) for _ in range(2))
    want = first.tile(rows).probabilities
    kept = {"log_z": first.state()["log_z"] - 1.0, "negative_entropy": first.state()["negative_entropy"] + 2.0}
    second.restore(kept)
    torch.testing.assert_close(second.tile(rows).probabilities, want * np.e)
    torch.testing.assert_close(second.tile(rows).negative_entropy, first.tile(rows).negative_entropy + 2.0)


def test_the_sums_of_a_live_teacher_are_in_the_checkpoint(
    train: Interactions, tmp_path: Path, stop_before: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recdistill.training.teacher.CACHE_BYTES", 0)
    whole = bits(distilled(train, method="soft_labels"))
    stop_before(7)
    with pytest.raises(StoppedError), Checkpoints(tmp_path, every=0):
        distilled(train, method="soft_labels")
    with safe_open(tmp_path / "001.safetensors", "np") as file:
        assert np.isfinite(file.get_tensor("parts/teacher/log_z")).all()
    stop_before(sys.maxsize)
    with Checkpoints(tmp_path, every=0):
        assert bits(distilled(train, method="soft_labels")) == whole


def test_candidates_that_were_finished_are_not_trained_again(
    train: Interactions, tmp_path: Path, stop_before: Callable[[int], None]
) -> None:
    held = rd.HeldOut(train.users.ids(), np.arange(train.n_users), train.csr(), np.diff(train.csr().indptr))

    def chosen() -> rd.TwoTower:
        return rd.TwoTower(**SMALL, user_id=False, trials=3).fit(train, held, seed=3, device="cpu")

    whole = chosen()
    stop_before(30)  # of 36: two candidates are done, the third is half done
    with pytest.raises(StoppedError), Checkpoints(tmp_path, every=0):
        chosen()
    stop_before(6)
    with Checkpoints(tmp_path, every=0):
        again = chosen()
    assert again.settings() == whole.settings()
    assert bits(again) == bits(whole)


def test_a_checkpoint_of_other_settings_or_another_log_is_not_gone_on_from(
    train: Interactions, tmp_path: Path, stop_before: Callable[[int], None]
) -> None:
    stop_before(5)
    with pytest.raises(StoppedError), Checkpoints(tmp_path, every=0):
        two_tower(train)
    stop_before(11)
    with pytest.raises(StoppedError), Checkpoints(tmp_path, every=0):
        two_tower(train, tau=0.2)  # it would end after seven
    stop_before(11)
    frame = tiny_frame(seed=1)
    other = Interactions.from_ids(frame["user_id"].to_numpy(object), frame["item_id"].to_numpy(object))
    with pytest.raises(StoppedError), Checkpoints(tmp_path, every=0):
        two_tower(other, tau=0.2)


@pytest.mark.parametrize("harm", ["cut", "changed", "text"])
def test_a_checkpoint_that_is_not_whole_is_left_aside(
    harm: str, train: Interactions, tmp_path: Path, stop_before: Callable[[int], None]
) -> None:
    whole = bits(two_tower(train))
    stop_before(5)
    with pytest.raises(StoppedError), Checkpoints(tmp_path, every=0):
        two_tower(train)
    path = tmp_path / "001.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes({"cut": content[:-100], "changed": content, "text": b"{}"}[harm])
    stop_before(12)
    with Checkpoints(tmp_path, every=0):
        assert bits(two_tower(train)) == whole


def test_short_trainings_write_nothing(train: Interactions, tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "kept", every=1e6) as kept:
        two_tower(train)
        assert not (tmp_path / "kept").exists()
    assert kept.written == 0


def test_checkpoints_are_as_far_apart_as_was_asked_and_rarer_where_they_are_slow(
    train: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])
    kept = Checkpoints(tmp_path, every=10)
    with kept:
        clock[0] = 9.9
        assert not kept.due()
        clock[0] = 10.0
        assert kept.due()
        kept._last, kept._rest = 10.0, 2.0 / checkpoint.SHARE  # one took two seconds
        clock[0] = 49.0
        assert not kept.due()
        clock[0] = 50.0
        assert kept.due()


def test_nothing_is_kept_outside_of_a_block(train: Interactions, tmp_path: Path) -> None:
    assert checkpoint.training_of(checkpoint.Kept(lambda: "anything")) is None
    with Checkpoints(tmp_path):
        assert checkpoint.training_of(None) is None
        assert checkpoint.training_of(checkpoint.Kept(lambda: "anything")) is not None
    assert checkpoint.training_of(checkpoint.Kept(lambda: "anything")) is None


def test_other_files_of_the_folder_stay(train: Interactions, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with Checkpoints(tmp_path, every=0) as kept:
        two_tower(train)
        assert (tmp_path / "001.safetensors").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert kept.written == 13, "twelve steps and the end"


def test_what_a_kill_left_half_written_is_swept_up(train: Interactions, tmp_path: Path) -> None:
    (tmp_path / ".unfinished").mkdir()
    (tmp_path / ".unfinished" / ".tmpPdYPZ0").write_bytes(b"half")
    with Checkpoints(tmp_path, every=0):
        two_tower(train)
        assert not (tmp_path / ".unfinished").exists()
    assert not tmp_path.exists()


def test_a_disk_that_refuses_is_named(train: Interactions, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    says = (
        r"file/kept/001\.safetensors: the checkpoint cannot be written \(Not a directory\); free space and begin again"
    )
    with pytest.raises(ArtifactError, match=says), Checkpoints(tmp_path / "file" / "kept", every=0):
        two_tower(train)


def test_a_checkpoint_that_fits_nothing_is_named(
    train: Interactions, tmp_path: Path, stop_before: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_before(5)
    with pytest.raises(StoppedError), Checkpoints(tmp_path, every=0):
        two_tower(train)
    stop_before(sys.maxsize)
    monkeypatch.setattr("recdistill.training.batches.UserBatches.restore", lambda self, state: state["no such"])
    says = r"001\.safetensors: does not fit.*remove it to begin anew"
    with pytest.raises(ArtifactError, match=says), Checkpoints(tmp_path, every=0):
        two_tower(train)


def test_a_negative_interval_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="every -1 seconds: give 0 or more"):
        Checkpoints(tmp_path, every=-1)


KILLED = """
import os, signal, sys, time
from pathlib import Path
import recdistill as rd
from recdistill.data.interactions import Interactions
from recdistill.training.checkpoint import _load
from tests.conftest import tiny_frame

frame, folder = tiny_frame(), Path(sys.argv[1])
log = Interactions.from_ids(frame["user_id"].to_numpy(object), frame["item_id"].to_numpy(object))

def start(name):
    child = os.fork()
    if child == 0:
        with rd.Checkpoints(folder / f"{name} kept", every=0):
            model = rd.TwoTower(dim=8, epochs=4, batch_users=8, history_dropout=0.3).fit(log, seed=3, device="cpu")
            model.save(folder / name)
        os._exit(0)
    return child

def steps():
    try:
        found = _load(folder / "again kept" / "001.safetensors")
    except RuntimeError:  # the child put another in its place between two looks at its size
        return steps()
    return 0 if found is None else found[1]["place"]["step"]

assert os.waitpid(start("whole"), 0)[1] == 0
for _ in range(3):
    before, child = steps(), start("again")
    while steps() < before + 12 and os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
assert os.waitpid(start("again"), 0)[1] == 0
"""


def test_a_process_that_is_killed_goes_on_and_ends_with_the_same_artifact(tmp_path: Path) -> None:
    """60 steps, a kill after each 12 of them or a few more, in the midst of whatever is done then."""
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=True)
    first, second = (tmp_path / name / "model.safetensors" for name in ("whole", "again"))
    assert first.read_bytes() == second.read_bytes()
    assert not list(tmp_path.glob("* kept"))
