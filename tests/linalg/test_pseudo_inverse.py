"""Orthogonal factors and roots of pseudo-inverses against their equations and numpy."""

import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.linalg import pseudo_inverse


def unit_columns(condition, n=50, d=5, seed=0):
    rng = np.random.default_rng(seed)
    U, V = np.linalg.qr(rng.normal(size=(n, d)))[0], np.linalg.qr(rng.normal(size=(d, d)))[0]
    A = U * np.geomspace(1, 1 / condition, d) @ V
    return A / np.linalg.norm(A, axis=0)


@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8, 1e12])
def test_factors_are_those_of_the_matrix_and_orthonormal(condition):
    A = unit_columns(condition)
    Q, T, M = pseudo_inverse.orthogonalise(A)
    assert np.linalg.norm(Q @ T @ M - A) <= 1e-14
    orthonormal = np.asarray(Q @ T)
    assert np.linalg.norm(orthonormal.T @ orthonormal - np.eye(5)) <= 1e-13


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e10])
def test_singular_values_keep_digits_that_the_gram_matrix_has_lost(condition):
    A = unit_columns(condition)
    _, _, M = pseudo_inverse.orthogonalise(A)
    found = np.linalg.svd(M, compute_uv=False)
    np.testing.assert_allclose(
        found, np.linalg.svd(A, compute_uv=False), rtol=1e-15 * condition * 10
    )


@pytest.mark.parametrize("n", [50, 3])
def test_root_is_that_of_the_pseudo_inverse_in_the_units_of_the_matrix(n):
    A = unit_columns(10.0)[:n]
    A = np.c_[A, A[:, 0], 0 * A[:, 0]]
    scale = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    B = A / scale
    M = A if n < 7 else pseudo_inverse.orthogonalise(A).M
    found = pseudo_inverse.root(jnp.asarray(M), scale)
    W = np.asarray(found.root)
    assert found.rank == min(n, 5)
    np.testing.assert_allclose(W @ W.T, np.linalg.pinv(B.T @ B, rcond=1e-10), rtol=1e-9, atol=1e-12)
    if n < 7:
        np.testing.assert_allclose(W.T @ B.T, np.asarray(found.left).T, atol=1e-12)


def test_rank_is_decided_at_rounding():
    A, other = np.split(unit_columns(1.0, d=4), [3], axis=1)
    near = A[:, 0] + 1e-12 * other[:, 0]
    for column, rank in [(near, 4), (A[:, 0], 3), (0 * near, 3)]:
        M = pseudo_inverse.orthogonalise(np.c_[A, column]).M
        assert pseudo_inverse.root(M, jnp.ones(4)).rank == rank


def test_of_nothing_the_pseudo_inverse_is_nothing():
    found = pseudo_inverse.root(pseudo_inverse.orthogonalise(np.zeros((5, 2))).M, jnp.ones(2))
    assert found.rank == 0
    np.testing.assert_array_equal(found.root, 0)
