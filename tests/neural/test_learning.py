"""What a network learns that a linear model cannot, and how well it reads digits."""

import jax
import jax.numpy as jnp
import numpy as np

import mlmath
from mlmath.data import datasets
from mlmath.evaluate import folds
from mlmath.linear import logistic_regression
from mlmath.neural import activations, losses, mlp
from mlmath.optimize import first_order

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = np.array([0.0, 1.0, 1.0, 0.0])


def right(outputs):
    return ((np.asarray(outputs) > 0) == XOR).mean(axis=-1)


def test_a_network_learns_xor_and_no_plane_separates_it():
    """Of 2,000 planes none has more than three corners right; the fitted one has no more either."""
    planes = np.random.default_rng(0).normal(size=(2000, 3))
    assert right(planes[:, :2] @ CORNERS.T + planes[:, 2:]).max() == 3 / 4
    fitted = logistic_regression.fit(CORNERS, XOR, l2=1e-3).params
    assert right(mlmath.rows(logistic_regression.log_odds)(fitted, CORNERS)) <= 3 / 4

    def learnt(key):
        params = mlp.fit(
            key, CORNERS, XOR, hidden=(4,), error=losses.binary_cross_entropy,
            activation=activations.tanh, optimizer=first_order.adam(0.05), batch_size=4, steps=800,
        ).params  # fmt: skip
        return jax.vmap(lambda x: mlp.predict(params, x, activation=activations.tanh)[0])(CORNERS)

    outputs = jax.jit(jax.vmap(learnt))(jax.random.split(jax.random.key(0), 10))
    assert (right(outputs) == 1).mean() >= 0.8


def test_a_wider_network_comes_nearer_to_a_sine_and_no_line_comes_near():
    x = np.linspace(-np.pi, np.pi, 101)[:, None]
    y = np.sin(2 * x[:, 0])
    line = np.column_stack([x, np.ones(101)])
    residual = y - line @ np.linalg.lstsq(line, y, rcond=None)[0]
    assert np.sqrt(np.mean(residual**2)) > 0.6

    def error(width):
        optimizer = first_order.adam(first_order.cosine_decay(0.02, steps=3000))
        params = mlp.fit(
            jax.random.key(1), x, y, hidden=(width,), activation=activations.tanh,
            optimizer=optimizer, batch_size=64, steps=3000,
        ).params  # fmt: skip
        z = jax.vmap(lambda x: mlp.predict(params, x, activation=activations.tanh)[0])(x)
        return float(jnp.sqrt(jnp.mean((z - y) ** 2)))

    errors = [error(width) for width in (1, 4, 32)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1


def test_five_seeds_in_one_call_read_held_out_digits():
    """A stratified quarter is held out; 97.5 % of it is read, on the mean of the five seeds."""
    X, y = datasets.arrays("digits")
    X = (X / 16).astype(np.float32)
    train = folds.stratified(jax.random.key(7), jnp.asarray(y), folds=4).train[0]
    optimizer = first_order.adam(first_order.one_cycle(0.01, steps=1500))

    @jax.jit
    @jax.vmap
    def accuracy(key):
        params = mlp.fit(
            key, X, y, hidden=(128,), outputs=10, error=losses.softmax_cross_entropy,
            optimizer=optimizer, batch_size=64, steps=1500, sample_weight=train.astype(X.dtype),
        ).params  # fmt: skip
        found = mlmath.rows(mlp.predict)(params, X).argmax(axis=1)
        return jnp.sum((found == y) & ~train.astype(bool)) / jnp.sum(~train.astype(bool))

    found = np.asarray(accuracy(jax.random.split(jax.random.key(0), 5)))
    assert found.mean() >= 0.975, found
