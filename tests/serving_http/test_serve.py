"""`recdistill serve` as processes: start, reload, killed workers, the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import pytest

from recdistill.cli.main import main
from tests.serving_http.conftest import save_artifact

PATIENCE = 30.0
"""Seconds until what must happen is held not to."""


@dataclass
class Running:
    process: subprocess.Popen[str]
    port: int

    def ask(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
        connection.close()
        return answer.status, told

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Exit code, and the log."""
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, [json.loads(line) for line in log.splitlines()]


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@contextmanager
def serving(folder: Path, *words: str, **environment: str) -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, "-m", "recdistill.cli.main", "serve", str(folder), "--port", "0", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment,
    )  # fmt: skip
    try:
        line = process.stdout.readline()  # type: ignore[union-attr]
        yield Running(process, int(line.partition("http://127.0.0.1:")[2].partition(" ")[0]))
    finally:
        for one in [*psutil.Process(process.pid).children(), process] if process.poll() is None else []:
            one.kill()
        process.communicate()


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return save_artifact(tmp_path / "student")


def test_it_answers_until_it_is_told_to_stop_and_finishes_what_runs(published: Path) -> None:
    with serving(published, "--access-log", RECDISTILL_TOKEN="s3cret") as service:
        assert service.ask("GET", "/ready")[0] == 200
        assert service.ask("GET", "/model")[0] == 401
        status, found = service.ask("POST", "/recommend", {"history": ["i01"], "k": 3}, "s3cret")
        assert status == 200 and len(found["items"]) == 3
        with socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE) as running:
            running.sendall(b"POST /recommend HTTP/1.1\r\nAuthorization: Bearer s3cret\r\nContent-Length: 9\r\n\r\n")
            until(lambda: service.ask("GET", "/ready")[0] == 200)
            service.process.send_signal(signal.SIGTERM)
            until(lambda: not _accepts(service.port))
            running.sendall(b'{"k": 4 }')
            assert b"HTTP/1.1 200 OK" in running.recv(1000)
        code, log = service.end()
        assert code == 0
        said = [line["message"] for line in log]
        assert (said[0] == "listening" and said[-2:] == ["stopping", "worker stopped"]) or "worker stopped" in said
        asked = next(line for line in log if line.get("path") == "/model")
        assert asked["status"] == 401 and asked["request_id"] and asked["milliseconds"] > 0
        assert "s3cret" not in json.dumps(log)


def _accepts(port: int) -> bool:
    """Whether the socket still takes connections that get an answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.2) as one:
            one.sendall(b"GET /health HTTP/1.1\r\n\r\n")
            return bool(one.recv(10))
    except OSError:
        return False


def test_a_killed_worker_is_replaced_and_the_others_go_on(published: Path) -> None:
    with serving(published, "--workers", "2") as service:
        until(lambda: service.ask("GET", "/ready")[0] == 200 and len(service.workers()) == 2)
        event = {"events": [{"user_id": "ann", "item_id": "i30"}]}
        assert service.ask("POST", "/events", event)[1]["accepted"] == 1
        before = service.workers()
        for worker in before:
            worker.kill()
        assert service.ask("GET", "/health")[0] == 200  # waits in the socket's queue until somebody is there
        until(lambda: len(service.workers()) == 2 and not {*before} & {*service.workers()})
        for _ in range(6):
            _, found = service.ask("POST", "/recommend", {"user": "ann", "k": 60})
            assert "i30" not in found["items"] and len(found["items"]) == 59
        code, log = service.end()
        assert code == 0
        assert [line["code"] for line in log if line["message"] == "worker died"] == [-9, -9]


def test_workers_that_are_told_to_stop_while_they_come_up_stop_and_log_nothing_but_json(published: Path) -> None:
    with serving(published, "--workers", "2") as service:
        until(lambda: service.ask("GET", "/ready")[0] == 200 and len(service.workers()) == 2)
        before = service.workers()
        for worker in before:
            worker.kill()
        until(lambda: len(service.workers()) == 2 and not {*before} & {*service.workers()})
        code, log = service.end()
        assert code == 0
        assert not [line for line in log if line["message"] in ("worker killed", "an error was ignored")]


def test_workers_do_not_outlive_their_parent(published: Path) -> None:
    with serving(published) as service:
        assert service.ask("GET", "/ready")[0] == 200
        (worker,) = service.workers()
        service.process.kill()
        assert worker.wait(PATIENCE) is None or not worker.is_running()


def test_a_new_artifact_is_taken_up_and_can_be_gone_back_from(published: Path, tmp_path: Path) -> None:
    with serving(published, "--workers", "2") as service:
        first = service.ask("GET", "/health")[1]["generation"]
        other = save_artifact(tmp_path / "other", seed=1)
        shutil.rmtree(published)
        other.rename(published)
        until(lambda: all(service.ask("GET", "/health")[1]["generation"] != first for _ in range(8)))
        second = service.ask("GET", "/model")[1]
        assert second["name"] == "student 1" and second["status"]["available"] == [second["generation"], first]
        assert service.ask("POST", "/model/rollback", {})[1]["generation"] == first
        until(lambda: all(service.ask("GET", "/health")[1]["generation"] == first for _ in range(8)))


def test_what_cannot_be_served_is_refused_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path / "nothing"), "--port", "0"]) == 2
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("recdistill serve: error:") and "nothing" in last


def test_a_port_that_is_taken_is_refused(published: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", str(published), "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot listen there" in capfd.readouterr().err
    assert main(["serve", str(published), "--token-env", "NOT_THERE"]) == 2
    assert "NOT_THERE: no such variable" in capfd.readouterr().err


def test_nothing_heavy_is_loaded() -> None:
    heavy = ("torch", "pandas", "pyarrow", "scipy", "faiss", "fastapi", "pydantic", "multiprocessing.pool")
    code = f"import sys, recdistill.serving.http.workers; print(*[one for one in {heavy!r} if one in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
