"""The door: every request comes in here, is let in or refused, answered, counted and logged."""

from __future__ import annotations

import hmac
import itertools
import logging
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import orjson

from recdistill.errors import RecdistillError
from recdistill.serving.events import Events
from recdistill.serving.generations import Generations
from recdistill.serving.http import refusal as refusals
from recdistill.serving.http.endpoints import Asked, Endpoints
from recdistill.serving.http.logs import LOG, log
from recdistill.serving.http.metrics import Metrics
from recdistill.serving.http.rates import Rates
from recdistill.serving.http.refusal import Header, Refusal
from recdistill.serving.http.settings import Limits

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
OPEN = ("health", "ready")
"""Asked by what watches over the service: without a token, and as often as it likes."""
ELSEWHERE = "other"
"""The endpoint under which requests for paths that do not exist are counted."""


@dataclass(frozen=True, slots=True)
class Route:
    name: str
    method: str
    path: str
    answer: str
    """The method of `Endpoints`."""


ROUTES = (
    Route("recommend", "POST", "/recommend", "recommend"),
    Route("batch", "POST", "/recommend/batch", "batch"),
    Route("similar", "GET", "/similar", "similar_query"),
    Route("similar", "POST", "/similar", "similar"),
    Route("explain", "POST", "/explain", "explain"),
    Route("items", "GET", "/items", "items"),
    Route("events", "POST", "/events", "happened"),
    Route("health", "GET", "/health", "health"),
    Route("ready", "GET", "/ready", "ready"),
    Route("model", "GET", "/model", "model"),
    Route("rollback", "POST", "/model/rollback", "rollback"),
    Route("metrics", "GET", "/metrics", "prometheus"),
    Route("openapi", "GET", "/openapi.json", "openapi"),
)
ENDPOINTS = (*dict.fromkeys(route.name for route in ROUTES), ELSEWHERE)


class Gone(Exception):
    """The client went away, or was too slow and has been told so."""


@dataclass(slots=True)
class Head:
    """Of the headers what matters here."""

    request_id: bytes
    length: bytes = b""
    type: bytes | None = None
    token: bytes = b""


class Service:
    """An ASGI application. `generations` has been started; the caller stops it, and closes `events`."""

    def __init__(
        self,
        generations: Generations,
        events: Events,
        limits: Limits | None = None,
        *,
        token: str | None = None,
        metrics: Metrics | None = None,
        access_log: bool = False,
    ) -> None:
        self.limits = limits or Limits()
        self.metrics = metrics or Metrics(ENDPOINTS)
        self.generations = generations
        self.endpoints = Endpoints(generations, events, self.limits, self.metrics, token=token is not None)
        self._routes = {(route.method, route.path): (route.name, getattr(self.endpoints, route.answer), route.method)
                        for route in ROUTES}  # fmt: skip
        self._token = None if token is None else token.encode()
        self._rates = Rates(self.limits.rate) if self.limits.rate else None
        self._access_log = access_log
        self._running = 0
        self._prefix, self._count = os.urandom(6).hex().encode(), itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"only HTTP is spoken here, not {scope['type']!r}")
        started = perf_counter()
        head = self._head(scope)
        name, answer, method = self._routes.get((scope["method"], scope["path"]), (ELSEWHERE, None, ""))
        status = 499
        self._running += 1
        self.metrics.add("running")
        try:
            status, headers, body = await self._answered(scope, receive, head, name, answer, method)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        except Gone:
            pass
        finally:
            self._running -= 1
            self.metrics.add("running", -1)
            spent = perf_counter() - started
            self.metrics.request(name, status, spent)
            if self._access_log:
                self._log(scope, head, status, spent)

    async def _answered(
        self, scope: Scope, receive: Receive, head: Head, name: str, answer: Any, method: str
    ) -> tuple[int, list[Header], bytes]:
        """Status, headers and body; whatever goes wrong is an answer as well."""
        more: tuple[Header, ...] = ()
        try:
            self._let_in(scope, head, name)
            if answer is None:
                raise self._elsewhere(scope)
            body = await self._body(receive, head) if method == "POST" else b""
            generation = self.generations.current
            found = await answer(Asked(body, scope["query_string"], generation))
            kind = JSON
            if type(found) is str:
                kind, told = TEXT, found.encode()
            else:
                told = orjson.dumps(found)
            status, named = 200, _named(found, generation.id)
        except Exception as error:
            if isinstance(error, Gone):
                raise
            refused = self._refused(error, scope, head)
            status, more, kind = refused.status, refused.headers, JSON
            told, named = refusals.body(refused, head.request_id.decode()), self.generations.current.id
        headers = [
            kind,
            (b"content-length", b"%d" % len(told)),
            (b"x-request-id", head.request_id),
            (b"x-generation", named.encode()),
            *more,
        ]
        return status, headers, told

    def _head(self, scope: Scope) -> Head:
        head = Head(b"")
        for name, value in scope["headers"]:
            if name == b"content-length":
                head.length = value
            elif name == b"content-type":
                head.type = value
            elif name == b"authorization":
                head.token = value
            elif name == b"x-request-id" and REQUEST_ID.fullmatch(value):
                head.request_id = value
        if not head.request_id:
            head.request_id = b"%s-%x" % (self._prefix, next(self._count))
        return head

    def _let_in(self, scope: Scope, head: Head, name: str) -> None:
        if name in OPEN:
            return
        if self._running > self.limits.max_running:
            raise Refusal(503, "busy", f"{self.limits.max_running} requests are under way. Try again.",
                          (b"retry-after", b"1"))  # fmt: skip
        if self._rates is not None:
            client = scope.get("client")
            self._rates.take(client[0] if client else "", perf_counter())
        if self._token is not None:
            scheme, _, token = head.token.partition(b" ")
            if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
                found = "another token" if head.token else "none"
                raise Refusal(401, "unauthorized", f"Authorization: must be 'Bearer' and the service's token, found "
                              f"{found}.", (b"www-authenticate", b"Bearer"))  # fmt: skip

    async def _body(self, receive: Receive, head: Head) -> bytes:
        """The whole body, while it stays within the limit and calls itself JSON."""
        kind = head.type
        if kind is not None and kind != b"application/json" and not _is_json(kind):
            raise Refusal(415, "unsupported_type", f"Content-Type: must be application/json, found "
                          f"{refusals.shown(kind.decode('latin-1'))}.")  # fmt: skip
        most = self.limits.max_body
        if len(head.length) > 18 or (head.length and int(head.length) > most):
            raise _too_large(most)
        message = await receive()
        body = message.get("body", b"")
        while message.get("more_body") and len(body) <= most:
            message = await receive()
            body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise Gone
        if len(body) > most:
            raise _too_large(most)
        return body

    def _elsewhere(self, scope: Scope) -> Refusal:
        path = scope["path"]
        allowed = [route.method for route in ROUTES if route.path == path]
        if not allowed:
            known = ", ".join(dict.fromkeys(route.path for route in ROUTES))
            return Refusal(404, "not_found", f"no path {refusals.shown(path)}. Known: {known}.")
        methods = ", ".join(allowed)
        return Refusal(405, "method_not_allowed", f"{path}: takes {methods}, found {scope['method']}.",
                       (b"allow", methods.encode()))  # fmt: skip

    def _refused(self, error: Exception, scope: Scope, head: Head) -> Refusal:
        if isinstance(error, Refusal):
            return error
        if isinstance(error, RecdistillError):
            return refusals.of_error(error)
        fields = {"path": scope["path"], "request_id": head.request_id.decode()}
        LOG.error("request failed", exc_info=error, extra={"fields": fields})
        return Refusal(500, "internal", "the service failed; its log says why, under this request_id.")

    def _log(self, scope: Scope, head: Head, status: int, spent: float) -> None:
        client = scope.get("client")
        log("request", logging.INFO, method=scope["method"], path=scope["path"], status=status,
            milliseconds=round(1e3 * spent, 3), request_id=head.request_id.decode(),
            client=client[0] if client else None)  # fmt: skip


def _named(found: Any, generation: str) -> str:
    """The generation that the answer names: after a rollback another than the one that was asked."""
    return found.get("generation", generation) if type(found) is dict else generation


def _is_json(kind: bytes) -> bool:
    kind = kind.partition(b";")[0].strip().lower()
    return kind == b"application/json" or (kind.startswith(b"application/") and kind.endswith(b"+json"))


def _too_large(most: int) -> Refusal:
    return Refusal(413, "too_large", f"the body is larger than {most} bytes. Send it in parts.")
