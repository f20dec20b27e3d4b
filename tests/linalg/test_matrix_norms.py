"""Norms of matrices against singular values; derivatives where these vanish or repeat."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from mlmath.linalg import matrix_norms

NORMS = {
    "frobenius": matrix_norms.frobenius,
    "spectral": matrix_norms.spectral,
    "nuclear": matrix_norms.nuclear,
}
norms = pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
shapes = pytest.mark.parametrize("shape", [(4, 3), (3, 4), (3, 3), (4, 1), (1, 4)])


def matrix(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def with_values(values, n=5, d=4, seed=0):
    """A matrix of these singular values, and its singular vectors."""
    rng = np.random.default_rng(seed)
    k = len(values)
    U = np.linalg.qr(rng.normal(size=(n, n)))[0][:, :k]
    V = np.linalg.qr(rng.normal(size=(d, d)))[0][:, :k]
    return U * np.array(values) @ V.T, U, V


@shapes
def test_values_are_those_of_the_singular_values(shape):
    A = matrix(shape)
    naive = np.sqrt(sum(a * a for row in A for a in row))
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(A.T @ A), 0))
    np.testing.assert_allclose(matrix_norms.frobenius(A), naive, rtol=1e-14)
    np.testing.assert_allclose(matrix_norms.spectral(A), values.max(), rtol=1e-13)
    np.testing.assert_allclose(matrix_norms.nuclear(A), np.linalg.norm(A, "nuc"), rtol=1e-13)


def test_the_spectral_norm_bounds_every_stretch_and_is_reached():
    A, U, V = with_values([3.0, 2.0, 0.5])
    x = np.random.default_rng(1).normal(size=(100, 4))
    stretch = np.linalg.norm(x @ A.T, axis=1) / np.linalg.norm(x, axis=1)
    assert (stretch <= matrix_norms.spectral(A)).all()
    np.testing.assert_allclose(np.linalg.norm(A @ V[:, 0]), matrix_norms.spectral(A), rtol=1e-14)
    assert U.shape == (5, 3)


@norms
def test_a_norm_does_not_change_under_rotations_and_obeys_the_triangle(norm):
    A, B = matrix((4, 3)), matrix((4, 3), 1)
    Q, R = np.linalg.qr(matrix((4, 4), 2))[0], np.linalg.qr(matrix((3, 3), 3))[0]
    np.testing.assert_allclose(norm(Q @ A @ R), norm(A), rtol=1e-14)
    assert norm(A + B) <= norm(A) + norm(B)
    np.testing.assert_allclose(norm(-2.5 * A), 2.5 * norm(A), rtol=1e-14)


def test_gradients_are_their_formulas():
    A, U, V = with_values([3.0, 2.0, 0.5, 0.1])
    for norm, expected in [
        (matrix_norms.frobenius, A / np.linalg.norm(A)),
        (matrix_norms.spectral, np.outer(U[:, 0], V[:, 0])),
        (matrix_norms.nuclear, U @ V.T),
    ]:
        np.testing.assert_allclose(jax.grad(norm)(A), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("values", [[3.0, 1.0], [2.0], [2.0, 2.0], [1.0, 1.0, 1.0]])
def test_at_a_deficient_rank_the_nuclear_gradient_is_that_of_the_values_above_zero(values):
    A, U, V = with_values(values)
    for B, expected in [(A, U @ V.T), (A.T, V @ U.T)]:
        found = jax.grad(matrix_norms.nuclear)(B)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
        assert np.isfinite(jax.hessian(matrix_norms.nuclear)(B)).all()


def test_derivatives_at_a_deficient_rank_are_those_along_its_matrices():
    rng = np.random.default_rng(3)
    left, right = rng.normal(size=(5, 2)), rng.normal(size=(4, 2))

    def along(left, right):
        return matrix_norms.nuclear(left @ right.T)

    check_grads(along, (left, right), 2, eps=1e-4, atol=1e-5, rtol=1e-5)


@norms
def test_at_zero_a_norm_and_its_derivatives_are_zero(norm):
    for shape in [(3, 2), (2, 3)]:
        zero = jnp.zeros(shape)
        assert norm(zero) == 0
        np.testing.assert_array_equal(jax.grad(norm)(zero), 0)
        np.testing.assert_array_equal(jax.hessian(norm)(zero), 0)


@norms
@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (1, 3)])
def test_derivatives_are_finite_differences(norm, shape):
    check_grads(norm, (matrix(shape),), 2, eps=1e-4, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm", [matrix_norms.spectral, matrix_norms.nuclear])
def test_third_derivatives_are_finite_differences(norm):
    A, D, h = matrix((3, 2)), matrix((3, 2), 1), 1e-5

    def slope(t):
        return jax.grad(lambda t: norm(A + t * D))(t)

    second = jax.jit(jax.jacfwd(slope))
    third = jax.jit(jax.jacfwd(jax.jacfwd(slope)))(0.0)
    np.testing.assert_allclose(third, (second(h) - second(-h)) / (2 * h), rtol=1e-6)


def test_values_that_repeat_do_no_harm():
    spectral, _, _ = with_values([3.0, 1.0, 1.0, 0.0])
    nuclear, _, _ = with_values([2.0, 2.0, 2.0, 1.0])
    check_grads(matrix_norms.spectral, (spectral,), 2, eps=1e-4, atol=1e-5, rtol=1e-5)
    check_grads(matrix_norms.nuclear, (nuclear,), 2, eps=1e-4, atol=1e-5, rtol=1e-5)
    tied, U, V = with_values([2.0, 2.0, 1.0])
    slope = np.asarray(jax.grad(matrix_norms.spectral)(tied))
    np.testing.assert_allclose(np.linalg.norm(slope), 1, rtol=1e-13)
    np.testing.assert_allclose((slope * tied).sum(), 2, rtol=1e-13)  # a subgradient
    np.testing.assert_array_equal(jax.grad(matrix_norms.spectral)(np.eye(3)).sum(), 1)
    assert U.shape[1] == V.shape[1]


@norms
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_norms_and_derivatives_keep_the_range_of_the_dtype(norm, dtype, size):
    A = matrix((4, 3)).astype(dtype)
    scaled, eps = A * dtype(size), np.finfo(dtype).eps
    assert norm(scaled).dtype == dtype
    np.testing.assert_allclose(norm(scaled) / size, norm(A), rtol=20 * eps)
    np.testing.assert_allclose(jax.grad(norm)(scaled), jax.grad(norm)(A), rtol=0, atol=50 * eps)
    curvature = jax.hessian(norm)(scaled) * dtype(size)
    np.testing.assert_allclose(curvature, jax.hessian(norm)(A), rtol=0, atol=500 * eps)


@norms
def test_what_is_not_a_number_shows(norm):
    A = matrix((3, 2))
    A[1, 1] = np.nan
    assert jnp.isnan(norm(A))
    assert jnp.isnan(jax.grad(norm)(A)).any()


@norms
def test_a_compiled_batch_is_a_loop(norm):
    batch = matrix((3, 4, 3))
    batch[1] = 0
    found = jax.jit(jax.vmap(jax.value_and_grad(norm)))(batch)
    for A, value, slope in zip(batch, *found, strict=True):
        np.testing.assert_allclose(value, norm(A), rtol=1e-13)
        np.testing.assert_allclose(slope, jax.grad(norm)(A), rtol=1e-12, atol=1e-14)


def test_an_empty_matrix_is_refused():
    for norm in (matrix_norms.spectral, matrix_norms.nuclear):
        with pytest.raises(ValueError, match="at least one row and one column"):
            norm(np.zeros((0, 3)))
    assert matrix_norms.frobenius(np.zeros((0, 3))) == 0


@pytest.mark.parametrize("norm", [matrix_norms.spectral, matrix_norms.nuclear])
def test_all_products_are_at_full_precision_in_derivatives_too(norm):
    text = str(jax.make_jaxpr(jax.hessian(lambda A: norm(A)))(matrix((3, 2)).astype(np.float32)))
    products = re.findall(r"dot_general\[.*?\n *\]", text, flags=re.DOTALL)
    assert len(products) > 5
    assert all("HIGHEST" in product for product in products), products
