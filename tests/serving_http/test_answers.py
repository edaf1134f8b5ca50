"""What is asked over HTTP is what Python answers."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from recdistill.serving import Recommender
from recdistill.serving.http import Service, endpoints
from tests.serving_http.conftest import ITEMS, ask, call


@pytest.fixture
def recommender(folder: Path) -> Recommender:
    return Recommender.load(folder)


def as_told(answers: list[Any]) -> list[dict[str, Any]]:
    return [one._asdict() for one in answers]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"history": ITEMS[:3]},
        {"history": ["Film 5", "i07"], "k": 60},
        {"history": ITEMS[:3], "k": 4, "exclude": ITEMS[10:40]},
        {"history": ITEMS[:3], "only": ITEMS[:20]},
        {"history": [*ITEMS[:3], "not there"], "unknown": "skip"},
        {"history": ["not there"], "unknown": "popular"},
        {"history": None, "k": None, "exclude": None},
    ],
)
def test_one_person_is_answered_as_in_python(service: Service, recommender: Recommender, asked: dict[str, Any]) -> None:
    given = {name: value for name, value in asked.items() if value is not None}
    assert ask(service, "POST", "/recommend", asked).json["items"] == recommender.recommend(**given)
    scored = ask(service, "POST", "/recommend", asked | {"with_scores": True}).json["items"]
    assert scored == as_told(recommender.recommend(**given, with_scores=True))


def test_more_than_there_is_means_all_there_is(service: Service) -> None:
    for method, target, body in [("POST", "/recommend", {"history": ["i01"], "k": 900}),
                                 ("POST", "/recommend/batch", {"people": [{"history": ["i01"]}], "k": 900}),
                                 ("GET", "/similar?item=i01&k=900", None)]:  # fmt: skip
        found = ask(service, method, target, body).json
        assert len(found.get("items") or found["answers"][0]) == 59


def test_weights_stand_beside_the_ids(service: Service, recommender: Recommender) -> None:
    asked = {"history": [{"item_id": "i01", "weight": 3}, "i02", {"item_id": "i03"}], "with_scores": True}
    want = recommender.recommend(["i01", "i02", "i03"], weights=[3.0, 1.0, 1.0], with_scores=True)
    assert ask(service, "POST", "/recommend", asked).json["items"] == as_told(want)
    assert as_told(want) != as_told(recommender.recommend(["i01", "i02", "i03"], with_scores=True))


@pytest.mark.parametrize("inline", [0, 10**9])
def test_many_people_are_answered_like_one_by_one(
    service: Service, monkeypatch: pytest.MonkeyPatch, inline: int
) -> None:
    monkeypatch.setattr(endpoints, "INLINE", inline)  # in a thread, and not
    ask(service, "POST", "/events", {"events": [{"user_id": 9, "item_id": "i30"}]})
    people = [{"history": ITEMS[:3]}, {}, {"history": ["i05"], "exclude": ITEMS[20:50]}, {"user": 9},
              {"history": [{"item_id": "i01", "weight": 2.5}, "i02"]}]  # fmt: skip
    shared = {"k": 7, "only": ITEMS[5:55], "with_scores": True}
    alone = [ask(service, "POST", "/recommend", one | shared).json["items"] for one in people]
    assert ask(service, "POST", "/recommend/batch", {"people": people} | shared).json["answers"] == alone
    assert ask(service, "POST", "/recommend/batch", {"people": []}).json["answers"] == []


def test_what_a_person_did_is_known_to_the_next_answer(service: Service, recommender: Recommender) -> None:
    before = ask(service, "POST", "/recommend", {"user": "ann", "k": 60}).json["items"]
    assert before == recommender.recommend(k=60)
    event = {"user_id": "ann", "item_id": before[0], "timestamp": time.time() - 60}
    assert ask(service, "POST", "/events", {"events": [event]}).json["accepted"] == 1
    after = ask(service, "POST", "/recommend", {"user": "ann", "history": ["i02"], "k": 60}).json["items"]
    assert after == recommender.recommend(["i02", before[0]], k=60)
    raised = {"user": "ann", "k": 60, "unknown": "raise"}
    assert ask(service, "POST", "/recommend", raised).json["items"] == recommender.recommend([before[0]], k=60)
    assert ask(service, "POST", "/recommend", {"user": "bob", "k": 60}).json["items"] == before


def test_similar_items_come_by_both_methods(service: Service, recommender: Recommender) -> None:
    want = as_told(recommender.similar("i04", k=3, with_scores=True))
    assert ask(service, "GET", "/similar?item=i04&k=3&with_scores=true").json["items"] == want
    assert ask(service, "POST", "/similar", {"item": "i04", "k": 3, "with_scores": True}).json["items"] == want
    filtered = {"item": "i04", "k": 3, "only": ITEMS[:9], "exclude": ["i01"]}
    want_ids = recommender.similar("i04", k=3, only=ITEMS[:9], exclude=["i01"])
    assert ask(service, "POST", "/similar", filtered).json["items"] == want_ids


def test_shares_add_up_to_the_score(service: Service) -> None:
    found = ask(service, "POST", "/explain", {"history": ITEMS[:3], "item": "i09"}).json
    assert [one["item_id"] for one in found["shares"]] == ITEMS[:3] or len(found["shares"]) == 3
    total = sum(one["share"] for one in found["shares"]) + found["user"] + found["bias"]
    assert total == pytest.approx(found["score"], rel=1e-6)
    scored = ask(service, "POST", "/recommend", {"history": ITEMS[:3], "k": 60, "with_scores": True}).json["items"]
    assert found["score"] == pytest.approx(next(one["score"] for one in scored if one["item_id"] == "i09"), rel=1e-5)


def test_a_filter_is_prepared_once_for_all_who_send_it(
    service: Service, recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, prepared = service.generations.current.recommender, []
    prepare = served.filter
    monkeypatch.setattr(served, "filter", lambda *given: prepared.append(given) or prepare(*given))
    for only in (ITEMS[:9], ITEMS[:9], ITEMS[:8], ITEMS[:9]):
        found = ask(service, "POST", "/recommend", {"history": ["i01"], "only": only}).json["items"]
        assert found == recommender.recommend(["i01"], only=only)
    assert [len(only) for only, _ in prepared] == [9, 8]
    refused = ask(service, "POST", "/recommend", {"only": ["zz"], "unknown": "raise"})
    assert refused.status == 404 and "'zz'" in refused.error
    for size in range(1, 60):
        ask(service, "POST", "/recommend", {"only": ITEMS[:size]})
    assert len(service.endpoints._filters[1]) <= endpoints.FILTERS


def test_items_are_found_by_their_titles(service: Service) -> None:
    found = ask(service, "GET", "/items?q=film%205&k=2").json["items"]
    assert found == [{"item_id": "i05", "title": "Film 5"}, {"item_id": "i50", "title": "Film 50"}]
    assert ask(service, "GET", "/items?q=nothing").json["items"] == []


def test_every_answer_names_its_generation(service: Service) -> None:
    current = service.generations.current.id
    for method, target, body in [("POST", "/recommend", {}), ("POST", "/recommend/batch", {"people": [{}]}),
                                 ("GET", "/items?q=x", None), ("GET", "/model", None), ("GET", "/health", None),
                                 ("GET", "/ready", None)]:  # fmt: skip
        answer = ask(service, method, target, body)
        assert answer.status == 200
        assert answer.json["generation"] == answer.headers["x-generation"] == current
    assert ask(service, "POST", "/recommend", b"{").headers["x-generation"] == current


def test_the_model_shows_its_card_and_checksums(service: Service) -> None:
    found = ask(service, "GET", "/model").json
    assert found["name"] == "student 0" and found["items"] == 60
    assert found["card"].startswith("# student 0") and "model.safetensors" in found["checksums"]
    assert found["status"]["current"] == found["generation"]


def test_a_service_that_stops_is_alive_and_not_ready(service: Service) -> None:
    service.endpoints.draining = True
    assert ask(service, "GET", "/health").status == 200
    refused = ask(service, "GET", "/ready")
    assert refused.status == 503 and "stopping" in refused.error


def test_heavy_requests_leave_room_for_small_ones(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "INLINE", 1000)
    recommender, order = service.generations.current.recommender, []
    batch = recommender.recommend_batch

    def slow(*given: Any, **more: Any) -> Any:
        while "small" not in order:
            time.sleep(0.001)
        order.append("heavy")
        return batch(*given, **more)

    monkeypatch.setattr(recommender, "recommend_batch", slow)

    async def both() -> None:
        heavy = asyncio.ensure_future(call(service, "POST", "/recommend/batch", {"people": [{}] * 20}))
        await asyncio.sleep(0)
        assert (await call(service, "GET", "/health")).status == 200
        order.append("small")
        assert (await heavy).status == 200

    asyncio.run(both())
    assert order == ["small", "heavy"]


def test_what_is_not_known_of_a_history_is_named(service: Service) -> None:
    found = ask(service, "POST", "/recommend", {"history": ["not there", "i01", "nor this"]}).json
    assert found["unknown"] == ["not there", "nor this"]
    assert "unknown" not in ask(service, "POST", "/recommend", {"history": ["i01", "Film 5"]}).json
