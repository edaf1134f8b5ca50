"""Requests that come in at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from recdistill.errors import DataError
from recdistill.serving.http.together import Together


def at_once(*works: Callable[[], Any]) -> list[Any]:
    async def main() -> list[Any]:
        together = Together()
        return await asyncio.gather(*map(together.do, works), return_exceptions=True)

    return asyncio.run(main())


def refuse() -> None:
    raise DataError("no such item")


def test_each_has_its_own_answer_and_its_own_fault() -> None:
    found = at_once(*(partial(int, place) for place in range(5)), refuse, partial(int, 6))
    assert found[:5] == list(range(5))
    assert isinstance(found[5], DataError)
    assert found[6] == 6


def test_all_is_read_before_anything_is_answered() -> None:
    order: list[str] = []

    async def request(together: Together, name: str) -> None:
        order.append(f"read {name}")
        await together.do(partial(order.append, f"answer {name}"))
        order.append(f"send {name}")

    async def main() -> None:
        together = Together()
        await asyncio.gather(request(together, "a"), request(together, "b"))
        await request(together, "c")

    asyncio.run(main())
    assert order == ["read a", "read b", "answer a", "answer b", "send a", "send b", "read c", "answer c", "send c"]


def test_who_went_away_is_not_worked_for() -> None:
    done: list[int] = []

    async def main() -> list[Any]:
        together = Together()
        tasks = [asyncio.create_task(together.do(partial(done.append, place))) for place in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(asyncio.run(main())[1], asyncio.CancelledError)
    assert done == [0, 2]
