"""The plane: eq. (1), (2), and that the three methods which share it mean the same by it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import mlmath
from mlmath.linear import adaline, least_squares, plane, ridge

three = pytest.mark.parametrize("method", [adaline, least_squares, ridge], ids=lambda m: m.__name__)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 4))
    return X, X @ [1.0, -2.0, 0.5, 0.0] + 0.7 + 0.1 * rng.normal(size=30)


def test_prediction_and_loss_are_their_definitions(data):
    X, y = data
    w, b = np.array([0.3, -0.1, 0.7, 2.0]), 1.5
    params = plane.Params(jnp.asarray(w), jnp.asarray(b))
    for x, target in zip(X, y, strict=True):
        z = sum(w[j] * x[j] for j in range(4)) + b  # (1)
        np.testing.assert_allclose(plane.predict(params, x), z, rtol=1e-12)
        loss = plane.loss(params, x, target)
        np.testing.assert_allclose(loss, (target - z) ** 2 / 2, rtol=1e-12)  # (2)


def test_the_gradient_of_the_loss_is_minus_the_error_times_the_example(data):
    X, y = data
    params = plane.Params(jnp.arange(4.0), jnp.asarray(-1.0))
    slope = jax.grad(plane.loss)(params, X[0], y[0])
    error = y[0] - X[0] @ np.arange(4.0) + 1
    np.testing.assert_allclose(slope.weights, -error * X[0], rtol=1e-12)
    np.testing.assert_allclose(slope.bias, -error, rtol=1e-12)


def test_predictions_are_those_of_scikit_learn(data):
    X, y = data
    peer = LinearRegression().fit(X, y)
    params = plane.Params(jnp.asarray(peer.coef_), jnp.asarray(peer.intercept_))
    ours = mlmath.rows(plane.predict)(params, X)
    np.testing.assert_allclose(ours, peer.predict(X), rtol=1e-12)


@three
def test_a_method_without_penalty_sums_the_loss(method, data):
    X, y = data
    s = np.random.default_rng(1).integers(0, 3, size=30).astype(float)
    params = method.Params(jnp.arange(4.0), jnp.asarray(-1.0))
    total = s @ mlmath.rows(method.loss)(params, X, y)
    penalty = {"l2": 0.0} if method is ridge else {}
    found = method.objective(params, X, y, sample_weight=s, **penalty)
    np.testing.assert_allclose(found, total, rtol=1e-12)


@three
def test_what_one_method_has_fitted_is_a_start_for_another(method, data):
    X, y = data
    fitted = method.fit(X, y).params
    again = adaline.fit(X, y, start=fitted, epochs=0)
    np.testing.assert_array_equal(again.params.weights, fitted.weights)
    np.testing.assert_array_equal(again.params.bias, fitted.bias)


def test_rounding_is_equation_3():
    params = plane.Params(jnp.array([1.0, -2.0], jnp.float32), jnp.array(-5.0, jnp.float32))
    found = plane.rounding(params, jnp.array([10.0, 100.0], jnp.float32))
    np.testing.assert_allclose(found, (2.0**-23 * (10 + 200 + 5)) ** 2 / 2, rtol=1e-6)


@pytest.mark.parametrize("module", [ridge, least_squares])
@pytest.mark.parametrize("far", [1e4, 1e6])
def test_a_bias_that_float32_cannot_hold_is_in_the_gap(module, far):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2)).astype(np.float32)
    y = (X @ [1.0, 2.0] + rng.normal(size=60) + far).astype(np.float32)
    fitted = module.fit(X, y)
    double = X.astype(float), y.astype(float)
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), fitted.params)
    best = module.fit(*double).certificate.objective
    null = ((double[1] - double[1].mean()) ** 2).sum() / 2
    excess = float(module.objective(params, *double) - best) / null
    assert excess <= float(fitted.certificate.gap)
    assert not fitted.certificate.converged or excess < 1e-6
