"""The parent: it owns the socket that workers listen on, starts them, and replaces one that dies at once.

It holds no model and answers nothing. Connections that come in while a worker is replaced wait in the socket's queue.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import NoReturn

from recdistill.errors import ArtifactError, ConfigError, RecdistillError
from recdistill.serving.http.logs import LOG, log
from recdistill.serving.http.metrics import Metrics
from recdistill.serving.http.service import ENDPOINTS
from recdistill.serving.http.settings import Settings
from recdistill.serving.http.worker import work

BACKLOG = 2048
READY = b"ready"
RETRY_SECONDS = 1.0
"""Between two tries to replace a worker that does not come up."""
SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM}


@dataclass(slots=True)
class Worker:
    slot: int
    pid: int
    report: int
    """Read end of the pipe in which it says that it is ready, or why it cannot be."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ArtifactError where there is nothing to serve, ConfigError for the port."""
    with listen(settings.host, settings.port) as listening:
        host, port = listening.getsockname()[:2]
        place = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        log("listening", url=place, workers=settings.workers, token=settings.token is not None)
        if settings.token is None and host not in ("127.0.0.1", "::1"):
            log("anybody who reaches this address is answered; set a token to change that", 30)
        print(f"Serving {settings.folder} at {place} (described in {place}/openapi.json); Ctrl-C ends it.", flush=True)
        Crew(settings, listening).run()


def listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        raise ConfigError(f"{host}:{port}: cannot listen there ({error.strerror}). Choose another --host or --port; "
                          "--port 0 takes any that is free.") from error  # fmt: skip
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening


class Crew:
    """Signals are blocked and taken one by one, so that nothing happens between two lines."""

    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        self.settings, self.listening = settings, listening
        self.metrics = Metrics(ENDPOINTS, settings.workers)
        self._workers: dict[int, Worker] = {}
        self._missing: list[int] = []
        self._life, self._alive = os.pipe()  # ends for the workers when this process does

    def run(self) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for one in (signal.SIGCHLD, signal.SIGALRM):
            signal.signal(one, lambda *_: None)  # what is ignored may not be kept until it is asked for
        try:
            for slot in range(self.settings.workers):
                self._start(slot)
            self._watch()
        finally:
            self._end()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _watch(self) -> None:
        while True:
            got = signal.sigwait(SIGNALS)
            if got in (signal.SIGTERM, signal.SIGINT):
                log("stopping", signal=signal.Signals(got).name, grace=self.settings.grace)
                return
            for worker, status in self._dead():
                self._replace(worker, status)
            if got == signal.SIGALRM:
                missing, self._missing = self._missing, []
                for slot in missing:
                    self._start(slot)

    def _start(self, slot: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        report, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(report)
            os.close(self._alive)
            _child(self.settings, self.listening, self.metrics, slot, told, self._life)
        os.close(told)
        self._workers[pid] = Worker(slot, pid, report)

    def _dead(self) -> list[tuple[Worker, int]]:
        """Workers that have ended since the last call, with their exit codes."""
        found = []
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if worker := self._workers.pop(pid, None):
                found.append((worker, os.waitstatus_to_exitcode(status)))
        return found

    def _replace(self, worker: Worker, code: int) -> None:
        """At once; after a pause where it did not even come up; not at all where none ever did."""
        said = _read(worker.report)
        log("worker died", 40, slot=worker.slot, worker=worker.pid, code=code)
        if said == READY:
            self._start(worker.slot)
            return
        if not self.metrics.total("ready"):
            raise ArtifactError(said.decode() or f"the worker ended with code {code} before it was ready; see above")
        log("worker did not come up", 40, slot=worker.slot, reason=said.decode())
        self._missing.append(worker.slot)
        signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)

    def _end(self) -> None:
        """SIGTERM to all; SIGKILL to those that are still there after the grace, and a little."""
        self.listening.close()
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + self.settings.grace + 2
        while self._workers and time.monotonic() < deadline:
            self._dead()
            if signal.SIGINT in signal.sigpending():  # Ctrl-C once more: do not wait
                break
            time.sleep(0.02)
        for pid in self._workers:
            log("worker killed", 40, worker=pid)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(self._alive)
        os.close(self._life)
        while SIGNALS & signal.sigpending():  # told to stop twice: it has
            signal.sigwait(SIGNALS)


def _child(settings: Settings, listening: socket.socket, metrics: Metrics, slot: int, told: int, life: int) -> NoReturn:
    """In the forked process; never returns into the parent's code."""
    code = 1
    try:
        for one in (signal.SIGCHLD, signal.SIGALRM):
            signal.signal(one, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS - {signal.SIGTERM})  # which waits for the server
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent passes it on as SIGTERM
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that whatever was opened is closed

        def ready() -> None:
            metrics.add("ready")
            os.write(told, READY)

        work(settings, listening, metrics, slot, ready=ready, parent=life)
        code = 0
    except RecdistillError as error:
        os.write(told, " ".join(str(error).split()).encode()[:4000])
    except SystemExit:
        code = 0
    except BaseException:
        LOG.exception("worker failed")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb") as pipe:
        return pipe.read()
