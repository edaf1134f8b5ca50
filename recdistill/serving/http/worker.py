"""One worker process: the model, the events and uvicorn, from start to a graceful end."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable

import uvicorn

from recdistill.serving.events import FILE, Events
from recdistill.serving.generations import Generations
from recdistill.serving.http.logs import log
from recdistill.serving.http.metrics import Metrics
from recdistill.serving.http.protocol import Protocol
from recdistill.serving.http.service import ELSEWHERE, Service
from recdistill.serving.http.settings import Settings

SPARE_FILES = 100
"""Open files that are not connections."""
KEEP_ALIVE = 75
"""Seconds that a connection may be idle between two requests."""
SWITCH_SECONDS = 0.001
"""How long a thread that loads a model or writes events may keep a request waiting; Python's own is five times that."""
TICKS = 10
"""uvicorn's ticks of a tenth of a second between two looks at slow senders."""


def work(
    settings: Settings, listening: socket.socket, metrics: Metrics, slot: int,
    *, ready: Callable[[], None] = lambda: None, parent: int | None = None,
) -> None:  # fmt: skip
    """Serve until SIGTERM or SIGINT. Raises RecdistillError, before `ready`, where there is nothing to serve.

    `parent` is a descriptor that ends when the process that started this one does; the worker then stops as well.
    """
    began = time.perf_counter()
    metrics.use(slot)
    metrics.set("pid", os.getpid())
    metrics.add("worker_starts")
    generations = Generations(settings.folder, settings.state)
    generations.start()
    try:
        events = Events(settings.state / FILE)
        try:
            service = Service(generations, events, settings.limits, token=settings.token, metrics=metrics,
                              access_log=settings.access_log)  # fmt: skip
            sys.setswitchinterval(SWITCH_SECONDS)
            gc.collect()
            gc.freeze()  # the catalogue stays: no pause to look through it again and again
            seconds = round(time.perf_counter() - began, 3)
            log("worker ready", slot=slot, generation=generations.current.id, seconds=seconds)
            Server(_config(service, settings), service, ready, parent).run(sockets=[listening])
        finally:
            events.close()
    finally:
        generations.stop()
        log("worker stopped", slot=slot)


def _config(service: Service, settings: Settings) -> uvicorn.Config:
    config = uvicorn.Config(
        service, interface="asgi3", http=Protocol, ws="none", lifespan="off", loop="auto", log_config=None,
        access_log=False, server_header=False, proxy_headers=False, backlog=2048, timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(settings.grace)),
    )  # fmt: skip
    return config


class Server(uvicorn.Server):
    """uvicorn's, which also looks for slow senders, and says that it stops before it does."""

    def __init__(self, config: uvicorn.Config, service: Service, ready: Callable[[], None], parent: int | None) -> None:
        super().__init__(config)
        self._service, self._ready, self._parent = service, ready, parent
        self.server_state.refused = []  # type: ignore[attr-defined]
        self.server_state.most_connections = _files() - SPARE_FILES  # type: ignore[attr-defined]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # also one that came while the model was read
        if self._parent is not None:
            asyncio.get_running_loop().add_reader(self._parent, self._orphaned)
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS == 0:
            self._sweep()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.endpoints.draining = True
        await super().shutdown(sockets)

    def _sweep(self) -> None:
        now, limits = asyncio.get_running_loop().time(), self._service.limits
        for connection in list(self.server_state.connections):
            connection.sweep(now, limits.timeout)  # type: ignore[union-attr]
        refused: list[int] = self.server_state.refused  # type: ignore[attr-defined]
        for status in refused:
            self._service.metrics.request(ELSEWHERE, status, 0.0)
        refused.clear()

    def _orphaned(self) -> None:
        asyncio.get_running_loop().remove_reader(self._parent)  # type: ignore[arg-type]
        self.should_exit = True


def _files() -> int:
    """How many files this process may have open, after asking for as many as it may ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(soft, most)
