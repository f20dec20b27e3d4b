"""Linear regression by the normal equation, by QR, by descent and by stochastic gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.linear import least_squares
from mlmath.optimize import (
    averaging,
    conjugate_gradient,
    first_order,
    gradient_descent,
    lbfgs,
    stochastic,
)

SOLVERS = {
    "gradient descent": gradient_descent, "l-bfgs": lbfgs, "conjugate": conjugate_gradient,
}  # fmt: skip
RNG = np.random.default_rng(0)
X = np.column_stack([RNG.normal(size=(200, 3)) * [1.0, 2.0, 0.5], np.ones(200)])
Y = X @ [1.0, -2.0, 0.5, 3.0] + 0.3 * RNG.normal(size=200)
NORMAL = np.linalg.solve(X.T @ X, X.T @ Y)


def objective(w):
    return jnp.sum((X @ w - Y) ** 2) / 2


def test_the_normal_equation_and_qr_and_the_method_of_the_house():
    Q, R = jnp.linalg.qr(X)
    np.testing.assert_allclose(jnp.linalg.solve(R, Q.T @ Y), NORMAL, rtol=1e-12)
    params = least_squares.fit(X[:, :3], Y).params
    np.testing.assert_allclose([*params.weights, params.bias], NORMAL, rtol=1e-10)


@pytest.mark.parametrize("name", SOLVERS)
def test_descent(name):
    w, certificate = SOLVERS[name].minimize(objective, jnp.zeros(4), tolerance=1e-14)
    np.testing.assert_allclose(w, NORMAL, rtol=1e-9)
    assert float(certificate.objective) == pytest.approx(float(objective(NORMAL)), rel=1e-12)


def test_stochastic_gradients_with_a_rate_that_falls_and_the_mean_of_the_iterates():
    def loss(w, x, y):
        return (x @ w - y) ** 2 / 2

    rate = first_order.polynomial_decay(0.05, steps=40_000, power=1.0)
    optimizer = averaging.averaged(first_order.sgd(rate))
    state = stochastic.init(jax.random.key(0), jnp.zeros(4), optimizer)
    state, losses = stochastic.run(loss, optimizer, state, X, Y, batch_size=16, steps=40_000)
    np.testing.assert_allclose(state.params, NORMAL, atol=5e-3)
    assert float(losses[-1000:].mean()) == pytest.approx(float(objective(NORMAL)) / 200, rel=0.1)
