"""Projections: their laws, their definitions by pseudo-inverses, and derivatives at any rank."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from jax.test_util import check_grads

from mlmath.linalg import projections

floats = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def low(n, d, rank, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d))


def vector(n, seed=5):
    return np.random.default_rng(seed).normal(size=n)


CASES = [(6, 3, 3), (6, 3, 2), (3, 6, 3), (3, 6, 2), (4, 4, 1), (4, 1, 1), (1, 4, 1), (3, 2, 0)]
cases = pytest.mark.parametrize("case", CASES, ids=str)


def matrix_of(project, n):
    return np.asarray(jax.vmap(project)(jnp.eye(n))).T


def lawful(P, rank):
    np.testing.assert_allclose(P @ P, P, atol=1e-14)
    np.testing.assert_allclose(P, P.T, atol=1e-14)
    np.testing.assert_allclose(np.trace(P), rank, atol=1e-13)


def test_onto_a_vector_is_its_definition():
    x, v = vector(4), vector(4, 6)
    expected = v * (v @ x) / (v @ v)
    np.testing.assert_allclose(projections.onto_vector(x, v), expected, rtol=1e-14)
    lawful(matrix_of(lambda x: projections.onto_vector(x, v), 4), 1)
    np.testing.assert_array_equal(projections.onto_vector(x, 0 * v), 0)
    np.testing.assert_array_equal(
        jax.jacobian(projections.onto_vector, 1)(x, 0 * v), 0
    )  # no derivative exists
    check_grads(projections.onto_vector, (x, v), 2, eps=1e-4, atol=1e-6, rtol=1e-6)


@floats
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_units_do_not_matter(size, dtype):
    x, v, A = (a.astype(dtype) for a in (vector(4), vector(4, 6), low(4, 2, 2)))
    close = dict(rtol=0, atol=20 * np.finfo(dtype).eps)
    size = dtype(size)
    for f, other in [
        (projections.onto_vector, v),
        (projections.onto_columns, A),
        (lambda _, A: projections.gram_schmidt(A), A),
    ]:
        assert f(x, size * other).dtype == dtype
        np.testing.assert_allclose(f(x, size * other), f(x, other), **close)
    units = np.array([size, 1], dtype)
    scaled = projections.onto_columns(x, A * units)
    np.testing.assert_allclose(scaled, projections.onto_columns(x, A), **close)
    b = A.T @ x
    scaled = projections.onto_affine(0 * x, A.T * units[:, None], b * units)
    np.testing.assert_allclose(scaled, projections.onto_affine(0 * x, A.T, b), **close)


@cases
def test_onto_columns_is_a_projection_on_their_span(case):
    n, d, rank = case
    A, x = low(*case), vector(n)
    P = matrix_of(lambda x: projections.onto_columns(x, A), n)
    lawful(P, rank)
    np.testing.assert_allclose(P, A @ np.linalg.pinv(A, rcond=1e-10), atol=1e-13)
    np.testing.assert_allclose(A.T @ (x - projections.onto_columns(x, A)), 0, atol=1e-13)
    np.testing.assert_allclose(P @ A, A, atol=1e-13)
    assert P.shape == (n, n)
    assert A.shape == (n, d)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    A=arrays.arrays(np.float64, (4, 3), elements=st.integers(-3, 3).map(float)),
    x=arrays.arrays(np.float64, 4, elements=st.integers(-9, 9).map(float)),
)
def test_whatever_the_columns_the_residual_is_orthogonal_and_twice_is_once(A, x):
    y = projections.onto_columns(x, A)
    np.testing.assert_allclose(projections.onto_columns(y, A), y, atol=1e-12)
    np.testing.assert_allclose(A.T @ (x - y), 0, atol=1e-12)
    Q = np.asarray(projections.gram_schmidt(A))
    np.testing.assert_allclose(Q @ (Q.T @ x), y, atol=1e-12)
    assert np.abs(Q).any(axis=0).sum() == np.linalg.matrix_rank(A)


def test_nearly_dependent_columns_keep_the_projection_orthogonal():
    A = np.ones((3, 2)) + 1e-9 * np.array([[0, 0], [0, 1], [0, 0]])
    P = matrix_of(lambda x: projections.onto_columns(x, A), 3)
    lawful(P, 2)  # the normal equations have condition 1e18
    np.testing.assert_allclose(P[[0, 2]][:, [0, 2]], 0.5, atol=1e-6)
    coarse = matrix_of(lambda x: projections.onto_columns(x, A, tolerance=1e-6), 3)
    lawful(coarse, 1)


@cases
def test_onto_an_affine_set_is_its_nearest_point(case):
    A, x = low(*case), vector(case[1])
    b = A @ vector(case[1], 7)
    found = projections.onto_affine(x, A, b)
    pinv = np.linalg.pinv(A, rcond=1e-10)
    np.testing.assert_allclose(found, x - pinv @ (A @ x - b), atol=1e-12)
    np.testing.assert_allclose(A @ found, b, atol=1e-12)
    np.testing.assert_allclose(projections.onto_affine(found, A, b), found, atol=1e-12)
    null = np.eye(case[1]) - pinv @ A
    np.testing.assert_allclose(null @ (x - found), 0, atol=1e-12)  # orthogonal to the set
    linear = matrix_of(lambda x: projections.onto_affine(x, A, 0 * b), case[1])
    lawful(linear, case[1] - case[2])


@floats
def test_an_empty_set_has_no_nearest_point(dtype):
    A, x = np.array([[1, 1], [2, 2]], dtype), np.array([3, 4], dtype)
    good, bad = np.array([1, 2], dtype), np.array([1, 2.1], dtype)
    np.testing.assert_allclose(projections.onto_affine(x, A, good), [0, 1], atol=1e-5)
    assert jnp.isnan(projections.onto_affine(x, A, bad)).all()
    assert jnp.isnan(projections.onto_affine(x, 0 * A, bad)).all()
    assert jnp.isnan(jax.jacobian(projections.onto_affine)(x, A, bad)).all()


def test_gram_schmidt_is_qr_with_a_positive_diagonal():
    A = low(6, 4, 4)
    Q = np.asarray(projections.gram_schmidt(A))
    expected, R = np.linalg.qr(A)
    np.testing.assert_allclose(Q, expected * np.sign(np.diag(R)), atol=1e-13)
    np.testing.assert_allclose(Q.T @ Q, np.eye(4), atol=1e-14)
    assert (np.diag(Q.T @ A) > 0).all()
    np.testing.assert_allclose(np.tril(Q.T @ A, -1), 0, atol=1e-13)
    v = A[:, 1] - Q[:, 0] * (Q[:, 0] @ A[:, 1])
    np.testing.assert_allclose(Q[:, 1], v / np.linalg.norm(v), rtol=1e-12)


@floats
def test_twice_is_enough(dtype):
    """Läuchli's columns, for which once loses all orthogonality."""
    tiny = 10 * np.finfo(dtype).eps ** 0.75
    A = np.vstack([np.ones(3), tiny * np.eye(3)]).astype(dtype)
    Q = projections.gram_schmidt(A, tolerance=0.1 * tiny)
    np.testing.assert_allclose(Q.T @ Q, np.eye(3), atol=4 * np.finfo(dtype).eps)


def test_dependent_columns_come_back_as_zeros():
    a, b = vector(4), vector(4, 6)
    Q = projections.gram_schmidt(np.stack([a, 0 * a, 3 * a, b, a - 2 * b], 1))
    np.testing.assert_array_equal(Q[:, [1, 2, 4]], 0)
    expected = projections.gram_schmidt(np.stack([a, b], 1))
    np.testing.assert_allclose(Q[:, [0, 3]], expected, atol=1e-15)
    near = np.stack([a, a + 1e-5 * b], 1)
    assert (projections.gram_schmidt(near, tolerance=1e-3)[:, 1] == 0).all()
    assert (projections.gram_schmidt(near)[:, 1] != 0).all()
    wide = projections.gram_schmidt(low(2, 5, 2))
    np.testing.assert_array_equal(wide[:, 2:], 0)


def differentiated(f, *args):
    """Along a random direction: forward is reverse is a difference, and so is the second."""
    rng, h = np.random.default_rng(9), 1e-4
    directions = [rng.normal(size=a.shape) for a in args]
    weight = rng.normal(size=jax.eval_shape(f, *args).shape)

    def along(t):
        moved = (a + t * d for a, d in zip(args, directions, strict=True))
        return jnp.sum(weight * f(*moved))

    slope, second = jax.jit(jax.value_and_grad(jax.grad(along)))(0.0)
    forward, forward_second = jax.jit(
        lambda t: (*jax.jvp(jax.grad(along), (t,), (1.0,))[1:], jax.jacfwd(along)(t))
    )(0.0)[::-1]
    low, middle, high = jax.jit(jax.vmap(along))(jnp.array([-h, 0.0, h]))
    np.testing.assert_allclose(slope, (high - low) / (2 * h), rtol=1e-6)
    np.testing.assert_allclose(forward, slope, rtol=1e-11)
    np.testing.assert_allclose(second, (high - 2 * middle + low) / h**2, rtol=1e-5)
    np.testing.assert_allclose(forward_second, second, rtol=1e-10)


def test_derivatives_are_finite_differences():
    A, x, b = low(4, 2, 2), vector(4), vector(2)
    differentiated(projections.onto_columns, x, A)
    differentiated(projections.onto_affine, x, A.T, b)
    differentiated(projections.gram_schmidt, A)


def test_derivatives_at_a_deficient_rank_and_repeated_values():
    rng = np.random.default_rng(2)
    left, right, x = rng.normal(size=(4, 2)), rng.normal(size=(2, 3)), rng.normal(size=4)

    def columns(left, right):
        return projections.onto_columns(x, left @ right)

    def affine(left, right):
        A = left @ right
        return projections.onto_affine(x, A.T, A.T @ jnp.ones(4))

    differentiated(columns, left, right)
    differentiated(affine, left, right)
    differentiated(lambda A: projections.onto_columns(x, A), np.eye(4)[:, :2])
    differentiated(lambda A: projections.onto_affine(x, A.T, x[:2]), np.eye(4)[:, :2])
    dependent = np.stack([x, 2 * x], 1)
    assert np.isfinite(jax.jacobian(projections.gram_schmidt)(dependent)).all()
    for A in (dependent, 0 * dependent):
        assert np.isfinite(jax.jacobian(projections.onto_columns, 1)(x, A)).all()


def test_what_is_not_a_number_shows():
    A, x = low(4, 2, 2), vector(4)
    A[0, 1] = np.nan
    assert jnp.isnan(projections.onto_columns(x, A)).all()
    assert jnp.isnan(projections.onto_affine(x, A.T, x[:2])).any()
    assert jnp.isnan(projections.gram_schmidt(A)[:, 1]).any()


def test_a_compiled_batch_is_a_loop():
    A, x = np.stack([low(4, 3, r, r) for r in (1, 2, 3)]), vector(12).reshape(3, 4)
    found = jax.jit(jax.vmap(projections.onto_columns))(x, A)
    basis = jax.jit(jax.vmap(projections.gram_schmidt))(A)
    for k in range(3):
        np.testing.assert_allclose(found[k], projections.onto_columns(x[k], A[k]), atol=1e-14)
        np.testing.assert_allclose(basis[k], projections.gram_schmidt(A[k]), atol=1e-14)


def test_misfits_are_refused():
    with pytest.raises(Exception, match="onto_columns: A must be a float array"):
        projections.onto_columns(vector(3), low(4, 2, 2))
    with pytest.raises(ValueError, match="at least one row and one column"):
        projections.gram_schmidt(np.zeros((3, 0)))


def test_all_products_are_at_full_precision_in_derivatives_too():
    x, A = vector(4).astype(np.float32), low(4, 2, 2).astype(np.float32)

    def total(x, A):
        sums = projections.onto_columns(x, A), projections.onto_affine(x[:2], A, x)
        return sum(map(jnp.sum, (*sums, projections.gram_schmidt(A))))

    text = str(jax.make_jaxpr(jax.jacfwd(jax.grad(total, 1), 1))(x, A))
    products = re.findall(r"dot_general\[.*?\n *\]", text, flags=re.DOTALL)
    low_ones = [product for product in products if "HIGHEST" not in product]
    assert len(products) > 20
    assert not low_ones, low_ones
