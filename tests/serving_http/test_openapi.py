"""The description is true: its examples are answered as it says, and what it allows is accepted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from recdistill.serving.http import Service
from recdistill.serving.http.service import ROUTES
from tests.serving_http.conftest import ask


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_every_route_is_described_and_no_other(service: Service) -> None:
    document = ask(service, "GET", "/openapi.json").json
    found = {(method, path) for method, path, _ in operations(document)}
    assert found == {(route.method, route.path) for route in ROUTES}


def test_every_example_is_answered_as_described(service: Service) -> None:
    document = ask(service, "GET", "/openapi.json").json
    asked = 0
    for method, path, operation in operations(document):
        values = {one["name"]: one["example"] for one in operation.get("parameters", ())}
        query = urlencode({name: str(value).lower() if isinstance(value, bool) else value
                           for name, value in values.items()})  # fmt: skip
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for example in content.get("examples", {"": {"value": None}}).values():
            answer = ask(service, method, f"{path}?{query}", example["value"])
            assert answer.status == (409 if path == "/model/rollback" else 200), (path, answer.body)
            asked += 1
            if answer.status == 200 and path != "/metrics":
                schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
                jsonschema.validate(answer.json, schema)
                jsonschema.validate(operation["responses"]["200"]["content"]["application/json"]["example"], schema)
    assert asked >= len(ROUTES)


def test_a_token_is_described_where_it_is_asked_for(make: Callable[..., Service]) -> None:
    headers = {"authorization": "Bearer s3cret"}
    document = ask(make(token="s3cret"), "GET", "/openapi.json", headers=headers).json
    assert document["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}
    assert document["paths"]["/recommend"]["post"]["security"] == [{"token": []}]
    assert document["paths"]["/ready"]["get"]["security"] == []


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_what_the_description_allows_is_accepted_and_the_rest_refused(
    service: Service, mode: schemathesis.GenerationMode
) -> None:
    document = ask(service, "GET", "/openapi.json").json
    schema = schemathesis.openapi.from_dict(document)
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path == "/model/rollback" or (mode.is_negative and not operation.body):
            continue

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=8, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        def check(case: Any) -> None:
            query = urlencode({name: str(value).lower() if isinstance(value, bool) else value
                               for name, value in (case.query or {}).items()}, doseq=True)  # fmt: skip
            body = None if type(case.body).__name__ == "NotSet" else case.body
            raw = json.dumps(body).encode() if type(body) is not bytes else body
            answer = ask(service, case.method, f"{case.path}?{query}", raw)
            assert answer.status in ((400, 422) if mode.is_negative else (200, 404)), answer.body

        check()
