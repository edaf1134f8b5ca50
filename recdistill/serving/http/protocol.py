"""uvicorn's HTTP/1.1 with what it leaves open: time for slow senders, an end to headers, reasons in JSON."""

from __future__ import annotations

import os
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_BYTES = 32 << 10
"""Of a path and all headers together."""
LINGER = 2.0
"""Seconds in which a client that was refused in the middle may still read why."""


class Protocol(HttpToolsProtocol):
    """One connection. `sweep` is called for each about once a second."""

    began: float | None
    """When the request that is coming in began; None where none is."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.began, self._head, self._headed, self._refused = self.loop.time(), 0, False, False
        if len(self.connections) > self.server_state.most_connections:  # type: ignore[attr-defined]
            self.refuse(503, "busy", "too many connections are open. Close some, or try again.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.began, self._head, self._headed = self.loop.time(), 0, False

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._headed = True

    def on_message_complete(self) -> None:
        self.began = None
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        if not self._refused:  # the rest of what was refused is read and dropped until the client has the reason
            super().data_received(data)

    def sweep(self, now: float, seconds: float) -> None:
        """End the connection of a request that has not come in within `seconds`, with the reason."""
        if self.began is None:
            return
        since = now - self.began
        answered = self._headed and self.cycle.response_started
        if (self._refused and since > LINGER) or (answered and since > seconds):  # it has its reason, and goes on
            self.transport.abort()
        elif not self._refused and since > seconds:
            reason = f"the request did not come in within {seconds:g} s. Send it faster, or in parts."
            self.refuse(408, "timeout", reason)

    def send_400_response(self, msg: str) -> None:
        if self._head > HEAD_BYTES:
            self.refuse(431, "headers_too_large", f"path and headers are longer than {HEAD_BYTES} bytes. Send less.")
        else:
            self.refuse(400, "bad_request", "this is not HTTP/1.1. Send a request line, headers and an empty line.")

    def refuse(self, status: int, code: str, message: str) -> None:
        """Answer without the service, and end the connection once the client has had time to read it."""
        if self._refused or self.transport.is_closing():
            return
        self._refused, self.began = True, self.loop.time()
        answering = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if answering or self.pipeline:  # another answer is on its way, into which this one must not be written
            self.transport.close()
            return
        error = {"code": code, "message": message, "request_id": os.urandom(8).hex()}
        told = orjson.dumps({"error": error})
        headers = {
            b"content-type": b"application/json",
            b"content-length": b"%d" % len(told),
            b"x-request-id": error["request_id"].encode(),
            b"connection": b"close",
        }
        lines = [b"%s: %s\r\n" % line for line in headers.items()]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", told]))
        self.server_state.refused.append(status)  # type: ignore[attr-defined]
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.cycle is not None:  # a service that waits for the rest hears that there is none
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _count(self, *parts: bytes) -> None:
        self._head += sum(map(len, parts))
        if self._head > HEAD_BYTES:
            raise ValueError("path and headers are too long")
