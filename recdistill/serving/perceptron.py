"""A small network as it answers: linear layers with rectifiers between them, in numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np

from recdistill.errors import DataError
from recdistill.serving.products import RoundedTable
from recdistill.tables.codecs import CodedTable, half


class Layer(NamedTuple):
    weight: CodedTable
    """(outputs, inputs)"""
    bias: np.ndarray
    """(outputs,) float32 or float16"""


@dataclass(frozen=True, eq=False)
class Perceptron:
    """x → W_n relu(… relu(W_1 x + b_1) …) + b_n, the same bits for a row whatever stands beside it."""

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if not self.layers:
            raise DataError("a network needs at least one layer.")
        width = self.inputs
        for number, layer in enumerate(self.layers):
            outputs, inputs = layer.weight.shape
            if inputs != width or layer.bias.shape != (outputs,):
                raise DataError(
                    f"layer {number} must take {width} numbers and have a bias for each that it gives, found a weight "
                    f"of shape {layer.weight.shape} and a bias of shape {layer.bias.shape}."
                )
            width = outputs

    @classmethod
    def of(cls, *layers: tuple[np.ndarray, np.ndarray]) -> Self:
        """From float32 weights (outputs, inputs) and biases (outputs,)."""
        return cls(tuple(Layer(CodedTable.of(weight), bias.astype(np.float32)) for weight, bias in layers))

    @property
    def inputs(self) -> int:
        return self.layers[0].weight.shape[1]

    @property
    def outputs(self) -> int:
        return len(self.layers[-1].weight)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """(batch, outputs) float32 of float32 rows (batch, inputs)."""
        for number, (table, layer) in enumerate(zip(self._rounded, self.layers, strict=True)):
            if number:
                np.maximum(rows, 0, out=rows)
            rows = table.times(rows)
            rows += layer.bias.astype(np.float32)
        return rows

    @cached_property
    def _rounded(self) -> list[RoundedTable]:
        return [RoundedTable(layer.weight) for layer in self.layers]

    @property
    def parameters(self) -> int:
        return sum(layer.bias.size * (1 + layer.weight.shape[1]) for layer in self.layers)

    @property
    def codecs(self) -> dict[str, str]:
        """Of each layer's weight, by the name that its arrays begin with."""
        return {f"layer_{number}": layer.weight.codec for number, layer in enumerate(self.layers)}

    def arrays(self) -> dict[str, np.ndarray]:
        """Named `layer_<n>.<part>` and `layer_<n>.bias`."""
        return {
            f"layer_{number}.{part}": array
            for number, layer in enumerate(self.layers)
            for part, array in {**layer.weight.arrays, "bias": layer.bias}.items()
        }

    @classmethod
    def from_arrays(cls, codecs: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> Self:
        """The inverse of `codecs` and `arrays`; anything missing or left over is refused."""
        parts: dict[str, dict[str, np.ndarray]] = {f"layer_{number}": {} for number in range(len(codecs))}
        for name, array in arrays.items():
            layer, _, part = name.partition(".")
            if layer not in parts or layer not in codecs:
                raise DataError(f"array {name!r} is not part of a network of {len(codecs)} layers.")
            parts[layer][part] = array
        if missing := [name for name, found in parts.items() if "bias" not in found]:
            raise DataError(f"a network of {len(codecs)} layers lacks the array '{missing[0]}.bias'.")
        layers = []
        for name, found in parts.items():
            bias = found.pop("bias")
            if bias.dtype not in (np.float32, np.float16):
                raise DataError(f"array '{name}.bias' must be float32 or float16, found {bias.dtype}.")
            layers.append(Layer(CodedTable(codecs[name], found), bias))
        return cls(tuple(layers))

    def quantized(self, codec: str) -> Perceptron:
        """Weights in the codec; biases are halved unless it is fp32."""
        return Perceptron(tuple(Layer(layer.weight.recoded(codec), _small(layer.bias, codec)) for layer in self.layers))


def _small(bias: np.ndarray, codec: str) -> np.ndarray:
    return bias.astype(np.float32) if codec == "fp32" else half(bias, "bias")
