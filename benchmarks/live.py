"""What soak.py and kill.py share: artifacts that differ, the service as a process, and a connection that hides nothing.

The connection retries nothing and pools nothing: every request that fails is seen, and by which local port.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import psutil

from recdistill import artifact
from recdistill.data.vocab import Vocab
from recdistill.serving.bag import BagScorer
from recdistill.tables.codecs import CodedTable

ITEMS, DIMENSION = 3043, 32
"""Of the ml-1m-lcfn student."""
START_SECONDS = 60.0


def save(folder: Path, seed: int, *, n_items: int = ITEMS, like: Path | None = None) -> Path:
    """An artifact that answers unlike those of other seeds: drawn, or the one in `like` with its items disturbed."""
    draw = np.random.default_rng(seed)
    titles = [f"Film {item} ({1950 + item % 60})" for item in range(n_items)]
    if like is None:
        scorer = BagScorer(
            item_table=CodedTable.of(draw.standard_normal((n_items, DIMENSION)).astype(np.float32)),
            history_table=CodedTable.of(draw.standard_normal((n_items, DIMENSION)).astype(np.float32)),
            item_bias=draw.standard_normal(n_items).astype(np.float32),
            history_power=0.5,
        )
        return artifact.save(
            folder,
            scorer,
            Vocab(np.arange(n_items)),
            kind="two_tower",
            name=f"seed {seed}",
            trained_on={},
            titles=titles,
        )
    found = artifact.load(like)
    assert isinstance(found.scorer, BagScorer) and found.scorer.item_table is not None
    vectors = found.scorer.item_table.matrix()
    noise = draw.standard_normal(vectors.shape).astype(np.float32) * vectors.std()
    scorer = dataclasses.replace(found.scorer, item_table=CodedTable.of(vectors + noise, found.scorer.item_table.codec))
    return artifact.save(
        folder,
        scorer,
        found.items,
        found.users,
        kind="two_tower",
        name=f"seed {seed}",
        trained_on={},
        titles=found.titles,
    )


class Service:
    """`recdistill serve` on a free port; its log goes to a file."""

    def __init__(self, folder: Path, log: Path, *words: str) -> None:
        command = [sys.executable, "-m", "recdistill.cli.main", "serve", str(folder), "--port", "0", *words]
        self._log = log.open("wb")
        began = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log)
        assert self.process.stdout is not None
        said = self.process.stdout.readline().decode()
        found = re.search(r"http://[^\s:]+:(\d+)", said)
        if found is None:
            raise SystemExit(f"the service did not start: {said!r}; see {log}")
        self.port = int(found[1])
        asyncio.run(self._ready())
        self.seconds_to_ready = round(time.perf_counter() - began, 2)

    async def _ready(self) -> None:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                connection = await Connection.open(self.port)
                status, _ = await connection.ask("GET", "/ready")
                connection.close()
                if status == 200:
                    return
            except OSError:
                pass
            if time.monotonic() > end or self.process.poll() is not None:
                raise SystemExit(f"the service was not ready within {START_SECONDS:.0f} s; see {self._log.name}")
            await asyncio.sleep(0.02)

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def memory(self) -> dict[str, int]:
        """Bytes of all its processes: resident, and with shared pages counted once (PSS)."""
        found = {"resident": 0, "pss": 0}
        for process in [psutil.Process(self.process.pid), *self.workers()]:
            try:
                full = process.memory_full_info()
            except psutil.Error:
                continue
            found["resident"] += full.rss
            found["pss"] += full.pss
        return found

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=30)
        finally:
            self.process.kill()
            self._log.close()


class Connection:
    """One kept-alive HTTP/1.1 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.local_port: int = writer.get_extra_info("sockname")[1]

    @classmethod
    async def open(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and the JSON of the answer, or its text. Raises OSError where the connection ends."""
        raw = b"" if body is None else orjson.dumps(body)
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(raw)}\r\n"
        kind = "Content-Type: application/json\r\n" if raw else ""
        self._writer.write(f"{head}{kind}\r\n".encode() + raw)
        try:
            told = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = re.search(r"\r\ncontent-length: (\d+)", told)
            answer = await self._reader.readexactly(int(length[1]) if length else 0)
        except asyncio.IncompleteReadError as fault:
            raise ConnectionResetError("the connection ended within an answer") from fault
        return int(told[9:12]), orjson.loads(answer) if "application/json" in told else answer.decode()

    def close(self) -> None:
        self._writer.transport.abort()
