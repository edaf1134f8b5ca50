"""Claim: over HTTP one worker does at least .6 of what FastAPI does with a constant answer, soon and in little memory.

python benchmarks/over_http.py ARTIFACT [--seconds 10] [--turns 5] [--load-seconds 30]

Needs wrk. The server is held to the first core, the load to the second. These answer the same requests in turns:
`recdistill serve`; FastAPI, with a route that reads nothing and answers the bytes of one of our answers; our own door
with those bytes in the model's place (the body is read, the rest is as always); and uvicorn alone with them, the floor
of any Python service. Histories are of 1 to 50 items, popular ones more often. Latencies are taken at half of the
throughput, from when a request was due (not from when it was sent), of our service and, with the same load, of the
constant.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from common import write

PORT = 8765
CONNECTIONS = 16
K = 20
CONSTANTS = ("fastapi", "door", "uvicorn")
LONGEST = 50
HEADERS = "Content-Type: application/json"


def requests(artifact: Path, count: int) -> list[str]:
    """Bodies of POST /recommend."""
    import recdistill as rd

    ids = rd.Recommender.load(artifact).items.ids()
    draw = np.random.default_rng(0)
    liked = 1 / np.arange(1, len(ids) + 1) ** 0.7
    liked = draw.permutation(liked / liked.sum())
    longest = min(LONGEST, len(ids) // 2)
    histories = (draw.choice(ids, draw.integers(1, longest + 1), replace=False, p=liked) for _ in range(count))
    return [json.dumps({"history": history.tolist(), "k": K}) for history in histories]


@contextmanager
def serving(*words: str, wait: str = "/ready") -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """The server's process, and seconds from its start to its first answer."""
    started = time.perf_counter()
    server = subprocess.Popen([*_pin(0), sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}{wait}", timeout=5).read()
                break
            except OSError:
                if server.poll() is not None:
                    raise SystemExit(f"{' '.join(words)}: exit {server.returncode}") from None
                time.sleep(0.005)
        yield server, time.perf_counter() - started
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def ours(artifact: Path, *more: str) -> tuple[str, ...]:
    return ("-m", "recdistill.cli.main", "serve", str(artifact), "--port", str(PORT), *more)


def constant(kind: str, body: Path) -> tuple[str, ...]:
    return (__file__, "--constant", kind, str(body))


def run_constant(kind: str, path: Path) -> None:
    """One of the servers that this is compared with."""
    import uvicorn

    body = path.read_bytes()
    if kind == "fastapi":
        from fastapi import FastAPI, Response

        app = FastAPI(telemetry={"tracing": False})

        @app.get("/ready")
        @app.post("/recommend")
        async def answer() -> Response:
            return Response(body, media_type="application/json")

    elif kind == "door":
        app = _door(json.loads(body))
    else:

        async def app(scope: Any, receive: Any, send: Any) -> None:  # type: ignore[misc]
            headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    uvicorn.run(app, port=PORT, log_level="error", access_log=False, lifespan="off", loop="uvloop", http="httptools")


def _door(answer: dict[str, Any]) -> Any:
    """The service with everything but reading the fields and the model."""
    from types import SimpleNamespace

    from recdistill.serving.http import Service
    from recdistill.serving.http.endpoints import Endpoints

    async def constant(self: Endpoints, asked: Any) -> dict[str, Any]:
        return answer

    Endpoints.recommend = constant  # type: ignore[method-assign]
    generation = SimpleNamespace(id=answer["generation"])
    return Service(SimpleNamespace(current=generation), None)  # type: ignore[arg-type]


def throughput(script: Path, seconds: float) -> float:
    """Requests a second with every connection busy; all must be answered with 200."""
    words = [
        *_pin(1),
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds:g}s",
        "-s",
        str(script),
        f"http://127.0.0.1:{PORT}",
    ]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise SystemExit(told)
    return float(re.search(r"Requests/sec:\s+([\d.]+)", told).group(1))  # type: ignore[union-attr]


def wrk_script(bodies: list[str], folder: Path) -> Path:
    path = folder / "load.lua"
    quoted = ",\n".join(f"[==[{body}]==]" for body in bodies)
    path.write_text(
        f'local bodies = {{{quoted}}}\nlocal made = {{}}\nlocal at = 0\n'
        'init = function() for i, body in ipairs(bodies) do made[i] = wrk.format("POST", "/recommend", '
        '{["Content-Type"] = "application/json"}, body) end end\n'
        "request = function() at = at % #made + 1; return made[at] end\n"
    )  # fmt: skip
    return path


class Client(asyncio.Protocol):
    """One connection with one request at a time."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.left, self.answered = transport, -1, None

    def ask(self, request: bytes) -> asyncio.Future[None]:
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.answered

    def data_received(self, data: bytes) -> None:
        if self.left < 0:
            head, _, data = data.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                self.answered.set_exception(SystemExit(head.decode()))
            self.left = int(re.search(rb"content-length: (\d+)", head).group(1))  # type: ignore[union-attr]
        self.left -= len(data)
        if self.left <= 0:
            self.left = -1
            self.answered.set_result(None)


async def latencies(bodies: list[str], rate: float, seconds: float) -> np.ndarray:
    """Seconds from when each request was due, at an even rate, whether or not the server keeps up."""
    loop = asyncio.get_running_loop()
    clients = [(await loop.create_connection(Client, "127.0.0.1", PORT))[1] for _ in range(64)]
    ready: asyncio.LifoQueue[Client] = asyncio.LifoQueue()
    for client in clients:
        ready.put_nowait(client)
    made = [f"POST /recommend HTTP/1.1\r\nHost: x\r\n{HEADERS}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            for body in bodies]  # fmt: skip
    total, found = int(rate * seconds), []
    start = loop.time() + 0.1

    async def one(due: float, request: bytes, client: Client) -> None:
        await client.ask(request)
        found.append(loop.time() - due)
        ready.put_nowait(client)

    running = set()
    for number in range(total):
        due = start + number / rate
        while (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait if wait > 0.001 else 0)
        task = loop.create_task(one(due, made[number % len(made)], await ready.get()))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return np.array(found)


def memory(server: subprocess.Popen[bytes]) -> dict[str, int]:
    """Bytes: resident in the worker, and proportional shares of parent and worker together."""
    parent = psutil.Process(server.pid)
    (worker,) = parent.children()
    shares = sum(one.memory_full_info().pss for one in (parent, worker))
    return {"worker_resident_bytes": worker.memory_info().rss, "parent_and_worker_bytes": shares}


def main(artifact: Path, seconds: float, turns: int, load_seconds: float) -> dict[str, Any]:
    bodies = requests(artifact, 2000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script, fixed = wrk_script(bodies, folder), folder / "answer.json"
        mine = ours(artifact, "--state", str(folder / "state"))
        with serving(*mine):
            ask = urllib.request.Request(f"http://127.0.0.1:{PORT}/recommend", bodies[0].encode(),
                                         dict([HEADERS.split(": ")]))  # fmt: skip
            size = fixed.write_bytes(urllib.request.urlopen(ask).read())
        servers = {"recdistill": mine, **{kind: constant(kind, fixed) for kind in CONSTANTS}}
        rates: dict[str, list[float]] = {server: [] for server in servers}
        for _ in range(turns):
            for server, words in servers.items():
                with serving(*words):
                    throughput(script, 1)
                    rates[server].append(throughput(script, seconds))
        middle = {server: statistics.median(found) for server, found in rates.items()}
        load = middle["recdistill"] / 2
        late: dict[str, list[np.ndarray]] = {"recdistill": [], "uvicorn": []}
        for _ in range(turns):
            for name, found in late.items():
                with serving(*servers[name]) as (server, _):
                    throughput(script, 1)
                    found.append(1e3 * asyncio.run(latencies(bodies, load, load_seconds / turns)))
                    if name == "recdistill":
                        kept = memory(server)
        starts = []
        for _ in range(5):
            with serving(*mine) as (_, took):
                starts.append(took)
    model = json.loads((artifact / "config.json").read_text())["bytes"]
    return {
        "connections": CONNECTIONS,
        "answer_bytes": size,
        "requests_per_second": {name: round(value) for name, value in middle.items()},
        "each_turn": {name: [round(one) for one in found] for name, found in rates.items()},
        "of_constant": {
            kind: round(statistics.median(np.divide(rates["recdistill"], rates[kind])), 3) for kind in CONSTANTS
        },
        "load_per_second": round(load),
        "milliseconds": {name: _percentiles(found) for name, found in late.items()},
        "model_bytes": model,
        **kept,
        "seconds_to_ready": {"first": round(starts[0], 3), "median": round(statistics.median(starts), 3)},
    }


def _percentiles(turns: list[np.ndarray]) -> dict[str, Any]:
    """Medians over the turns; where a turn was disturbed from outside, the constant's is as well."""
    each = {f"p{q}": [round(float(np.percentile(turn, q)), 3) for turn in turns] for q in (50, 90, 99)}
    return {name: statistics.median(found) for name, found in each.items()} | {"p99_of_each_turn": each["p99"]}


def _pin(core: int) -> list[str]:
    return ["taskset", "-c", str(core)] if (os.cpu_count() or 1) > 1 else []


if __name__ == "__main__":
    if sys.argv[1:2] == ["--constant"]:
        run_constant(sys.argv[2], Path(sys.argv[3]))
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--load-seconds", type=float, default=30)
    options = parser.parse_args()
    result = main(options.artifact, options.seconds, options.turns, options.load_seconds)
    print(json.dumps(result, indent=2))
    write("over_http", result)
