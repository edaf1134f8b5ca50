"""The objectives from vectors against loops written straight from their formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from recdistill.objectives.vectors.de import DE
from recdistill.objectives.vectors.freqd import FreqD
from recdistill.objectives.vectors.htd import HTD
from tests.objectives.examples import ENTITIES, Inputs, example
from tests.objectives.test_oracles import log_sum_exp

Floats = Sequence[float]
Matrix = Sequence[Floats]
seeds = pytest.mark.parametrize("seed", range(4))


def times(matrix: Matrix, vector: Floats, bias: Floats | None = None) -> list[float]:
    products = [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]
    return products if bias is None else [a + b for a, b in zip(products, bias, strict=True)]


def squared(a: Floats, b: Floats) -> float:
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def cosine(a: Floats, b: Floats) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def de_term(loss_of: DE, inputs: Inputs, entity: int, temperature: float) -> float:
    own = {name: value.tolist() for name, value in loss_of.named_parameters()}
    s, t, noise = (inputs[name][entity].tolist() for name in ("student", "teacher", "gumbel"))
    logits = times(own["selector"], t, own["selector_bias"])
    chosen = [math.exp((logit - log_sum_exp(logits) + g) / temperature) for logit, g in zip(logits, noise, strict=True)]
    mixed = [0.0] * len(t)
    for m, z in enumerate(chosen):
        hidden = [max(0.0, h) for h in times(own["expert_w1"][m], s, own["expert_b1"][m])]
        answer = times(own["expert_w2"][m], hidden, own["expert_b2"][m])
        mixed = [sum_ + z / sum(chosen) * a for sum_, a in zip(mixed, answer, strict=True)]
    return squared(t, mixed)


def de(inputs: Inputs, loss_of: DE, temperature: float = 1.0) -> float:
    kept = [entity for entity in range(ENTITIES) if inputs["entity_mask"][entity]]
    weights = [inputs["weight"][entity].item() for entity in kept]
    terms = [de_term(loss_of, inputs, entity, temperature) for entity in kept]
    return sum(w * term for w, term in zip(weights, terms, strict=True)) / sum(weights)


def htd(inputs: Inputs, loss_of: HTD, between: str) -> float:
    s, t, group = inputs["student"].tolist(), inputs["teacher"].tolist(), inputs["group"].tolist()
    pairs = [(a, b) for a in range(ENTITIES) for b in range(ENTITIES) if a != b and group[a] == group[b]]
    inside = sum((cosine(s[a], s[b]) - cosine(t[a], t[b])) ** 2 for a, b in pairs) / len(pairs)
    members = [[e for e in range(ENTITIES) if group[e] == name] for name in sorted(set(group))]
    of_s, of_t = ([[sum(x[e][d] for e in own) / len(own) for d in range(len(x[0]))] for own in members] for x in (s, t))
    if between == "prototype_prototype":
        others = [(g, h) for g in range(len(members)) for h in range(len(members)) if g != h]
        gaps = [(cosine(of_s[g], of_s[h]) - cosine(of_t[g], of_t[h])) ** 2 for g, h in others]
    else:
        couples = [(g, e) for g in range(len(members)) for e in range(ENTITIES)]
        gaps = [(cosine(of_s[g], s[e]) - cosine(of_t[g], t[e])) ** 2 for g, e in couples]
    assert loss_of.assignment is not None
    rebuilt = sum(de_term(loss_of.assignment, inputs, e, 1.0) for e in range(ENTITIES)) / ENTITIES
    return 0.5 * (inside + sum(gaps) / len(gaps)) + 0.5 * rebuilt


def freqd(inputs: Inputs, loss_of: FreqD, alpha: float, distance: str) -> float:
    own = {name: value.tolist() for name, value in loss_of.named_parameters()}
    projected = [times(own["projector"], s, own["bias"]) for s in inputs["student"].tolist()]
    graph = inputs["adjacency"].to_dense().tolist()

    def smoothed(vectors: Matrix, e: int) -> list[float]:
        near = [sum(graph[e][c] * vectors[c][d] for c in range(ENTITIES)) for d in range(len(vectors[0]))]
        return [(1.0 - alpha) * own_ + alpha * other for own_, other in zip(vectors[e], near, strict=True)]

    rows = [(smoothed(projected, e), smoothed(inputs["teacher"].tolist(), e)) for e in inputs["entities"].tolist()]
    return sum(squared(a, b) if distance == "squared" else 1.0 - cosine(a, b) for a, b in rows) / len(rows)


@seeds
@pytest.mark.parametrize("progress", [0.0, 0.05])
def test_de_is_the_loop_over_its_experts(progress: float, seed: int) -> None:
    given = example("de", seed)
    loss_of = given.objective()
    assert isinstance(loss_of, DE)
    loss_of.advance(progress)
    want = de(given.inputs, loss_of, 10.0 ** (-10.0 * progress))
    assert float(loss_of(**given.inputs).detach()) == pytest.approx(want, rel=1e-6)


@seeds
@pytest.mark.parametrize("choice", ["prototype_entity", "prototype_prototype"])
def test_htd_is_the_loop_over_pairs_groups_and_experts(choice: str, seed: int) -> None:
    given = example("htd", seed)
    loss_of = given.objective(choice=choice)
    assert isinstance(loss_of, HTD)
    assert float(loss_of(**given.inputs).detach()) == pytest.approx(htd(given.inputs, loss_of, choice), rel=1e-9)


@seeds
@pytest.mark.parametrize(("alpha", "distance"), [(0.5, "squared"), (0.8, "cosine"), (0.0, "squared")])
def test_freqd_is_the_loop_over_neighbours(alpha: float, distance: str, seed: int) -> None:
    given = example("freqd", seed)
    loss_of = given.objective(alpha=alpha, distance=distance)
    assert isinstance(loss_of, FreqD)
    want = freqd(given.inputs, loss_of, alpha, distance)
    assert float(loss_of(**given.inputs).detach()) == pytest.approx(want, rel=1e-9)
