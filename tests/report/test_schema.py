"""The schema accepts every report that a run may write and refuses what a reader would stumble over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import recdistill.report

SCHEMA = json.loads(Path(recdistill.report.__file__).with_name("schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_variant_is_a_valid_report(variant: dict[str, Any]) -> None:
    VALIDATOR.validate(json.loads(json.dumps(variant, allow_nan=False)))


def test_a_report_from_before_the_account_is_still_one(report: dict[str, Any]) -> None:
    for model in report["models"].values():
        del model["account"]
    VALIDATOR.validate(report)


def test_a_model_that_cannot_be_counted_has_an_account_of_nulls(report: dict[str, Any]) -> None:
    report["models"]["student"]["account"] = {"multiply_adds": None, "bytes_moved": None, "microjoules": None}
    VALIDATOR.validate(report)


def _drop(*path: str) -> Callable[[dict[str, Any]], None]:
    def edit(report: dict[str, Any]) -> None:
        for key in path[:-1]:
            report = report[key]
        del report[path[-1]]

    return edit


def _set(value: Any, *path: str | int) -> Callable[[dict[str, Any]], None]:
    def edit(report: Any) -> None:
        for key in path[:-1]:
            report = report[key]
        report[path[-1]] = value

    return edit


BROKEN: dict[str, Callable[[dict[str, Any]], None]] = {
    "no models": _set({}, "models"),
    "a field that is not in the contract": _set(1, "extra"),
    "a field of a model that is not in the contract": _set(1, "models", "student", "flops"),
    "another schema version": _set(2, "schema_version"),
    "no spread": _drop("models", "student", "spread"),
    "no comparisons": _drop("comparisons"),
    "a metric that is a text": _set("high", "models", "teacher", "metrics", "ndcg@20"),
    "a metric that is null": _set(None, "models", "teacher", "metrics", "ndcg@20"),
    "a metric at 0": _set(0.1, "models", "teacher", "metrics", "ndcg@0"),
    "negative bytes": _set(-1, "models", "teacher", "bytes"),
    "bytes of half a byte": _set(10.5, "models", "teacher", "bytes"),
    "no seed": _set([], "models", "teacher", "seeds"),
    "a seed twice": _set([1, 1], "models", "teacher", "seeds"),
    "a full path as source": _set("/home/me/ratings.csv", "data", "source"),
    "an artifact outside of the run": _set("/artifacts/student", "models", "student", "artifact"),
    "a digest that is none": _set("abc", "data", "sha256"),
    "an unknown history": _set("test", "protocol", "history"),
    "a comparison without its error": _drop("comparisons", 0, "standard_error"),  # type: ignore[arg-type]
    "a sign that is no yes or no": _set("yes", "comparisons", 0, "seeds_same_sign"),
    "overlap above 1": _set(1.2, "agreement", "student", "overlap@20"),
    "an example with the id of the person": _set("u17", "examples", 0, "user_id"),
    "an example of nobody": _set(0, "examples", 0, "history_rows"),
    "a recommendation that does not say whether it hit": _drop("examples", 0, "lists", "teacher", 0, "hit"),  # type: ignore[arg-type]
    "latency without p99": _set({"p50": 1.0}, "models", "student", "latency_ms"),
    "bytes moved that are negative": _set(-1, "models", "student", "account", "bytes_moved"),
    "an account without its energy": _drop("models", "student", "account", "microjoules"),
    "a group without a name": _drop("models", "student", "groups", "history", 0, "group"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_report_is_refused(report: dict[str, Any], fault: str) -> None:
    BROKEN[fault](report)
    assert not VALIDATOR.is_valid(report)
