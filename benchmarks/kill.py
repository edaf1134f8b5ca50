"""Claim: kill -9 of a worker at 100 random moments: only its own connections fail, and no acknowledged event is lost.

    python benchmarks/kill.py [--kills 100] [--workers 3] [--clients 12] [--seed 0]

Clients post events and ask for recommendations without a pause, each on a connection of its own, while now and then a
new artifact is published. The worker is stopped for the moment in which its connections are read from the kernel, so
that what may fail is known exactly; then it is killed. A connection that fails and was not one of those, a new one that
is refused, an answer that does not know an acknowledged event: each is a fault. At the end the file of events is read:
every acknowledged event must be there once, and nothing that was not sent.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import signal
import sqlite3
import statistics
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
from common import WORK, write
from live import ITEMS, Connection, Service, save

SHOWN = 10
EVENT_TIME = 1_700_000_000.0
PUBLISH_EVERY = 10
"""Kills between two publications."""
PATIENCE = 30.0
"""Seconds in which a killed worker must be replaced, and an answer given."""


class Killer:
    """Kills workers, and knows which connections that excuses."""

    def __init__(self, service: Service, seed: int) -> None:
        self._service, self._random = service, random.Random(seed)
        self.excused: set[int] = set()
        self.kills = 0
        self.connections_lost = 0
        self.seconds_to_replace: list[float] = []

    async def run(self, kills: int, work: Path) -> None:
        workers = len(self._service.workers())
        for number in range(kills):
            await asyncio.sleep(self._random.uniform(0.05, 1.0))
            if number % PUBLISH_EVERY == PUBLISH_EVERY // 2:
                save(work / "student", number)
                await asyncio.sleep(self._random.uniform(0.0, 1.5))  # while it is being taken up, by chance
            victim = self._random.choice(self._service.workers())
            began = time.monotonic()
            self._kill(victim)
            while not self._whole(workers, victim.pid):
                if time.monotonic() - began > PATIENCE:
                    raise SystemExit(f"the worker {victim.pid} was not replaced within {PATIENCE:.0f} s")
                await asyncio.sleep(0.002)
            self.seconds_to_replace.append(time.monotonic() - began)

    def _kill(self, victim: psutil.Process) -> None:
        victim.send_signal(signal.SIGSTOP)  # it is one moment for it, and its connections stay as they are
        while victim.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
            time.sleep(0.0005)
        own = {one.raddr.port for one in victim.net_connections("tcp") if one.raddr}
        self.excused |= own
        self.connections_lost += len(own)
        victim.send_signal(signal.SIGKILL)
        self.kills += 1

    def _whole(self, workers: int, victim: int) -> bool:
        now = [one.pid for one in self._service.workers()]
        return len(now) == workers and victim not in now


class Client:
    """One connection at a time; remembers what was sent and what was acknowledged."""

    def __init__(self, number: int, port: int, killer: Killer, faults: list[Any]) -> None:
        self.user = f"client {number}"
        self.sent: list[int] = []
        self.acknowledged: list[int] = []
        self.failed = 0
        self.asked: Counter[str] = Counter()
        self._random, self._port, self._killer, self._faults = random.Random(number), port, killer, faults
        self._connection: Connection | None = None

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await (self._event() if self._random.random() < 0.5 else self._recommend())
            await asyncio.sleep(self._random.uniform(0.0, 0.04))

    async def _event(self) -> None:
        number = len(self.sent)
        self.sent.append(number)
        event = {"user_id": self.user, "item_id": number % ITEMS, "timestamp": EVENT_TIME + number, "value": number}
        answer = await self._ask("event", "/events", {"events": [event]})
        if answer is not None:
            self.acknowledged.append(number)

    async def _recommend(self) -> None:
        """Whichever worker answers knows the last events, so that none of their items comes back."""
        answer = await self._ask("recommend", "/recommend", {"user": self.user, "k": 100})
        known = {number % ITEMS for number in self.acknowledged[-400:]}
        if answer is not None and known & set(answer["items"]):
            self._faults.append({"user": self.user, "came back": sorted(known & set(answer["items"]))[:SHOWN]})

    async def _ask(self, kind: str, path: str, body: Any) -> Any:
        """The answer, or None where the worker of this connection was killed."""
        self.asked[kind] += 1
        port = 0
        try:
            async with asyncio.timeout(PATIENCE):
                self._connection = self._connection or await Connection.open(self._port)
                port = self._connection.local_port
                status, answer = await self._connection.ask("POST", path, body)
        except (OSError, TimeoutError) as fault:
            self._connection = None
            self.failed += 1
            if port not in self._killer.excused or isinstance(fault, TimeoutError):
                self._faults.append({"user": self.user, "port": port, "fault": f"{type(fault).__name__}: {fault}"})
            self._killer.excused.discard(port)  # the kernel may give the port to somebody else
            return None
        if status != 200:
            self._faults.append({"user": self.user, "path": path, "status": status, "answer": answer})
            return None
        return answer


async def kill(service: Service, killer: Killer, clients: list[Client], kills: int, work: Path) -> None:
    stop = asyncio.Event()

    async def killing() -> None:
        try:
            await killer.run(kills, work)
            await asyncio.sleep(1.0)
        finally:
            stop.set()

    await asyncio.gather(killing(), *(one.run(stop) for one in clients))


def kept(path: Path) -> dict[str, list[int]]:
    """The number of each event in the file, by client."""
    found: dict[str, list[int]] = {}
    with closing(sqlite3.connect(path)) as connection:
        if connection.execute("pragma integrity_check").fetchone() != ("ok",):
            raise SystemExit(f"{path}: damaged")
        for user, number in connection.execute("select user_id, rating from events order by timestamp"):
            found.setdefault(user, []).append(int(number))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    work = WORK / "kill"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    save(work / "student", 1_000)
    words = ["--workers", str(options.workers), "--state", str(work / "state")]
    faults: list[Any] = []
    service = Service(work / "student", work / "log", *words)
    killer = Killer(service, options.seed)
    clients = [Client(one, service.port, killer, faults) for one in range(options.clients)]
    began = time.monotonic()
    try:
        asyncio.run(kill(service, killer, clients, options.kills, work))
    finally:
        code = service.stop()
    found = kept(work / "state" / "events.sqlite")
    lost = [(one.user, number) for one in clients for number in set(one.acknowledged) - set(found.get(one.user, []))]
    doubled = sum(len(numbers) - len(set(numbers)) for numbers in found.values())
    invented = sum(len(set(found.get(one.user, [])) - set(one.sent)) for one in clients)
    holds = {
        "only its own connections fail": not faults,
        "no acknowledged event is lost": not lost and not doubled and not invented,
        "all were killed": killer.kills == options.kills and code == 0,
    }
    write("kill", {
        "kills": killer.kills,
        "workers": options.workers,
        "clients": options.clients,
        "seconds": round(time.monotonic() - began, 1),
        "requests": dict(sum((one.asked for one in clients), Counter())),
        "connections_of_killed_workers": killer.connections_lost,
        "requests_that_failed_on_them": sum(one.failed for one in clients),
        "faults": len(faults),
        "examples": [*faults[:SHOWN], *lost[:SHOWN]],
        "events_sent": sum(len(one.sent) for one in clients),
        "events_acknowledged": sum(len(one.acknowledged) for one in clients),
        "events_in_file": sum(map(len, found.values())),
        "acknowledged_and_lost": len(lost),
        "doubled": doubled,
        "invented": invented,
        "seconds_to_new_process": {
            "p50": round(statistics.median(killer.seconds_to_replace), 3),
            "highest": round(max(killer.seconds_to_replace), 3),
        },
        "exit_code": code,
        "holds": holds,
    })  # fmt: skip
    print(holds)
    return 0 if all(holds.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
