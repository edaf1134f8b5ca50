"""A small artifact behind the service, asked without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from recdistill import artifact
from recdistill.data.vocab import Vocab
from recdistill.serving.events import Events
from recdistill.serving.generations import Generations
from recdistill.serving.http import Limits, Service
from recdistill.serving.scorers import BagScorer
from recdistill.tables.codecs import CodedTable

N_ITEMS = 60
ITEMS = [f"i{row:02}" for row in range(N_ITEMS)]


def save_artifact(folder: Path, seed: int = 0) -> Path:
    """Sixty items called "Film 0" to "Film 59", ids "i00" to "i59"."""
    draw = np.random.default_rng(seed)
    scorer = BagScorer(
        item_table=CodedTable.of(draw.standard_normal((N_ITEMS, 8)).astype(np.float32)),
        history_table=CodedTable.of(draw.standard_normal((N_ITEMS, 8)).astype(np.float32)),
        item_bias=draw.random(N_ITEMS).astype(np.float32),
    )
    titles = [f"Film {row}" for row in range(N_ITEMS)]
    return artifact.save(folder, scorer, Vocab(ITEMS), kind="two_tower", name=f"student {seed}", trained_on={},
                         titles=titles)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> str:
        """The message of a refusal, which has the form that all of them have."""
        assert self.headers["content-type"] == "application/json"
        error = self.json["error"]
        assert sorted(error) == ["code", "message", "request_id"]
        assert error["request_id"] == self.headers["x-request-id"]
        assert error["message"].endswith((".", "?")) and "\n" not in error["message"]
        return error["message"]


async def call(
    service: Service, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None,
    client: str = "192.0.2.1", parts: int = 1,
) -> Answer:  # fmt: skip
    """One request; `body` is bytes, or what is sent as JSON, in so many parts."""
    raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    path, _, query = target.partition("?")
    given = {"content-type": "application/json", "content-length": str(len(raw))} | dict(headers or {})
    pairs = [(name.encode(), value.encode()) for name, value in given.items() if value]
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": pairs,
             "client": (client, 1)}  # fmt: skip
    size = -(-len(raw) // parts) or 1
    pieces = [raw[start : start + size] for start in range(0, len(raw), size)] or [b""]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        sent.append(message)

    await service(scope, receive, send)
    start, content = sent
    told = {name.decode(): value.decode() for name, value in start["headers"]}
    assert int(told["content-length"]) == len(content["body"])
    return Answer(start["status"], told, content["body"])


def ask(service: Service, method: str, target: str, body: Any = None, **more: Any) -> Answer:
    return asyncio.run(call(service, method, target, body, **more))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_artifact(tmp_path_factory.mktemp("served") / "student")


@pytest.fixture
def make(folder: Path, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes services over the artifact; limits and settings go in by name."""
    opened: list[Any] = []

    def made(limits: Limits | None = None, **settings: Any) -> Service:
        generations = Generations(folder, tmp_path / "state")
        generations.start()
        events = Events(tmp_path / "state" / "events.sqlite")
        opened.extend((generations.stop, events.close))
        return Service(generations, events, limits, **settings)

    yield made
    for close in opened:
        close()


@pytest.fixture
def service(make: Callable[..., Service]) -> Service:
    return make()
