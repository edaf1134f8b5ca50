"""JSON of a request to Python values, each field checked; a refusal says which, what was found, and the cure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from recdistill.registry import nearest
from recdistill.serving.events import LATEST_TIME, LEAST_TIME, MOST_VALUE
from recdistill.serving.http.refusal import Refusal, invalid, shown
from recdistill.serving.http.settings import Limits

Read = Callable[[Any, str, Limits], Any]
Id = int | str
PLAIN = frozenset({int, str})
"""Types of ids. A bool is not an int here, since types are compared and not asked."""
AS_IN_LOG = 'Send ids as in your log: 12 or "tt0078748".'
UNKNOWN = ("popular", "skip", "raise")


def read_object(raw: bytes, fields: Mapping[str, Read], limits: Limits, needed: Collection[str] = ()) -> dict[str, Any]:
    """The fields that are there and not null, each read by its reader."""
    try:
        given = orjson.loads(raw)
    except ValueError as error:  # what is no JSON, no UTF-8, or nested too deeply
        what = "the body is empty" if not raw else f"the body is not JSON ({error})"
        raise Refusal(400, "bad_json", f"{what}. Send an object, for instance {_example(fields)}.") from None
    return read_fields(given, "", fields, limits, needed)


def read_fields(
    given: Any, where: str, fields: Mapping[str, Read], limits: Limits, needed: Collection[str] = ()
) -> dict[str, Any]:
    if type(given) is not dict:
        raise invalid(where or "body", "an object", given, f"For instance {_example(fields)}.")
    values = {}
    for name, value in given.items():
        read = fields.get(name)
        if read is None:
            raise Refusal(422, "invalid", f"{where}{'.' if where else ''}{shown(name)[1:-1]}: no such field. "
                          f"{nearest(name, fields)}")  # fmt: skip
        if value is not None:
            values[name] = read(value, f"{where}.{name}" if where else name, limits)
    for name in needed:
        if name not in values:
            what = "must not be null" if name in given else "missing"
            raise Refusal(422, "invalid", f"{where}{'.' if where else ''}{name}: {what}. Send it along.")
    return values


def read_query(raw: bytes, fields: Mapping[str, Read], limits: Limits, needed: Collection[str] = ()) -> dict[str, Any]:
    """The parameters of a query string; each may be there once."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=32)
    except ValueError as error:
        raise Refusal(422, "invalid", f"query: cannot be read ({error}). Write it as UTF-8, %-escaped.") from None
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name in given:
            raise Refusal(422, "invalid", f"{shown(name)[1:-1]}: given twice. Give it once.")
        given[name] = value
    return read_fields(given, "", fields, limits, needed)


def one_id(value: Any, where: str, limits: Limits) -> Id:
    if type(value) in PLAIN:
        return value
    if type(value) is float and value.is_integer():  # 12.0 is a whole number in JSON
        return int(value)
    raise invalid(where, "an id, a whole number or text", value, AS_IN_LOG)


def kept_id(value: Any, where: str, limits: Limits) -> Id:
    """An id that is going to be stored: it must fit into a log."""
    one = one_id(value, where, limits)
    rounded = type(value) is float and abs(value) > 2**53  # was a longer integer before it was parsed
    if type(one) is int and (rounded or not -(2**63) <= one < 2**63):
        raise invalid(where, "a whole number of 64 bits, or text", one)
    if type(one) is str and not (len(one) <= MAX_TEXT and VISIBLE.search(one)):
        raise invalid(where, f"1..{MAX_TEXT} characters, not all blank and none of them NUL", one)
    return one


def ids(value: Any, where: str, limits: Limits) -> list[Id]:
    if type(value) is not list:
        raise invalid(where, "a list of ids", value, f"Write [{shown(value)}].")
    if len(value) > limits.max_ids:
        raise invalid(where, f"a list of at most {limits.max_ids} ids", value, "Send the latest ones.")
    if PLAIN.issuperset(map(type, value)):
        return value
    return [one_id(one, f"{where}[{place}]", limits) for place, one in enumerate(value)]


def history(value: Any, where: str, limits: Limits) -> tuple[list[Id], list[float] | None]:
    """Ids, and their weights where an entry is {"item_id", "weight"}; what has none weighs 1."""
    if type(value) is not list or dict not in map(type, value):
        return ids(value, where, limits), None
    if len(value) > limits.max_ids:
        raise invalid(where, f"a list of at most {limits.max_ids} ids", value, "Send the latest ones.")
    items, weights = [], []
    for place, one in enumerate(value):
        at = f"{where}[{place}]"
        entry = read_fields(one, at, WEIGHTED, limits, ("item_id",)) if type(one) is dict else {}
        items.append(entry["item_id"] if entry else one_id(one, at, limits))
        weights.append(entry.get("weight", 1.0))
    return items, weights


def number(value: Any, where: str, limits: Limits) -> float:
    if type(value) in (int, float) and abs(value) <= MOST_VALUE:
        return float(value)
    raise invalid(where, f"a number of -{MOST_VALUE:g}..{MOST_VALUE:g}", value, "Leave it out where there is none.")


def weight(value: Any, where: str, limits: Limits) -> float:
    if type(value) in (int, float) and 0 <= value <= MAX_WEIGHT:
        return float(value)
    raise invalid(where, f"a number of 0..{MAX_WEIGHT:g}", value, "1 is what an item weighs by itself.")


def seconds(value: Any, where: str, limits: Limits) -> float:
    if type(value) not in (int, float):
        raise invalid(where, "seconds since 1970, a number", value, "For instance 1789689600.")
    if not LEAST_TIME <= value <= LATEST_TIME:
        raise invalid(where, f"seconds since 1970, {LEAST_TIME:.0f}..{LATEST_TIME}", value,
                      "Divide milliseconds by 1000.")  # fmt: skip
    return float(value)


def count(value: Any, where: str, limits: Limits) -> int:
    whole = int(value) if type(value) is float and value.is_integer() else value
    if type(whole) is int and 1 <= whole <= limits.max_k:
        return whole
    raise invalid(where, f"a whole number of 1..{limits.max_k}", value)


def count_text(value: Any, where: str, limits: Limits) -> int:
    """From a query string."""
    digits = value.isascii() and value.isdigit() and len(value) < 10
    return count(int(value) if digits else value, where, limits)


def switch(value: Any, where: str, limits: Limits) -> bool:
    if type(value) is bool:
        return value
    raise invalid(where, "true or false", value)


def switch_text(value: Any, where: str, limits: Limits) -> bool:
    """From a query string."""
    return switch({"true": True, "false": False}.get(value, value), where, limits)


def unknown(value: Any, where: str, limits: Limits) -> str:
    if type(value) is str and value in UNKNOWN:
        return value
    raise invalid(where, f"one of {', '.join(UNKNOWN)}", value)


def text(value: Any, where: str, limits: Limits) -> str:
    if type(value) is str and 0 < len(value) <= MAX_TEXT:
        return value
    raise invalid(where, f"a text of 1..{MAX_TEXT} characters", value)


def people(value: Any, where: str, limits: Limits) -> list[dict[str, Any]]:
    return _listed(value, where, limits, PERSON, (), '{"history": [1, 2]}')


def events(value: Any, where: str, limits: Limits) -> list[dict[str, Any]]:
    if type(value) is list and not value:
        raise invalid(where, "a list of at least one event", value)
    return _listed(value, where, limits, EVENT, ("user_id", "item_id"), '{"user_id": 7, "item_id": 12}')


def _listed(
    value: Any, where: str, limits: Limits, fields: Mapping[str, Read], needed: Collection[str], example: str
) -> list[dict[str, Any]]:
    if type(value) is not list:
        raise invalid(where, "a list of objects", value, f"Write [{example}].")
    if len(value) > limits.max_batch:
        raise invalid(where, f"a list of at most {limits.max_batch}", value, "Send it in parts.")
    return [read_fields(one, f"{where}[{place}]", fields, limits, needed) for place, one in enumerate(value)]


def _example(fields: Mapping[str, Read]) -> str:
    return next((example for name, example in EXAMPLES.items() if name in fields), "{}")


MAX_WEIGHT = 1e6
VISIBLE = re.compile(r"^[^\x00]*[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff][^\x00]*$")
"""A text without NUL and with at least one letter that is no space, in words that Python and ECMAScript share."""
MAX_TEXT = 512
EXAMPLES = {
    "people": '{"people": [{"history": [1, 2]}], "k": 10}',
    "events": '{"events": [{"user_id": 7, "item_id": 12}]}',
    "to": '{"to": "0123456789ab"}',
    "history": '{"history": [1, 2], "k": 10}',
    "item": '{"item": 1, "k": 10}',
    "item_id": '{"item_id": 1}',
}
WEIGHTED: dict[str, Read] = {"item_id": one_id, "weight": weight}
PERSON: dict[str, Read] = {"history": history, "user": one_id, "exclude": ids}
CHOICE: dict[str, Read] = {"k": count, "only": ids, "with_scores": switch}
RECOMMEND = PERSON | CHOICE | {"unknown": unknown}
BATCH = CHOICE | {"people": people, "unknown": unknown}
SIMILAR = CHOICE | {"item": one_id, "exclude": ids}
SIMILAR_QUERY: dict[str, Read] = {"item": one_id, "k": count_text, "with_scores": switch_text}
EXPLAIN: dict[str, Read] = {"history": history, "item": one_id, "user": one_id}
ITEMS_QUERY: dict[str, Read] = {"q": text, "k": count_text}
EVENT: dict[str, Read] = {"user_id": kept_id, "item_id": kept_id, "timestamp": seconds, "value": number}
EVENTS: dict[str, Read] = {"events": events}
ROLLBACK: dict[str, Read] = {"to": text}
