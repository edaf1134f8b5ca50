"""The words of the page, for someone who has never measured a recommender."""

from __future__ import annotations

from recdistill.evaluation import account
from recdistill.models.registry import MODELS
from recdistill.report import figures, reading
from recdistill.report.figures import MINUS, PLUS_MINUS
from recdistill.report.reading import Report

_ALWAYS = [
    (
        "NDCG@{k}",
        "How good a list of {k} recommendations is: an item that the user really took counts more the higher it "
        "stands. 1 is the best list possible, 0 a list with nothing in it that was taken. Averaged over all tested "
        "users; every item of the catalogue competes.",
    ),
    ("Recall@{k}", "The share of what a user took in the test part that is found among {k} recommendations."),
    (
        "Train, valid and test",
        "Models learn from the train part, settings are chosen on the valid part, and the numbers here come from the"
        " test part, which nothing has seen before.",
    ),
    (
        "Spread",
        f"Training starts from random numbers; another seed gives a slightly different model. A model's {PLUS_MINUS} "
        "is the standard deviation over the seeds (with one seed: the standard error over users).",
    ),
    (
        "Beyond the spread",
        "A difference between two models that is larger than two standard errors over users and has the same sign in"
        " every seed. Anything else is called within the spread: it may be chance.",
    ),
    (
        "Standard error of a difference",
        "How far the mean difference would move if other users of the same kind had been tested. Both models are "
        "tested on the same users, so it is smaller than the error of either model alone.",
    ),
    (
        "Bytes",
        "Every number that must be in memory to answer: vectors, scales, weights and the index. 1 kB is 1,000 bytes."
        " Titles and identifiers are not counted.",
    ),
    (
        "Queries a second, p50, p99",
        "Queries a second: exact lists of 20 for batches of 1,024 users, items already seen left out. p50 and p99: "
        "milliseconds for one user at a time, as the middle one and the slowest in a hundred feel it.",
    ),
]
_MODELS = {
    "teacher": ("Teacher", "The large model. It learns from the log and is then asked what it would recommend."),
    "student": (
        "Student",
        "A much smaller model that learns from the log and from what the teacher says (distillation).",
    ),
    "student_alone": (
        "Student alone",
        "The control: the same small model with the same search for settings, but without a teacher. What the "
        "student has beyond it is what distillation itself gives.",
    ),
    "teacher_svd": (
        "Teacher SVD",
        "The cheap alternative to distillation: the teacher's own vectors cut down to the student's size by a "
        "singular value decomposition, with no training at all.",
    ),
}
_SOMETIMES = {
    "number": (
        "fp16, int8",
        "Numbers stored in 16 or 8 bits in place of 32: half or a quarter of the bytes, a little less exact.",
    ),
    "gap": (
        "Gap recovered",
        f"(student {MINUS} student alone) / (teacher {MINUS} student alone): 100 % would reach the teacher.",
    ),
    "overlap": ("Overlap", "The share of a model's list that is also in the teacher's list of the same length."),
    "rbo": (
        "RBO",
        "Rank-biased overlap: like overlap, but agreement at the top of the list counts more. 1 is the same list.",
    ),
    "popularity": (
        "Head, mid, tail",
        "The catalogue in three parts with a third of all train interactions each: few much-taken items, the middle, "
        "and many that are seldom taken.",
    ),
    "cold": ("Cold", "Users or items of the test part that never occur in the train part."),
    "chance": (
        "Against chance",
        "How many times as many of the wanted new items are found as a random order of all items would find.",
    ),
}


def glossary(report: Report) -> list[tuple[str, str]]:
    """The words that this report uses, with what they mean."""
    models = report["models"]
    k = reading.headline_metric(report).partition("@")[2].partition(" ")[0] or "20"
    words = [meaning for name, meaning in _MODELS.items() if name in models]
    words += [(_first_capital(MODELS[name].label), MODELS[name].meaning) for name in models if name in MODELS]
    words += [(word.format(k=k), meaning.format(k=k)) for word, meaning in _ALWAYS]
    groups = any(model.get("groups") for model in models.values())
    used = {
        "number": any("int8" in name or "fp16" in name for name in models),
        "gap": any(row["gap_recovered"] is not None for row in report["comparisons"]),
        "overlap": bool(report["agreement"]),
        "rbo": bool(report["agreement"]),
        "popularity": groups,
        "cold": groups,
        "chance": any((model.get("groups") or {}).get("cold_items") for model in models.values()),
    }
    return words + [_SOMETIMES[word] for word, here in used.items() if here]


def account_note() -> str:
    """What the columns of what is counted hold, and what the energy assumes."""
    return (
        "Multiply-adds and bytes moved are of one recommendation with all items scored, counted from the arrays as they"
        " are stored, mean over test users; decoding and picking the best are not in them. The energy is an estimate, "
        f"not a measurement: {account.MULTIPLY_ADD_PJ:g} pJ a multiply-add of floats; {account.CACHE_PJ_PER_BYTE:g} pJ "
        f"a byte from the cache for models of up to {figures.size(account.CACHE_BYTES)}, and "
        f"{account.DRAM_PJ_PER_BYTE:g} pJ a byte from main memory for larger ones (45 nm; Horowitz, ISSCC 2014). "
        "It compares models; it says little of what a machine draws."
    )


def _first_capital(label: str) -> str:
    return label.capitalize() if label.islower() else label
