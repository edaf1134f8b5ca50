"""One small random input for every objective; what holds of all of them is tested on these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from recdistill.objectives.base import Objective
from recdistill.objectives.registry import OBJECTIVES, build
from recdistill.objectives.vectors.freqd import sparse_graph

USERS, CANDIDATES = 5, 11
ENTITIES, STUDENT_DIM, TEACHER_DIM = 7, 3, 4
TRAINED = ("student", "student_positive", "student_negative", "student_item", "student_user")
LIST_MASKS = {"higher": "pair_mask", "lower": "pair_mask", "first": "pair_mask", "second": "pair_mask"} | {
    "samples": "sample_mask",
    "negatives": "negative_mask",
    "permutations": "permutation_mask",
}
"""Masks that are not called after their list."""

Inputs = dict[str, Tensor]


class Draw:
    """Draws from one generator, in double precision."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def numbers(self, *shape: int, spread: float = 1.5) -> Tensor:
        return spread * torch.randn(shape, generator=self.generator, dtype=torch.float64)

    def shares(self, *shape: int) -> Tensor:
        return 0.1 + 0.8 * torch.rand(shape, generator=self.generator, dtype=torch.float64)

    def mostly(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator) < 0.75

    def lists(self, *lengths: int, rows: int = USERS, of: int = CANDIDATES) -> list[Tensor]:
        """Lists of a row's candidates that share none; each begins with a position that counts or not by its mask."""
        order = torch.rand(rows, of, generator=self.generator).argsort(-1)
        return list(order[:, : sum(lengths)].split(list(lengths), -1))

    def scores(self, *names: str) -> Inputs:
        return {name: self.numbers(USERS, CANDIDATES) for name in names}

    def weight(self, rows: int = USERS) -> Inputs:
        return {"weight": self.shares(rows)}


@dataclass(frozen=True)
class Example:
    """Inputs of an objective, all that it takes, and what it can be differentiated by."""

    name: str
    inputs: Inputs
    settings: Mapping[str, Any] = field(default_factory=dict)
    differentiable: Mapping[str, Any] = field(default_factory=dict)
    """Settings that stop no gradient of the student."""
    learns: tuple[str, ...] = ()
    """Inputs beside the student's that get gradients."""

    @property
    def trained(self) -> tuple[str, ...]:
        return tuple(name for name in self.inputs if name in TRAINED or name in self.learns)

    def objective(self, **settings: Any) -> Objective:
        dims = {"student_dim": STUDENT_DIM, "teacher_dim": TEACHER_DIM}
        generator = torch.Generator().manual_seed(1)
        return build(self.name, dict(self.settings) | settings, **dims, generator=generator).double()


def mask_of(index: str) -> str:
    return LIST_MASKS.get(index, f"{index}_mask")


def with_masks(draw: Draw, lists: Mapping[str, Tensor]) -> Inputs:
    """The lists and a mask for each; the last user's lists are empty."""
    masks: Inputs = {}
    for name, index in lists.items():
        mask = draw.mostly(*index.shape)
        mask[-1] = False
        masks.setdefault(mask_of(name), mask)
    return dict(lists) | masks


def _softmax(draw: Draw) -> Inputs:
    return draw.scores("student") | {"positives": draw.shares(USERS, CANDIDATES) < 0.4} | _mask(draw)


def _mask(draw: Draw) -> Inputs:
    mask = draw.mostly(USERS, CANDIDATES)
    mask[-1] = False
    return {"mask": mask} | draw.weight()


def _sampled_softmax(draw: Draw) -> Inputs:
    scores = {"student_positive": draw.numbers(USERS), "student_negative": draw.numbers(USERS, 6)}
    rates = {"log_q_positive": draw.numbers(USERS), "log_q_negative": draw.numbers(USERS, 6)}
    return scores | rates | {"negative_mask": draw.mostly(USERS, 6)} | draw.weight()


def _pairs(draw: Draw, *names: str, scores: tuple[str, ...] = ("student",)) -> Inputs:
    return draw.scores(*scores) | with_masks(draw, dict(zip(names, draw.lists(4, 4), strict=True))) | draw.weight()


def _soft(draw: Draw) -> Inputs:
    return draw.scores("student", "teacher") | _mask(draw)


def _listed(draw: Draw, lengths: Mapping[str, int], *scores: str) -> Inputs:
    lists = dict(zip(lengths, draw.lists(*lengths.values()), strict=True))
    return draw.scores(*scores) | with_masks(draw, lists) | draw.weight()


def _soft_kl_topk(draw: Draw) -> Inputs:
    inputs = _listed(draw, {"top": 4}, "student") | {"tail_mass": draw.shares(USERS)}
    inputs |= {"teacher_top": draw.numbers(USERS, 4), "mask": draw.mostly(USERS, CANDIDATES)}
    inputs["top_mask"] &= inputs["mask"].gather(1, inputs["top"])
    return inputs


def _hard_labels_softmax(draw: Draw) -> Inputs:
    return _listed(draw, {"top": 4}, "student") | _mask(draw)


def _items(draw: Draw, above: str, below: str) -> Inputs:
    """The second side of a listwise objective: items whose candidates are users."""
    lists = dict(zip((above, below), draw.lists(2, 2, rows=3, of=6), strict=True))
    return {"student_item": draw.numbers(3, 6)} | with_masks(draw, lists)


def _plackett_luce(draw: Draw) -> Inputs:
    draws = torch.stack(draw.lists(6) + draw.lists(6), dim=1)  # (users, 2, 6)
    mask = draw.mostly(USERS, 6)
    mask[-1] = False
    return draw.scores("student") | {"permutations": draws, "permutation_mask": mask} | draw.weight()


def _rce_kd(draw: Draw) -> Inputs:
    lists = {"q_teacher": draw.lists(4)[0], "q_student": draw.lists(4)[0], "sampled": draw.lists(3)[0]}
    return draw.scores("student", "teacher") | with_masks(draw, lists) | draw.weight()


def _hetcomp(draw: Draw) -> Inputs:
    """The mask leaves some positives among the candidates: they are no negatives all the same."""
    return _listed(draw, {"positives": 2, "top": 5}, "student") | {"mask": draw.mostly(USERS, CANDIDATES)}


def _vectors(draw: Draw, *, masked: bool = False) -> Inputs:
    inputs = {"student": draw.numbers(ENTITIES, STUDENT_DIM), "teacher": draw.numbers(ENTITIES, TEACHER_DIM)}
    mask = draw.mostly(ENTITIES)
    mask[1] = False
    return inputs | ({"entity_mask": mask} | draw.weight(ENTITIES) if masked else {})


def _htd(draw: Draw) -> Inputs:
    return _vectors(draw) | {"group": torch.tensor([4, 9, 4, 4, 9, 1, 9]), "gumbel": draw.numbers(ENTITIES, 3)}


def _pckd(draw: Draw, samples: int) -> Inputs:
    students = {"student_user": draw.numbers(USERS, STUDENT_DIM), "student_item": draw.numbers(ENTITIES, STUDENT_DIM)}
    teachers = {"teacher_user": draw.numbers(USERS, TEACHER_DIM), "teacher_item": draw.numbers(ENTITIES, TEACHER_DIM)}
    return students | teachers | with_masks(draw, {"samples": draw.lists(samples, of=ENTITIES)[0]})


def _freqd(draw: Draw) -> Inputs:
    row, column = torch.randint(0, ENTITIES, (2, 15), generator=draw.generator)
    graph = sparse_graph(row, column, draw.shares(15), ENTITIES)
    return _vectors(draw) | {"adjacency": graph, "entities": torch.tensor([5, 0, 2, 3])}


_RRD = {"interesting": 4, "uninteresting": 3}
_ALONE = {"teacher_weight": 0.0}
_MAKERS: dict[str, tuple[Callable[[Draw], Inputs], dict[str, Any]]] = {
    "softmax": (_softmax, {"settings": {"tau": 0.7}}),
    "sampled_softmax": (_sampled_softmax, {"settings": {"tau": 0.7}}),
    "bpr": (lambda d: _pairs(d, "higher", "lower"), {}),
    "bce": (lambda d: draw_labels(d), {}),
    "bsl": (_softmax, {"settings": {"tau_positive": 0.4, "tau_negative": 0.6}}),
    "hard_labels_softplus": (lambda d: _listed(d, {"top": 4}, "student"), {}),
    "hard_labels_softmax": (_hard_labels_softmax, {"settings": {"tau": 0.7}}),
    "hard_labels_bpr": (lambda d: _listed(d, {"top": 4, "negatives": 3}, "student"), {}),
    "soft_kl": (_soft, {"settings": {"tau": 1.7}}),
    "soft_kl_topk": (_soft_kl_topk, {"settings": {"tau": 1.7}}),
    "reverse_kl": (_soft, {"settings": {"tau": 1.7}}),
    "js": (_soft, {"settings": {"tau": 1.7}}),
    "standardised_kl": (_soft, {"settings": {"tau": 0.7}}),
    "soft_bce": (_soft, {"settings": {"tau": 1.7}}),
    "rd": (lambda d: _listed(d, {"top": 4, "samples": 6}, "student"), {"settings": {"item_count": 40, "decay": 3.0}}),
    "cd": (lambda d: _listed(d, {"samples": 6}, "student", "teacher"), {"settings": {"t1": 1.5, "t2": 0.4}}),
    "rrd": (lambda d: _listed(d, _RRD, "student"), {}),
    "ir_rrd": (lambda d: _listed(d, _RRD, "student") | _items(d, "item_interesting", "item_uninteresting"), {}),
    "dcd": (
        lambda d: (
            _listed(d, {"underestimated": 4, "overestimated": 3}, "student")
            | _items(d, "item_underestimated", "item_overestimated")
        ),
        {},
    ),
    "unkd": (lambda d: _pairs(d, "higher", "lower"), {}),
    "margin_mse": (lambda d: _pairs(d, "first", "second", scores=("student", "teacher")), {}),
    "plackett_luce": (_plackett_luce, {"settings": {"k": 3}}),
    "rce_kd": (_rce_kd, {"settings": {"tau": 1.7, "beta": 0.5}}),
    "hetcomp_overall": (_hetcomp, {}),
    "hetcomp_ranking": (_hetcomp, {"settings": {"cuts": [4, 2]}}),
    "mutual_bce": (
        lambda d: _listed(d, {"to_student": 3, "to_teacher": 4}, "student", "teacher"),
        {"settings": {"tau": 1.7}, "differentiable": _ALONE, "learns": ("teacher",)},
    ),
    "mutual_kl": (_soft, {"settings": {"tau": 1.7}, "differentiable": _ALONE, "learns": ("teacher",)}),
    "fitnet": (lambda d: _vectors(d, masked=True), {}),
    "de": (lambda d: _vectors(d, masked=True) | {"gumbel": d.numbers(ENTITIES, 3)}, {"settings": {"experts": 3}}),
    "ftd": (_vectors, {}),
    "htd": (_htd, {"settings": {"groups": 3}}),
    "rkd_distance": (_vectors, {}),
    "rkd_gram": (_vectors, {}),
    "pckd_list": (lambda d: _pckd(d, 4), {"settings": {"tau": 1.7}, "differentiable": {"alpha": 0.0}}),
    "pckd_pair": (lambda d: _pckd(d, 2), {"differentiable": {"alpha": 0.0}}),
    "freqd": (_freqd, {"settings": {"distance": "cosine"}}),
}


def draw_labels(draw: Draw) -> Inputs:
    return draw.scores("student") | {"labels": draw.shares(USERS, CANDIDATES)} | _mask(draw)


NAMES = list(_MAKERS)
OF_SCORES = [name for name in NAMES if "vectors" not in OBJECTIVES[name].needs]


def example(name: str, seed: int = 0) -> Example:
    make, facts = _MAKERS[name]
    return Example(name, make(Draw(seed)), **facts)


def run(loss_of: Objective, inputs: Inputs, *trained: str) -> tuple[Tensor, Inputs]:
    """Loss, and its gradients by the inputs named and by the objective's own parameters."""
    leaves = {name: inputs[name].detach().clone().requires_grad_() for name in trained}
    loss = loss_of(**inputs | leaves)
    leaves |= dict(loss_of.named_parameters())
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    found = zip(leaves.items(), gradients, strict=True)
    return loss.detach(), {name: torch.zeros_like(at) if by is None else by for (name, at), by in found}
