"""A diagnosis for the terminal, and the words that its page shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from recdistill.report import figures
from recdistill.report.figures import MINUS, PLUS_MINUS, metric_name
from recdistill.report.findings import measured
from recdistill.report.table import aligned, printable

Diagnosis = Mapping[str, Any]
Row = Mapping[str, Any]
MOST_GROUPS = 4
"""Groups by attributes that the terminal has room for."""
MOST_PEOPLE = 1
USER_HEAD = ["users", "teacher", "student", "difference", "share", "overlap"]
ITEM_HEAD = ["wanted", "hits", "lost", "gained", "difference", "share"]
CAUSE_HEAD = ["change", "of the gap", "imitates"]


def diagnosis_text(told: Diagnosis) -> str:
    """At most 60 lines: what was lost, by whom and on what, where the lists differ, and why."""
    lost = told["lost"]
    by_history = [lost["total"], *lost["by_history"]]
    by_popularity = lost["by_popularity"]
    blocks = [
        [f"{printable(str(told['run']['title']), 60)}: {models_line(told)}", *headline(told)],
        _groups(["Who lost it", *USER_HEAD], by_history, lost["by_user"], user_cells),
        _groups(["On which items", *ITEM_HEAD], by_popularity, lost["by_item"], item_cells),
        _single_items(lost["items"]),
        _disagreement(told),
        _cause(told),
        ["(*: beyond the spread; share: of the whole difference, where that is beyond the spread)"],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def models_line(told: Diagnosis) -> str:
    """What teacher and student are, and how much they were tested."""
    models = told["run"]["models"]
    names = [
        f"{role} {str(model['kind']).replace('_', '-')}" + (f" d = {model['dimension']}" if model["dimension"] else "")
        for role, model in models.items()
    ]
    seeds = len(told["run"]["seeds"])
    users = f"{figures.count(told['run']['test_users'])} test users, {'one seed' if seeds == 1 else f'{seeds} seeds'}"
    return f"{', '.join(names)}; {users}."


def headline(told: Diagnosis) -> list[str]:
    """What was lost, and the verdict on why."""
    return [loss_line(told), verdict_line(told)]


def loss_line(told: Diagnosis) -> str:
    total, who = told["lost"]["total"], told["lost"]["users_who"]
    name = metric_name(told["lost"]["metric"])
    values = f"{figures.quality(total['student'])} against {figures.quality(total['teacher'])}"
    if not total["beyond_spread"]:
        text = f"Student and teacher are level: {measured(total)} {name} ({values}), within the spread"
    else:
        verb = "loses" if total["difference"] < 0 else "gains"
        error = figures.known(total["standard_error"])
        spread = "" if error is None else f" {PLUS_MINUS} {figures.quality(error)}"
        text = f"The student {verb} {figures.quality(abs(total['difference']))}{spread} {name} ({values})"
    return f"{text}; {_whole(who['lose'])} of the users lose, {_whole(who['gain'])} gain."


def verdict_line(told: Diagnosis) -> str:
    """One line: the change that recovers most of the gap, with its figure and spread, or why there is none."""
    cause = told["cause"]
    verdict, name, on = cause["verdict"], metric_name(cause["metric"]), f"on {cause['on']}"
    gap = gap_text(gap_of(told))
    if verdict["reason"] == "no gap":
        return (
            f"Cause: none to look for: {on} the student is not measurably behind its teacher ({gap} {name}, student "
            "less teacher)."
        )
    if verdict["reason"] == "not asked":
        return f"Cause: not known: nothing was trained, and its codes are not it (gap {on} {gap} {name})."
    if verdict["reason"] == "none":
        best = max(_asked(cause["trained"]["rows"]), key=lambda row: row["difference"])
        return (
            f"Cause: none found: no change recovers a measurable part of the gap of {gap} {name} {on}; the most is "
            f"{measured(best)}: {best['says']}."
        )
    row = next(one for one in [*cause["trained"]["rows"], *cause["there"]] if one["name"] == verdict["name"])
    part = f"{_whole(verdict['recovers'])} {PLUS_MINUS} {_whole(verdict['recovers_error'])}"
    says = f"{row['says'][:1].upper()}{row['says'][1:]}"
    return f"Cause: {verdict['cause']}. {says}: recovers {part} of the gap ({measured(row)} against {gap} {name} {on})."


def gap_of(told: Diagnosis) -> Mapping[str, Any]:
    """Of the people that trainings were judged by; without trainings of all people of the valid part."""
    cause = told["cause"]
    found: Mapping[str, Any] = cause["trained"]["gap"] or cause["gap"]
    return found


def user_cells(row: Mapping[str, Any]) -> list[str]:
    values = [figures.quality(row["teacher"]), figures.quality(row["student"])]
    return [figures.count(row["users"]), *values, difference(row), share(row), figures.quality(row["overlap"], 2)]


def item_cells(row: Mapping[str, Any]) -> list[str]:
    """New items are counted alone: neither model can hit one."""
    if "difference" not in row:
        return [figures.count(row["wanted"]), *["" for _ in ITEM_HEAD[1:]]]
    hits = [figures.count(row[name]) for name in ("teacher_hits", "lost", "gained")]
    return [figures.count(row["wanted"]), *hits, difference(row), share(row)]


def cause_cells(row: Mapping[str, Any]) -> list[str]:
    imitates = (row.get("imitates") or {}).get("known")
    part = figures.known(row["recovers"])
    return [difference(row), "" if part is None else _whole(part), "" if not imitates else _imitates(imitates)]


def filled(table: Sequence[Sequence[str]]) -> list[list[str]]:
    """The table, its head first, without columns in which no row says anything."""
    kept = [at for at in range(len(table[0])) if any(row[at].strip() not in ("", figures.DASH) for row in table[1:])]
    return [[row[at] for at in kept] for row in table]


def difference(row: Mapping[str, Any]) -> str:
    """With its standard error, and a mark where it is beyond the spread."""
    if row["difference"] is None:
        return figures.DASH
    return f"{measured(row)}{' *' if row['beyond_spread'] else '  '}"


def share(row: Mapping[str, Any]) -> str:
    part = figures.known(row.get("share"))
    return "" if part is None else _whole(part)


def cause_notes(told: Diagnosis) -> list[str]:
    """What the changes say together: how well the teacher is imitated, what chance moves, what was possible."""
    trained = told["cause"]["trained"]
    rows = {row["name"]: row for row in [*trained["rows"], *told["cause"]["there"]]}
    lines = []
    known = ((trained["base"] or {}).get("imitates") or {}).get("known")
    if known:
        lines.append(f"It imitates its teacher, for people it learned from: {_agrees(known)}.")
    if "strangers" in (rows.get("half_people", {}).get("imitates") or {}):
        mine, others = (_agrees(rows["half_people"]["imitates"][name]) for name in ("known", "strangers"))
        lines.append(f"Taught by half of them, for these: {mine}; for the other half, strangers to it: {others}.")
    if "again" in rows:
        lines.append(
            f"Another seed alone moves it by {measured(rows['again'])}; changes are measured against both seeds."
        )
    cut = rows.get("teacher_svd")
    if cut and cut["beyond_spread"] and cut["difference"] > 0:
        lines.append(
            f"The teacher's own map, cut to the same size, is {measured(cut)} above the student: this dimension "
            "holds more than was learned."
        )
    return lines


def attribute_rows(kinds: Iterable[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """`genre: Drama` and its row: those beyond the spread first, then by what they add to the difference."""

    def weight(row: Mapping[str, Any]) -> tuple[bool, float]:
        return row["beyond_spread"], abs(row["difference"] or 0.0) * row["users"]

    rows = [(f"{kind['attribute']}: {row['group']}", row) for kind in kinds for row in kind["groups"]]
    return sorted(rows, key=lambda one: weight(one[1]), reverse=True)


def _groups(head: list[str], rows: list[Row], kinds: list[Row], cells: Callable[[Row], list[str]]) -> list[str]:
    """A table of groups, then the most telling of those by attributes."""
    more = attribute_rows(kinds)
    named = [*((row["group"], row) for row in rows), *more[:MOST_GROUPS]]
    left = len(more) - MOST_GROUPS
    table = aligned(filled([head, *([printable(name, 34), *cells(row)] for name, row in named)]))
    return [*table, *([f"({left} more groups: diagnosis.html)"] if left > 0 else [])]


def _single_items(items: Mapping[str, list[Mapping[str, Any]]]) -> list[str]:
    lines = []
    for word, rows in (("lost", items["lost"]), ("gained", items["gained"])):
        counts = [f"{figures.count(row['teacher_hits'])} to {figures.count(row['student_hits'])}" for row in rows[:3]]
        named = [f"{printable(row['item'], 34)} ({count})" for row, count in zip(rows, counts, strict=False)]
        lines += [f"Most hits {word}: {', '.join(named)}"] if named else []
    return lines


def _disagreement(told: Diagnosis) -> list[str]:
    found = told["disagreement"]
    measures = ", ".join(
        f"{metric_name(name)} {figures.quality(value, 3)}" for name, value in found["agreement"].items()
    )
    lines = [f"Where they disagree ({measures}): the largest losses of one person, with ✓ for what was taken"]
    for person in [one for one in found["examples"] if one["difference"] < 0][:MOST_PEOPLE]:
        lines.append(
            f"  {figures.difference(person['difference'])} with {figures.count(person['history_rows'])} rows: used "
            f"{_titles(person['used'][:2])}; took {_titles(person['wanted'][:2])}"
        )
        for role, rows in person["lists"].items():
            marked = [f"{printable(row['item'], 26)}{' ✓' if row['hit'] else ''}" for row in rows[:3]]
            hits = f"{person['hits'][role]} of {figures.count(person['test_rows'])} in {person['depth']}"
            lines.append(f"    {role} ({hits}): {', '.join(marked)}")
    return lines


def _cause(told: Diagnosis) -> list[str]:
    cause = told["cause"]
    trained = cause["trained"]
    head = [f"Why (student less teacher: {gap_text(gap_of(told))})", *CAUSE_HEAD]
    rows = [[printable(f"{row['cause']}: {row['says']}", 72), *cause_cells(row)] for row in trained["rows"]]
    rows += [[printable(f"{row['cause']}: {row['says']}", 72), *cause_cells(row)] for row in cause["there"]]
    return [*aligned(filled([head, *rows])), *(f"- {line}" for line in [*cause_notes(told), *trained["notes"]])]


def _asked(rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["cause"] != "chance"] or rows


def gap_text(gap: Mapping[str, Any]) -> str:
    """Student less teacher, as every difference is told."""
    return measured({**gap, "difference": -gap["difference"]})


def _titles(names: list[str]) -> str:
    return ", ".join(printable(name, 24) for name in names)


def _imitates(found: Mapping[str, Any]) -> str:
    return f"{figures.quality(found['overlap'], 2)} / {found['kl']:.2f}"


def _agrees(found: Mapping[str, Any]) -> str:
    return f"overlap {figures.quality(found['overlap'], 3)}, KL {found['kl']:.3f}"


def _whole(part: float | None) -> str:
    """A share in whole per cent."""
    number = figures.known(part)
    return figures.DASH if number is None else f"{100 * number:.0f} %".replace("-", MINUS)
