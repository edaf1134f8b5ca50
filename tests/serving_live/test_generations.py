"""A model is replaced while it runs, and only by one that is whole and answers."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recdistill.errors import ArtifactError, ConfigError
from recdistill.serving import Recommender, generations
from recdistill.serving.generation_store import Store
from recdistill.serving.generations import Generations
from recdistill.serving.publication import generation_id, look
from tests.serving_live.conftest import save

POLL = 0.01
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def soon_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(generations, "LONGEST_WAIT", 0.05)


@pytest.fixture
def make(watched: Path) -> Iterator[Callable[[], Generations]]:
    """Another worker over the same folders, stopped at the end."""
    made: list[Generations] = []

    def one() -> Generations:
        worker = Generations(watched, watched.with_name("state"), poll_seconds=POLL)
        made.append(worker)
        worker.start()
        return worker

    yield one
    for worker in made:
        worker.stop()


@pytest.fixture
def live(make: Callable[[], Generations]) -> Generations:
    return make()


def until(true: Callable[[], object], what: str = "it never came about") -> None:
    """Waits for what another thread does; its time is bounded, not measured."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.005)


def polls(worker: Generations, times: int = 3) -> None:
    """Some looks of the watching thread pass."""
    count, poll = [0], worker._poll

    def counted() -> None:
        poll()
        count[0] += 1

    worker._poll = counted  # type: ignore[method-assign]
    until(lambda: count[0] >= times)
    worker._poll = poll  # type: ignore[method-assign]


def answers(folder: Path) -> list[object]:
    return Recommender.load(folder).recommend([10, 20], k=5)


def test_what_is_published_answers_and_says_what_it_is(live: Generations, watched: Path) -> None:
    current = live.current
    assert current.id == generation_id(watched) and len(current.id) == 12
    assert current.config["name"] == "seed 0" and current.card.startswith("# seed 0")
    assert current.checksums == json.loads((watched / "checksums.json").read_text())
    assert current.recommender.recommend([10, 20], k=5) == answers(watched)
    status = live.status()
    assert status["current"] == current.id and status["available"] == [current.id] and status["refused"] == []


def test_a_new_artifact_is_taken_up_by_every_worker(make: Callable[[], Generations], watched: Path) -> None:
    workers = [make(), make(), make()]
    before = workers[0].current
    save(watched, 1)
    new = generation_id(watched)
    until(lambda: all(worker.current.id == new for worker in workers))
    assert workers[1].current.recommender.recommend([10, 20], k=5) == answers(watched)
    assert before.recommender.recommend([10, 20], k=5) != answers(watched), "who holds the old one goes on with it"
    assert workers[2].status()["available"] == [new, before.id]


def test_a_changed_byte_is_refused_once_and_the_old_goes_on(make: Callable[[], Generations], watched: Path) -> None:
    workers = [make(), make()]
    old = workers[0].current.id
    new = save(watched.with_name("new"), 1)
    raw = bytearray((new / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (new / "model.safetensors").write_bytes(raw)
    shutil.rmtree(watched)
    new.rename(watched)
    until(lambda: workers[0].status()["refused"])
    for worker in workers:
        polls(worker)
    (told,) = workers[1].status()["refused"]
    assert told["id"] == generation_id(watched) and "model.safetensors: not the file that checksums" in told["reason"]
    assert [worker.current.id for worker in workers] == [old, old]
    assert not (watched.with_name("state") / "generations" / told["id"]).exists()


def test_a_refused_one_stays_refused_after_a_restart(make: Callable[[], Generations], watched: Path) -> None:
    first = make()
    old = first.current.id
    save(watched, 1, bad=True)
    until(lambda: first.status()["refused"])
    first.stop()
    second = make()
    polls(second)
    assert second.current.id == old
    (told,) = second.status()["refused"]
    assert "item_table.values holds NaN" in told["reason"]


def test_a_folder_that_was_refused_is_taken_once_it_is_mended(live: Generations, watched: Path) -> None:
    whole = save(watched.with_name("new"), 1)
    shutil.copy(whole / "checksums.json", watched / "checksums.json")  # the other files are of the old one
    until(lambda: live.status()["refused"])
    for name in ("model.safetensors", "config.json", "README.md", "vocab.safetensors"):
        shutil.copy(whole / name, watched / name)
    until(lambda: live.current.id == generation_id(whole))


@pytest.mark.parametrize("last", ["checksums.json", "model.safetensors"])
def test_a_publisher_may_copy_file_by_file(live: Generations, watched: Path, last: str) -> None:
    whole = save(watched.with_name("new"), 1)
    old = live.current.id
    names = [name for name in sorted(os.listdir(whole)) if name != last]
    for name in names:
        shutil.copy(whole / name, watched / name)
        polls(live, 1)
        assert live.current.id == old
    shutil.copy(whole / last, watched / last)
    until(lambda: live.current.id == generation_id(whole))


def test_a_folder_may_be_removed_and_put_back(live: Generations, watched: Path) -> None:
    old = live.current
    watched.rename(watched.with_name("away"))
    polls(live)
    assert live.current is old
    watched.with_name("away").rename(watched)
    polls(live)
    assert live.current is old and live.status()["refused"] == []
    shutil.rmtree(watched)
    polls(live)
    save(watched, 1)
    until(lambda: live.current.id == generation_id(watched))


def test_of_two_within_one_poll_the_last_is_taken(live: Generations, watched: Path) -> None:
    with live._turn:
        save(watched, 1)
        save(watched, 2)
    new = generation_id(watched)
    until(lambda: live.current.id == new)
    assert len(live.status()["available"]) == 2


def test_rolling_back_holds_in_every_worker_until_something_new_is_published(
    make: Callable[[], Generations], watched: Path
) -> None:
    workers = [make(), make()]
    ids = [workers[0].current.id]
    for seed in (1, 2):
        save(watched, seed)
        ids.append(generation_id(watched))
        until(lambda: all(worker.current.id == ids[-1] for worker in workers))
    assert workers[0].roll_back().id == ids[1]
    until(lambda: workers[1].current.id == ids[1])
    assert workers[1].roll_back().id == ids[0]
    until(lambda: workers[0].current.id == ids[0])
    for worker in workers:
        polls(worker)
        assert worker.current.id == ids[0]
    with pytest.raises(ConfigError, match=f"no generation before {ids[0]}; kept are {ids[2]}, {ids[1]}, {ids[0]}"):
        workers[0].roll_back()
    assert workers[0].roll_back(to=ids[2]).id == ids[2]
    assert workers[0].roll_back().id == ids[0]
    with pytest.raises(ConfigError, match="no generation 'nothing' is kept"):
        workers[0].roll_back(to="nothing")
    save(watched, 3)
    until(lambda: all(worker.current.id == generation_id(watched) for worker in workers))


def test_a_roll_back_outlives_a_restart(make: Callable[[], Generations], watched: Path) -> None:
    first = make()
    old = first.current.id
    save(watched, 1)
    until(lambda: first.current.id != old)
    first.roll_back()
    first.stop()
    second = make()
    polls(second)
    assert second.current.id == old


def test_a_refused_one_that_is_mended_after_a_roll_back_is_taken(live: Generations, watched: Path) -> None:
    save(watched, 1)
    until(lambda: live.current.id == generation_id(watched))
    whole = save(watched.with_name("new"), 2)
    shutil.copy(whole / "checksums.json", watched / "checksums.json")
    until(lambda: live.status()["refused"])
    old = live.roll_back().id
    polls(live)
    assert live.current.id == old
    for path in whole.iterdir():
        shutil.copy(path, watched / path.name)
    until(lambda: live.current.id == generation_id(whole))


def test_a_worker_that_starts_while_another_takes_one_up_follows(
    make: Callable[[], Generations], watched: Path
) -> None:
    first = make()
    save(watched, 1)
    with Store(watched.with_name("state")).lock(1.0) as held:
        assert held
        second = make()
        assert second.current.id in (first.current.id, generation_id(watched))
    until(lambda: second.current.id == generation_id(watched))


def test_what_was_gone_back_from_can_be_published_again(live: Generations, watched: Path) -> None:
    old = live.current.id
    save(watched, 1)
    until(lambda: live.current.id != old)
    live.roll_back()
    save(watched, 0)
    assert generation_id(watched) == old, "the same content has the same name"
    polls(live)
    save(watched, 1)
    until(lambda: live.current.id == generation_id(watched))


def test_the_last_three_are_kept(live: Generations, watched: Path) -> None:
    for seed in range(1, 6):
        save(watched, seed)
        until(lambda: live.current.id == generation_id(watched))
    kept = live.status()["available"]
    assert len(kept) == 3 and kept[0] == live.current.id
    assert sorted(os.listdir(watched.with_name("state") / "generations")) == sorted(kept)


def test_a_start_takes_what_was_published_meanwhile(make: Callable[[], Generations], watched: Path) -> None:
    make().stop()
    save(watched, 1)
    assert make().current.id == generation_id(watched)


def test_a_start_with_a_bad_one_goes_on_with_the_old(make: Callable[[], Generations], watched: Path) -> None:
    first = make()
    first.stop()
    (watched / "checksums.json").write_text("{}")
    second = make()
    assert second.current.id == first.current.id
    until(lambda: second.status()["refused"])


def test_a_start_without_anything_that_works_is_refused_with_the_reason(
    make: Callable[[], Generations], watched: Path
) -> None:
    (watched / "vocab.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"vocab.safetensors: missing, so the artifact is not whole"):
        make()
    shutil.rmtree(watched)
    with pytest.raises(ArtifactError, match=r"no artifact there\. Give an artifact's folder"):
        make()
    save(watched, 0)
    assert make().current.id == generation_id(watched)


def test_a_damaged_copy_is_made_again_or_passed_over(make: Callable[[], Generations], watched: Path) -> None:
    first = make()
    old = first.current.id
    save(watched, 1)
    new = generation_id(watched)
    until(lambda: first.current.id == new)
    first.stop()
    kept = watched.with_name("state") / "generations"
    for damaged in ((new,), (old, new)):
        for one in damaged:
            (kept / one / "config.json").write_text("{}")
        again = make()
        assert again.current.id == new, "what is published is copied again"
        again.stop()
    save(watched, 2)
    last = make()
    last.stop()
    (kept / generation_id(watched) / "config.json").write_text("{}")
    (watched / "config.json").write_text("{}")
    assert make().current.id == new, "of the copies that are left the newest that is whole"


def test_a_crash_between_the_copy_and_the_pointer_is_made_good(make: Callable[[], Generations], watched: Path) -> None:
    first = make()
    first.stop()
    save(watched, 1)
    seen = look(watched)
    assert seen is not None
    store = Store(watched.with_name("state"))
    store.hold(seen)  # and here the process ends
    left = store.generations / ".0123456789ab.1.tmp"
    left.mkdir()
    (store.folder.joinpath("lock")).touch()
    second = make()
    assert second.current.id == seen.id
    save(watched, 2)
    until(lambda: second.current.id == generation_id(watched))
    assert not left.exists()


HOLDER = """
import sys, time
from pathlib import Path
from recdistill.serving.generation_store import Store

with Store(Path(sys.argv[1])).lock() as held:
    print(held, flush=True)
    time.sleep(600)
"""


def test_the_lock_of_a_killed_worker_is_free(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "True\n"
    with Store(tmp_path).lock() as held:
        assert not held
    holder.kill()
    holder.wait()
    with Store(tmp_path).lock() as held:
        assert held


def test_a_lost_pointer_is_made_again(make: Callable[[], Generations], watched: Path) -> None:
    first = make()
    first.stop()
    for content in ("", "[]", '{"current": 3}'):
        (watched.with_name("state") / "current.json").write_text(content)
        assert make().current.id == first.current.id
    (watched.with_name("state") / "current.json").write_text("{")
    shutil.rmtree(watched)
    assert make().current.id == first.current.id


def test_an_artifact_that_ends_the_process_is_not_tried_for_ever(
    make: Callable[[], Generations], watched: Path
) -> None:
    live = make()
    old = live.current.id
    store = Store(watched.with_name("state"))
    whole = save(watched.with_name("new"), 1)
    for _ in range(3):
        store.trying(generation_id(whole))  # a process began, and was never heard of again
    shutil.rmtree(watched)
    whole.rename(watched)
    until(lambda: live.status()["refused"])
    assert "the process ended 3 times" in live.status()["refused"][0]["reason"]
    assert live.current.id == old


def test_a_start_does_not_try_it_for_ever_either(make: Callable[[], Generations], watched: Path) -> None:
    old = make()
    old.stop()
    save(watched, 1)
    store = Store(watched.with_name("state"))
    for _ in range(3):
        store.trying(generation_id(watched))
    after = make()
    polls(after)
    assert after.current.id == old.current.id
    assert "the process ended 3 times" in after.status()["refused"][0]["reason"]
    save(watched, 2)
    until(lambda: after.current.id == generation_id(watched))


@pytest.mark.parametrize("error", [ValueError, MemoryError, KeyError])
def test_a_fault_that_nobody_thought_of_refuses_the_artifact_and_no_more(
    make: Callable[[], Generations], watched: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    live = make()
    old = live.current.id
    load = Recommender.load

    def fail(folder: Path) -> Recommender:
        if folder.name != old:
            raise error("deep inside")
        return load(folder)

    with monkeypatch.context() as patch:
        patch.setattr(Recommender, "load", fail)
        save(watched, 1)
        until(lambda: live.status()["refused"])
        assert make().current.id == live.current.id == old
        assert f"{error.__name__}: " in live.status()["refused"][0]["reason"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_where_a_disk_refuses_a_new_one_is_put_off_and_not_refused(
    live: Generations, watched: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    old = live.current.id

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr("recdistill.serving.generation_store.copy", refuse)
        save(watched, 1)
        until(lambda: live.status()["waiting"])
        assert os.strerror(number) in live.status()["waiting"]["reason"]
        polls(live, 20)
        assert live.current.id == old and live.status()["refused"] == []
    until(lambda: live.current.id == generation_id(watched))
    until(lambda: live.status()["waiting"] is None)


def test_a_state_that_cannot_be_written_is_refused(watched: Path) -> None:
    (watched.with_name("state")).write_text("a file")
    with pytest.raises(ArtifactError, match=r"state: cannot be written .*; name another folder for the state, --state"):
        Generations(watched, watched.with_name("state")).start()
    with pytest.raises(ConfigError, match="poll_seconds=0: must be above 0"):
        Generations(watched, watched.with_name("unused"), poll_seconds=0)
    with pytest.raises(
        ConfigError, match=r"inside: lies in the artifact's folder .*student; give --state another place"
    ):
        Generations(watched, watched / "inside")
    with pytest.raises(ArtifactError, match=r"call start\(\) first"):
        _ = Generations(watched, watched.with_name("unused")).current


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b"])
def test_checksums_that_lead_out_of_the_folder_are_refused(live: Generations, watched: Path, name: str) -> None:
    (watched / "checksums.json").write_text(json.dumps({name: "0" * 64}))
    until(lambda: live.status()["refused"])
    assert "which is not a file in the folder" in live.status()["refused"][0]["reason"]


def test_the_watch_goes_on_after_a_fault_of_its_own(
    live: Generations, watched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(generations, "look", lambda _: 1 / 0)
        until(lambda: live.status()["waiting"])
    save(watched, 1)
    until(lambda: live.current.id == generation_id(watched))
