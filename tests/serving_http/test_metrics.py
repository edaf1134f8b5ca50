from __future__ import annotations

import os

from prometheus_client.parser import text_string_to_metric_families

from recdistill.serving.http import Service
from recdistill.serving.http.metrics import Metrics
from tests.serving_http.conftest import ask


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Name and label values to value, as Prometheus reads them."""
    families = list(text_string_to_metric_families(text))
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_requests_are_counted_by_endpoint_status_and_time(service: Service) -> None:
    for body in ({}, {}, {"k": 0}):
        ask(service, "POST", "/recommend", body)
    ask(service, "POST", "/recommend/batch", {"people": [{}, {}]})
    ask(service, "POST", "/events", {"events": [{"user_id": 1, "item_id": 2}] * 3})
    answer = ask(service, "GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = samples(answer.body.decode())
    assert found["recdistill_requests_total", "recommend", "200"] == 2
    assert found["recdistill_requests_total", "recommend", "422"] == 1
    assert found["recdistill_request_seconds_count", "recommend"] == 3
    assert found["recdistill_request_seconds_bucket", "recommend", "+Inf"] == 3
    assert found["recdistill_request_seconds_sum", "recommend"] > 0
    assert found["recdistill_answers_total",] == 4
    assert found["recdistill_events_total",] == 3
    assert found["recdistill_running",] == 1  # the one that asks
    assert found["recdistill_generation_info", service.generations.current.id] == 1


def test_one_scrape_sees_every_worker_and_counters_outlive_them() -> None:
    metrics = Metrics(("a", "b"), slots=3)
    child = os.fork()
    if child == 0:
        metrics.use(1)
        metrics.request("b", 200, 0.003)
        metrics.add("answers", 5)
        metrics.add("running", 7)
        os._exit(0)
    os.waitpid(child, 0)
    metrics.use(2)
    metrics.request("b", 200, 3.0)
    metrics.set("pid", os.getpid())
    found = samples(metrics.text("g", 12.5))
    assert found["recdistill_requests_total", "b", "200"] == 2
    assert found["recdistill_request_seconds_bucket", "b", "0.0025"] == 0
    assert found["recdistill_request_seconds_bucket", "b", "0.005"] == 1
    assert found["recdistill_request_seconds_bucket", "b", "2.5"] == 1
    assert found["recdistill_request_seconds_count", "b"] == 2
    assert found["recdistill_request_seconds_sum", "b"] == 3.003
    assert found["recdistill_worker_resident_bytes", "2"] > 1e6
    assert found["recdistill_running",] == 7
    metrics.use(1)  # the place of the one that died is taken
    found = samples(metrics.text("g", 12.5))
    assert found["recdistill_answers_total",] == 5 and found["recdistill_running",] == 0
