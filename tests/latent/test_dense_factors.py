import jax
import numpy as np
import pytest

from mlmath.latent import dense_factors


@pytest.fixture(scope="module")
def stack():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(2, 3, 3))
    return A @ np.swapaxes(A, 1, 2) + 0.5 * np.eye(3), rng


def test_factor_and_inverse_undo_each_other(stack):
    C, _ = stack
    L = dense_factors.factor(C, dense_factors.diagonal(C))
    np.testing.assert_allclose(dense_factors.covariance(L), C, rtol=1e-12)
    np.testing.assert_allclose(
        dense_factors.compose(dense_factors.inverse(L), L),
        np.tile(np.eye(3), (2, 1, 1)),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        dense_factors.log_determinant(L, 3), np.linalg.slogdet(C)[1] / 2, rtol=1e-12
    )


def test_half_a_squared_distance_is_linear_in_the_features(stack):
    """Eq. (1)."""
    C, rng = stack
    x, m = rng.normal(size=3), rng.normal(size=(2, 3))
    L = dense_factors.factor(C, dense_factors.diagonal(C))
    U = dense_factors.inverse(L)
    z = dense_factors.apply(U, m)
    linear = dense_factors.apply_transposed(U, z)
    F = dense_factors.features(x[:, None])[:, 0]
    ours = dense_factors.quadratic(U, 3) @ F + linear @ x - (z**2).sum(1) / 2
    right = [-(x - m[j]) @ np.linalg.solve(C[j], x - m[j]) / 2 for j in range(2)]
    np.testing.assert_allclose(ours, right, rtol=1e-10)
    np.testing.assert_allclose(dense_factors.second(F[None], 3)[0], np.outer(x, x), rtol=1e-14)
    np.testing.assert_allclose(dense_factors.outer(x[None])[0], np.outer(x, x), rtol=1e-14)


def test_the_divergence_is_its_definition_and_keeps_its_digits(stack):
    """Eq. (2)."""
    C, rng = stack
    L = dense_factors.factor(C, dense_factors.diagonal(C))
    U = dense_factors.inverse(L)
    D = C[::-1]
    ratio = np.linalg.solve(C, D)
    right = np.trace(ratio, axis1=1, axis2=2) - 3 - np.log(np.linalg.det(ratio))
    there = dense_factors.factor(D, dense_factors.diagonal(D))
    np.testing.assert_allclose(dense_factors.divergence(U, there, 3), right, rtol=1e-10)
    np.testing.assert_allclose(
        dense_factors.trace(U, D, 3), np.trace(ratio, axis1=1, axis2=2), rtol=1e-10
    )
    E = np.tril(rng.normal(size=(2, 3, 3)))
    for h in (1e-3, 1e-7):
        near = dense_factors.inverse(dense_factors.displaced(U, -h * E))
        size = (np.tril(E, -1) ** 2).sum((1, 2)) + 2 * (np.einsum("kii->ki", E) ** 2).sum(1)
        np.testing.assert_allclose(
            dense_factors.divergence(U, near, 3) / h**2, size, rtol=10 * h + 1e-6
        )


def test_the_slope_is_the_derivative_of_its_definition(stack):
    C, rng = stack
    U = dense_factors.inverse(dense_factors.factor(C, dense_factors.diagonal(C)))
    A, mass, E = C[::-1] * 4, np.array([3.0, 5.0]), 0.1 * rng.normal(size=(2, 3, 3))

    def value(E):
        V = dense_factors.displaced(U, E)
        above = jax.numpy.sum(jax.numpy.triu(E, 1) ** 2) / 2
        quadratic = jax.numpy.sum((V @ A) * V) / 2
        return quadratic - mass @ dense_factors.log_determinant(V, 3) + above

    np.testing.assert_allclose(
        dense_factors.slope(U, E, A, mass, 3), jax.grad(value)(E), rtol=1e-10, atol=1e-12
    )


def test_what_rounding_may_have_made_has_no_factor():
    C = np.array([[[1.0, 1.0], [1.0, 1.0 + 1e-15]], [[1.0, 0.0], [0.0, 1.0]]])
    L = dense_factors.factor(C, dense_factors.diagonal(C))
    assert np.isnan(L[0]).all()
    np.testing.assert_array_equal(L[1], np.eye(2))
    assert np.isnan(dense_factors.factor(C[1:], np.full((1, 2), 1e15))).all()
    for many, there in ((10, False), (60, True)):  # ε on either side of 16 ε
        C[0, 1, 1] = 1 + many * np.finfo(float).eps
        assert np.isfinite(dense_factors.factor(C[:1], np.ones((1, 2)))).all() == there


def test_a_matrix_and_its_mirror_image_are_averaged(stack):
    C, rng = stack
    A = C + np.triu(rng.normal(size=(3, 3)), 1) * 0.1
    mean = (A + np.swapaxes(A, 1, 2)) / 2
    size = dense_factors.diagonal(C)
    np.testing.assert_allclose(
        dense_factors.factor(A, size), dense_factors.factor(mean, size), rtol=1e-12
    )


def test_one_factor_serves_all_rows(stack):
    C, rng = stack
    v = rng.normal(size=(4, 3))
    np.testing.assert_allclose(dense_factors.apply(C[:1], v), v @ C[0].T)
    np.testing.assert_allclose(dense_factors.congruent(C[:1], C), C[0] @ C @ C[0].T)
    np.testing.assert_array_equal(dense_factors.per(np.arange(2.0)).shape, (2, 1, 1))
    np.testing.assert_array_equal(dense_factors.identity(3)[0], np.eye(3))
    assert dense_factors.freedom(4) == 10


def test_sums_of_features_are_those_of_each_column(stack):
    _, rng = stack
    X, s = rng.normal(size=(3, 20)), rng.uniform(size=20)
    np.testing.assert_allclose(
        dense_factors.feature_sums(X, s), dense_factors.features(X) @ s, rtol=1e-12
    )
