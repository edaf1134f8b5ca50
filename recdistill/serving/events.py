"""What people did, kept on the disk before it is acknowledged: one SQLite file that every worker writes and reads."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recdistill.errors import ConfigError, DataError, RecdistillError

try:
    import fcntl
except ImportError:  # not on Windows; SQLite then takes turns by itself, with pauses
    fcntl = None  # type: ignore[assignment]

Id = str | int
FILE = "events.sqlite"
"""In the state folder."""
LEAST_TIME, LATEST_TIME = 1e8, 7_258_118_400
"""1973 and 2200, in seconds: what a log may hold beside other times."""
MOST_LETTERS = 1000
"""Of an id."""
MOST_VALUE = 1e30
MOST_WAITING = 20_000
"""Events that may wait for the disk; beyond that more are refused rather than kept in memory."""
BUSY_SECONDS = 10.0
PATIENCE = 10.0
"""Seconds that an append waits for the disk."""
SCHEMA_VERSION = 1
SCHEMA = """
create table if not exists events (
    id integer primary key, user_id not null, item_id not null, timestamp real not null, rating real);
create index if not exists events_by_user on events (user_id, timestamp, id, item_id);
"""
INSERT = "insert into events (user_id, item_id, timestamp, rating) values (?, ?, ?, ?)"
HISTORY = "select item_id from events where user_id = ? order by timestamp desc, id desc limit ?"

log = logging.getLogger("recdistill.serving")


class EventsError(RecdistillError):
    """Events could not be written or read now; nothing that was not acknowledged is promised."""


@dataclass(frozen=True, slots=True)
class Event:
    """Someone used something. Raises DataError for what a log could not hold."""

    user_id: Id
    """An integer, and text that spells just this integer, are the same person: 7 and "7", but not "07"."""
    item_id: Id
    """Kept as it was given; it need not be in the catalogue, since the next one may have it."""
    timestamp: float
    """Seconds since 1970, UTC."""
    value: float | None = None
    """A rating or a count, where there is one."""

    def __post_init__(self) -> None:
        _check_id(self.user_id, "user_id")
        _check_id(self.item_id, "item_id")
        _check_number(self.timestamp, "timestamp", LEAST_TIME, LATEST_TIME, "Give seconds since 1970.")
        if self.value is not None:
            _check_number(self.value, "value", -MOST_VALUE, MOST_VALUE, "Leave it out where there is none.")


@dataclass(eq=False, slots=True)
class _Waiting:
    """Rows that one call wants on the disk, and whom to tell."""

    rows: list[tuple[Any, ...]]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class Events:
    """One for each worker process, made in that process, over one file in write-ahead mode, synced at every commit.

    A thread writes everything that waits in one transaction and syncs once for all of it, so that many small appends
    share one sync. Between processes the writers queue at a lock file, which the kernel frees when one is killed.
    """

    def __init__(self, path: str | Path, *, history_limit: int = 500) -> None:
        if history_limit < 1:
            raise ConfigError(f"history_limit={history_limit!r}: must be at least 1.")
        self._path, self._history_limit = Path(path), history_limit
        self._turns = self._open_turns()
        try:
            with self._turn():
                self._writer = self._connect()
                self._prepare(self._writer)
            self._reader = self._connect()
        except sqlite3.Error as fault:
            raise DataError(f"{path}: cannot be opened as a file of events: {fault}. Move it away.") from fault
        self._inode = self._path.stat().st_ino
        self._reading = threading.Lock()
        self._pending: list[_Waiting] = []
        self._pending_rows = 0
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._write, name="recdistill-events", daemon=True)
        self._thread.start()

    async def append(self, events: Sequence[Event]) -> None:
        """Returns when all of them are on the disk, where every worker sees them; together or not at all.

        Raises EventsError where that failed, or where too many wait. Who is cancelled while waiting, or told that it
        took too long, learns nothing: the events may be kept.
        """
        rows = [(same(one.user_id), one.item_id, float(one.timestamp), one.value) for one in events]
        if not rows:
            return
        loop = asyncio.get_running_loop()
        waiting = _Waiting(rows, loop, loop.create_future())
        with self._wake:
            if self._closing:
                raise EventsError(f"{self._path}: closed; the service is stopping.")
            if self._pending_rows + len(rows) > MOST_WAITING:
                raise EventsError(
                    f"{self._path}: {self._pending_rows:,} events wait for the disk. Send them again later."
                )
            self._pending.append(waiting)
            self._pending_rows += len(rows)
            self._wake.notify()
        try:
            async with asyncio.timeout(PATIENCE):
                await waiting.done
        except TimeoutError:
            told = "Ask for them before you send them again."
            raise EventsError(
                f"{self._path}: not on the disk within {PATIENCE:g} s, and perhaps later. {told}"
            ) from None

    def history(self, user_id: Id) -> list[Id]:
        """Item ids of a person, oldest first, the last `history_limit` by time; [] for someone who did nothing.

        Every event that any worker acknowledged is in it. Raises EventsError where the file cannot be read.
        """
        found = self._ask(HISTORY, (same(user_id), self._history_limit))
        return [item for (item,) in reversed(found)]

    def count(self) -> int:
        """How many events there are, of all workers."""
        (found,) = self._ask("select coalesce(max(id), 0) from events")[0]  # none is ever removed
        return int(found)

    def close(self) -> None:
        """Write what waits, then let go of the file."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        with self._reading:
            self._reader.close()
        self._writer.close()
        if self._turns is not None:
            os.close(self._turns)
            self._turns = None

    def _ask(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._reading:
                return self._reader.execute(query, values).fetchall()
        except sqlite3.Error as fault:
            raise EventsError(f"{self._path}: cannot be read: {fault}.") from fault

    def _write(self) -> None:
        """The writing thread: all that waits at once, until closed and empty."""
        while True:
            with self._wake:
                while not self._pending and not self._closing:
                    self._wake.wait()
                group, self._pending, self._pending_rows = self._pending, [], 0
            if not group:
                return
            fault: EventsError | None = None
            try:
                self._commit([row for one in group for row in one.rows])
            except Exception as error:  # whatever it is, who waits must hear of it
                fault = EventsError(f"{self._path}: nothing was kept of these events: {error}.")
                log.error("%s", fault)
            _tell(group, fault)

    def _commit(self, rows: list[tuple[Any, ...]]) -> None:
        with self._turn():
            self._check_place()
            try:
                self._writer.execute("begin immediate")
                self._writer.executemany(INSERT, rows)
                self._writer.execute("commit")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._writer.execute("rollback")
                raise

    def _check_place(self) -> None:
        """SQLite would write on into a file that was removed, and every event in it would be lost at the end."""
        try:
            there = self._path.stat().st_ino == self._inode
        except OSError:
            there = False
        if not there:
            raise EventsError("the file was removed or replaced; start the service again")

    def _open_turns(self) -> int | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if fcntl is None:
                return None
            return os.open(
                self._path.with_name(f"{self._path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
            )
        except OSError as fault:
            raise DataError(
                f"{self._path}: cannot be written ({fault.strerror}). Name another folder, --state."
            ) from fault

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Only one process writes; the kernel wakes the next, where SQLite would poll."""
        if self._turns is None or fcntl is None:
            yield
            return
        fcntl.flock(self._turns, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._turns, fcntl.LOCK_UN)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=16
        )
        connection.execute("pragma synchronous = full")
        connection.execute("pragma journal_size_limit = 67108864")
        connection.execute("pragma cache_size = -512")  # kB; the system keeps the file's pages in memory anyway
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("pragma user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            raise DataError(
                f"{self._path}: events of version {version}; this version of recdistill reads {SCHEMA_VERSION}. "
                "Use the version that wrote it, or move the file away."
            )
        connection.execute("pragma journal_mode = wal")
        if version == 0:
            connection.executescript(f"begin immediate; {SCHEMA} pragma user_version = {SCHEMA_VERSION}; commit;")


def same(given: Id) -> Id:
    """The integer for text that spells it exactly; the id itself otherwise. This is how vocabularies compare ids."""
    if not isinstance(given, str) or not given or len(given) > 19:
        return given
    digits = given[1:] if given[0] == "-" else given
    if digits.isascii() and digits.isdigit() and (number := int(given)).bit_length() < 64 and str(number) == given:
        return number
    return given


def _tell(group: list[_Waiting], fault: EventsError | None) -> None:
    """One call into each event loop, for all that wait there."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for one in group:
        loops.setdefault(one.loop, []).append(one.done)
    for loop, waiting in loops.items():
        with suppress(RuntimeError):  # closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, waiting, fault)


def _resolve(waiting: list[asyncio.Future[None]], fault: EventsError | None) -> None:
    for one in waiting:
        if one.done():  # cancelled
            continue
        if fault is None:
            one.set_result(None)
        else:
            one.set_exception(fault)


def _check_id(given: Any, what: str) -> None:
    if isinstance(given, str):
        fits = 0 < len(given) <= MOST_LETTERS and "\0" not in given and given.strip() != "" and _encodes(given)
        if not fits:
            shown = given if len(given) <= 40 else f"{given[:40]}…"
            raise DataError(f"{what}: must be 1 to {MOST_LETTERS} letters without NUL, found {shown!r}.")
    elif type(given) is not int or not -(1 << 63) <= given < 1 << 63:
        raise DataError(f"{what}: must be text or an integer of 64 bits, found {str(given)[:40]!r}.")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_number(given: Any, what: str, least: float, most: float, cure: str) -> None:
    number = isinstance(given, (int, float)) and not isinstance(given, bool)
    if not number or not math.isfinite(given) or not least <= given <= most:
        raise DataError(f"{what}: must be a number from {least:g} to {most:g}, found {str(given)[:40]!r}. {cure}")
