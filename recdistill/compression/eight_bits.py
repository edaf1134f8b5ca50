"""Networks in eight bits on both sides: the ranges of their inputs at run time, or measured by torch's observers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from recdistill.errors import ConfigError
from recdistill.serving.perceptron import Perceptron
from recdistill.serving.scorers import DeepBagScorer, Histories, RerankedScorer, Scorer

if TYPE_CHECKING:
    from recdistill.data.interactions import Interactions

Inputs = Literal["float", "dynamic", "static"]
INPUTS = ("float", "dynamic", "static")
MOST_USERS = 1000
"""Whose inputs are looked at."""
BATCH = 50


def with_inputs(scorer: Scorer, inputs: str, on: Interactions | None) -> Scorer:
    """The scorer, whose tables are in int8, with the inputs of its networks in eight bits.

    dynamic: each row by its own range; static: by the range, with the least square error, of what a network is given
    for the users of `on`. Raises ConfigError where there is no network, and where static has no log to measure on.
    """
    if inputs not in INPUTS:
        raise ConfigError(f"compress: inputs = {inputs!r}: expected one of {', '.join(INPUTS)}.")
    if not _networks(scorer):
        raise ConfigError(
            f"compress: inputs = {inputs!r}: a scorer of the form {scorer.form!r} has no network. Leave it out; "
            "reranked models and deep towers have one."
        )
    if inputs == "dynamic":
        return _changed(scorer, lambda network: network.in_eight_bits())
    if on is None:
        raise ConfigError("compress: inputs = 'static' needs on=, the log that the model was fitted on, to measure on.")
    levels = _measured(scorer, on)
    return _changed(scorer, lambda network: network.in_eight_bits(levels.pop(0)))


def _measured(scorer: Scorer, on: Interactions) -> list[list[np.ndarray]]:
    """Of each network, in the order of `_changed`, the levels of each layer."""
    if on.n_items != scorer.n_items:
        raise ConfigError(f"compress: on= has {on.n_items} items, the model {scorer.n_items}. Give its own log.")
    watched: list[Watched] = []

    def watch(network: Perceptron) -> Perceptron:
        watched.append(Watched.over(network))
        return watched[-1]

    watching = _changed(scorer, watch)
    rows = np.flatnonzero(np.diff(on.csr().indptr))
    rows = rows[:: max(1, -(-len(rows) // MOST_USERS))]
    if not len(rows):
        raise ConfigError("compress: on= has no users with a history. Give the log that the model was fitted on.")
    histories = Histories.from_csr(on.csr())
    known = scorer.table_rows("user_table") == on.n_users
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        watching.score(histories.take(part), part if known else None)
    return [one.levels() for one in watched]


def _networks(scorer: Scorer) -> list[Perceptron]:
    found: list[Perceptron] = []

    def look(network: Perceptron) -> Perceptron:
        found.append(network)
        return network

    _changed(scorer, look)
    return found


def _changed(scorer: Scorer, change: Callable[[Perceptron], Perceptron]) -> Scorer:
    """With every network changed, that of the first stage first."""
    if isinstance(scorer, RerankedScorer):
        base = _changed(scorer.base, change)
        return replace(scorer, base=base, network=change(scorer.network))
    if isinstance(scorer, DeepBagScorer):
        return replace(scorer, network=change(scorer.network))
    return scorer


@dataclass(frozen=True, eq=False)
class Watched(Perceptron):
    """The same network, whose layers' inputs torch's observers see."""

    observers: tuple[Callable[..., object], ...] = ()

    @classmethod
    def over(cls, network: Perceptron) -> Watched:
        import torch
        from torch.ao.quantization.observer import HistogramObserver

        made = [HistogramObserver(dtype=torch.quint8, qscheme=torch.per_tensor_affine) for _ in network.layers]
        return cls(network.layers, observers=tuple(made))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        import torch

        for number, (layer, observer) in enumerate(zip(self.layers, self.observers, strict=True)):
            rows = np.maximum(rows, 0) if number else rows
            observer(torch.from_numpy(np.ascontiguousarray(rows)))
            rows = Perceptron((layer,))(rows)
        return rows

    def levels(self) -> list[np.ndarray]:
        """Of each layer's inputs: float32 (2,) the step and the number that stands for 0."""
        told = [observer.calculate_qparams() for observer in self.observers]  # type: ignore[attr-defined]
        return [np.array([float(step), float(zero)], np.float32) for step, zero in told]
