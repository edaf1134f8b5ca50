"""A whole report as a run writes it, and variants of it: what the page, the table and the schema are tried on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

METRICS = [f"{name}@{k}" for name in ("recall", "ndcg", "precision", "hit", "mrr", "map") for k in (10, 20)]
_SHAPE = {
    "recall": (0.66, 1.05),
    "ndcg": (0.93, 1.0),
    "precision": (0.95, 0.72),
    "hit": (2.6, 3.05),
    "mrr": (1.6, 1.63),
    "map": (0.56, 0.49),
}


def metrics(ndcg: float) -> dict[str, float]:
    """Every metric in a believable proportion to NDCG@20."""
    return {m: round(ndcg * _SHAPE[m.partition("@")[0]][m.endswith("@20")], 6) for m in METRICS}


def popularity_row(name: str, items: int, recall: float, wanted: float, recommended: float) -> dict[str, Any]:
    shares = {"share_of_relevant": wanted, "share_of_recommended": recommended}
    return {"group": name, "items": items, "users": 5_100, **shares, "recall@20": recall}


def groups(share: float) -> dict[str, Any]:
    """A small model loses most on the tail of the catalogue and on long histories."""
    tail = share**6
    return {
        "popularity": [
            popularity_row("head", 212, 0.3711 * share**0.7, 0.492, min(0.61 / share, 0.95)),
            popularity_row("mid", 611, 0.2380 * share**2, 0.304, 0.30 * share),
            popularity_row("tail", 2_220, 0.1240 * tail, 0.204, 0.09 * tail),
        ],
        "history": [
            {"group": "≤ 42 rows", "users": 1_975, "recall@20": 0.3905 * share, "ndcg@20": 0.2301 * share**0.8},
            {"group": "43-118 rows", "users": 1_969, "recall@20": 0.2791 * share, "ndcg@20": 0.2566 * share},
            {"group": "≥ 119 rows", "users": 1_970, "recall@20": 0.1822 * share, "ndcg@20": 0.3290 * share**1.6},
        ],
        "cold": {
            "users": 12,
            "recall@20": 0.0911 * share,
            "ndcg@20": 0.0740 * share,
            "relevant_unknown": 31,
            "share_of_relevant": 0.00031,
            "users_with_unknown": 30,
        },
    }


NEW_ITEMS = {
    "items": 304, "users": 3_410, "relevant": 9_706, "not_described": 3, "recall@20": 0.0738, "chance": 0.00697,
    "times_chance": 10.59, "share_of_relevant": 0.0976, "share_of_recommended": 0.0817,
    "with_new": {"recall@20": 0.271, "ndcg@20": 0.2516},
}  # fmt: skip


def model(
    ndcg: float, *, size: int, rate: float, p50: float, dim: int | None, share: float, **more: Any
) -> dict[str, Any]:
    seeds = [0, 1, 2]
    moved = [-0.0004, 0.0001, 0.0003]
    return {
        "metrics": metrics(ndcg),
        "metrics_by_seed": [metrics(ndcg + d) for d in moved],
        "valid_metrics": metrics(ndcg + 0.0008),
        "spread": {m: round(v * 0.0013, 6) for m, v in metrics(ndcg).items()},
        "seeds": seeds,
        "bytes": size,
        "index_bytes": 0,
        "parameters": size // 4,
        "dimension": dim,
        "seconds": {"fit": 52.4, "extract": None, "distill": None, "evaluate": 2.1},
        "queries_per_second": rate,
        "latency_ms": {"p50": p50, "p99": p50 * 2.4},
        "account": {"multiply_adds": size // 4, "bytes_moved": size, "microjoules": round(size * 1.4e-5, 4)},
        "groups": groups(share),
        "kind": "two_tower",
        "artifact": None,
        "chosen": {},
        **more,
    }


def comparison(
    a: str, b: str, difference: float, error: float, beyond: bool, gap: float | None = None
) -> dict[str, Any]:
    return {
        "a": a,
        "b": b,
        "metric": "ndcg@20",
        "difference": difference,
        "standard_error": error,
        "seeds_same_sign": True,
        "beyond_spread": beyond,
        "gap_recovered": gap,
    }


def example(rows: int, *, by_time: bool = True) -> dict[str, Any]:
    lists = {
        "teacher": [{"item": "Heat (1995)", "hit": True}, {"item": "Ran (1985)", "hit": False}],
        "student": [{"item": "Ran (1985)", "hit": False}, {"item": "Amélie (2001)", "hit": False}],
    }
    return {"history_rows": rows, "test_rows": 3, "used": ["Alien (1979)", "Jaws"], "by_time": by_time, "lists": lists,
            "depth": 20, "hits": {"teacher": 2, "student": 0}}  # fmt: skip


def full_report() -> dict[str, Any]:
    """Three seeds, a student that gains from its teacher, its int8 form and three baselines."""
    once = {"seeds": [0], "spread": {}, "metrics_by_seed": [metrics(0.2677)]}  # no random start
    d = {"seconds": {"fit": None, "extract": None, "distill": 23.9, "evaluate": 1.9}}
    return {
        "schema_version": 1,
        "title": "films",
        "created": "2026-03-14T09:26:53Z",
        "command": "recdistill run --log ratings.parquet --split-column split --seeds 3 --out runs/films",
        "data": {
            "source": "ratings.parquet",
            "users": 6022,
            "items": 3043,
            "rows": 796_244,
            "sha256": "3f786850e387550fdab836ed7e6dc881de23001b8f2c9d7c0e8e7a3c5b1f0a9d",
            "notes": [
                "995,154 rows read: 796,244 train, 99,455 valid, 99,455 test.",
                "214 repeated (user, item) pairs dropped, the last by time kept.",
            ],
        },
        "protocol": {
            "split": "given",
            "history": "train",
            "exclude": "train",
            "users_left_out": 108,
            "metrics": METRICS,
            "test_users": 5914,
            "test_rows": 99_455,
            "notes": ["Settings and epochs were chosen on the log's own valid rows."],
        },
        "environment": {"recdistill": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "device": "cpu", "threads": 2},
        "cut": ["ease: lists of 200 for re-ranking cut to 100"],
        "settings": {
            "seeds": 3,
            "device": "auto",
            "teacher": {"kind": "two_tower", "dim": 256, "epochs": 45, "temperature": 0.15},
            "student": {"dim": 32, "user_id": False, "table": "tied", "baselines": ["ease", "als"]},
        },
        "models": {
            "teacher": model(
                0.2721, size=9_285_324, rate=9_120.0, p50=1.31, dim=256, share=1.0, artifact="artifacts/teacher"
            ),
            "student": model(
                0.2648, size=413_848, rate=55_600.0, p50=0.42, dim=32, share=0.973, artifact="artifacts/student", **d
            ),
            "student_alone": model(0.2627, size=413_848, rate=55_100.0, p50=0.42, dim=32, share=0.962),
            "teacher_svd": model(0.2511, size=401_676, rate=55_900.0, p50=0.41, dim=32, share=0.92, kind="svd"),
            "ease": model(
                0.2677,
                size=37_039_396,
                rate=1_204.0,
                p50=3.9,
                dim=None,
                share=0.98,
                kind="ease",
                chosen={"regularization": 800},
                **once,
            ),
            "popularity": model(0.1280, size=12_172, rate=81_300.0, p50=0.18, dim=0, share=0.42, kind="popularity"),
            "als": model(0.2554, size=2_320_640, rate=18_340.0, p50=0.88, dim=64, share=0.93, kind="als"),
            "student_int8": model(
                0.2646, size=115_634, rate=50_900.0, p50=0.47, dim=32, share=0.972, compressed_from="student"
            ),
        },
        "comparisons": [
            comparison("student", "student_alone", 0.0021, 0.0005, True, 0.223),
            comparison("student", "teacher_svd", 0.0137, 0.0009, True),
            comparison("student", "teacher", -0.0073, 0.0008, True),
            comparison("student_alone", "teacher", -0.0094, 0.0009, True),
            comparison("teacher_svd", "teacher", -0.0210, 0.0012, True),
            comparison("student_int8", "student", -0.0002, 0.0002, False),
            comparison("ease", "teacher", -0.0044, 0.0011, True),
            comparison("als", "teacher", -0.0167, 0.0013, True),
            comparison("popularity", "teacher", -0.1441, 0.0028, True),
        ],
        "agreement": {
            "student": {"overlap@20": 0.7412, "rbo": 0.6981},
            "student_int8": {"overlap@20": 0.7388, "rbo": 0.6960},
            "student_alone": {"overlap@20": 0.6120, "rbo": 0.5644},
            "teacher_svd": {"overlap@20": 0.5803, "rbo": 0.5410},
            "ease": {"overlap@20": 0.5377, "rbo": 0.5021},
            "als": {"overlap@20": 0.4712, "rbo": 0.4390},
            "popularity": {"overlap@20": 0.1611, "rbo": 0.1377},
        },
        "examples": [example(42), example(118), example(1, by_time=False)],
    }


def one_seed() -> dict[str, Any]:
    report = full_report()
    for data in report["models"].values():
        data.update(seeds=[0], spread={}, metrics_by_seed=data["metrics_by_seed"][:1])
        data["standard_error"] = dict.fromkeys(METRICS, 0.0021)
    return report


def worse_than_alone() -> dict[str, Any]:
    report = full_report()
    report["models"]["student"]["metrics"] = metrics(0.2601)
    report["comparisons"][0] = comparison("student", "student_alone", -0.0026, 0.0005, True, -0.277)
    return report


def no_gain() -> dict[str, Any]:
    """The comparison stands the other way round too: the reader must turn it."""
    report = full_report()
    report["models"]["student"]["metrics"] = metrics(0.2630)
    report["comparisons"][0] = comparison("student_alone", "student", -0.0003, 0.0005, False)
    return report


def seeds_disagree() -> dict[str, Any]:
    report = full_report()
    report["comparisons"][0] |= {
        "difference": 0.0012,
        "beyond_spread": False,
        "seeds_same_sign": False,
        "gap_recovered": None,
    }
    return report


def better_than_teacher() -> dict[str, Any]:
    report = full_report()
    report["models"]["student"]["metrics"] = metrics(0.2744)
    report["comparisons"][2] = comparison("teacher", "student", -0.0023, 0.0008, True)
    return report


def without_baselines() -> dict[str, Any]:
    report = full_report()
    kept = ("teacher", "student", "student_alone", "teacher_svd")
    report["models"] = {name: report["models"][name] for name in kept}
    report["comparisons"] = report["comparisons"][:5]
    report["agreement"] = {name: report["agreement"][name] for name in kept if name != "teacher"}
    return report


def without_control() -> dict[str, Any]:
    report = full_report()
    report["models"] = {name: report["models"][name] for name in ("teacher", "student")}
    report["comparisons"] = report["comparisons"][2:3]
    report["agreement"] = {}
    return report


def without_groups() -> dict[str, Any]:
    report = full_report()
    for data in report["models"].values():
        data["groups"] = None
    return report


def nobody_cold() -> dict[str, Any]:
    """No cold users, no rows in a group: means over nobody are null."""
    report = full_report()
    for data in report["models"].values():
        data["groups"]["cold"] = {"users": 0, "recall@20": None, "ndcg@20": None}
        data["groups"]["cold"] |= {"relevant_unknown": 0, "share_of_relevant": 0.0, "users_with_unknown": 0}
        data["groups"]["popularity"][2]["recall@20"] = None
        data["groups"]["history"] = []
    return report


def with_new_items() -> dict[str, Any]:
    """Teacher and student rank what training never saw; nobody wants what a third model could find."""
    report = full_report()
    report["models"]["teacher"]["groups"]["cold_items"] = NEW_ITEMS
    report["models"]["student"]["groups"]["cold_items"] = {**NEW_ITEMS, "recall@20": 0.05, "times_chance": 7.17}
    nobody = {"users": 0, "relevant": 0, "recall@20": None, "chance": None, "times_chance": None}
    report["models"]["student_int8"]["groups"]["cold_items"] = {**NEW_ITEMS, **nobody}
    return report


def without_speed() -> dict[str, Any]:
    report = full_report()
    for data in report["models"].values():
        data.update(queries_per_second=0, latency_ms={"p50": 0, "p99": 0})
    return report


def big_slow_student() -> dict[str, Any]:
    report = full_report()
    report["models"]["student"] |= {"bytes": 12_000_000, "queries_per_second": 4_000.0}
    report["models"]["student"]["metrics"] = metrics(0.1905)
    return report


def bare() -> dict[str, Any]:
    """The least that a report may be: two models by names of their own, optional fields left out or null."""
    keep = (
        "metrics",
        "metrics_by_seed",
        "valid_metrics",
        "spread",
        "seeds",
        "bytes",
        "index_bytes",
        "parameters",
        "dimension",
    )
    empty = {"seconds": {}, "queries_per_second": None, "latency_ms": None, "groups": None}
    report = one_seed()
    models = {name: {k: report["models"]["teacher"][k] for k in keep} | empty for name in ("ours", "theirs")}
    models["ours"] |= {"valid_metrics": None, "dimension": None, "metrics": metrics(0.3)}
    return {
        "schema_version": 1,
        "data": {k: report["data"][k] for k in ("users", "items", "rows", "sha256")},
        "protocol": {k: report["protocol"][k] for k in ("split", "history", "exclude", "users_left_out", "metrics")},
        "environment": {},
        "cut": [],
        "models": models,
        "comparisons": [],
        "agreement": {},
    }


def hostile_names() -> dict[str, Any]:
    """Names from files hold anything."""
    report = full_report()
    report["title"] = "<script>alert(1)</script>"
    report["data"] |= {"source": "a\"b<c>&'.csv", "notes": ["<img src=x onerror=alert(2)>", "{{ 7 * 7 }} ${evil}$"]}
    report["models"]["student"]["label"] = "</svg><script>alert(3)</script> $x_1$"
    report["models"]["<b>mine</b>"] = copy.deepcopy(report["models"]["als"]) | {"kind": 'a" onload="x'}
    report["settings"]["</td><script>alert(4)</script>"] = "<i>"
    report["examples"][0]["used"] = ["<script>alert(5)</script>"]
    report["examples"][0]["lists"]["teacher"][0]["item"] = "<img src=x onerror=alert(6)>" + "x" * 300
    report["environment"]["cpu"] = "<b>Intel & co</b>"
    return report


VARIANTS: dict[str, Callable[[], dict[str, Any]]] = {
    build.__name__: build
    for build in (
        full_report, one_seed, worse_than_alone, no_gain, seeds_disagree, better_than_teacher, without_baselines,
        without_control, without_groups, nobody_cold, with_new_items, without_speed, big_slow_student, bare,
        hostile_names,
    )
}  # fmt: skip


@pytest.fixture(params=VARIANTS, ids=list(VARIANTS))
def variant(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each report in turn."""
    return VARIANTS[request.param]()


@pytest.fixture
def report() -> dict[str, Any]:
    """The whole example."""
    return full_report()


@pytest.fixture
def variants() -> dict[str, Callable[[], dict[str, Any]]]:
    """All of them, by name."""
    return VARIANTS
