"""A server that misbehaves as it is told to, and a small data set of made-up content."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from recdistill.data.datasets.catalogue import DataSet
from recdistill.data.datasets.download import Patience

QUICK = Patience(stall=0.3, tries=3, pause=0.0)
Answer = Callable[["Request"], None]


@dataclass
class Request:
    """One request, and what there is to answer with."""

    handler: BaseHTTPRequestHandler
    body: bytes
    tag: str
    quit: threading.Event

    @property
    def start(self) -> int:
        """Where the rest that was asked for begins; 0 where all was asked for, or where the file is another by now."""
        asked = self.handler.headers.get("Range", "bytes=0-")
        condition = self.handler.headers.get("If-Range", self.tag)
        return int(asked.removeprefix("bytes=").rstrip("-")) if condition == self.tag else 0

    def head(self, code: int, **headers: str) -> None:
        self.handler.send_response(code)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()

    def send(self, *, cut: int = 0, code: int | None = None, start: int | None = None) -> None:
        """What was asked for; `cut`: that many bytes less than announced."""
        start = self.start if start is None else start
        rest = self.body[start:]
        headers = {"Content_Length": str(len(rest)), "ETag": self.tag}
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        self.head(code or (206 if start else 200), **headers)
        self.handler.wfile.write(rest[: len(rest) - cut])


def whole(request: Request) -> None:
    request.send()


def cut(request: Request) -> None:
    """The connection breaks in the middle of what is left."""
    request.send(cut=(len(request.body) - request.start) // 2)


def stall(request: Request) -> None:
    """A third, then silence."""
    request.head(200, Content_Length=str(len(request.body)), ETag=request.tag)
    request.handler.wfile.write(request.body[: len(request.body) // 3])
    request.quit.wait(5)


def whole_again(request: Request) -> None:
    """The Range is ignored."""
    request.send(start=0)


def corrupt(request: Request) -> None:
    """The right number of bytes, three of them wrong."""
    middle = len(request.body) // 2
    request.body = request.body[:middle] + b"\0\1\2" + request.body[middle + 3 :]
    request.send()


def status(code: int) -> Answer:
    def answer(request: Request) -> None:
        request.head(code, Content_Length="0")

    return answer


@dataclass
class Server:
    """Answers requests for the data set's file one after the other as `script` says; the last answer stays."""

    url: str
    quit: threading.Event
    bodies: dict[str, bytes] = field(default_factory=dict)
    tag: str = '"first"'
    script: list[Answer] = field(default_factory=lambda: [whole])
    log: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range header of each request."""

    @property
    def ranges(self) -> list[str | None]:
        return [asked for path, asked in self.log if not path.endswith(".md5")]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.log.append((handler.path, handler.headers.get("Range")))
        body = self.bodies.get(handler.path.rpartition("/")[2])
        request = Request(handler, body or b"", self.tag, self.quit)
        if body is None:
            return request.head(404, Content_Length="0")
        if handler.path.endswith(".md5"):
            return request.send()
        do = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return do(request)


@pytest.fixture
def serve() -> Iterator[Callable[[], Server]]:
    """Starts servers on this machine; all are gone at the end of the test."""
    running: list[tuple[ThreadingHTTPServer, threading.Thread]] = []
    quit = threading.Event()

    def start() -> Server:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        listening.daemon_threads = True
        server = Server(f"http://127.0.0.1:{listening.server_address[1]}", quit)
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((listening, thread))
        return server

    yield start
    quit.set()
    for listening, thread in running:
        listening.shutdown()
        thread.join()
        listening.server_close()


def packed(members: dict[str, str]) -> bytes:
    """A zip of these members; stored, so that its size can be told."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


def tiny_ratings() -> str:
    rows = [
        f"{user},{10 * item},{1 + (user * item) % 5},{1_000_000 + user}" for user in range(40) for item in range(30)
    ]
    return "userId,movieId,rating,timestamp\n" + "\n".join(rows) + "\n"


TINY = packed({"tiny/ratings.csv": tiny_ratings(), "tiny/movies.csv": "movieId,title,genres\n10,Nobody's Film,Drama\n"})


def entry(*urls: str, pinned: bool = True, **changes: Any) -> DataSet:
    """The tiny data set, published at these addresses."""
    settings: dict[str, Any] = {
        "name": "tiny",
        "title": "Made up",
        "file": "tiny.zip",
        "mirrors": tuple(f"{url}/tiny.zip" for url in urls),
        "terms": "none",
        "licence": "None.",
        "licence_url": "",
        "citation": "",
        "bytes": len(TINY) if pinned else None,
        "sha256": hashlib.sha256(TINY).hexdigest() if pinned else None,
        "holds": ("ratings.csv", "movies.csv"),
    }
    return DataSet(**(settings | changes))


@pytest.fixture
def server(serve: Callable[[], Server]) -> Server:
    """One that holds the tiny data set."""
    started = serve()
    started.bodies["tiny.zip"] = TINY
    return started


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test touches the user's data; no proxy comes between a test and its server."""
    monkeypatch.setenv("RECDISTILL_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("RECDISTILL_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "data"
