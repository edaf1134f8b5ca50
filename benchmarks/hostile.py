"""Claim: schemathesis finds nothing, and 5,000 hostile requests are refused with a reason; the service stays well.

python benchmarks/hostile.py ARTIFACT [--requests 6000] [--examples 100]

First schemathesis, with all its checks, on the OpenAPI description. Then requests of many kinds, by a seeded generator:
bodies that are no JSON, of the wrong types, too large, too deep, with every kind of text; wrong paths, methods and
headers; bytes that are no HTTP; senders that stop in the middle. Each must get a status of 4xx and the reason in the
form that all refusals have. A client asks for recommendations all the while: its answers must not change, and none may
fail.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from common import write
from over_http import PORT, serving

TIMEOUT = 2.0
"""Seconds that the service gives a sender."""
MOST_BODY = 100_000
TEXTS = ("", "\0", "💥" * 300, "\u202e\u0000\uffff", "'; drop table events; --", "../../etc/passwd", "\ud800",
         "ﷺ" * 5000, "{{7*7}}", "%00%0a", "-0", "1e309", "NaN", "\r\nSet-Cookie: a=b")  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {
    "/recommend": {"history": [1, 2], "k": 10},
    "/recommend/batch": {"people": [{"history": [1]}], "k": 10},
    "/similar": {"item": "nothing like it", "k": 10},
    "/explain": {"item": "nothing like it", "history": [1]},
    "/events": {"events": [{"user_id": 1, "item_id": 2}]},
}
REFUSES: dict[str, tuple[Any, ...]] = {
    "history": (True, 1.5, "x", {}, [[1]], [None], [True], [{"id": 1}], [{"item_id": 1, "weight": -1}]),
    "k": (True, 0, -1, 1.5, 10**30, "10", [], {}), "people": (True, 1, "x", {}, [[]], [None], [{"history": 1}]),
    "item": (True, 1.5, [], {}, [1]), "events": (True, [], {}, [1], [{}], [{"user_id": "", "item_id": 1}],
    [{"user_id": 1, "item_id": 2, "timestamp": -1}], [{"user_id": 10**30, "item_id": 2}], [{"user_id": 1}]),
    "unknown": (True, 1, "maybe", []), "with_scores": (1, "true", []), "only": (1, "x", {}, [[]], [None]),
    "exclude": (1, "x", {}, [{}], [1.5]), "user": ([], {}, True, 1.5), "nonsense": (1,),
}  # fmt: skip


def post(path: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers,
             f"Content-Length: {len(body) if length is None else length}", "Connection: close", "", ""]  # fmt: skip
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + body


def wrong_types(draw: random.Random) -> bytes:
    path = draw.choice(list(BODIES))
    body, field = BODIES[path], draw.choice(list(REFUSES))
    return post(path, json.dumps(body | {field: draw.choice(REFUSES[field])}).encode())


def no_json(draw: random.Random) -> bytes:
    whole = json.dumps(BODIES["/recommend"]).encode()
    cut = whole[: draw.randrange(len(whole))]
    bodies = (cut, draw.randbytes(draw.randrange(1, 400)), b"\xff\xfe" + whole, whole + b"}", b"'", b"[1,]", b"")
    return post(draw.choice(list(BODIES)), draw.choice(bodies))


def deep(draw: random.Random) -> bytes:
    depth = draw.choice((10, 1000, 5000, 20_000))
    opened, closed = draw.choice((("[", "]"), ('{"history":', "}")))
    return post(
        "/recommend", f'{{"history": {opened * depth}1{closed * depth if draw.random() < 0.5 else ""}}}'.encode()
    )


def large(draw: random.Random) -> bytes:
    path = draw.choice(list(BODIES))
    if draw.random() < 0.3:
        return post(path, b'{"history": [', length=10 ** draw.randrange(7, 25))
    body = b'{"history": [' + b"1," * (MOST_BODY // 2) + b"1]}"
    if draw.random() < 0.3:
        head = post(path, b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        return (
            head
            + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:50_000], body[50_000:]))
            + b"0\r\n\r\n"
        )
    return post(path, body)


def many(draw: random.Random) -> bytes:
    lists: tuple[tuple[str, Any], ...] = (
        ("/recommend", {"history": [1] * 10_001}), ("/recommend", {"exclude": ["a"] * 10_001}),
        ("/recommend/batch", {"people": [{}] * 1025}), ("/events", {"events": [{"user_id": 1, "item_id": 1}] * 1025}),
        ("/recommend", {"k": draw.randrange(1001, 10**9)}), ("/similar", {"item": 1, "k": 10**9}),
    )  # fmt: skip
    path, body = draw.choice(lists)
    return post(path, json.dumps(body).encode())


def texts(draw: random.Random) -> bytes:
    text = draw.choice(TEXTS) + draw.choice(TEXTS)
    bodies: tuple[tuple[str, Any], ...] = (
        ("/similar", {"item": text}), ("/explain", {"item": text, "history": [text]}), ("/recommend", {text: text}),
        ("/recommend", {"history": [text], "unknown": "raise"}), ("/recommend", {"unknown": text}),
        ("/events", {"events": [{"user_id": "\0" + text, "item_id": 1}]}), ("/model/rollback", {"to": text}),
    )  # fmt: skip
    path, body = draw.choice(bodies)
    return post(path, json.dumps(body, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass"))


def places(draw: random.Random) -> bytes:
    path = draw.choice(("/nothing", "/../etc/passwd", "/recommend/", "//recommend", "/%2e%2e/", "/items",
                        "/items?q=%ff", "/items?q=" + "a" * 600, "/items?q=a&k=0", "/similar?nothing=1",
                        "/similar?item=a&item=b"))  # fmt: skip
    method = draw.choice(("GET", "PUT", "PATCH", "DELETE", "OPTIONS")) if "?" not in path else "GET"
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()


def headers(draw: random.Random) -> bytes:
    odd = draw.choice(("Content-Type: text/plain", "Content-Type: " + "a" * 1000, "A: " + "b" * 40_000,
                       "Content-Length: -1", "Content-Length: 5", "Transfer-Encoding: nothing", "A\0: b",
                       ": b"))  # fmt: skip
    if odd.startswith("Content-Type"):
        return post("/recommend", b"{}").replace(b"Content-Type: application/json", odd.encode())
    return post("/recommend", b"{}", odd)


def no_http(draw: random.Random) -> bytes:
    garbage = bytes([draw.choice(b"\x00\x16\x80<{*")]) + draw.randbytes(draw.randrange(20, 2000))
    return draw.choice((garbage, b"GET / HTTP/3.7\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1",
                        b"GET / HTTP/1.1\nHost x\n\n", b"A" * 40_000 + b"\r\n"))  # fmt: skip


def slow(draw: random.Random) -> bytes:
    """Stops in the middle, and keeps the connection open."""
    whole = post("/recommend", b'{"history": [1, 2]}')
    return whole[: draw.randrange(len(whole) - 1)]


KINDS = (wrong_types, no_json, deep, large, many, texts, places, headers, no_http)
SLOW_SHARE = 0.03


def attempt(request: bytes) -> tuple[int, str]:
    """Status and reason; 0 where there was no answer of the right form."""
    with socket.create_connection(("127.0.0.1", PORT), timeout=TIMEOUT + 20) as connection:
        told = b""
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        with suppress(ConnectionResetError):
            while part := connection.recv(65_536):
                told += part
    head, _, body = told.partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/1.1 (\d+)", head)
    try:
        error = json.loads(body)["error"]
        return int(found.group(1)), f"{error['code']}: {error['message']}"  # type: ignore[union-attr]
    except (ValueError, KeyError, AttributeError, TypeError):
        return 0, told[:300].decode("latin-1")


def requests(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    draw = random.Random(seed)
    for _ in range(count):
        kind = slow if draw.random() < SLOW_SHARE else draw.choice(KINDS)
        yield kind.__name__, kind(draw)


class Bystander(threading.Thread):
    """Asks the same all the while."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.answers: Counter[bytes] = Counter()
        self.seconds: list[float] = []
        self.stop = threading.Event()

    def run(self) -> None:
        request = post("/recommend", b'{"k": 20, "with_scores": true}')
        while not self.stop.wait(0.02):
            start = time.perf_counter()
            with socket.create_connection(("127.0.0.1", PORT), timeout=60) as connection:
                connection.sendall(request)
                told = b"".join(iter(lambda: connection.recv(65_536), b""))
            self.seconds.append(time.perf_counter() - start)
            self.answers[told.partition(b"\r\n\r\n")[2]] += 1


def schemathesis(examples: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [Path(sys.executable).with_name("schemathesis"), "run", f"http://127.0.0.1:{PORT}/openapi.json",
             "--checks", "all", "--max-examples", str(examples), "--continue-on-failure", "--seed", "1"],
            capture_output=True, text=True, cwd=folder, check=False,
        )  # fmt: skip
    counted = re.search(r"([\d,]+) generated(?:, ([\d,]+) found)?", done.stdout)
    if done.returncode:
        print(done.stdout[-6000:], file=sys.stderr)
    return {"exit": done.returncode, "cases": counted.group(1) if counted else None}


def main(artifact: Path, count: int, examples: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as state:
        words = ("-m", "recdistill.cli.main", "serve", str(artifact), "--port", str(PORT), "--state", state)
        with serving(*words):
            checked = schemathesis(examples)
        with serving(*words, "--max-body", str(MOST_BODY), "--timeout", str(TIMEOUT)) as (server, _):
            (worker,) = psutil.Process(server.pid).children()
            bystander = Bystander()
            bystander.start()
            before = worker.memory_info().rss
            found: dict[str, Counter[int]] = {}
            bad: list[str] = []
            with ThreadPoolExecutor(32) as pool:
                asked = [(kind, request, pool.submit(attempt, request)) for kind, request in requests(count, seed=1)]
                for kind, request, answer in asked:
                    status, reason = answer.result()
                    found.setdefault(kind, Counter())[status] += 1
                    if not 400 <= status < 500:
                        bad.append(f"{kind}: {status} {reason!r} for {request[:300]!r}")
            bystander.stop.set()
            bystander.join()
            after, same = worker.memory_info().rss, worker.is_running()
    print(*bad[:20], sep="\n", file=sys.stderr)
    return {
        "schemathesis": checked,
        "requests": count,
        "refused_with_a_reason": count - len(bad),
        "otherwise": len(bad),
        "statuses": {kind: dict(sorted(one.items())) for kind, one in sorted(found.items())},
        "worker_survived": same,
        "resident_bytes_before_and_after": [before, after],
        "bystander": {
            "answers": sum(bystander.answers.values()),
            "distinct_answers": len(bystander.answers),
            "slowest_ms": round(1e3 * max(bystander.seconds), 1),
        },
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--requests", type=int, default=6000)
    parser.add_argument("--examples", type=int, default=100)
    options = parser.parse_args()
    result = main(options.artifact, options.requests, options.examples)
    print(json.dumps(result, indent=2))
    write("hostile", result)
