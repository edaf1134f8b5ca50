"""Counters of all workers in one block of shared memory, and their text for Prometheus.

Each worker writes to a slot of its own and whoever is asked adds them up, so that one scrape sees the whole service. A
worker that takes a dead one's place goes on in its slot: counters never fall.
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

STATUSES = (200, 400, 401, 404, 405, 408, 409, 413, 414, 415, 422, 429, 431, 499, 500, 503)
"""499: the client went away before it was answered."""
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper ends in seconds."""
COUNTERS = {
    "answers": "People that were recommended something.",
    "events": "Events that were acknowledged.",
    "worker_starts": "Workers that were started; more than there are means that some died.",
    "ready": "Workers that came up.",
}
GAUGES = {"running": "Requests under way.", "pid": ""}
_PLACE = {status: place for place, status in enumerate(STATUSES)}
_WIDTH = len(STATUSES) + len(BUCKETS) + 2  # statuses, buckets and the one without an end, microseconds in all


class Metrics:
    """Made before the workers are forked; `use(slot)` in each of them."""

    def __init__(self, endpoints: tuple[str, ...], slots: int = 1) -> None:
        self.endpoints, self.slots = endpoints, slots
        self._names = (*COUNTERS, *GAUGES)
        self._size = len(endpoints) * _WIDTH + len(self._names)
        self._memory = memoryview(mmap.mmap(-1, 8 * self._size * slots)).cast("q")
        self._row = {name: place * _WIDTH for place, name in enumerate(endpoints)}
        self._single = {name: len(endpoints) * _WIDTH + place for place, name in enumerate(self._names)}
        self.use(0)

    def use(self, slot: int) -> None:
        """From now on this process counts in this slot."""
        self.slot = slot
        self._mine = self._memory[slot * self._size : (slot + 1) * self._size]
        for name in GAUGES:
            self._mine[self._single[name]] = 0

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        at, mine = self._row[endpoint], self._mine
        mine[at + _PLACE[status]] += 1
        at += len(STATUSES)
        mine[at + bisect_left(BUCKETS, seconds)] += 1
        mine[at + len(BUCKETS) + 1] += int(seconds * 1e6)

    def add(self, name: str, value: int = 1) -> None:
        self._mine[self._single[name]] += value

    def set(self, name: str, value: int) -> None:
        self._mine[self._single[name]] = value

    def total(self, name: str) -> int:
        return sum(self._of_each(self._single[name]))

    def text(self, generation: str, loaded_at: float) -> str:
        """The exposition format, version 0.0.4."""
        return "\n".join([*self._requests(), *self._singles(generation, loaded_at), ""])

    def _of_each(self, place: int) -> list[int]:
        return [self._memory[slot * self._size + place] for slot in range(self.slots)]

    def _requests(self) -> Iterator[str]:
        yield from _head("requests_total", "counter", "Requests by endpoint and status.")
        for name, at in self._row.items():
            for place, status in enumerate(STATUSES):
                if found := sum(self._of_each(at + place)):
                    yield f'recdistill_requests_total{{endpoint="{name}",status="{status}"}} {found}'
        yield from _head("request_seconds", "histogram", "From the headers read to the answer written.")
        for name, at in self._row.items():
            at, seen = at + len(STATUSES), 0
            for place, end in enumerate((*BUCKETS, "+Inf")):
                seen += sum(self._of_each(at + place))
                yield f'recdistill_request_seconds_bucket{{endpoint="{name}",le="{end}"}} {seen}'
            spent = sum(self._of_each(at + len(BUCKETS) + 1)) / 1e6
            yield f'recdistill_request_seconds_sum{{endpoint="{name}"}} {spent}'
            yield f'recdistill_request_seconds_count{{endpoint="{name}"}} {seen}'

    def _singles(self, generation: str, loaded_at: float) -> Iterator[str]:
        for name, what in COUNTERS.items():
            yield from _head(f"{name}_total", "counter", what)
            yield f"recdistill_{name}_total {self.total(name)}"
        yield from _head("running", "gauge", GAUGES["running"])
        yield f"recdistill_running {self.total('running')}"
        yield from _head(
            "worker_resident_bytes", "gauge", "Memory of each worker, what it shares with others included."
        )
        for slot, pid in enumerate(self._of_each(self._single["pid"])):
            if resident := _resident(pid):
                yield f'recdistill_worker_resident_bytes{{worker="{slot}"}} {resident}'
        yield from _head("generation_info", "gauge", "The generation that the worker asked answers with.")
        yield f'recdistill_generation_info{{generation="{generation}"}} 1'
        yield from _head("generation_loaded_timestamp_seconds", "gauge", "When that worker loaded it.")
        yield f"recdistill_generation_loaded_timestamp_seconds {loaded_at}"


def _head(name: str, kind: str, what: str) -> tuple[str, str]:
    return f"# HELP recdistill_{name} {what}", f"# TYPE recdistill_{name} {kind}"


def _resident(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return None
