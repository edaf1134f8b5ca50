"""Claim: ten minutes of mixed load with a reload every 15 s: no wrong answer, no failed request, no growth of memory.

    python benchmarks/soak.py [--seconds 600] [--reload 15] [--workers 2] [--rate 120] [--artifact FOLDER]

Every answer that names a generation is compared with what that generation's artifact answers offline to the same
history; where a user id is asked for, with that person's acknowledged events after it. One publication in four is
copied into the folder file by file, in any order; one in four follows a damaged one, which must never answer; after one
in eight the service is asked to roll back. Memory is that of all processes, at the end against a tenth of the time in.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from common import WORK, write
from live import ITEMS, Connection, Service, save

from recdistill.serving import Recommender
from recdistill.serving.publication import generation_id

SHOWN = 10
FEWER = 2900
"""Items of every third generation, so that answers of two generations cannot be taken for each other."""
SOON = 12.0
"""A reload quicker than this replaces a damaged artifact before it has been refused."""
USERS = 20
"""Of each client."""
EVENT_TIME = 1_700_000_000.0
MIX = {"recommend": 40, "user": 20, "event": 15, "batch": 5, "similar": 8, "explain": 4, "items": 4, "model": 2,
       "metrics": 2}  # fmt: skip


class Record:
    """What happened, with the first examples of what should not have."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.first: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.milliseconds: list[float] = []
        self.wrong: list[Any] = []
        self.failed: list[Any] = []
        self.checked = 0

    def named(self, generation: str) -> None:
        self.answered[generation] += 1
        self.first.setdefault(generation, time.monotonic())
        self.last[generation] = time.monotonic()

    def same(self, kind: str, generation: str, found: Any, want: Any) -> None:
        self.checked += 1
        if found != want:
            self.wrong.append({"kind": kind, "generation": generation, "found": found, "want": want})


class Client:
    """One connection and some people whose events nobody else sends."""

    def __init__(self, number: int, port: int, offline: dict[str, Recommender], record: Record) -> None:
        self._random = random.Random(number)
        self._port, self._offline, self._record = port, offline, record
        (first,) = offline.values()
        self._ids: list[Any] = first.items.ids().tolist()
        self._kept = self._ids[:FEWER]
        self._done: dict[str, list[Any]] = {f"client {number} user {place}": [] for place in range(USERS)}
        self._connection: Connection | None = None

    async def run(self, end: float, pause: float) -> None:
        kinds, weights = list(MIX), list(MIX.values())
        while time.monotonic() < end:
            began = time.monotonic()
            (kind,) = self._random.choices(kinds, weights)
            try:
                await getattr(self, f"_{kind}")()
            except Exception as fault:
                self._record.failed.append({"kind": kind, "fault": f"{type(fault).__name__}: {fault}"[:500]})
                self._connection = None
            await asyncio.sleep(max(0.0, pause * self._random.uniform(0.5, 1.5) - (time.monotonic() - began)))

    async def _ask(self, kind: str, method: str, path: str, body: Any = None) -> Any:
        self._connection = self._connection or await Connection.open(self._port)
        self._record.asked[kind] += 1
        began = time.perf_counter()
        status, answer = await self._connection.ask(method, path, body)
        self._record.milliseconds.append((time.perf_counter() - began) * 1e3)
        if status != 200:
            raise RuntimeError(f"{path}: {status} {answer}")
        if isinstance(answer, dict):
            self._record.named(answer["generation"])
        return answer

    def _history(self) -> list[Any]:
        return self._random.sample(self._ids, min(len(self._ids) // 4, self._random.choice([0, 1, 5, 20, 80])))

    async def _recommend(self) -> None:
        history, k = self._history(), min(len(self._kept), self._random.choice([1, 10, 20, 100]))
        answer = await self._ask("recommend", "POST", "/recommend", {"history": history, "k": k})
        want = self._offline[answer["generation"]].recommend(history, k=k)
        self._record.same("recommend", answer["generation"], answer["items"], want)

    async def _user(self, user: str | None = None) -> None:
        user = user or self._random.choice(list(self._done))
        history = self._history()
        answer = await self._ask("user", "POST", "/recommend", {"user": user, "history": history, "k": 20})
        want = self._offline[answer["generation"]].recommend([*history, *self._done[user]], user, k=20)
        self._record.same("user", answer["generation"], answer["items"], want)

    async def _event(self) -> None:
        user = self._random.choice(list(self._done))
        did = self._random.choices(self._ids, k=self._random.choice([1, 1, 3]))
        at = EVENT_TIME + len(self._done[user])
        events = [
            {"user_id": user, "item_id": item, "timestamp": at + place, "value": 1.0} for place, item in enumerate(did)
        ]
        await self._ask("event", "POST", "/events", {"events": events})
        self._done[user] += did
        await self._user(user)

    async def _batch(self) -> None:
        users = self._random.sample(list(self._done), 3)
        histories = [self._history() for _ in range(13)]
        people = [{"history": one} for one in histories] + [{"user": user} for user in users]
        answer = await self._ask("batch", "POST", "/recommend/batch", {"people": people, "k": 10})
        recommender = self._offline[answer["generation"]]
        want = [recommender.recommend(one, k=10) for one in histories]
        want += [recommender.recommend(self._done[user], user, k=10) for user in users]
        self._record.same("batch", answer["generation"], answer["answers"], want)

    async def _similar(self) -> None:
        item = self._random.choice(self._kept)
        answer = await self._ask("similar", "POST", "/similar", {"item": item, "k": 10})
        want = self._offline[answer["generation"]].similar(item, k=10)
        self._record.same("similar", answer["generation"], answer["items"], want)

    async def _explain(self) -> None:
        history, item = self._random.sample(self._kept, 5), self._random.choice(self._kept)
        answer = await self._ask("explain", "POST", "/explain", {"history": history, "item": item})
        want = self._offline[answer["generation"]].explain(history, item)
        found = [(one["item_id"], one["share"]) for one in answer["shares"]]
        expected = [(one, float(share)) for one, share in want.shares]
        self._record.same("explain", answer["generation"], [answer["score"], found], [float(want.score), expected])

    async def _items(self) -> None:
        text = f"film {self._random.randrange(100)}"
        answer = await self._ask("items", "GET", f"/items?q={text.replace(' ', '%20')}&k=5")
        found = [(one["item_id"], one["title"]) for one in answer["items"]]
        want = self._offline[answer["generation"]].find(text)[:5]
        self._record.same("items", answer["generation"], found, want)

    async def _model(self) -> None:
        answer = await self._ask("model", "GET", "/model")
        name = answer["generation"]
        self._record.same("model", name, len(answer["checksums"]) and answer["items"], len(self._offline[name].items))

    async def _metrics(self) -> None:
        await self._ask("metrics", "GET", "/metrics")


class Publisher:
    """Puts a new artifact into the watched folder, time after time, in one of several ways."""

    def __init__(self, folder: Path, offline: dict[str, Recommender], like: Path | None) -> None:
        self._folder, self.offline, self._like = folder, offline, like
        self._seed = 0
        self.told: list[dict[str, Any]] = []
        self.damaged: list[str] = []
        self.refused: list[str] = []
        self.rolled_back = 0

    def prepare(self) -> tuple[Path, str]:
        """The next artifact beside the folder, and what it answers offline."""
        self._seed += 1
        made = self._folder.with_name(f"next {self._seed}")
        save(made, self._seed, n_items=FEWER if self._seed % 3 == 0 else ITEMS, like=self._like)
        name = generation_id(made)
        self.offline[name] = Recommender.load(made)
        return made, name

    async def run(self, port: int, end: float, every: float) -> None:
        number = 0
        while time.monotonic() + every < end:
            began = time.monotonic()
            made, name = self.prepare()
            way = ("swapped", "file by file", "swapped", "after a damaged one")[number % 4]
            if way == "after a damaged one":
                self._damaged(made)
                await asyncio.sleep(every / 3)
            if way == "file by file":
                await self._copied(made)
            else:
                self._swapped(made)
            self.told.append({"generation": name, "way": way, "at": time.monotonic()})
            if number % 8 == 6:
                await asyncio.sleep(every / 3)
                await self._roll_back(port)
            number += 1
            await asyncio.sleep(max(0.0, every - (time.monotonic() - began)))
        connection = await Connection.open(port)
        _, answer = await connection.ask("GET", "/model")
        connection.close()
        self.refused = [one["id"] for one in answer["status"]["refused"]]

    def _swapped(self, made: Path) -> None:
        """As `artifact.save` does: the folder is renamed."""
        old = self._folder.with_name("old")
        self._folder.rename(old)
        made.rename(self._folder)
        shutil.rmtree(old)

    async def _copied(self, made: Path) -> None:
        names = sorted(path.name for path in made.iterdir())
        random.Random(self._seed).shuffle(names)
        for name in names:
            shutil.copy(made / name, self._folder / name)
            await asyncio.sleep(0.1)
        shutil.rmtree(made)

    def _damaged(self, made: Path) -> None:
        """One that nothing but the checksums tells from a good one; it has a generation of its own."""
        damaged = self._folder.with_name("damaged")
        save(damaged, 10_000 + self._seed, like=self._like)
        self.damaged.append(generation_id(damaged))
        raw = bytearray((damaged / "model.safetensors").read_bytes())
        raw[len(raw) // 2] ^= 1
        (damaged / "model.safetensors").write_bytes(raw)
        self._swapped(damaged)

    async def _roll_back(self, port: int) -> None:
        connection = await Connection.open(port)
        status, answer = await connection.ask("POST", "/model/rollback", {})
        connection.close()
        if status != 200 or answer["generation"] == self.told[-1]["generation"]:
            raise SystemExit(f"rolling back: {status} {answer}")
        self.rolled_back += 1


async def watch_memory(service: Service, samples: list[tuple[float, dict[str, int]]], began: float, end: float) -> None:
    while time.monotonic() < end:
        samples.append((time.monotonic() - began, service.memory()))
        await asyncio.sleep(min(2.0, (end - began) / 100))


def memory_told(samples: list[tuple[float, dict[str, int]]], seconds: float) -> dict[str, Any]:
    """Medians of a twentieth of the time: around a tenth of it, and at its end."""
    told: dict[str, Any] = {}
    for kind in ("resident", "pss"):
        early = statistics.median(one[kind] for at, one in samples if 0.075 <= at / seconds <= 0.125)
        late = statistics.median(one[kind] for at, one in samples if at / seconds >= 0.95)
        highest = max(one[kind] for _, one in samples)
        tenths = [[one[kind] for at, one in samples if part <= 10 * at / seconds < part + 1] for part in range(10)]
        told[kind] = {"early": early, "end": late, "highest": highest, "ratio": round(late / early, 4)}
        told[kind]["by_tenths"] = [round(statistics.median(one)) for one in tenths if one]
    return told


async def soak(service: Service, publisher: Publisher, options: argparse.Namespace, record: Record) -> dict[str, Any]:
    began = time.monotonic()
    end = began + options.seconds
    clients = [Client(one, service.port, publisher.offline, record) for one in range(options.clients)]
    samples: list[tuple[float, dict[str, int]]] = []
    await asyncio.gather(
        watch_memory(service, samples, began, end),
        publisher.run(service.port, end, options.reload),
        *(one.run(end, options.clients / options.rate) for one in clients),
    )
    return memory_told(samples, options.seconds)


def delays(publisher: Publisher, record: Record) -> list[float]:
    """Seconds from each publication to the first answer of it; infinite where there was none."""
    return [record.first.get(one["generation"], float("inf")) - one["at"] for one in publisher.told]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--reload", type=float, default=15, help="seconds between two publications")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rate", type=float, default=120, help="requests a second, of all clients")
    parser.add_argument("--artifact", type=Path, help="a student to disturb, instead of drawn vectors")
    options = parser.parse_args()
    work = WORK / "soak"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    offline: dict[str, Recommender] = {}
    publisher = Publisher(work / "student", offline, options.artifact)
    publisher.prepare()[0].rename(work / "student")
    service, record = Service(work / "student", work / "log", "--workers", str(options.workers)), Record()
    try:
        memory = asyncio.run(soak(service, publisher, options, record))
    finally:
        code = service.stop()
    late = delays(publisher, record)
    answered_damaged = sum(record.answered[one] for one in publisher.damaged)
    holds = {
        "wrong": not record.wrong and not answered_damaged,
        "failed": not record.failed and code == 0,
        "memory": memory["resident"]["ratio"] <= 1.1,
        "reloaded": bool(late) and max(late) < options.reload,
        "refused": options.reload < SOON or set(publisher.damaged) <= set(publisher.refused),
    }
    record.milliseconds.sort()
    count = len(record.milliseconds)
    write("soak", {
        "seconds": options.seconds,
        "workers": options.workers,
        "requests": sum(record.asked.values()),
        "requests_by_kind": dict(record.asked),
        "answers_checked": record.checked,
        "wrong": len(record.wrong) + answered_damaged,
        "failed": len(record.failed),
        "examples": [*record.wrong[:SHOWN], *record.failed[:SHOWN]],
        "publications": len(publisher.told),
        "publications_by_way": dict(Counter(one["way"] for one in publisher.told)),
        "damaged_published": len(publisher.damaged),
        "damaged_refused": len(set(publisher.damaged) & set(publisher.refused)),
        "rolled_back": publisher.rolled_back,
        "generations_that_answered": len(record.answered),
        "seconds_to_first_answer_of_new": {
            "p50": round(statistics.median(late), 2) if late else None,
            "highest": round(max(late), 2) if late and max(late) < float("inf") else None,
        },
        "milliseconds": {f"p{q}": round(record.milliseconds[count * q // 100], 2) for q in (50, 99)} if count else {},
        "seconds_to_ready": service.seconds_to_ready,
        "memory": memory,
        "exit_code": code,
        "holds": holds,
    })  # fmt: skip
    print(holds)
    return 0 if all(holds.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
