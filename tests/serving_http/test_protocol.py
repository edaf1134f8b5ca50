"""What a connection does to a client that is slow, or speaks no HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from recdistill.serving.http.protocol import HEAD_BYTES, LINGER, Protocol


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.ended, self.gone = b"", False, False

    def write(self, data: Any) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.gone

    def close(self) -> None:
        self.gone = True

    abort = close

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers once the whole body is there, or at once where the path says so."""
    message = {"more_body": scope["path"] != "/at-once"}
    while message.get("more_body"):
        message = await receive()
    if message.get("type") == "http.disconnect":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def connect(most: int = 10) -> tuple[Protocol, Wire]:
    state = ServerState()
    state.most_connections, state.refused = most, []  # type: ignore[attr-defined]
    config = uvicorn.Config(app, log_config=None, lifespan="off")
    protocol, wire = Protocol(config, state, {}, asyncio.get_running_loop()), Wire()
    protocol.connection_made(wire)
    return protocol, wire


async def pause() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("sent", [b"", b"POST / HT", b"POST / HTTP/1.1\r\nHost: x\r\n",
                                  b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n1234"])  # fmt: skip
def test_a_request_that_does_not_come_in_is_told_so_and_ended(sent: bytes) -> None:
    async def slow() -> None:
        protocol, wire = connect()
        protocol.data_received(sent)
        await pause()
        began = protocol.began
        assert began is not None
        protocol.sweep(began + 4, seconds=5)
        assert not wire.written
        protocol.sweep(began + 6, seconds=5)
        await pause()
        assert wire.written.startswith(b"HTTP/1.1 408 ") and wire.ended and not wire.gone
        assert b'"message":"the request did not come in within 5 s.' in wire.written
        protocol.data_received(b"more")
        protocol.sweep(protocol.began + LINGER + 1, seconds=5)  # type: ignore[operator]
        assert wire.gone and wire.written.count(b"HTTP/1.1") == 1

    asyncio.run(slow())


def test_the_second_request_of_a_connection_is_watched_like_the_first() -> None:
    async def second() -> None:
        protocol, wire = connect()
        protocol.data_received(b"GET /at-once HTTP/1.1\r\n\r\n")
        await pause()
        assert wire.written.endswith(b"ok") and protocol.began is None
        protocol.sweep(asyncio.get_running_loop().time() + 100, seconds=5)
        assert not wire.gone  # nothing is being sent: idle connections are uvicorn's to end
        protocol.data_received(b"GET /at-once HTT")
        protocol.sweep(protocol.began + 6, seconds=5)  # type: ignore[operator]
        assert b"HTTP/1.1 408 " in wire.written

    asyncio.run(second())


def test_a_body_that_goes_on_after_its_answer_ends_without_another() -> None:
    async def refused() -> None:
        protocol, wire = connect()
        protocol.data_received(b"POST /at-once HTTP/1.1\r\nContent-Length: 99\r\n\r\n1")
        await pause()
        protocol.sweep(protocol.began + 6, seconds=5)  # type: ignore[operator]
        assert wire.gone and wire.written.count(b"HTTP/1.1") == 1

    asyncio.run(refused())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01", b"400"),
        (b"GET  HTTP/9\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * HEAD_BYTES, b"431"),
        (b"GET /" + b"a" * HEAD_BYTES + b" HTTP/1.1\r\n\r\n", b"431"),
    ],
)
def test_what_is_no_request_gets_a_reason(sent: bytes, status: bytes) -> None:
    async def garbage() -> None:
        protocol, wire = connect()
        protocol.data_received(sent)
        protocol.data_received(b"and more")
        await pause()
        assert wire.written.startswith(b"HTTP/1.1 " + status) and wire.ended
        assert b'{"error":{"code":' in wire.written
        assert protocol.server_state.refused == [int(status)]  # type: ignore[attr-defined]

    asyncio.run(garbage())


def test_connections_beyond_the_limit_are_sent_away() -> None:
    async def crowd() -> None:
        _, wire = connect(most=0)
        assert wire.written.startswith(b"HTTP/1.1 503 ") and b"too many connections" in wire.written

    asyncio.run(crowd())
