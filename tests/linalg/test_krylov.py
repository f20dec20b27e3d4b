"""Conjugate gradients: the recursion, the best of each Krylov space, and where it ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.sparse.linalg

from mlmath.linalg import krylov

RNG = np.random.default_rng(1)
_A = RNG.normal(size=(8, 8))
A, B = jnp.asarray(_A @ _A.T + np.eye(8)), jnp.asarray(RNG.normal(size=8))


def test_conjugate_gradients_solve_the_system():
    x = krylov.conjugate_gradients(lambda v: A @ v, B)
    np.testing.assert_allclose(x, np.linalg.solve(A, B), rtol=1e-10)


@pytest.mark.parametrize("distinct", [1, 2, 3])
def test_conjugate_gradients_need_as_many_steps_as_there_are_eigenvalues(distinct):
    q = np.linalg.qr(RNG.normal(size=(9, 9)))[0]
    a = jnp.asarray(q * np.repeat([1.0, 5.0, 20.0][:distinct], 9 // distinct + 1)[:9] @ q.T)
    b = jnp.asarray(RNG.normal(size=9))
    exact = np.linalg.solve(a, b)
    enough = krylov.conjugate_gradients(lambda v: a @ v, b, max_steps=distinct)
    np.testing.assert_allclose(enough, exact, rtol=1e-9)
    if distinct > 1:
        few = krylov.conjugate_gradients(lambda v: a @ v, b, max_steps=distinct - 1)
        assert np.linalg.norm(few - exact) > 1e-3 * np.linalg.norm(exact)


def test_the_exact_preconditioner_needs_one_step():
    inverse = jnp.linalg.inv(A)
    x = krylov.conjugate_gradients(
        lambda v: A @ v, B, preconditioner=lambda r: inverse @ r, max_steps=1
    )
    np.testing.assert_allclose(x, np.linalg.solve(A, B), rtol=1e-9)


def test_zero_right_hand_side_gives_zero():
    np.testing.assert_array_equal(krylov.conjugate_gradients(lambda v: A @ v, 0 * B), 0)


def test_a_singular_system_in_range_is_solved():
    a = A.at[:, 0].set(0).at[0].set(0)
    b = B.at[0].set(0)
    x = krylov.conjugate_gradients(lambda v: a @ v, b)
    np.testing.assert_allclose(a @ x, b, atol=1e-10)
    assert float(x[0]) == 0


@pytest.mark.parametrize("k", [1, 3])
def test_an_iterate_is_the_best_of_its_krylov_space(k):
    """Eq. (1), by a basis of the space and least squares in the norm of A; SciPy's iterate too."""
    M = np.diag(np.diagonal(A))
    v, basis = np.linalg.solve(M, B), []
    for _ in range(k):
        basis.append(v)
        v = np.linalg.solve(M, A @ v)
    V = np.array(basis).T
    best = V @ np.linalg.solve(V.T @ A @ V, V.T @ B)
    found = krylov.conjugate_gradients(
        lambda v: A @ v, B, preconditioner=lambda r: r / jnp.diagonal(A), max_steps=k
    )
    np.testing.assert_allclose(found, best, rtol=1e-9)
    peer, _ = scipy.sparse.linalg.cg(
        np.asarray(A), np.asarray(B), M=np.linalg.inv(M), maxiter=k, rtol=1e-15
    )
    np.testing.assert_allclose(found, peer, rtol=1e-12)


def test_it_ends_at_the_tolerance_in_the_norm_of_the_preconditioner():
    """Eq. (2): the first iterate with rᵀM⁻¹r ≤ η² bᵀM⁻¹b."""

    def solve(**limit):
        return krylov.conjugate_gradients(
            lambda v: A @ v, B, preconditioner=lambda r: r / jnp.diagonal(A), **limit
        )

    def length(x):
        r = B - A @ x
        return float(jnp.sqrt(r @ (r / jnp.diagonal(A))))

    path = [solve(max_steps=k) for k in range(9)]
    first = next(k for k, x in enumerate(path) if length(x) <= 0.1 * length(0 * B))
    assert 1 < first < 8
    np.testing.assert_array_equal(solve(tolerance=0.1), path[first])


def test_a_missing_number_shows():
    assert np.isnan(krylov.conjugate_gradients(lambda v: A @ v, B.at[2].set(jnp.nan))).all()


def test_where_the_map_is_not_positive_it_stays():
    np.testing.assert_array_equal(krylov.conjugate_gradients(lambda v: -A @ v, B), 0)


@pytest.mark.parametrize("unit", [1e-30, 1e-20, 1e20, 1e30])
def test_the_unit_of_the_right_hand_side_does_not_matter(unit):
    A = np.array([[2.0, 1.0], [1.0, 3.0]], np.float32)
    b = np.float32(unit) * np.array([3.0, 4.0], np.float32)
    np.testing.assert_allclose(krylov.conjugate_gradients(lambda v: A @ v, b) / unit, 1, rtol=1e-6)


@pytest.mark.parametrize("factor", [np.nan, np.inf])
def test_a_product_that_is_not_finite_shows(factor):
    assert np.isnan(krylov.conjugate_gradients(lambda v: v * factor, jnp.ones(2))).all()


def products(matrix, b, **limit):
    """How many products with the matrix are taken."""
    taken = []
    with jax.disable_jit():
        krylov.conjugate_gradients(lambda v: taken.append(0) or matrix @ v, b, **limit)
    return len(taken)


def test_where_the_map_is_not_positive_it_ends():
    assert products(-A, B) == 1


def test_there_are_at_most_ten_products_for_each_number():
    hilbert = jnp.asarray(scipy.linalg.hilbert(6))
    assert products(hilbert, jnp.ones(6), tolerance=0.0) == 60
    assert products(hilbert, jnp.ones(6), tolerance=0.0, max_steps=5) == 5
