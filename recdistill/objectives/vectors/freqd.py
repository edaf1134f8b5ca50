"""FreqD: vectors are compared after a low-pass filter over a graph of entities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recdistill.objectives.base import check_share
from recdistill.objectives.vectors.owned import Distance, OwningObjective, check_distance, distance, drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class FreqDConfig:
    alpha: float = 0.5
    """Share of the neighbours in a smoothed vector; 0 is FitNet."""
    distance: Distance = "squared"
    """squared: ‖H T - H P(S)‖²; cosine: 1 - cos of the two."""
    bias: bool = True
    """Whether the projector has one."""

    def __post_init__(self) -> None:
        check_share("freqd", alpha=self.alpha)
        check_distance("freqd", self.distance)


class FreqD(OwningObjective):
    """Mean over entities of ‖(H T)_e - (H P(S))_e‖², H = (1-α)I + αÂ, P(s) = W s + b (FreqD: Zhu & Zhang, 2025).

    Â: a graph of entities that are used together, e.g. the five nearest by co-occurrence, normalised; it comes from
    the log and not from the teacher. Owns W and b.
    """

    needs = frozenset({"vectors"})
    config_type = FreqDConfig
    entities = "each side"

    def __init__(
        self, config: FreqDConfig | None = None, *, student_dim: int, teacher_dim: int, generator: torch.Generator
    ) -> None:
        super().__init__(student_dim=student_dim, teacher_dim=teacher_dim)
        self.config = config or FreqDConfig()
        self.projector = drawn(teacher_dim, student_dim, fan_in=student_dim, generator=generator)
        self.bias = drawn(teacher_dim, fan_in=student_dim, generator=generator) if self.config.bias else None

    def forward(self, student: Tensor, teacher: Tensor, adjacency: Tensor, entities: Tensor) -> Tensor:
        """Vectors of all N entities; adjacency: sparse (N, N), see `sparse_graph`; entities: rows to compare (n,)."""
        config = self.config
        return freqd(
            student, teacher, self.projector, self.bias, adjacency, entities, alpha=config.alpha, how=config.distance
        )


def freqd(
    student: Tensor,
    teacher: Tensor,
    projector: Tensor,
    bias: Tensor | None,
    adjacency: Tensor,
    entities: Tensor,
    *,
    alpha: float,
    how: Distance = "squared",
) -> Tensor:
    """The loss with a given projector. Filter and projector are linear: only the compared rows are projected."""
    rows = adjacency.index_select(0, entities)
    projected = _smoothed(student, rows, entities, alpha) @ projector.T
    if bias is not None:
        projected = projected + _smoothed(torch.ones_like(student[:, :1]), rows, entities, alpha) * bias
    terms = distance(projected, _smoothed(teacher.detach(), rows, entities, alpha), how)
    return terms.sum() / max(1, len(terms))


def sparse_graph(row: Tensor, column: Tensor, value: Tensor, entities: int) -> Tensor:
    """Sparse (N, N): `value` (nnz,) takes entity `column` into entity `row`; entries given twice are added."""
    shape = (entities, entities)
    return torch.sparse_coo_tensor(torch.stack([row, column]), value, shape, check_invariants=True).coalesce()


def _smoothed(vectors: Tensor, rows: Tensor, entities: Tensor, alpha: float) -> Tensor:
    """(H X)_e for the entities (n,), `rows` being theirs of the graph (n, N)."""
    return (1.0 - alpha) * vectors[entities] + alpha * torch.sparse.mm(rows, vectors)
