"""What the service answers: each request read, asked of one generation, and told in plain values."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from recdistill.serving.events import Event, Events
from recdistill.serving.generations import Generation, Generations
from recdistill.serving.http import reading
from recdistill.serving.http.metrics import Metrics
from recdistill.serving.http.openapi import document
from recdistill.serving.http.reading import Id, read_object, read_query
from recdistill.serving.http.refusal import Refusal
from recdistill.serving.http.settings import Limits
from recdistill.serving.http.together import Together
from recdistill.serving.recommender import ItemFilter, Recommendation, Recommender

INLINE = 100_000
"""Scores that are computed between two other requests; for more a thread is worth its price."""
THREADS = 2
WAITING = 32
"""Heavy requests of one worker, running or not."""
FILTERS = 32
"""Prepared filters that are kept for the next who asks."""
K = 10
FOUND = 20
"""Items that a search lists by default."""
NOBODY: tuple[list[Id], None] = ([], None)


@dataclass(slots=True)
class Asked:
    body: bytes
    query: bytes
    generation: Generation


class Endpoints:
    """One method for each route; every answer is of the generation in `asked`."""

    def __init__(
        self, generations: Generations, events: Events, limits: Limits, metrics: Metrics, *, token: bool
    ) -> None:
        self.generations, self.events = generations, events
        self.limits, self.metrics, self.token = limits, metrics, token
        self.draining = False
        """Whether the service was told to stop: it is not ready any more."""
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="answer")
        self._heavy = 0
        self._together = Together()
        self._filters: tuple[str, dict[Any, ItemFilter]] = "", {}

    async def recommend(self, asked: Asked) -> dict[str, Any]:
        values = read_object(asked.body, reading.RECOMMEND, self.limits)
        recommender = asked.generation.recommender
        options = self._options(values, asked.generation)
        history, weights, user = self._person(values, recommender, options.get("unknown"))
        if weights is not None:
            options["weights"] = weights
        if "exclude" in values:
            options["exclude"] = values["exclude"]
        answer = partial(recommender.recommend, history, user, **options)
        run = self._together.do if recommender.scorer.n_items <= INLINE else self._aside
        items = await run(answer)
        self.metrics.add("answers")
        told = {"generation": asked.generation.id, "items": _told(items, options)}
        given = values.get("history", NOBODY)[0]
        if given and recommender.items.rows_of_known(given) is None and (missing := recommender.unknown(given)):
            # or whoever sends ids of another catalogue would take what is popular for an answer
            told["unknown"] = [one if _storable(one) else str(one) for one in missing]
        return told

    async def batch(self, asked: Asked) -> dict[str, Any]:
        values = read_object(asked.body, reading.BATCH, self.limits, ("people",))
        recommender, people = asked.generation.recommender, values["people"]
        options = self._options(values, asked.generation)
        asking = [self._person(one, recommender, options.get("unknown")) for one in people]
        histories = [history for history, _, _ in asking]
        if any(weights is not None for _, weights, _ in asking):
            options["weights"] = [weights or [1.0] * len(history) for history, weights, _ in asking]
        if any(user is not None for *_, user in asking):
            options["users"] = [user for *_, user in asking]
        if any("exclude" in one for one in people):
            options["exclude"] = [one.get("exclude", ()) for one in people]
        answers = await self._run(
            len(people) * recommender.scorer.n_items, lambda: recommender.recommend_batch(histories, **options)
        )
        self.metrics.add("answers", len(people))
        return {"generation": asked.generation.id, "answers": [_told(one, options) for one in answers]}

    async def similar(self, asked: Asked) -> dict[str, Any]:
        return await self._similar(asked, read_object(asked.body, reading.SIMILAR, self.limits, ("item",)))

    async def similar_query(self, asked: Asked) -> dict[str, Any]:
        return await self._similar(asked, read_query(asked.query, reading.SIMILAR_QUERY, self.limits, ("item",)))

    async def explain(self, asked: Asked) -> dict[str, Any]:
        values = read_object(asked.body, reading.EXPLAIN, self.limits, ("item",))
        recommender = asked.generation.recommender
        history, weights, user = self._person(values, recommender, None)
        found = recommender.explain(history, values["item"], user=user, weights=weights)
        shares = [{"item_id": item, "share": float(share)} for item, share in found.shares]
        told = {"item_id": found.item_id, "score": float(found.score), "shares": shares}
        return {"generation": asked.generation.id, **told, "user": float(found.user), "bias": float(found.bias)}

    async def items(self, asked: Asked) -> dict[str, Any]:
        values = read_query(asked.query, reading.ITEMS_QUERY, self.limits, ("q",))
        recommender = asked.generation.recommender
        found = await self._run(20 * recommender.scorer.n_items, lambda: recommender.find(values["q"]))
        told = [{"item_id": item, "title": title} for item, title in found[: values.get("k", FOUND)]]
        return {"generation": asked.generation.id, "items": told}

    async def happened(self, asked: Asked) -> dict[str, Any]:
        values = read_object(asked.body, reading.EVENTS, self.limits, ("events",))
        now = time.time()
        events = [
            Event(one["user_id"], one["item_id"], one.get("timestamp", now), one.get("value"))
            for one in values["events"]
        ]
        await self.events.append(events)
        self.metrics.add("events", len(events))
        return {"generation": asked.generation.id, "accepted": len(events)}

    async def health(self, asked: Asked) -> dict[str, Any]:
        return {"generation": asked.generation.id, "status": "ok"}

    async def ready(self, asked: Asked) -> dict[str, Any]:
        if self.draining:
            raise Refusal(503, "stopping", "this worker is stopping. Ask another.")
        return {"generation": asked.generation.id, "status": "ready"}

    async def model(self, asked: Asked) -> dict[str, Any]:
        return self._model(asked.generation)

    async def rollback(self, asked: Asked) -> dict[str, Any]:
        values = read_object(asked.body, reading.ROLLBACK, self.limits) if asked.body else {}
        return self._model(await asyncio.to_thread(self.generations.roll_back, values.get("to")))

    async def prometheus(self, asked: Asked) -> str:
        return self.metrics.text(asked.generation.id, asked.generation.loaded_at)

    async def openapi(self, asked: Asked) -> dict[str, Any]:
        recommender = asked.generation.recommender
        some = recommender.items.ids(range(min(3, len(recommender.items)))).tolist()
        return document(self.limits, some, recommender.titles(some), asked.generation.id, token=self.token)

    def _person(
        self, values: dict[str, Any], recommender: Recommender, unknown: str | None
    ) -> tuple[list[Id], list[float] | None, Id | None]:
        """History, weights and user: the person's events come after the history that was given."""
        history, weights = values.get("history", NOBODY)
        user = values.get("user")
        done = self.events.history(user) if user is not None and _storable(user) else ()
        if recommender.users is None and unknown != "raise" and (history or done):
            user = None  # says nothing more
        if not done:
            return history, weights, user
        if unknown == "raise":  # asks that what the client sends be known; events were taken whatever they name
            missing = set(recommender.unknown(done))
            done = [one for one in done if one not in missing]
            if recommender.users is None or recommender.users.rows([user])[0] < 0:
                user = None
        if weights is not None:
            weighed = set(history)
            done = [one for one in dict.fromkeys(done) if one not in weighed]
            weights = weights + [1.0] * len(done)
        return [*history, *done], weights, user

    async def _similar(self, asked: Asked, values: dict[str, Any]) -> dict[str, Any]:
        recommender = asked.generation.recommender
        options = self._options(values, asked.generation)
        if "exclude" in values:
            options["exclude"] = values["exclude"]
        items = await self._run(recommender.scorer.n_items, lambda: recommender.similar(values["item"], **options))
        return {"generation": asked.generation.id, "items": _told(items, options)}

    async def _run(self, scores: int, work: Callable[[], Any]) -> Any:
        return work() if scores <= INLINE else await self._aside(work)

    async def _aside(self, work: Callable[[], Any]) -> Any:
        """In a thread, so that small requests are answered meanwhile."""
        if self._heavy >= WAITING:
            raise Refusal(503, "busy", f"{WAITING} heavy requests are under way. Try again.", (b"retry-after", b"1"))
        self._heavy += 1
        running = asyncio.get_running_loop().run_in_executor(self._pool, self._counted, work)
        try:
            return await asyncio.wait_for(running, self.limits.timeout)
        except TimeoutError:
            raise Refusal(503, "too_slow", f"not answered within {self.limits.timeout:g} s. Ask for fewer people at "
                          "once, or build an index: recdistill index.", (b"retry-after", b"1")) from None  # fmt: skip

    def _counted(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        finally:
            self._heavy -= 1

    def _options(self, values: dict[str, Any], generation: Generation) -> dict[str, Any]:
        """What goes to Python as it is, but for a k beyond the catalogue: the next generation may have fewer items."""
        n_items = generation.recommender.scorer.n_items
        options = {"k": min(values.get("k", K), n_items), "with_scores": values.get("with_scores", False)}
        if "unknown" in values:
            options["unknown"] = values["unknown"]
        if "only" in values:
            options["only"] = self._filter(values["only"], values.get("unknown") == "raise", generation)
        return options

    def _filter(self, only: list[Id], refuse: bool, generation: Generation) -> ItemFilter:
        """Prepared once for all who ask with the same list, which many do."""
        if self._filters[0] != generation.id or len(self._filters[1]) >= FILTERS:
            self._filters = generation.id, {}
        key = (refuse, *only)
        known = self._filters[1]
        if key not in known:
            known[key] = generation.recommender.filter(only, "raise" if refuse else "skip")
        return known[key]

    def _model(self, generation: Generation) -> dict[str, Any]:
        recommender = generation.recommender
        return {
            "generation": generation.id,
            "name": generation.config.get("name"),
            "kind": generation.config.get("kind"),
            "items": len(recommender.items),
            "users": None if recommender.users is None else len(recommender.users),
            "loaded_at": generation.loaded_at,
            "card": generation.card,
            "checksums": generation.checksums,
            "config": generation.config,
            "events": self.events.count(),
            "status": self.generations.status(),
        }


def _storable(user: Id) -> bool:
    return type(user) is str or -(2**63) <= user < 2**63  # type: ignore[operator]


def _told(items: Sequence[Any], options: dict[str, Any]) -> Sequence[Any]:
    if not options["with_scores"]:
        return items
    return [_one(answer) for answer in items]


def _one(answer: Recommendation) -> dict[str, Any]:
    return {
        "item_id": answer.item_id,
        "score": float(answer.score),
        "rank": answer.rank,
        "title": answer.title,
    }
