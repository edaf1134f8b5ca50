"""Requests that come in at the same moment are read together, then answered together, then sent together.

Every step then finds its code and arrays in the processor's caches. One matrix product for all of them gains nothing
over that on small catalogues: what it takes to set up eats it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Together:
    """Collects the work of one turn of the event loop; lone work is done at its end, without a pause."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []

    async def do(self, work: Callable[[], Any]) -> Any:
        """What `work` returns or raises."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._work)
        done: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((work, done))
        return await done

    def _work(self) -> None:
        waiting, self._waiting = self._waiting, []
        for work, done in waiting:
            if done.done():  # who asked went away
                continue
            try:
                done.set_result(work())
            except Exception as error:
                done.set_exception(error)
