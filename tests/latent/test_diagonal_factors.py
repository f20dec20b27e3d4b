import math

import jax
import numpy as np
import pytest

from mlmath.latent import dense_factors, diagonal_factors

V = np.array([[0.5, 2.0, 3.0], [1.0, 0.3, 4.0]])


def matrices(v):
    return np.stack([np.diag(np.broadcast_to(row, 3)) for row in v])


@pytest.mark.parametrize("v", [V, V[:, :1]], ids=["of each feature", "of all features"])
def test_the_functions_are_those_of_diagonal_matrices(v):
    rng = np.random.default_rng(0)
    C, x = matrices(v), rng.normal(size=(2, 3))
    s, L = diagonal_factors.factor(v, v), dense_factors.factor(C, dense_factors.diagonal(C))
    u, U = diagonal_factors.inverse(s), dense_factors.inverse(L)
    other = 1.5 * v[::-1]
    m, M = diagonal_factors.factor(other, other), np.sqrt(matrices(other))
    for name in ("log_determinant",):
        np.testing.assert_allclose(
            getattr(diagonal_factors, name)(s, 3), getattr(dense_factors, name)(L, 3), rtol=1e-12
        )
    np.testing.assert_allclose(
        diagonal_factors.divergence(u, m, 3), dense_factors.divergence(U, M, 3), rtol=1e-12
    )
    np.testing.assert_allclose(
        diagonal_factors.trace(u, other, 3), dense_factors.trace(U, matrices(other), 3), rtol=1e-12
    )
    for name in ("apply", "apply_transposed"):
        np.testing.assert_allclose(
            getattr(diagonal_factors, name)(s, x), getattr(dense_factors, name)(L, x), rtol=1e-12
        )
    ours = diagonal_factors.quadratic(u, 3) @ diagonal_factors.features(x.T)
    right = dense_factors.quadratic(U, 3) @ dense_factors.features(x.T)
    np.testing.assert_allclose(ours, right, rtol=1e-12)
    np.testing.assert_allclose(diagonal_factors.covariance(s), v, rtol=1e-12)
    np.testing.assert_allclose(diagonal_factors.compose(s, u), np.ones_like(v), rtol=1e-12)
    np.testing.assert_allclose(diagonal_factors.congruent(u[:1], v), v / v[:1], rtol=1e-12)


@pytest.mark.parametrize("v", [V, V[:, :1]], ids=["of each feature", "of all features"])
def test_the_slope_is_the_derivative_of_its_definition(v):
    u, A, mass, e = 1 / np.sqrt(v), 4 * v[::-1], np.array([3.0, 5.0]), 0.1 * np.ones_like(v)

    def value(e):
        w = diagonal_factors.displaced(u, e)
        quadratic = jax.numpy.sum(w**2 * A) / 2 * (3 // v.shape[1])
        return quadratic - mass @ diagonal_factors.log_determinant(w, 3)

    np.testing.assert_allclose(
        diagonal_factors.slope(u, e, A, mass, 3), jax.grad(value)(e), rtol=1e-12
    )


def test_what_rounding_may_have_made_has_no_factor():
    found = diagonal_factors.factor(np.array([[1e-16, 1.0, -1.0]]), np.ones((1, 3)))
    np.testing.assert_array_equal(found, [[np.nan, 1, np.nan]])
    either = np.finfo(float).eps * np.array([[10.0, 60.0]])  # side of 16 ε
    found = diagonal_factors.factor(either, np.ones((1, 2)))
    np.testing.assert_allclose(found, [[np.nan, math.sqrt(either[0, 1])]], rtol=1e-12)


def test_the_small_functions():
    x = np.array([[1.0, 2.0]])
    np.testing.assert_array_equal(diagonal_factors.outer(x), x**2)
    np.testing.assert_array_equal(diagonal_factors.second(x, 2), x)
    np.testing.assert_array_equal(diagonal_factors.diagonal(x), x)
    np.testing.assert_array_equal(diagonal_factors.identity(2), np.ones((1, 2)))
    assert diagonal_factors.per(x[0]).shape == (2, 1)
    assert diagonal_factors.freedom(4) == 4


def test_sums_of_features_are_those_of_each_column():
    rng = np.random.default_rng(0)
    X, s = rng.normal(size=(3, 20)), rng.uniform(size=20)
    np.testing.assert_allclose(
        diagonal_factors.feature_sums(X, s), diagonal_factors.features(X) @ s, rtol=1e-12
    )
