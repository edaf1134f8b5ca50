"""The objectives from scores and lists against loops written straight from their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
import torch

from recdistill.objectives.knowledge.rd import estimated_rank
from tests.objectives.examples import USERS, Example, Inputs, example, mask_of

Floats = Sequence[float]


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def log_sum_exp(values: Iterable[float]) -> float:
    return math.log(sum(math.exp(value) for value in values))


def bce(score: float, target: float) -> float:
    return target * softplus(-score) + (1.0 - target) * softplus(score)


def listed(inputs: Inputs, name: str, user: int) -> list[int]:
    """The items of a user's list that count, in their order."""
    places = zip(inputs[name][user].tolist(), inputs[mask_of(name)][user].tolist(), strict=True)
    return [item for item, counts in places if counts]


def above(scores: Floats, ordered: Sequence[int], below: Sequence[int], count: int | None = None) -> float:
    """Mean over the first places of the list of log Σ (this, those after it, those below) - its score."""
    count = len(ordered) if count is None else min(count, len(ordered))
    losses = [log_sum_exp([scores[item] for item in [*ordered[k:], *below]]) - scores[ordered[k]] for k in range(count)]
    return sum(losses) / count if count else 0.0


def over_users(inputs: Inputs, term: Callable[[int, Floats], float | None]) -> float:
    """Weighted mean of the users that have a term."""
    terms = [(term(user, inputs["student"][user].tolist()), inputs["weight"][user].item()) for user in range(USERS)]
    own = [(value, weight) for value, weight in terms if value is not None]
    return sum(value * weight for value, weight in own) / sum(weight for _, weight in own)


def rd(inputs: Inputs, renormalise: bool = False, dynamic: bool = True) -> float:
    def term(user: int, s: Floats) -> float | None:
        top, samples = listed(inputs, "top", user), listed(inputs, "samples", user)
        if not top:
            return None
        weights = [math.exp(-k / 3.0) for k in range(1, len(top) + 1)]
        weights = [weight / sum(weights) for weight in weights]
        for k, item in enumerate(top, start=1):
            if dynamic:
                higher = len([other for other in samples if s[other] > s[item]])
                rank = 1 + 39 * higher // len(samples) if samples else 1
                weights[k - 1] *= math.tanh(0.1 * max(0, rank - k))
        if renormalise and sum(weights) > 0:
            weights = [weight / sum(weights) for weight in weights]
        return sum(weight * softplus(-s[item]) for weight, item in zip(weights, top, strict=True))

    return over_users(inputs, term)


def cd(inputs: Inputs) -> float:
    def term(user: int, s: Floats) -> float | None:
        items, t = listed(inputs, "samples", user), inputs["teacher"][user].tolist()
        return sum(bce(s[i], sigmoid((t[i] + 0.4) / 1.5)) for i in items) / len(items) if items else None

    return over_users(inputs, term)


def two_lists(inputs: Inputs, upper: str, lower: str) -> float:
    def term(user: int, s: Floats) -> float | None:
        ordered = listed(inputs, upper, user)
        return above(s, ordered, listed(inputs, lower, user)) if ordered else None

    return over_users(inputs, term)


def item_side(inputs: Inputs, upper: str, lower: str) -> float:
    rows = range(len(inputs["student_item"]))
    ordered = [listed(inputs, upper, row) for row in rows]
    scores = inputs["student_item"].tolist()
    terms = [above(scores[r], ordered[r], listed(inputs, lower, r)) for r in rows if ordered[r]]
    return sum(terms) / len(terms)


def ir_rrd(inputs: Inputs) -> float:
    items = item_side(inputs, "item_interesting", "item_uninteresting")
    return two_lists(inputs, "interesting", "uninteresting") + items


def dcd(inputs: Inputs) -> float:
    items = item_side(inputs, "item_underestimated", "item_overestimated")
    return two_lists(inputs, "underestimated", "overestimated") + items


def unkd(inputs: Inputs) -> float:
    def term(user: int, s: Floats) -> float | None:
        sides = inputs["higher"][user].tolist(), inputs["lower"][user].tolist(), inputs["pair_mask"][user].tolist()
        losses = [softplus(s[b] - s[a]) for a, b, counts in zip(*sides, strict=True) if counts]
        return sum(losses) / len(losses) if losses else None

    return over_users(inputs, term)


def plackett_luce(inputs: Inputs) -> float:
    def term(user: int, s: Floats) -> float | None:
        counts = inputs["permutation_mask"][user].tolist()
        draws = inputs["permutations"][user].tolist()
        orders = [[item for item, kept in zip(draw, counts, strict=True) if kept] for draw in draws]
        return sum(above(s, order, [], 3) for order in orders) / len(orders) if orders[0] else None

    return over_users(inputs, term)


def rce_kd(inputs: Inputs) -> float:
    def divergence(items: set[int], s: Floats, t: Floats) -> float:
        if not items:
            return 0.0
        log_p = {i: t[i] / 1.7 - log_sum_exp(t[j] / 1.7 for j in items) for i in items}
        log_q = {i: s[i] / 1.7 - log_sum_exp(s[j] / 1.7 for j in items) for i in items}
        return 1.7**2 * sum(math.exp(log_p[i]) * (log_p[i] - log_q[i]) for i in items)

    def term(user: int, s: Floats) -> float | None:
        names = ("q_teacher", "q_student", "sampled")
        teachers, students, sampled = (set(listed(inputs, name, user)) for name in names)
        if not teachers | students | sampled:
            return None
        overlap = len(teachers & students) / len(teachers) if teachers else 0.0
        gamma, t = math.exp(-0.5 * overlap), inputs["teacher"][user].tolist()
        rest = (teachers - students) | sampled
        return (1.0 - gamma) * divergence(students, s, t) + gamma * divergence(rest, s, t)

    return over_users(inputs, term)


def unobserved(inputs: Inputs, user: int, taken: Iterable[int]) -> list[int]:
    return [item for item, free in enumerate(inputs["mask"][user].tolist()) if free and item not in set(taken)]


def hetcomp_overall(inputs: Inputs) -> float:
    def term(user: int, s: Floats) -> float | None:
        wanted = [*listed(inputs, "positives", user), *listed(inputs, "top", user)]
        rest = unobserved(inputs, user, wanted)
        losses = [above(s, [item], rest) for item in wanted]
        return sum(losses) / len(losses) if losses else None

    return over_users(inputs, term)


def hetcomp_ranking(inputs: Inputs) -> float:
    def term(user: int, s: Floats) -> float | None:
        positives, top = listed(inputs, "positives", user), listed(inputs, "top", user)
        if not positives and not top:
            return None
        of_positives = above(s, positives, unobserved(inputs, user, [*positives, *top[:4]]))
        of_cuts = [above(s, top[:cut], unobserved(inputs, user, [*positives, *top[:cut]])) for cut in (4, 2)]
        return of_positives + sum(of_cuts) / 2

    return over_users(inputs, term)


OF_LISTS: dict[str, Callable[[Inputs], float]] = {
    "rd": rd,
    "cd": cd,
    "rrd": lambda inputs: two_lists(inputs, "interesting", "uninteresting"),
    "ir_rrd": ir_rrd,
    "dcd": dcd,
    "bpr": unkd,
    "unkd": unkd,
    "plackett_luce": plackett_luce,
    "rce_kd": rce_kd,
    "hetcomp_overall": hetcomp_overall,
    "hetcomp_ranking": hetcomp_ranking,
}
seeds = pytest.mark.parametrize("seed", range(4))


def value(given: Example, **settings: Any) -> float:
    return float(given.objective(**settings)(**given.inputs).detach())


@seeds
@pytest.mark.parametrize("name", OF_LISTS)
def test_an_objective_of_lists_is_the_loop_over_its_formula(name: str, seed: int) -> None:
    given = example(name, seed)
    assert value(given) == pytest.approx(OF_LISTS[name](given.inputs), rel=1e-9)


@seeds
@pytest.mark.parametrize(("renormalise", "dynamic"), [(True, True), (False, False)])
def test_the_other_weights_of_rd_are_those_of_the_loop(renormalise: bool, dynamic: bool, seed: int) -> None:
    given = example("rd", seed)
    want = rd(given.inputs, renormalise, dynamic)
    assert value(given, renormalise=renormalise, dynamic=dynamic) == pytest.approx(want, rel=1e-9)


def test_the_students_rank_is_counted_in_whole_numbers() -> None:
    """33/100 of 99 others is 32.67, and 33 of 100 of 100 is 33, which floats take for 32.999…"""
    sampled = torch.arange(100.0, dtype=torch.float64)[None]
    scores = torch.tensor([[66.0, 66.5, 99.0, -1.0]], dtype=torch.float64)
    drawn = torch.ones_like(sampled, dtype=torch.bool)
    assert estimated_rank(scores, sampled, drawn, 101).tolist() == [[34, 34, 1, 101]]
    assert estimated_rank(scores, sampled, ~drawn, 101).tolist() == [[1, 1, 1, 1]]
