"""What the numbers say, in words: the verdict of the first screen and the findings under a table.

Nothing here is kinder than the numbers: a loss is called a loss, a difference within the spread no difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recdistill.report import figures, reading
from recdistill.report.figures import PLUS_MINUS, metric_name
from recdistill.report.reading import Entry, Report

_SPLITS = {
    "given": "as given in the log's split column",
    "global_time": "by time: the last interactions of the log are the test",
    "per_user": "a seeded random part of each user's interactions is the test",
    "ratio": "a part of each user's interactions is the test",
    "leave_last_n": "each user's last interactions are the test",
    "random": "interactions drawn at random from the whole log are the test",
    "user_folds": "people whom training never saw are the test; part of what they used is their history",
}


def verdict(report: Report) -> str:
    """One sentence for a stranger: what was kept, at what size and speed, and what distillation itself gave."""
    metric = reading.headline_metric(report)
    teacher, student = reading.entry(report, "teacher"), reading.entry(report, "student")
    if teacher is None or student is None:
        return _best(report, metric)
    text = _kept(report, teacher, student, metric)
    text += _bytes(teacher, student) + _speed(teacher, student)
    return f"{text}; {_distillation(report, metric)}."


def findings(report: Report) -> list[str]:
    """Short sentences for the page, the most telling first; what the verdict already says is left out."""
    metric = reading.headline_metric(report)
    told = [_nothing_to_learn(report, metric), _gap(report, metric), _against(report, "student", "teacher_svd", metric)]
    told += [_compressed(report, model, metric) for model in reading.entries(report) if model.role == "compressed"]
    told += [_seen(report, metric), _new_items(report), _baseline(report, metric), _one_seed(report)]
    return [sentence for sentence in told if sentence]


def difference_lines(report: Report, at_most: int = 5) -> list[str]:
    """`student vs student alone: +.0021 ± .0005 NDCG@20, beyond the spread`: what a terminal has room for."""
    metric = reading.headline_metric(report)
    models = reading.entries(report)
    pairs = [("student", "student_alone"), ("student", "teacher_svd")]
    pairs += [(model.name, _made_from(model)) for model in models if model.role == "compressed"]
    pairs += [("student", "teacher")]
    rows = [row for a, b in pairs if (row := reading.comparison(report, a, b, metric))]
    if not rows and report["comparisons"]:
        rows = [row for row in report["comparisons"] if row["metric"] == metric]
    return [difference_line(report, row) for row in rows[:at_most]]


def difference_line(report: Report, row: Mapping[str, Any]) -> str:
    names = f"{reading.label(report, row['a'])} vs {reading.label(report, row['b'])}"
    return f"{names}: {measured(row)} {metric_name(row['metric'])}, {standing(row)}"


def measured(row: Mapping[str, Any]) -> str:
    """A difference with its standard error."""
    error = figures.known(row["standard_error"])
    text = figures.difference(row["difference"])
    return text if error is None else f"{text} {PLUS_MINUS} {figures.quality(error)}"


def standing(row: Mapping[str, Any]) -> str:
    """Beyond or within the spread; says so where it is the seeds that disagree."""
    if row["beyond_spread"]:
        return "beyond the spread"
    return "within the spread" if row["seeds_same_sign"] else "within the spread (seeds disagree on the sign)"


def won(model: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    """Whether this training of those tried for a model decided: the longest with what was chosen."""
    longest = max(each["epochs_share"] for each in model["tried"] if each["settings"] == model["chosen"])
    return bool(one["settings"] == model["chosen"] and one["epochs_share"] == longest)


def reached(one: Mapping[str, Any]) -> str:
    """NDCG@20 on valid of a training of those tried for a model, and how many it is the mean of."""
    seeds = len(one.get("by_seed", ()))
    return figures.quality(one["valid"]) + (f" ({seeds} seeds)" if seeds else "")


def gain(model: Mapping[str, Any]) -> str | None:
    """Of a student that was searched: what it is above the one that is found without a search, on valid."""
    told = model.get("search")
    if not told:
        return None
    stopped = f", {told['stopped_early']} stopped early" if told["stopped_early"] else ""
    trials = f"{told['trials']} trial{'' if told['trials'] == 1 else 's'}"
    counts = f"searched {trials} ({figures.amount(told['minutes'])} minutes{stopped})"
    if not told["valid"] > told["valid_default"]:
        return f"{counts}: none is surely above the student that is found without a search, which stays."
    over = f"mean of {told['seeds']} trainings on valid, NDCG@20"
    values = f"{figures.quality(told['valid'])} against {figures.quality(told['valid_default'])} without a search"
    above = figures.difference(told["valid"] - told["valid_default"])
    return f"{counts}; {over}: {values} within the same limit, {above}, picked by these rows: it gains less on others."


def promise(model: Mapping[str, Any]) -> str | None:
    """Of a student that was made for a time: what was asked for, what its shape took, and what it takes."""
    if not model.get("promised"):
        return None
    asked, before = (1000 * model["promised"][name] for name in ("latency_ms", "shape_latency_ms"))
    after = figures.known((model.get("latency_ms") or {}).get("p50"))
    text = f"made to answer one user in {figures.amount(asked)} µs (median); its shape took {figures.amount(before)} µs"
    if after is None:
        return f"{text} before training."
    held = "within it" if 1000 * after <= asked else "above it; measured again on a quiet machine it may differ"
    return f"{text} before training, the trained student takes {figures.amount(1000 * after)} µs, {held}."


def split_line(report: Report) -> str:
    """The report's first line: which split, who was tested, on how many seeds."""
    protocol = report["protocol"]
    parts = [f"Split: {_SPLITS.get(protocol['split'], protocol['split'])}"]
    if protocol.get("test_users") is not None:
        cold = _cold_users(report)
        apart = f", {figures.count(cold)} of them with no history, answered with what is popular" if cold else ""
        parts.append(f"{figures.count(protocol['test_users'])} users tested{apart}")
    if protocol["users_left_out"]:
        parts.append(f"{figures.count(protocol['users_left_out'])} without test items left out")
    number = len(reading.seeds(report))
    parts.append("one seed" if number == 1 else f"means over {number} seeds")
    return "; ".join(parts) + "."


def _cold_users(report: Report) -> int:
    """Test users of whom training knows nothing; the same for every model."""
    counted = [model.get("groups") for model in report["models"].values()]
    return max((found["cold"]["users"] for found in counted if found), default=0)


def _seen(report: Report, metric: str) -> str | None:
    """What is lost on people whom training never saw."""
    student = reading.entry(report, "student")
    if student is None or not student.data.get("seen_metrics"):
        return None
    unseen, seen = student.metric(metric), student.data["seen_metrics"].get(metric)
    kept = figures.share(unseen, seen)
    if kept is None:
        return None
    return (
        f"On people whom training never saw the student reaches {figures.percent(kept)} of its {metric_name(metric)} "
        f"on as many seen people with histories as long ({figures.quality(unseen)} against {figures.quality(seen)})."
    )


def _new_items(report: Report) -> str | None:
    """How well items that training never saw are found by their features, by the smallest role that can."""
    for name in ("student", "teacher"):
        model = reading.entry(report, name)
        found = None if model is None else (model.data.get("groups") or {}).get("cold_items")
        if found and found["users"]:
            metric = next(key for key in found if "@" in key)
            return (
                f"Of the new items that people wanted, by their features among all {figures.count(found['items'])} new "
                f"and all known ones, the {name} finds {figures.quality(found[metric])} ({metric_name(metric)}), "
                f"{figures.factor(found['times_chance'])} what chance would."
            )
    return None


def _kept(report: Report, teacher: Entry, student: Entry, metric: str) -> str:
    name, t, s = metric_name(metric), teacher.metric(metric), student.metric(metric)
    kept = figures.share(s, t)
    if t is None or s is None or kept is None:
        return f"The student reaches {figures.quality(s)} {name} where the teacher has {figures.quality(t)}"
    if s < t:
        return f"The student keeps {'only ' if kept < 0.9 else ''}{figures.percent(kept)} of the teacher's {name}"
    row = reading.comparison(report, "student", "teacher", metric)
    values = f"{figures.quality(s)} against {figures.quality(t)} {name}"
    if row and row["beyond_spread"]:
        return f"The student ranks better than its teacher ({values}, beyond the spread)"
    return f"The student ranks as well as its teacher ({values}, {standing(row) if row else 'spread unknown'})"


def _bytes(teacher: Entry, student: Entry) -> str:
    part = figures.share(student.bytes, teacher.bytes)
    if part is None:
        return ""
    values = f"({figures.size(student.bytes)} against {figures.size(teacher.bytes)})"
    if part >= 0.995:
        return f" but is no smaller {values}"
    return f" at {figures.percent(part)} of its bytes {values}"


def _speed(teacher: Entry, student: Entry) -> str:
    ratio = figures.share(student.rate, teacher.rate)
    if ratio is None:
        return ""
    if 0.95 <= ratio < 1.05:
        return " and answers about as many queries a second"
    if ratio < 1:
        larger = (figures.share(student.bytes, teacher.bytes) or 0.0) >= 0.995
        return f" {'and' if larger else 'but'} answers fewer queries a second ({figures.factor(ratio)})"
    return f" and answers {figures.factor(ratio)} as many queries a second"


def _distillation(report: Report, metric: str) -> str:
    name = metric_name(metric)
    row = reading.comparison(report, "student", "student_alone", metric)
    if row is None:
        return "what distillation itself gives is not known: no comparison with the same student trained alone"
    gain, error = figures.difference(row["difference"]), figures.known(row["standard_error"])
    against = f"{gain} {name} against the same student trained alone"
    if row["beyond_spread"] and row["difference"] > 0:
        return f"distillation itself gives {gain} {name} over the same student trained alone, beyond the spread"
    if row["beyond_spread"]:
        return f"distillation itself did harm: {against}, beyond the spread"
    if not row["seeds_same_sign"]:
        return f"distillation itself gives nothing sure: {against}, and the seeds disagree on the sign"
    noise = "" if error is None else f" (two standard errors are {figures.quality(2 * error)})"
    return f"distillation itself gives nothing measurable: {against}, within the spread{noise}"


def _best(report: Report, metric: str) -> str:
    """A report of models that are no teacher and student."""
    ranked = sorted(reading.entries(report), key=lambda model: -(model.metric(metric) or 0.0))
    best = ranked[0]
    text = f"Of {len(ranked)} models " if len(ranked) > 1 else ""
    text += f"{best.label} ranks best" if text else f"{best.label} was measured"
    return f"{text}: {figures.quality(best.metric(metric))} {metric_name(metric)} in {figures.size(best.bytes)}."


def _nothing_to_learn(report: Report, metric: str) -> str | None:
    row = reading.comparison(report, "teacher", "student_alone", metric)
    if row is None or (row["beyond_spread"] and row["difference"] > 0):
        return None
    worse = row["beyond_spread"] and row["difference"] < 0
    how = "is worse than" if worse else "is not measurably better than"
    return f"The teacher {how} the student alone ({measured(row)}), so there was little to learn from it."


def _gap(report: Report, metric: str) -> str | None:
    row = reading.comparison(report, "student", "student_alone", metric)
    recovered = figures.known(row["gap_recovered"]) if row and row["beyond_spread"] else None
    if recovered is None:
        return None
    if recovered < 0:
        return "Distillation widens the gap between the student alone and the teacher."
    return f"Distillation closes {figures.percent(recovered)} of the gap between the student alone and the teacher."


def _against(report: Report, a: str, b: str, metric: str) -> str | None:
    row = reading.comparison(report, a, b, metric)
    if row is None:
        return None
    first, second = f"The {reading.label(report, a)}", f"the {reading.label(report, b)}"
    verb = "is level with" if not row["beyond_spread"] else "beats" if row["difference"] > 0 else "is behind"
    return f"{first} {verb} {second}: {measured(row)} {metric_name(metric)}, {standing(row)}."


def _compressed(report: Report, model: Entry, metric: str) -> str | None:
    parent = reading.entry(report, _made_from(model))
    if parent is None:
        return None
    before, after = parent.metric(metric), model.metric(metric)
    if before is None or after is None:
        return None
    size = f"{figures.percent(figures.share(model.bytes, parent.bytes))} of the {parent.label}'s bytes"
    change = figures.difference(after - before)
    return f"{_capital(model.label)}: {change} {metric_name(metric)} for {size} ({figures.size(model.bytes)})."


def _baseline(report: Report, metric: str) -> str | None:
    """The best of the baselines, whichever side of the student it is on."""
    student = reading.entry(report, "student")
    rest = [model for model in reading.entries(report) if model.role == "baseline"]
    if not rest or student is None:
        return None
    best = rest[0]
    a, b = best.metric(metric), student.metric(metric)
    if a is None or b is None:
        return None
    row = reading.comparison(report, best.name, "student", metric)
    sure = f", {standing(row)}" if row else ""
    side = "above" if a > b else "below" if a < b else "level with"
    values = f"{figures.quality(a)} against {figures.quality(b)}{sure}"
    return f"The best baseline, {best.label}, is {side} the student ({values}) and holds {figures.size(best.bytes)}."


def _one_seed(report: Report) -> str | None:
    if len(reading.seeds(report)) > 1:
        return None
    return "One seed only: how much the start of training matters is not known, the spread is over users alone."


def _made_from(model: Entry) -> str:
    return str(model.data.get("compressed_from") or model.name.partition("_")[0])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
