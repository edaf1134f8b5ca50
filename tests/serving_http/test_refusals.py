"""What is wrong with a request is said in one line: field, what was found, the cure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from recdistill.errors import ConfigError
from recdistill.serving.events import EventsError
from recdistill.serving.http import Limits, Service, Settings, endpoints
from tests.serving_http.conftest import ITEMS, ask, call

SMALL = Limits(max_body=500, max_batch=3, max_k=20, max_ids=4)

INVALID = [
    ("/recommend", [], "body: must be an object, found []"),
    ("/recommend", {"histroy": []}, "histroy: no such field. Did you mean 'history'?"),
    ("/recommend", {"history": "i01"}, 'history: must be a list of ids, found "i01". Write ["i01"].'),
    ("/recommend", {"history": ["i01", True]}, "history[1]: must be an id, a whole number or text, found true."),
    ("/recommend", {"history": ["i01", 1.5]}, "history[1]: must be an id"),
    ("/recommend", {"history": [["i01"]]}, 'history[0]: must be an id, a whole number or text, found ["i01"].'),
    ("/recommend", {"history": ITEMS[:5]}, "history: must be a list of at most 4 ids"),
    ("/recommend", {"history": [{"item": "i01"}]}, "history[0].item: no such field. Did you mean 'item_id'?"),
    ("/recommend", {"history": ["i01", {"weight": 1}]}, "history[1].item_id: missing"),
    ("/recommend", {"history": [{"item_id": "i01", "weight": -1}]}, "history[0].weight: must be a number of 0.."),
    ("/recommend", {"history": [{"item_id": None}]}, "history[0].item_id: must not be null"),
    ("/recommend", {"history": [*[{"item_id": 1}] * 5]}, "history: must be a list of at most 4 ids"),
    ("/recommend", {"user": ["ann"]}, "user: must be an id"),
    ("/recommend", {"k": 0}, "k: must be a whole number of 1..20, found 0."),
    ("/recommend", {"k": 21}, "k: must be a whole number of 1..20, found 21."),
    ("/recommend", {"k": "5"}, 'k: must be a whole number of 1..20, found "5".'),
    ("/recommend", {"k": True}, "k: must be a whole number of 1..20, found true."),
    ("/recommend", {"unknown": "ask"}, 'unknown: must be one of popular, skip, raise, found "ask".'),
    ("/recommend", {"with_scores": 1}, "with_scores: must be true or false, found 1."),
    ("/recommend/batch", {"k": 3}, "people: missing"),
    ("/recommend/batch", {"people": {}}, "people: must be a list of objects"),
    ("/recommend/batch", {"people": [{}, {"history": 7}]}, "people[1].history: must be a list of ids, found 7."),
    ("/recommend/batch", {"people": [{}] * 4}, "people: must be a list of at most 3"),
    ("/similar", {"k": 3}, "item: missing"),
    ("/explain", {"history": []}, "item: missing"),
    ("/events", {"events": []}, "events: must be a list of at least one event"),
    ("/events", {"events": [{"user_id": 1}]}, "events[0].item_id: missing"),
    ("/events", {"events": [{"user_id": " ", "item_id": 1}]}, "events[0].user_id: must be 1..512 characters"),
    ("/events", {"events": [{"user_id": 2**63, "item_id": 1}]}, "events[0].user_id: must be a whole number of 64"),
    ("/events", {"events": [{"user_id": 1, "item_id": 2, "timestamp": 1.7e12}]}, "Divide milliseconds by 1000."),
    ("/events", {"events": [{"user_id": 1, "item_id": 2, "timestamp": "now"}]}, "must be seconds since 1970"),
    ("/events", {"events": [{"user_id": 1, "item_id": 2, "value": "5"}]}, "events[0].value: must be a number"),
    ("/model/rollback", {"to": 3}, "to: must be a text"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "message"), INVALID)
def test_a_wrong_field_is_named_with_what_was_found(
    make: Callable[..., Service], path: str, body: Any, message: str
) -> None:
    answer = ask(make(SMALL), "POST", path, body)
    assert answer.status == 422
    assert message in answer.error


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/items", "q: missing"),
        ("/items?q=", "q: must be a text of 1..512 characters"),
        ("/items?q=a&q=b", "q: given twice"),
        ("/items?q=%ff", "query: cannot be read"),
        ("/items?q=a&k=ten", 'k: must be a whole number of 1..1000, found "ten".'),
        ("/items?query=a", "query: no such field"),
        ("/similar?item=i01&with_scores=1", "with_scores: must be true or false"),
    ],
)
def test_a_wrong_query_is_named_too(service: Service, target: str, message: str) -> None:
    answer = ask(service, "GET", target)
    assert answer.status == 422
    assert message in answer.error


@pytest.mark.parametrize("depth", [3, 100, 1000, 1020])
def test_what_is_nested_deeply_is_refused_and_shown_in_short(service: Service, depth: int) -> None:
    answer = ask(service, "POST", "/recommend", b'{"history": ' + b"[" * depth + b"1" + b"]" * depth + b"}")
    assert answer.status == 422
    assert answer.error.startswith("history[0]: must be an id") and len(answer.error) < 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b'{"k": NaN}', b'{"history": ["\\ud800"]}', b"[" * 5000, b'{"k": 1e999}']
)
def test_what_is_not_json_is_refused(service: Service, body: bytes) -> None:
    answer = ask(service, "POST", "/recommend", body)
    assert answer.status in (400, 422)
    assert "Send an object" in answer.error or "k: must be" in answer.error


def test_ids_may_be_any_text_or_number(service: Service) -> None:
    strange = ["", "\0", "💥" * 50, 2**63, 2**64 - 1, -(2**63), 1e300, 12.0, "i01"]
    for unknown in ("skip", "popular"):
        answer = ask(service, "POST", "/recommend", {"history": strange, "user": 2**64 - 1, "unknown": unknown})
        assert answer.status == 200, answer.body
        assert len(answer.json["items"]) == 10 and "i01" not in answer.json["items"]


def test_an_id_that_must_be_known_and_is_not_is_not_found(service: Service) -> None:
    for path, body in [("/recommend", {"history": ["zz"], "unknown": "raise"}), ("/similar", {"item": "zz"}),
                       ("/explain", {"item": "zz", "history": ["i01"]})]:  # fmt: skip
        answer = ask(service, "POST", path, body)
        assert answer.status == 404 and answer.json["error"]["code"] == "unknown_id"
        assert "'zz'" in answer.error


@pytest.mark.parametrize("parts", [1, 7])
def test_a_large_body_is_refused_whether_or_not_it_says_so(make: Callable[..., Service], parts: int) -> None:
    for length in ("", "600"):
        answer = ask(make(SMALL), "POST", "/recommend", b" " * 600, parts=parts, headers={"content-length": length})
        assert answer.status == 413
        assert "larger than 500 bytes" in answer.error


def test_a_body_in_parts_is_put_together(service: Service) -> None:
    body = {"history": ITEMS[:5], "k": 3}
    want = ask(service, "POST", "/recommend", body).json
    assert ask(service, "POST", "/recommend", body, parts=9).json == want


def test_paths_methods_and_media_types_that_are_not_there(service: Service) -> None:
    missing = ask(service, "POST", "/recommendations", {})
    assert missing.status == 404 and "Known: /recommend," in missing.error
    wrong = ask(service, "DELETE", "/similar")
    assert wrong.status == 405 and wrong.headers["allow"] == "GET, POST" and "/similar: takes GET, POST" in wrong.error
    form = ask(service, "POST", "/recommend", {}, headers={"content-type": "application/x-www-form-urlencoded"})
    assert form.status == 415 and "must be application/json" in form.error
    for kind in ("application/json; charset=utf-8", "application/vnd.shop+json", ""):
        assert ask(service, "POST", "/recommend", {}, headers={"content-type": kind}).status == 200


def test_a_token_is_asked_for_except_by_those_who_watch(make: Callable[..., Service]) -> None:
    service = make(token="s3cret")
    for header in ("", "Bearer", "Bearer wrong", "Basic s3cret", "s3cret"):
        answer = ask(service, "GET", "/model", headers={"authorization": header})
        assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert "Authorization: must be 'Bearer'" in answer.error and "s3cret" not in answer.error
    assert ask(service, "GET", "/model", headers={"authorization": "bearer s3cret"}).status == 200
    assert ask(service, "GET", "/health").status == ask(service, "GET", "/ready").status == 200
    assert "s3cret" not in repr(Settings(folder=".", state=".", token="s3cret"))  # type: ignore[arg-type]


def test_an_address_that_asks_too_often_waits_alone(make: Callable[..., Service]) -> None:
    service = make(Limits(rate=0.001))
    assert ask(service, "POST", "/recommend", {}).status == 200
    refused = ask(service, "POST", "/recommend", {})
    assert refused.status == 429 and "more than 0.001 requests a second from 192.0.2.1" in refused.error
    assert int(refused.headers["retry-after"]) >= 900
    assert ask(service, "POST", "/recommend", {}, client="192.0.2.2").status == 200
    assert ask(service, "GET", "/ready").status == 200


def test_more_than_may_run_at_once_are_sent_away(make: Callable[..., Service]) -> None:
    service = make(Limits(max_running=1))

    async def two() -> list[int]:
        event = {"events": [{"user_id": 1, "item_id": 2}]}
        first = asyncio.ensure_future(call(service, "POST", "/events", event))
        await asyncio.sleep(0)
        second = await call(service, "POST", "/recommend", {})
        assert second.headers["retry-after"] == "1" and "1 requests are under way" in second.error
        return [(await first).status, second.status, (await call(service, "POST", "/recommend", {})).status]

    assert asyncio.run(two()) == [200, 503, 200]


def test_an_answer_that_takes_too_long_is_given_up(
    make: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    service, go_on = make(Limits(timeout=0.05)), threading.Event()
    monkeypatch.setattr(endpoints, "INLINE", 0)
    monkeypatch.setattr(service.generations.current.recommender, "recommend", lambda *_, **__: go_on.wait(10))
    answer = ask_with_threads(service, go_on)
    assert answer.status == 503 and "not answered within 0.05 s" in answer.error


def ask_with_threads(service: Service, go_on: Any) -> Any:
    async def asked() -> Any:
        answer = await call(service, "POST", "/recommend", {})
        go_on.set()
        return answer

    return asyncio.run(asked())


def test_too_many_heavy_requests_are_sent_away(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "INLINE", 0)
    monkeypatch.setattr(endpoints, "WAITING", 0)
    answer = ask(service, "POST", "/recommend", {})
    assert answer.status == 503 and "heavy requests are under way" in answer.error


def test_request_ids_come_back_where_they_are_harmless(service: Service) -> None:
    assert ask(service, "GET", "/health", headers={"x-request-id": "a-1"}).headers["x-request-id"] == "a-1"
    given = {ask(service, "GET", "/health", headers={"x-request-id": one}).headers["x-request-id"]
             for one in ("", "a b", "é", "x" * 129, '{"a":1}')}  # fmt: skip
    assert len(given) == 5 and all(one.isascii() and len(one) < 40 for one in given)


def test_a_fault_of_the_service_is_logged_and_not_shown(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("private matter")

    monkeypatch.setattr(service.generations.current.recommender, "recommend", broken)
    answer = ask(service, "POST", "/recommend", {}, headers={"x-request-id": "here"})
    assert answer.status == 500 and "private" not in answer.error
    assert caplog.records[-1].fields == {"path": "/recommend", "request_id": "here"}  # type: ignore[attr-defined]
    assert caplog.records[-1].exc_info


def test_events_that_the_disk_refuses_are_not_acknowledged(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(_: Any) -> None:
        raise EventsError("events.sqlite: no space left.")

    monkeypatch.setattr(service.endpoints.events, "append", full)
    answer = ask(service, "POST", "/events", {"events": [{"user_id": 1, "item_id": 2}]})
    assert answer.status == 503 and answer.error == "events.sqlite: no space left."


def test_a_client_that_goes_away_is_counted_and_not_answered(service: Service) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/recommend", "query_string": b"", "headers": [], "client": None}
    asyncio.run(service(scope, receive, send))
    assert not sent
    assert 'status="499"} 1' in service.metrics.text("x", 0)
    with pytest.raises(NotImplementedError, match="only HTTP"):
        asyncio.run(service({"type": "websocket"}, receive, send))


def test_rolling_back_where_there_is_nothing_before_is_refused(service: Service) -> None:
    for body in (None, {}, {"to": "000000000000"}):
        answer = ask(service, "POST", "/model/rollback", body)
        assert answer.status == 409 and "generation" in answer.error


@pytest.mark.parametrize(("name", "value"), [("max_body", 0), ("max_k", 0), ("timeout", 0), ("rate", -1)])
def test_limits_that_let_nothing_through_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"--{name.replace('_', '-')}: must be at least"):
        Limits(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("workers", 0, "--workers: must be 1..256"), ("port", 70_000, "--port"), ("token", "", "printable ASCII")],
)
def test_settings_are_checked(name: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Settings(folder=".", state=".", **{name: value})  # type: ignore[arg-type]
