"""From the cells of a folder to one table: means over seeds, spreads, and differences that are beyond the spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from recdistill import files
from recdistill.comparison import cells
from recdistill.comparison.cells import TEACHER
from recdistill.comparison.measuring import load_per_user
from recdistill.evaluation.compare import Comparison, compare, gap_recovered, pooled

SCHEMA_VERSION = 1
FILE = "table.json"
METRIC = "ndcg@20"
AGAINST = ("default", "alone")
Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """The cells of one method on one log at one dimension, by seed."""

    log: str
    method: str
    dim: int | None
    by_seed: Mapping[int, Record]
    reason: str = ""
    """Why it was not measured."""

    def values(self, part: str, metric: str, seeds: Iterable[int] | None = None) -> list[float]:
        told = [self.by_seed[seed].get(part) for seed in (self.by_seed if seeds is None else seeds)]
        return [one["metrics"][metric] for one in told if one and metric in one["metrics"]]

    def mean(self, part: str, metric: str) -> float | None:
        values = self.values(part, metric)
        return statistics.fmean(values) if values else None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Values of every user where they are there; else what an earlier table said of the same cells."""

    per_user: Path
    earlier: Mapping[str, Any] = field(default_factory=dict)
    """Comparisons, also those over several logs, and shares of the gap by the keys of their cells."""

    def values(self, group: Group, seeds: Sequence[int]) -> np.ndarray | None:
        """(seeds, users)"""
        found = [load_per_user(self.per_user, group.by_seed[seed]["key"], METRIC) for seed in seeds]
        return (
            None
            if any(one is None for one in found) or not found
            else np.stack([one for one in found if one is not None])
        )

    def compared(self, a: Group, b: Group, seeds: Sequence[int]) -> tuple[Comparison, bool] | None:
        """a - b over the seeds, and whether it is paired by user; None where they have no seed in common.

        Where the users' values are not there, errors of the two means are taken as if users differed: too large.
        """
        if not seeds:
            return None
        one, other = self.values(a, seeds), self.values(b, seeds)
        if one is not None and other is not None and one.shape == other.shape:
            return compare(one, other), True
        known = self.earlier.get(identity(a, b, seeds))
        if known is not None:
            return Comparison(known["difference"], known["standard_error"], tuple(known["by_seed"])), known["paired"]
        by_seed = [x - y for x, y in zip(a.values("test", METRIC, seeds), b.values("test", METRIC, seeds), strict=True)]
        errors = [_error(group, seeds) for group in (a, b)]
        return Comparison(statistics.fmean(by_seed), math.hypot(*errors), tuple(by_seed)), False

    def gap(self, teacher: Group, student: Group, alone: Group, seeds: Sequence[int]) -> dict[str, Any] | None:
        """The recovered share of the gap between teacher and student alone, where that gap is beyond the spread; None
        where nothing is known of these cells."""
        cells = identity(teacher, student, seeds, alone)
        three = [values for group in (teacher, student, alone) if (values := self.values(group, seeds)) is not None]
        if len(three) == 3:
            return {"cells": cells, "gap_recovered": gap_recovered(*three)}
        found: dict[str, Any] | None = self.earlier.get(cells)
        return found


def make_table(out: Path, per_user: Path) -> dict[str, Any]:
    """Of all cells of `out`, those of earlier comparisons included."""
    groups = grouped(cells.every(out))
    evidence = Evidence(per_user, _earlier(out))
    logs = _logs(groups)
    rows = [_row(group, groups, evidence) for group in groups.values()]
    return {
        "schema_version": SCHEMA_VERSION,
        "metric": METRIC,
        "logs": logs,
        "rows": rows,
        "mean": _means(groups, logs, evidence),
        "gap": _gap(rows),
        "dims": sorted({group.dim for group in groups.values() if group.dim is not None}),
        "search": _searches(out),
    }


def write_table(table: Mapping[str, Any], out: Path) -> None:
    with files.whole_file(out / FILE) as path:
        files.write_json(path, table)


def grouped(records: Iterable[Record]) -> dict[tuple[str, str, int | None], Group]:
    found: dict[tuple[str, str, int | None], dict[int, Record]] = {}
    reasons: dict[tuple[str, str, int | None], str] = {}
    for record in records:
        place = (record["log"], record["method"], record.get("dim"))
        found.setdefault(place, {})
        if record["status"] == "measured":
            found[place][record["seed"]] = record
        else:
            reasons[place] = record.get("reason", "")
    return {
        place: Group(*place, dict(sorted(by_seed.items())), "" if by_seed else reasons.get(place, ""))
        for place, by_seed in found.items()
    }


def identity(a: Group, b: Group, seeds: Sequence[int], *more: Group) -> str:
    """What stands for a comparison: the keys of its cells."""
    return " ".join(group.by_seed[seed]["key"] for group in (a, b, *more) for seed in seeds)


def _row(group: Group, groups: Mapping[Any, Group], evidence: Evidence) -> dict[str, Any]:
    head = {"log": group.log, "method": group.method, "dim": group.dim, "seeds": list(group.by_seed)}
    if not group.by_seed:
        return {**head, "status": "cannot", "reason": group.reason}
    first = next(iter(group.by_seed.values()))
    names = list(first["test"]["metrics"])
    spread = {name: statistics.stdev(group.values("test", name)) for name in names} if len(group.by_seed) > 1 else {}
    against = {}
    for other in AGAINST:
        beside = groups.get((group.log, other, group.dim))
        if group.method not in (other, TEACHER) and beside is not None:
            against[other] = _told(group, beside, evidence)
    return {
        **head,
        "status": "measured",
        "teacher": first.get("teacher") or ({"kind": first["choice"]["kind"]} if "choice" in first else None),
        "metrics": {name: group.mean("test", name) for name in names},
        "spread": spread,
        "valid": {name: group.mean("valid", name) for name in names},
        "recall_by_popularity": _by_popularity(group),
        "seconds": {
            name: statistics.fmean(record["seconds"][name] for record in group.by_seed.values())
            for name in first["seconds"]
        },
        "peak_bytes": max((record.get("peak_bytes") or 0 for record in group.by_seed.values()), default=0) or None,
        "bytes": first["bytes"],
        "settings": first.get("settings"),
        "against": {name: told for name, told in against.items() if told is not None},
        "gap_recovered": _gap_of(group, groups, evidence),
    }


def _told(a: Group, b: Group, evidence: Evidence) -> dict[str, Any] | None:
    """Of all seeds in common; of the first of them alone where only these can be paired by user."""
    common = _common(a, b)
    each = [(seeds, evidence.compared(a, b, seeds)) for seeds in _first(common)]
    paired = (one for one in each if one[1] is not None and one[1][1])
    seeds, found = next(paired, each[0] if each else (common, None))
    return None if found is None else {"cells": identity(a, b, seeds), "seeds": seeds, **_plain(*found)}


def _plain(found: Comparison, paired: bool) -> dict[str, Any]:
    error = None if math.isnan(found.standard_error) else found.standard_error
    return {
        "difference": found.difference, "standard_error": error, "by_seed": list(found.by_seed),
        "beyond_spread": found.beyond_spread, "paired": paired,
    }  # fmt: skip


def _gap_of(group: Group, groups: Mapping[Any, Group], evidence: Evidence) -> dict[str, Any] | None:
    teacher, alone = groups.get((group.log, TEACHER, None)), groups.get((group.log, "alone", group.dim))
    if teacher is None or alone is None or group.method in (TEACHER, "alone"):
        return None
    common = sorted(set(teacher.by_seed) & set(group.by_seed) & set(alone.by_seed))
    return next((one for seeds in _first(common) if (one := evidence.gap(teacher, group, alone, seeds))), None)


def _first(seeds: Sequence[int]) -> Iterator[Sequence[int]]:
    """All of them, and without the last of them until one is left."""
    return (seeds[:count] for count in range(len(seeds), 0, -1))


def _by_popularity(group: Group) -> dict[str, float | None]:
    told = [record["test"]["recall_by_popularity"] for record in group.by_seed.values()]
    found = {name: [one[name] for one in told if one.get(name) is not None] for name in told[0]}
    return {name: statistics.fmean(values) if values else None for name, values in found.items()}


def _logs(groups: Mapping[Any, Group]) -> dict[str, Any]:
    """Of each log its counts, its teacher, and at which dimensions the student alone is above the cut teacher."""
    found: dict[str, Any] = {}
    for (log, method, _), group in groups.items():
        told = found.setdefault(log, {"data": None, "choice": None, "members": {}, "counts": {}})
        if method == TEACHER and group.by_seed:
            first = next(iter(group.by_seed.values()))
            told |= {"data": first["data"], "choice": first["choice"], "members": first.get("members", {})}
    for log, told in found.items():
        for dim in sorted({dim for one, _, dim in groups if one == log and dim is not None}):
            alone, cut = (groups.get((log, name, dim)) for name in ("alone", "teacher_svd"))
            means = [None if one is None else one.mean("test", METRIC) for one in (alone, cut)]
            told["counts"][str(dim)] = None if None in means else means[0] > means[1]  # type: ignore[operator]
    return found


def _means(groups: Mapping[Any, Group], logs: Mapping[str, Any], evidence: Evidence) -> list[dict[str, Any]]:
    """Over the logs that count, for every method and dimension; a method that lacks one of them says over which."""
    found = []
    for method, dim in dict.fromkeys((group.method, group.dim) for group in groups.values() if group.dim is not None):
        counting = [log for log in logs if logs[log]["counts"].get(str(dim)) is not False]
        counting = [log for log in counting if (log, "default", dim) in groups or (log, "alone", dim) in groups]
        mine = {log: groups[log, method, dim] for log in counting if _measured(groups, (log, method, dim))}
        if not mine:
            continue
        parts = {
            part: [one for group in mine.values() if (one := group.mean(part, METRIC)) is not None]
            for part in ("test", "valid")
        }
        against = {}
        for other in AGAINST:
            beside = {log: groups[log, other, dim] for log in mine if _measured(groups, (log, other, dim))}
            if method != other and len(beside) == len(mine):
                against[other] = _pooled(mine, beside, evidence)
        found.append(
            {
                "method": method, "dim": dim, "logs": list(mine), "all_logs": len(mine) == len(counting),
                "metrics": {METRIC: statistics.fmean(parts["test"])},
                "valid": {METRIC: statistics.fmean(parts["valid"]) if len(parts["valid"]) == len(mine) else None},
                "against": {name: told for name, told in against.items() if told is not None},
            }
        )  # fmt: skip
    return found


def _pooled(mine: Mapping[str, Group], beside: Mapping[str, Group], evidence: Evidence) -> dict[str, Any] | None:
    """Over the logs, of the seeds that all of them have."""
    seeds = sorted(set.intersection(*(set(_common(mine[log], beside[log])) for log in mine)))
    found = [evidence.compared(mine[log], beside[log], seeds) for log in mine]
    if any(one is None for one in found):
        return None
    known = [one for one in found if one is not None]
    told = {"seeds": seeds, **_plain(pooled([one for one, _ in known]), all(paired for _, paired in known))}
    name = "; ".join(identity(mine[log], beside[log], seeds) for log in mine)
    earlier = evidence.earlier.get(name)
    return {"cells": name, **(earlier if earlier is not None and earlier["paired"] and not told["paired"] else told)}


def _gap(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The default's share of the gap, as a median over the logs and dimensions where there is a gap."""
    shares = {
        f"{row['log']} d={row['dim']}": row["gap_recovered"]["gap_recovered"]
        for row in rows
        if row["method"] == "default" and (row.get("gap_recovered") or {}).get("gap_recovered") is not None
    }
    return {"default": shares, "median": statistics.median(shares.values()) if shares else None}


def _searches(out: Path) -> dict[str, Any]:
    """Of each method the chosen trial and how many there were."""
    found = {}
    for path in sorted((out / "search").glob("*.json")):
        record = files.read_json(path, "a comparison")
        done = [one for one in record["trials"] if one["valid_ndcg"] is not None]
        best = max(done, key=lambda one: one["valid_ndcg"], default=None)
        found[path.stem] = {
            "log": record["log"], "dim": record["dim"], "trials": len(record["trials"]),
            "first": record["trials"][0]["valid_ndcg"] if record["trials"] else None,
            "best": None if best is None else best["valid_ndcg"],
            "settings": None if best is None else best["settings"],
        }  # fmt: skip
    return found


def _earlier(out: Path) -> dict[str, Any]:
    """What the table that is there says, by the keys of its cells."""
    path = out / FILE
    if not path.is_file():
        return {}
    found: dict[str, Any] = {}
    table = files.read_json(path, "a comparison")
    for row in [*table.get("rows", []), *table.get("mean", [])]:
        told = [*row.get("against", {}).values(), *([row["gap_recovered"]] if row.get("gap_recovered") else [])]
        found |= {one["cells"]: one for one in told}
    return found


def _error(group: Group, seeds: Sequence[int]) -> float:
    """Of the mean over users and seeds, at most."""
    errors = [group.by_seed[seed]["test"]["standard_error"].get(METRIC) for seed in seeds]
    return math.nan if any(error is None for error in errors) else statistics.fmean(errors)


def _measured(groups: Mapping[Any, Group], place: tuple[str, str, int]) -> bool:
    return place in groups and bool(groups[place].by_seed)


def _common(a: Group, b: Group) -> list[int]:
    return sorted(set(a.by_seed) & set(b.by_seed))
