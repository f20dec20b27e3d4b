"""The multilayer perceptron: eq. (1)-(4), and what the contract means where rows are drawn."""

import jax
import numpy as np

from mlmath.neural import activations, mlp

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2]
S = RNG.integers(0, 3, size=40).astype(float)


def test_prediction_loss_and_objective_are_their_definitions():
    params = mlp.init(KEY, (3, 5, 4, 2))
    params = jax.tree.map(lambda p: p + 0.1, params)
    targets = RNG.normal(size=(40, 2))
    total = 0.0
    for x, y, s in zip(X, targets, S, strict=True):
        h = x
        for k, (W, b) in enumerate(params.layers):
            a = [sum(W[j, m] * h[m] for m in range(len(h))) + b[j] for j in range(len(b))]
            h = np.tanh(a) if k < 2 else np.array(a)  # (1)
        found = mlp.predict(params, x, activation=activations.tanh)
        np.testing.assert_allclose(found, h, rtol=1e-12)
        total += s * sum((h - y) ** 2) / 2
    total += 0.7 / 2 * sum((np.asarray(layer.weights) ** 2).sum() for layer in params.layers)  # (2)
    given = {"activation": activations.tanh, "l2": 0.7, "sample_weight": S}
    np.testing.assert_allclose(mlp.objective(params, X, targets, **given), total, rtol=1e-12)


def test_a_run_in_chunks_is_the_fit_bit_for_bit():
    pass
