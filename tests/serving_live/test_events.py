"""What was acknowledged is on the disk, in the order of time, for every worker."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from recdistill.errors import ConfigError, DataError
from recdistill.serving import events as module
from recdistill.serving.events import Event, Events, EventsError, same

NOON = 1_700_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "events.sqlite"


@pytest.fixture
def events(path: Path) -> Iterator[Events]:
    opened = Events(path)
    yield opened
    opened.close()


def append(events: Events, *given: Event) -> None:
    asyncio.run(events.append(given))


def did(user: str | int, *items: str | int, at: float = NOON) -> list[Event]:
    return [Event(user, item, at + place) for place, item in enumerate(items)]


def test_a_history_is_what_a_person_did_oldest_first(events: Events) -> None:
    append(events, *did("ann", 30, 10), *did("bob", 20))
    append(events, *did("ann", 20, at=NOON - 100))
    assert events.history("ann") == [20, 30, 10] and events.history("bob") == [20] and events.history("eve") == []
    assert events.count() == 4


def test_items_come_back_as_they_were_given(events: Events) -> None:
    append(events, *did("ann", 1, "1", "Amélie (2001)", -7, "not in any catalogue", 1))
    assert events.history("ann") == [1, "1", "Amélie (2001)", -7, "not in any catalogue", 1]
    assert [type(one) for one in events.history("ann")[:2]] == [int, str]


def test_text_that_spells_an_integer_is_the_same_person_and_nothing_else_is(events: Events) -> None:
    append(events, *did(7, 1), *did("7", 2, at=NOON + 1), *did("07", 3), *did("7.0", 4), *did(" 7", 5))
    assert events.history(7) == events.history("7") == [1, 2]
    assert events.history("07") == [3] and events.history("7.0") == [4] and events.history(" 7") == [5]


@pytest.mark.parametrize(
    ("given", "want"),
    [("12", 12), ("-3", -3), ("-0", "-0"), ("+1", "+1"), ("1_0", "1_0"), ("٣", "٣"), ("", ""), ("-", "-"), (5, 5),
     ("9223372036854775807", 2**63 - 1), ("9223372036854775808", "9223372036854775808"), ("1" * 5000, "1" * 5000)],
)  # fmt: skip
def test_only_the_plain_spelling_of_a_64_bit_integer_is_one(given: str | int, want: str | int) -> None:
    assert same(given) == want and type(same(given)) is type(want)


def test_only_the_last_of_a_long_history_counts(path: Path) -> None:
    opened = Events(path, history_limit=3)
    append(opened, *did("ann", *range(10)))
    assert opened.history("ann") == [7, 8, 9]
    opened.close()
    with pytest.raises(ConfigError, match="history_limit=0: must be at least 1"):
        Events(path, history_limit=0)


def test_another_worker_sees_what_was_acknowledged(events: Events, path: Path) -> None:
    other = Events(path)
    append(events, *did("ann", 1))
    assert other.history("ann") == [1]
    append(other, *did("ann", 2, at=NOON + 1))
    assert events.history("ann") == [1, 2] and events.count() == 2
    other.close()


def test_many_small_appends_share_their_syncs(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    commits, commit = [], events._commit

    def counted(rows: list[tuple[object, ...]]) -> None:
        commits.append(len(rows))
        commit(rows)

    monkeypatch.setattr(events, "_commit", counted)

    async def all_at_once() -> None:
        await asyncio.gather(*(events.append(did(user, user)) for user in range(1000)))

    asyncio.run(all_at_once())
    assert sum(commits) == 1000 and len(commits) <= 100
    assert events.count() == 1000 and events.history(999) == [999]


def test_every_commit_is_synced(events: Events) -> None:
    asked = [events._writer.execute(f"pragma {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert asked == ["wal", 2]  # 2: full


def test_an_append_of_nothing_waits_for_nothing(events: Events) -> None:
    append(events)
    assert events.count() == 0


def test_who_is_cancelled_does_not_disturb_the_others(events: Events) -> None:
    async def one_leaves() -> None:
        leaving = asyncio.create_task(events.append(did("ann", 1)))
        staying = asyncio.create_task(events.append(did("bob", 2)))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying
        with pytest.raises(asyncio.CancelledError):
            await leaving

    asyncio.run(one_leaves())
    assert events.history("bob") == [2]


def test_what_the_disk_refuses_is_not_acknowledged_and_the_next_is(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "INSERT", "insert into nowhere values (?, ?, ?, ?)")
        with pytest.raises(EventsError, match="nothing was kept of these events: no such table: nowhere"):
            append(events, *did("ann", 1))
    append(events, *did("ann", 2))
    assert events.history("ann") == [2]


def test_a_full_disk_is_told_and_keeps_what_was_there(events: Events) -> None:
    append(events, *did("ann", 1))
    events._writer.execute("pragma max_page_count = 1")  # never below what the file has
    with pytest.raises(EventsError, match="database or disk is full"):
        append(events, *did("ann", *(f"{place:0900}" for place in range(200))))
    events._writer.execute("pragma max_page_count = 1000000")
    append(events, *did("ann", 2, at=NOON + 1))
    assert events.history("ann") == [1, 2]


def test_too_many_that_wait_are_refused(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    with pytest.raises(EventsError, match=r"0 events wait for the disk\. Send them again later"):
        append(events, *did("ann", 1, 2, 3))
    append(events, *did("ann", 1, 2))
    assert events.count() == 2


def test_a_file_that_another_program_has_locked_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
    opened = Events(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(EventsError, match="nothing was kept of these events: database is locked"):
            append(opened, *did("ann", 1))
        assert opened.history("ann") == [], "who reads does not wait"
        other.execute("rollback")
    append(opened, *did("ann", 2))
    assert opened.history("ann") == [2]
    opened.close()


def test_a_disk_that_does_not_answer_is_told(events: Events, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    other = Events(path)
    with other._turn(), pytest.raises(EventsError, match=r"not on the disk within 0.05 s, and perhaps later"):
        append(events, *did("ann", 1))  # another worker stands still in the middle of its turn
    other.close()
    events.close()
    assert Events(path).history("ann") == [1]


def test_a_file_that_was_removed_takes_no_more_events(events: Events, path: Path) -> None:
    append(events, *did("ann", 1))
    path.unlink()
    with pytest.raises(EventsError, match="the file was removed or replaced; start the service again"):
        append(events, *did("ann", 2))


def test_after_closing_nothing_is_taken(path: Path) -> None:
    opened = Events(path)
    opened.close()
    with pytest.raises(EventsError, match="closed; the service is stopping"):
        append(opened, *did("ann", 1))
    with pytest.raises(EventsError, match=r"cannot be read: Cannot operate on a closed database"):
        opened.history("ann")


def test_closing_writes_what_waits(path: Path) -> None:
    opened = Events(path)

    async def leave() -> None:
        waiting = asyncio.create_task(opened.append(did("ann", 1)))
        await asyncio.sleep(0)
        await asyncio.to_thread(opened.close)
        await waiting

    asyncio.run(leave())
    again = Events(path)
    assert again.history("ann") == [1]
    again.close()


@pytest.mark.parametrize("user", ["", "  ", "a\0b", "x" * 1001, "\ud800", True, None, 1.5, 2**63, ["a"]])
def test_an_id_that_no_log_could_hold_is_refused(user: object) -> None:
    with pytest.raises(DataError, match=r"^user_id: must be"):
        Event(user, 1, NOON)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"^item_id: must be"):
        Event(1, user, NOON)  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [0, 1e12, float("nan"), float("inf"), True, "now", None, -NOON])
def test_a_time_that_is_not_in_seconds_is_refused(at: object) -> None:
    with pytest.raises(DataError, match=r"^timestamp: must be a number from .* Give seconds since 1970"):
        Event(1, 1, at)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e39, "5", True])
def test_a_value_that_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(DataError, match=r"^value: must be a number"):
        Event(1, 1, NOON, value)  # type: ignore[arg-type]


def test_a_file_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "events.sqlite"
    text.write_text("not a database, and long enough to look at. " * 20)
    with pytest.raises(DataError, match=r"cannot be opened as a file of events: file is not a database. Move it away"):
        Events(text)
    later = tmp_path / "later.sqlite"
    with sqlite3.connect(later) as connection:
        connection.execute("pragma user_version = 99")
    with pytest.raises(DataError, match="events of version 99; this version of recdistill reads 1"):
        Events(later)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        Events(tmp_path / "file" / "events.sqlite")


WORKER = """
import asyncio, sys
from recdistill.serving.events import Event, Events

async def main():
    events, number = Events(sys.argv[1]), int(sys.argv[2])
    for place in range(10**6):
        await events.append([Event(f"user {number}", place, 1.7e9 + place)])
        print(place, flush=True)

asyncio.run(main())
"""


def test_what_was_acknowledged_survives_kill_9_of_all_who_write(path: Path, tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(textwrap.dedent(WORKER))
    workers = [
        subprocess.Popen([sys.executable, script, path, str(number)], stdout=subprocess.PIPE, text=True)
        for number in range(3)
    ]
    for worker in workers:
        for line in worker.stdout or ():
            if int(line) >= 20:
                break
    for worker in workers:
        worker.send_signal(signal.SIGKILL)
    acknowledged = [max(int(line) for line in ["20", *(worker.stdout or ())] if line.strip()) for worker in workers]
    for worker in workers:
        worker.wait()
    opened = Events(path, history_limit=10**6)
    for number, last in enumerate(acknowledged):
        kept = opened.history(f"user {number}")
        assert kept == list(range(len(kept))) and len(kept) > last
    append(opened, *did("ann", 1))
    opened.close()
    assert not os.path.exists(f"{path}-wal"), "the last to close leaves one file"


def test_importing_needs_only_the_standard_library_and_numpy() -> None:
    code = (
        "import sys, recdistill.serving.events; print(*[m for m in ('torch', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
