"""The description of the service that tools read (OpenAPI 3.1), with examples that this very catalogue answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recdistill import __version__
from recdistill.serving.events import LATEST_TIME, LEAST_TIME, MOST_VALUE
from recdistill.serving.http.reading import MAX_TEXT, MAX_WEIGHT, UNKNOWN, VISIBLE, Id
from recdistill.serving.http.settings import Limits

Schema = dict[str, Any]

ID: Schema = {"type": ["integer", "string"], "description": 'An id as in your log; 12 and "12" are the same.'}
KEPT_ID: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
        {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "pattern": VISIBLE.pattern},
    ],
    "description": "Any id that a log can hold, known to the model or not.",
}
TITLE: Schema = {"type": ["string", "null"]}
GENERATION: Schema = {
    "type": "string",
    "description": "The model that answered: the first 12 hex digits of the SHA-256 of its checksums.json.",
}
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
REASONS = {
    400: "The body is not JSON.",
    401: "No token, or another one.",
    404: "An id that is not known, where it must be.",
    405: "The path takes other methods.",
    408: "The request did not come in within the time allowed.",
    409: "This model or this service cannot do that now.",
    413: "The body is larger than allowed.",
    415: "The body is not called application/json.",
    422: "A field is missing, unknown or not what it must be; the message names it.",
    429: "Too many requests from this address; Retry-After says when to come back.",
    503: "Too busy, too slow or stopping; Retry-After says when to come back.",
}


def document(
    limits: Limits, some: Sequence[Id], titles: Sequence[str | None], generation: str, *, token: bool
) -> dict[str, Any]:
    """`some` are ids of a few items and `titles` theirs, for the examples; `token` is whether one is asked for."""
    of = _Examples(some, titles, generation)
    paths = _recommending(limits, of) | _looking_up(limits, of) | _telling(limits, of) | _running(of)
    if token:
        for path, operations in paths.items():
            for operation in operations.values():
                operation["security"] = [] if path in ("/health", "/ready") else [{"token": []}]
    schemes = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}} if token else {}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "recdistill serve",
            "version": __version__,
            "description": "What to recommend to a person, given what they used. Every answer names the generation of "
            "the model that it comes from, in a field and in the header X-Generation, and repeats X-Request-ID.",
        },
        "paths": paths,
        "components": {"schemas": {"Error": ERROR}, "headers": HEADERS, **schemes},
    }


class _Examples:
    """Values that the catalogue of this generation knows."""

    def __init__(self, some: Sequence[Id], titles: Sequence[str | None], generation: str) -> None:
        self.one = some[0]
        self.history = list(some[:2])
        self.answer = some[-1]
        self.title = titles[-1]
        self.word = (titles[0] or str(some[0])).split(" ")[0]
        self.generation = generation

    def told(self, **fields: Any) -> dict[str, Any]:
        return {"generation": self.generation, **fields}


def _recommending(limits: Limits, of: _Examples) -> dict[str, Any]:
    person = {"history": _history(limits), "user": _optional(ID, "Someone of whom the model or an event knows."),
              "exclude": _ids(limits, "Never to be answered, beside the history.")}  # fmt: skip
    choice = _choice(limits)
    unknown = {"unknown": {"enum": [*UNKNOWN, None], "default": UNKNOWN[0], "description":
               "Ids that the model does not know: left out, with what is popular for those of whom nothing is known; "
               "left out; or refused."}}  # fmt: skip
    people = {"type": "array", "maxItems": limits.max_batch, "items": _object(person)}
    left_out = {"type": "array", "items": ID, "description": "Of the history, what the model does not know; absent "
                "where it knows all."}  # fmt: skip
    return {
        "/recommend": {"post": _operation(
            "recommend", "Items for one person, best first, none from the history.",
            answer=_with(_told(items=_items()), unknown=left_out), example=of.told(items=[of.answer]),
            body=_object(person | choice | unknown), also=(404,),
            bodies={"history": {"history": of.history, "k": 5},
                    "weighted": {"history": [{"item_id": of.one, "weight": 2.0}], "with_scores": True},
                    "popular": {"k": 3, "exclude": [of.one]}},
        )},
        "/recommend/batch": {"post": _operation(
            "recommend_batch", "The same for many people at once.",
            answer=_told(answers={"type": "array", "items": _items()}), example=of.told(answers=[[of.answer]]),
            body=_object({"people": people} | choice | unknown, "people"), also=(404,),
            bodies={"two": {"people": [{"history": of.history}, {"history": [], "exclude": [of.one]}], "k": 5}},
        )},
    }  # fmt: skip


def _looking_up(limits: Limits, of: _Examples) -> dict[str, Any]:
    similar: dict[str, Any] = {"answer": _told(items=_items()), "example": of.told(items=[of.answer]),
                               "also": (404, 409)}  # fmt: skip
    k = {"type": "integer", "minimum": 1, "maximum": limits.max_k}
    query = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
    explained = {
        "item_id": ID, "score": {"type": "number"}, "user": {"type": "number"}, "bias": {"type": "number"},
        "shares": {"type": "array", "items": _object({"item_id": ID, "share": {"type": "number"}})},
    }  # fmt: skip
    found = _object({"item_id": ID, "title": TITLE})
    return {
        "/similar": {
            "get": _operation("similar", "The items nearest to one.", **similar, parameters=[
                _parameter("item", {"type": "string"}, str(of.one), required=True),
                _parameter("k", k | {"default": 10}, 5),
                _parameter("with_scores", {"type": "boolean", "default": False}, True)]),
            "post": _operation("similar_among", "The items nearest to one, with a filter.", **similar,
                body=_object({"item": ID, "exclude": _ids(limits, "Never to be answered.")} | _choice(limits), "item"),
                bodies={"near": {"item": of.one, "k": 5}}),
        },
        "/explain": {"post": _operation(
            "explain", "How much each item of a history adds to the score of an item; the shares, `user` and `bias` "
            "add up to the score.", answer=_told(**explained), also=(404, 409),
            example=of.told(item_id=of.answer, score=1.5, user=0.0, bias=0.5,
                            shares=[{"item_id": of.one, "share": 1.0}]),
            body=_object({"history": _history(limits), "item": ID, "user": _optional(ID, "Someone known.")}, "item"),
            bodies={"why": {"history": of.history, "item": of.answer}},
        )},
        "/items": {"get": _operation(
            "items", "Items whose title holds a text, the nearest to it first; a catalogue without titles is searched "
            "by its ids.", answer=_told(items={"type": "array", "items": found}),
            example=of.told(items=[{"item_id": of.answer, "title": of.title}]),
            parameters=[_parameter("q", query, of.word, required=True), _parameter("k", k | {"default": 20}, 5)],
        )},
    }  # fmt: skip


def _telling(limits: Limits, of: _Examples) -> dict[str, Any]:
    time = {"type": "number", "minimum": LEAST_TIME, "maximum": LATEST_TIME}
    event = _object({
        "user_id": KEPT_ID, "item_id": KEPT_ID,
        "timestamp": _optional(time, "Seconds since 1970; now, where it is left out."),
        "value": _optional({"type": "number", "minimum": -MOST_VALUE, "maximum": MOST_VALUE}, "A rating or a count."),
    }, "user_id", "item_id")  # fmt: skip
    events = {"type": "array", "minItems": 1, "maxItems": limits.max_batch, "items": event}
    return {
        "/events": {"post": _operation(
            "events", "People used items. Answered when the events are on the disk: from then on they survive a "
            "failure, and every answer for that `user` knows them, whichever worker gives it.",
            answer=_told(accepted={"type": "integer"}), example=of.told(accepted=1),
            body=_object({"events": events}, "events"),
            bodies={"one": {"events": [{"user_id": "example", "item_id": of.one, "timestamp": 1789689600}]}},
        )},
    }  # fmt: skip


def _running(of: _Examples) -> dict[str, Any]:
    status, model = {"status": {"type": "string"}}, {"type": "object", "properties": {"generation": GENERATION}}
    known = of.told(name="student", items=3043, events=0)
    back = {"type": "object", "properties": {"to": {"type": ["string", "null"], "minLength": 1, "maxLength": MAX_TEXT}},
            "additionalProperties": False}  # fmt: skip
    health = _operation("health", "Whether the process is alive.", answer=_told(**status),
                        example=of.told(status="ok"))  # fmt: skip
    ready = _operation("ready", "Whether it answers: 503 while it stops.", answer=_told(**status),
                       example=of.told(status="ready"))  # fmt: skip
    metrics = _operation("metrics", "Counters of all workers, for Prometheus.", answer={"type": "string"},
                         example="recdistill_answers_total 1", media=PLAIN)  # fmt: skip
    return {
        "/health": {"get": health},
        "/ready": {"get": ready},
        "/model": {"get": _operation("model", "What answers: its card, its checksums, which generations are kept and "
                                     "which were refused.", answer=model, example=known)},
        "/model/rollback": {"post": _operation(
            "rollback", "Go back to the generation before, or to one that is named, in every worker.", answer=model,
            example=known, body=back, bodies={"before": {}}, also=(409,), optional_body=True)},
        "/metrics": {"get": metrics},
        "/openapi.json": {"get": _operation("openapi", "This description.", answer={"type": "object"},
                                            example={"openapi": "3.1.0"})},
    }  # fmt: skip


def _operation(
    name: str, summary: str, *, answer: Schema, example: Any, body: Schema | None = None,
    bodies: dict[str, Any] | None = None, parameters: Sequence[Schema] = (), also: Sequence[int] = (),
    media: str = "application/json", optional_body: bool = False,
) -> Schema:  # fmt: skip
    refused = {401, 405, 408, 429, 503, *also} | ({422} if parameters else set())
    told: Schema = {"operationId": name, "summary": summary}
    if parameters:
        told["parameters"] = list(parameters)
    if body is not None:
        refused |= {400, 413, 415, 422}
        examples = {what: {"value": value} for what, value in (bodies or {}).items()}
        told["requestBody"] = {
            "required": not optional_body,
            "content": {"application/json": {"schema": body, "examples": examples}},
        }
    good = {
        "description": "The answer.",
        "headers": REPEATED,
        "content": {media: {"schema": answer, "example": example}},
    }
    return told | {"responses": {"200": good, **{str(status): _reason(status) for status in sorted(refused)}}}


def _reason(status: int) -> Schema:
    headers: Schema = dict(REPEATED)
    if status == 429:
        headers["Retry-After"] = {"schema": {"type": "integer"}, "description": "Seconds."}
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": REASONS[status], "headers": headers, "content": {"application/json": {"schema": schema}}}


def _object(properties: dict[str, Schema], *needed: str) -> Schema:
    """Fields of these names alone; those that are `needed` are there."""
    required = {"required": list(needed)} if needed else {}
    return {"type": "object", "properties": properties, "additionalProperties": False, **required}


def _with(schema: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """The object with fields that need not be there."""
    return schema | {"properties": schema["properties"] | optional}


def _told(**fields: Schema) -> Schema:
    """An answer: all of its fields, and the generation."""
    return _object({"generation": GENERATION, **fields}, "generation", *fields)


def _choice(limits: Limits) -> dict[str, Schema]:
    return {
        "k": {"type": ["integer", "null"], "minimum": 1, "maximum": limits.max_k, "default": 10},
        "only": _ids(limits, "Answer these alone."),
        "with_scores": {"type": ["boolean", "null"], "default": False},
    }


def _ids(limits: Limits, description: str) -> Schema:
    return {"type": ["array", "null"], "maxItems": limits.max_ids, "items": ID, "description": description}


def _history(limits: Limits) -> Schema:
    weight = {"type": ["number", "null"], "minimum": 0, "maximum": MAX_WEIGHT}
    weighted = _object({"item_id": ID, "weight": weight}, "item_id")
    return _ids(limits, "What the person used, the oldest first: ids, or ids with a weight (1 otherwise).") | {
        "items": {"anyOf": [ID, weighted]}
    }


def _optional(schema: Schema, description: str) -> Schema:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return schema | {"type": [*kinds, "null"], "description": description}


def _items() -> Schema:
    scored = _object({"item_id": ID, "score": {"type": "number"}, "rank": {"type": "integer"}, "title": TITLE})
    return {"type": "array", "items": {"anyOf": [ID, scored]}}


def _parameter(name: str, schema: Schema, example: Any, *, required: bool = False) -> Schema:
    return {"name": name, "in": "query", "required": required, "schema": schema, "example": example}


ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "request_id"],
            "properties": {
                "code": {"type": "string", "description": "For programs.", "examples": ["invalid"]},
                "message": {"type": "string", "description": "For people: what, where, what was found, the cure."},
                "request_id": {"type": "string"},
            },
        }
    },
}
HEADERS: Schema = {
    "X-Request-ID": {"schema": {"type": "string"}, "description": "As it was sent, or a new one."},
    "X-Generation": {"schema": {"type": "string"}, "description": "The model that answered."},
}
REPEATED: Schema = {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS}
