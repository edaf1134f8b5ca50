from __future__ import annotations

import numpy as np
import pytest

from recdistill.errors import DataError
from recdistill.serving.perceptron import Perceptron

DRAW = np.random.default_rng(0)
WEIGHTS = [DRAW.standard_normal(shape).astype(np.float32) for shape in [(7, 5), (3, 7)]]
BIASES = [DRAW.standard_normal(width).astype(np.float32) for width in (7, 3)]
ROWS = DRAW.standard_normal((40, 5)).astype(np.float32)


def network() -> Perceptron:
    return Perceptron.of(*zip(WEIGHTS, BIASES, strict=True))


def test_it_is_linear_layers_with_rectifiers_between_them() -> None:
    inside = np.maximum(ROWS @ WEIGHTS[0].T + BIASES[0], 0)
    np.testing.assert_allclose(network()(ROWS), inside @ WEIGHTS[1].T + BIASES[1], rtol=1e-5, atol=1e-5)
    assert network().parameters == 7 * 6 + 3 * 8


def test_a_row_gives_the_same_bits_alone_and_beside_others() -> None:
    given = ROWS.copy()
    together = network()(given)
    for place in range(len(ROWS)):
        np.testing.assert_array_equal(network()(ROWS[place : place + 1])[0], together[place])
    np.testing.assert_array_equal(given, ROWS)


@pytest.mark.parametrize("codec", ["fp32", "fp16", "int8"])
def test_arrays_and_codecs_are_the_whole_network(codec: str) -> None:
    small = network().quantized(codec)
    again = Perceptron.from_arrays(small.codecs, small.arrays())
    np.testing.assert_array_equal(again(ROWS), small(ROWS))
    assert again.codecs == {"layer_0": codec, "layer_1": codec}
    np.testing.assert_allclose(small(ROWS), network()(ROWS), atol={"fp32": 0, "fp16": 0.02, "int8": 0.2}[codec])


def test_layers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="layer 1 must take 7 numbers"):
        Perceptron.of((WEIGHTS[0], BIASES[0]), (WEIGHTS[0], BIASES[0]))
    with pytest.raises(DataError, match="at least one layer"):
        Perceptron(())
    arrays, codecs = network().arrays(), network().codecs
    with pytest.raises(DataError, match=r"'layer_2.bias' is not part of a network of 2 layers"):
        Perceptron.from_arrays(codecs, {**arrays, "layer_2.bias": BIASES[0]})
    with pytest.raises(DataError, match=r"lacks the array 'layer_1.bias'"):
        Perceptron.from_arrays(codecs, {name: array for name, array in arrays.items() if name != "layer_1.bias"})
    with pytest.raises(DataError, match=r"'layer_0.bias' must be float32 or float16, found int64"):
        Perceptron.from_arrays(codecs, {**arrays, "layer_0.bias": np.zeros(7, np.int64)})
    with pytest.raises(DataError, match="needs the arrays"):
        Perceptron.from_arrays({**codecs, "layer_0": "int8"}, arrays)
