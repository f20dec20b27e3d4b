"""Backpropagation: eq. (1)-(3) in NumPy, and ``jax.grad``."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.neural import activations, backprop, losses, mlp

RNG = np.random.default_rng(0)
PARAMS = jax.tree.map(
    lambda p: p + 0.1 * RNG.normal(size=p.shape), mlp.init(jax.random.key(0), (3, 5, 4, 2))
)
X, Y = RNG.normal(size=3), RNG.normal(size=2)


def test_the_layers_are_the_transcription_of_the_chain_rule():
    (W1, b1), (W2, b2), (W3, b3) = jax.tree.map(np.asarray, PARAMS.layers)
    a1 = W1 @ X + b1  # (1)
    a2 = W2 @ np.tanh(a1) + b2
    z = W3 @ np.tanh(a2) + b3
    d3 = z - Y  # (2)
    d2 = (1 - np.tanh(a2) ** 2) * (W3.T @ d3)
    d1 = (1 - np.tanh(a1) ** 2) * (W2.T @ d2)
    found = backprop.layers(PARAMS, X, Y, activation=activations.tanh)
    expected = [
        (X, a1, np.tanh(a1), d1, (np.outer(d1, X), d1)),  # (3)
        (np.tanh(a1), a2, np.tanh(a2), d2, (np.outer(d2, np.tanh(a1)), d2)),
        (np.tanh(a2), z, z, d3, (np.outer(d3, np.tanh(a2)), d3)),
    ]
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("name", activations.__all__)
@pytest.mark.parametrize(
    ("error", "y"),
    [
        (losses.squared, Y),
        (losses.huber, Y),
        (losses.hinge, np.array([0.0, 1.0])),
        (losses.softmax_cross_entropy, 1),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_it_is_the_derivative_that_jax_finds(name, error, y):
    given = {"error": error, "activation": getattr(activations, name)}
    ours = backprop.gradient(PARAMS, X, y, **given)
    theirs = jax.grad(mlp.loss)(PARAMS, X, y, **given)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_labels_may_be_integers_or_booleans():
    expected = backprop.gradient(PARAMS, X, np.array([0.0, 1.0]), error=losses.hinge)
    for kind in (int, bool):
        found = backprop.gradient(PARAMS, X, np.array([0, 1], kind), error=losses.hinge)
        jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_single_number_moves_the_loss_as_its_gradient_says():
    found = backprop.gradient(PARAMS, X, Y)
    h = np.zeros((4, 5))
    h[2, 3] = 1e-6

    def moved(step):
        second = PARAMS.layers[1]._replace(weights=PARAMS.layers[1].weights + step)
        return mlp.loss(mlp.Params((PARAMS.layers[0], second, PARAMS.layers[2])), X, Y)

    difference = (moved(h) - moved(-h)) / 2e-6
    np.testing.assert_allclose(found.layers[1].weights[2, 3], difference, rtol=1e-6, atol=1e-9)


def test_what_leaves_a_layer_enters_the_next():
    found = backprop.layers(PARAMS, X, Y)
    np.testing.assert_array_equal(found[0].input, X)
    for before, after in pairwise(found):
        np.testing.assert_array_equal(before.output, after.input)
    np.testing.assert_array_equal(found[-1].output, mlp.predict(PARAMS, X))


def test_without_hidden_layers_it_is_the_rule_of_widrow_and_hoff():
    params = mlp.init(jax.random.key(1), (3, 1))
    (W, b), y = params.layers[0], 0.7
    found = backprop.gradient(params, X, y).layers[0]
    np.testing.assert_allclose(found.weights, (W @ X + b - y)[:, None] * X[None], rtol=1e-12)


def test_a_batch_is_a_vmap():
    many = jax.vmap(backprop.gradient, (None, 0, 0))(
        PARAMS, jnp.stack([X, 2 * X]), np.stack([Y, -Y])
    )
    one = backprop.gradient(PARAMS, 2 * X, -Y)
    np.testing.assert_allclose(many.layers[0].weights[1], one.layers[0].weights, rtol=1e-12)
