"""A small network as it answers: linear layers with rectifiers between them, in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np

from recdistill.errors import DataError
from recdistill.serving.eight_bit_products import EightBitTable, checked_levels
from recdistill.serving.products import RoundedTable
from recdistill.tables.codecs import CodedTable, half

FLOAT, DYNAMIC, STATIC = "float", "dynamic", "static"


class Layer(NamedTuple):
    weight: CodedTable
    """(outputs, inputs)"""
    bias: np.ndarray
    """(outputs,) float32 or float16"""
    inputs: str = FLOAT
    """How inputs meet an int8 weight: as they are, in eight bits by the range of each row, or by one measured before"""
    levels: np.ndarray | None = None
    """Of the last: float32 (2,), the step and the number that stands for 0"""

    @property
    def codec(self) -> str:
        """Of the weight, and how inputs meet it where that is not as they are."""
        return self.weight.codec + ("" if self.inputs == FLOAT else f"_{self.inputs}")

    @property
    def product(self) -> RoundedTable | EightBitTable:
        return RoundedTable(self.weight) if self.inputs == FLOAT else EightBitTable(self.weight, self.levels)


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
            if layer.inputs not in (FLOAT, DYNAMIC, STATIC) or (layer.inputs == STATIC) != (layer.levels is not None):
                raise DataError(f"layer {number}: inputs must be {FLOAT!r}, {DYNAMIC!r}, or {STATIC!r} with levels.")
            if layer.inputs != FLOAT and layer.weight.codec != "int8":
                raise DataError(f"layer {number}: inputs in eight bits need int8 weights, found {layer.weight.codec}.")
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
        for number, (table, layer) in enumerate(zip(self._products, self.layers, strict=True)):
            if number:
                np.maximum(rows, 0, out=rows)
            rows = table.times(rows)
            rows += layer.bias.astype(np.float32)
        return rows

    @cached_property
    def _products(self) -> list[RoundedTable | EightBitTable]:
        return [layer.product for layer in self.layers]

    @property
    def parameters(self) -> int:
        return sum(layer.bias.size * (1 + layer.weight.shape[1]) for layer in self.layers)

    @property
    def codecs(self) -> dict[str, str]:
        """Of each layer's weight, by the name that its arrays begin with."""
        return {f"layer_{number}": layer.codec for number, layer in enumerate(self.layers)}

    def arrays(self) -> dict[str, np.ndarray]:
        """Named `layer_<n>.<part>`, `layer_<n>.bias` and, where inputs were measured, `layer_<n>.levels`."""
        return {
            f"layer_{number}.{part}": array
            for number, layer in enumerate(self.layers)
            for part, array in {**layer.weight.arrays, "bias": layer.bias, "levels": layer.levels}.items()
            if array is not None
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
            codec, _, inputs = str(codecs[name]).partition("_")
            if inputs not in (DYNAMIC, STATIC):
                codec, inputs = codecs[name], FLOAT
            levels = found.pop("levels", None) if inputs == STATIC else None
            if levels is not None:
                checked_levels(levels, f"{name}.levels")
            layers.append(Layer(CodedTable(codec, found), bias, inputs, levels))
        return cls(tuple(layers))

    def quantized(self, codec: str) -> Perceptron:
        """Weights in the codec, inputs as they are; biases are halved unless it is fp32."""
        return Perceptron(tuple(Layer(layer.weight.recoded(codec), _small(layer.bias, codec)) for layer in self.layers))

    def in_eight_bits(self, levels: Sequence[np.ndarray] | None = None) -> Perceptron:
        """Weights in int8, and inputs in eight bits: by the range of each row, or by these `levels` of each layer."""
        small = self.quantized("int8").layers
        if levels is None:
            return Perceptron(tuple(layer._replace(inputs=DYNAMIC) for layer in small))
        told = zip(small, levels, strict=True)
        return Perceptron(tuple(layer._replace(inputs=STATIC, levels=one) for layer, one in told))


def _small(bias: np.ndarray, codec: str) -> np.ndarray:
    return bias.astype(np.float32) if codec == "fp32" else half(bias, "bias")
