"""How a report is read: its models in a sensible order, what each is, and the metric that the headline speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recdistill.models.registry import MODELS
from recdistill.report import figures
from recdistill.tables.codecs import CODECS
from recdistill.tables.codecs.mixed import MixedCodec

Report = Mapping[str, Any]

PRINCIPAL = ("teacher", "student", "student_alone", "teacher_svd")
_BITS = {"fp16": 16, "int8": 8, "int4": 4, "int3": 3, "int2": 2, "binary": 1}
_ABOUT = {
    "teacher": "the large model",
    "student": "small, learned from the teacher",
    "student_alone": "the same small model, no teacher",
    "teacher_svd": "the teacher cut to the student's size, not trained",
}
_LABELS = {
    "student_alone": "student alone",
    "teacher_svd": "teacher SVD",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the report, named and placed."""

    name: str
    label: str
    about: str
    role: str
    """teacher, student, student_alone, teacher_svd, compressed or baseline: decides colour and place."""
    data: Mapping[str, Any]
    over_seeds: bool
    """The report has several seeds: its ± is over seeds, and a model without seeds has none."""

    def metric(self, metric: str) -> float | None:
        return figures.known(self.data["metrics"].get(metric))

    def metric_of_seed(self, metric: str, seed: int) -> float | None:
        by_seed = dict(zip(self.data["seeds"], self.data["metrics_by_seed"], strict=False))
        return figures.known(by_seed.get(seed, {}).get(metric))

    def error(self, metric: str) -> float | None:
        """Standard deviation over seeds; in a report of one seed the standard error over users, where it is there."""
        if self.over_seeds:
            source = self.data["spread"] if len(self.data["seeds"]) > 1 else None
        else:
            source = self.data.get("standard_error")
        return figures.known((source or {}).get(metric))

    @property
    def bytes(self) -> float | None:
        """What must be in memory to answer, the index included."""
        held = figures.known(self.data.get("bytes"))
        return None if held is None else held + (figures.known(self.data.get("index_bytes")) or 0.0)

    @property
    def rate(self) -> float | None:
        """Users answered in a second; None where it was not measured."""
        return figures.known(self.data.get("queries_per_second")) or None

    def latency(self, point: str) -> float | None:
        return figures.known((self.data.get("latency_ms") or {}).get(point)) or None


def entries(report: Report) -> list[Entry]:
    """Teacher, student, its control, the cut teacher, then compressed models by size, then baselines by quality."""
    metric = headline_metric(report)
    found = [_entry(report, name, data) for name, data in report["models"].items()]
    order = (*PRINCIPAL, "compressed", "baseline")

    def place(entry: Entry) -> tuple[int, float]:
        within = -(entry.bytes or 0.0) if entry.role == "compressed" else -(entry.metric(metric) or 0.0)
        return order.index(entry.role), within

    return sorted(found, key=place)


def entry(report: Report, name: str) -> Entry | None:
    data = report["models"].get(name)
    return None if data is None else _entry(report, name, data)


def headline_metric(report: Report) -> str:
    """NDCG@20, or the first metric that every model has."""
    return _shared_metrics(report, ("ndcg@20", "ndcg@10"))[0]


def second_metric(report: Report) -> str | None:
    """Recall@20, or the next that every model has."""
    first = headline_metric(report)
    rest = [metric for metric in _shared_metrics(report, ("recall@20", "recall@10")) if metric != first]
    return rest[0] if rest else None


def label(report: Report, name: str) -> str:
    """The name of a model in running text, also of one that is in no table."""
    model = entry(report, name)
    return name if model is None else model.label


def comparison(report: Report, a: str, b: str, metric: str) -> dict[str, Any] | None:
    """The comparison a - b, turned round where the report has b - a."""
    for row in report["comparisons"]:
        if row["metric"] != metric or {row["a"], row["b"]} != {a, b}:
            continue
        turned = row["a"] != a
        return {**row, "a": a, "b": b, "difference": -row["difference"] if turned else row["difference"]}
    return None


def seeds(report: Report) -> list[int]:
    """Those of the model that has most; one without a random start has a single one."""
    return max((list(data["seeds"]) for data in report["models"].values()), key=len)


def _entry(report: Report, name: str, data: Mapping[str, Any]) -> Entry:
    parent = data.get("compressed_from") or _parent(name)
    role = name if name in PRINCIPAL else "compressed" if parent else "baseline"
    about = _ABOUT.get(name) or (MODELS[name].about if name in MODELS else "")
    text = str(data.get("label") or _named(name))
    if role == "compressed":
        made_from = str(_named(str(parent)))
        held = _bits(name.removeprefix(f"{parent}_"))
        about = f"made from the {made_from}" if held is None else f"the {made_from} in {held}"
        chosen = data.get("chosen") or {}
        if {"dim", "codec"} <= chosen.keys() and (held := _bits(chosen["codec"])) is not None:
            what = "speed" if data.get("promised") else "size"
            about = f"made for its {what}: d={chosen['dim']}, trained through {held}"
        text = str(data.get("label") or name.replace("_", " "))
    return Entry(name=name, label=text, about=about, role=role, data=data, over_seeds=len(seeds(report)) > 1)


def _bits(codec: str) -> str | None:
    """In words what a number takes; None of a codec that does not store numbers one by one."""
    if codec in CODECS and isinstance(mixed := CODECS[codec], MixedCodec):
        return f"{mixed.head} bits a number for the {mixed.share} % most popular items, {mixed.tail} for others"
    if codec not in _BITS:
        return None
    return f"{_BITS[codec]} bits a number" if _BITS[codec] > 1 else "1 bit a number"


def _parent(name: str) -> str | None:
    """`student_int8` is made from `student`, whoever wrote the report."""
    parent, _, rest = name.partition("_")
    return parent if name not in PRINCIPAL and rest and parent in ("student", "teacher") else None


def _shared_metrics(report: Report, wanted: tuple[str, ...]) -> list[str]:
    models = list(report["models"].values())
    listed = [*wanted, *report["protocol"]["metrics"], *(models[0]["metrics"] if models else ())]
    shared = [metric for metric in dict.fromkeys(listed) if all(metric in model["metrics"] for model in models)]
    return shared or listed


def _named(name: str) -> str:
    return _LABELS.get(name) or (MODELS[name].label if name in MODELS else name)
