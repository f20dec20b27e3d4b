"""The figure of the chain rule shows what the chain rule holds."""

import io
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.neural import backprop, mlp
from mlmath.plot import backprop as figures

PARAMS = mlp.init(jax.random.key(1), (2, 4, 3, 1))
X, Y = jnp.array([1.0, -0.5]), 0.5
LAYERS = backprop.layers(PARAMS, X, Y)
FIGURE = figures.chain_rule(LAYERS)


def coloured(figure):
    """Lines, circles and squares, each with the numbers that colour them."""
    return [drawn for drawn in figure.axes[0].collections if drawn.get_array() is not None]


def test_circles_are_activations_and_squares_are_deltas():
    _, circles, squares = coloured(FIGURE)
    outputs = np.concatenate([X, *(layer.output for layer in LAYERS)])
    deltas = np.concatenate([layer.delta for layer in LAYERS])
    np.testing.assert_array_equal(circles.get_array(), outputs)
    np.testing.assert_array_equal(squares.get_array(), deltas)
    assert len(set(map(tuple, circles.get_offsets()))) == len(outputs)
    x, height = circles.get_offsets()[2:].T
    np.testing.assert_array_equal(squares.get_offsets()[:, 0], x)
    assert (squares.get_offsets()[:, 1] < height).all()
    written = {tuple(text.get_position()): text.get_text() for text in FIGURE.axes[0].texts}
    for place, value in zip(circles.get_offsets(), outputs, strict=True):
        assert float(written[tuple(place)]) == pytest.approx(value, rel=0.06, abs=1e-9)


def test_a_line_has_the_derivative_of_the_loss_in_its_weight():
    """By ``jax.grad`` and, between its ends, as the product of activation and δ."""
    lines, circles, squares = coloured(FIGURE)
    gradient = jax.grad(mlp.loss)(PARAMS, X, Y)
    slopes = np.concatenate([layer.weights.ravel() for layer in gradient.layers])
    np.testing.assert_allclose(lines.get_array(), slopes, atol=1e-15)
    h = dict(zip(map(tuple, circles.get_offsets()), circles.get_array(), strict=True))
    delta = dict(zip(map(tuple, circles.get_offsets()[2:]), squares.get_array(), strict=True))
    found = [h[tuple(a)] * delta[tuple(b)] for a, b in lines.get_segments()]
    np.testing.assert_allclose(found, slopes, atol=1e-15)
    np.testing.assert_allclose(lines.get_linewidths(), 4 * abs(slopes) / abs(slopes).max())


def test_colours_are_around_0_and_columns_are_named():
    for drawn in coloured(FIGURE):
        low, high = drawn.get_clim()
        assert -low == high == abs(drawn.get_array()).max()
    names = [text.get_text() for text in FIGURE.axes[0].texts]
    assert [n for n in names if n.isalpha() or "layer" in n] == [
        "input", "layer 1", "layer 2", "output",
    ]  # fmt: skip


@pytest.mark.parametrize("sizes", [(1, 1), (3, 1, 5, 2)])
def test_tuples_of_arrays_are_enough_and_zeros_are_drawn(sizes):
    shapes = itertools.pairwise(sizes)
    layers = [
        (np.zeros(i), np.zeros(o), np.zeros(o), -np.zeros(o), (np.zeros((o, i)), np.zeros(o)))
        for i, o in shapes
    ]
    figure = figures.chain_rule(layers)
    figure.savefig(io.BytesIO())
    assert "-0" not in [text.get_text() for text in figure.axes[0].texts]
