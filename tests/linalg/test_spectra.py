"""Spectra against numpy, their derivatives against formulas, differences and repeated values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.linalg import spectra
from tests.factorisations import side_by_side

RNG = np.random.default_rng(0)
_A = RNG.normal(size=(5, 5))
A = _A + _A.T
E = RNG.normal(size=(5, 5))
W = RNG.normal(size=(5, 5))


def with_values(values, seed=1):
    """Symmetric matrix of these eigenvalues."""
    V = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))[0]
    return V * np.asarray(values) @ V.T


def difference(function, x, direction, h=1e-5):
    return (np.asarray(function(x + h * direction)) - function(x - h * direction)) / (2 * h)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("unit", [1e-20, 1.0, 1e20])
def test_eigh_is_equation_1_at_any_scale(dtype, unit):
    scaled = (A * unit).astype(dtype)
    values, V = spectra.eigh(scaled)
    tolerance = 100 * np.finfo(dtype).eps
    assert values.dtype == V.dtype == dtype
    np.testing.assert_allclose(values / unit, np.linalg.eigvalsh(A)[::-1], atol=tolerance)
    np.testing.assert_allclose(V * (values / unit)[None] @ V.T, A, atol=tolerance)
    np.testing.assert_allclose(V.T @ V, np.eye(5), atol=tolerance)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (4, 4), (1, 1), (1, 3)])
@pytest.mark.parametrize("unit", [1e-20, 1.0, 1e20])
def test_svd_is_equation_2_at_any_scale(shape, unit):
    B = RNG.normal(size=shape)
    U, values, V = spectra.svd((B * unit).astype(np.float32))
    m = min(shape)
    assert U.shape == (shape[0], m)
    assert V.shape == (shape[1], m)
    np.testing.assert_allclose(values / unit, np.linalg.svd(B, compute_uv=False), rtol=1e-5)
    np.testing.assert_allclose(U * (values / unit)[None] @ V.T, B, atol=1e-5)
    np.testing.assert_allclose(U.T @ U, np.eye(m), atol=1e-5)
    np.testing.assert_allclose(V.T @ V, np.eye(m), atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_entry_of_largest_modulus_is_positive(seed):
    B = np.random.default_rng(seed).normal(size=(5, 4))
    for V in (spectra.eigh(B @ B.T).vectors, spectra.svd(B).right, spectra.svd(-B).right):
        V = np.asarray(V)
        assert (V[np.abs(V).argmax(axis=0), np.arange(V.shape[1])] > 0).all()
    np.testing.assert_allclose(spectra.svd(B).right, spectra.svd(-B).right, atol=1e-12)


def test_the_symmetric_part_counts():
    lower = np.tril(RNG.normal(size=(4, 4)))
    found = spectra.eigh(lower).values
    np.testing.assert_allclose(found, np.linalg.eigvalsh((lower + lower.T) / 2)[::-1], rtol=1e-12)


def test_derivatives_of_eigh_are_equation_3_and_differences():
    (values, V), (d_values, d_vectors) = jax.jvp(spectra.eigh, (A,), (E,))
    tilted = V.T @ (E + E.T) / 2 @ V
    omega = [
        [0 if i == j else tilted[i, j] / (values[j] - values[i]) for j in range(5)]
        for i in range(5)
    ]
    np.testing.assert_allclose(d_values, np.diag(tilted), rtol=1e-12)
    np.testing.assert_allclose(d_vectors, V @ np.array(omega), rtol=1e-10)
    for k, found in enumerate((d_values, d_vectors)):
        right = difference(lambda a, k=k: spectra.eigh(a)[k], A, E)
        np.testing.assert_allclose(found, right, atol=1e-7)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_derivatives_of_svd_are_equation_4_and_differences(shape):
    B, direction = RNG.normal(size=(2, *shape))
    (U, values, V), found = jax.jvp(spectra.svd, (B,), (direction,))
    P, m = U.T @ direction @ V, min(shape)
    plus, minus = np.zeros((m, m)), np.zeros((m, m))
    for i in range(m):
        for j in set(range(m)) - {i}:
            apart = (P[i, j] + P[j, i]) / (values[j] - values[i]) / 2
            together = (P[i, j] - P[j, i]) / (values[j] + values[i]) / 2
            plus[i, j], minus[i, j] = apart + together, apart - together
    inverse = np.diag(1 / np.asarray(values))
    left = U @ plus + (np.eye(shape[0]) - U @ U.T) @ direction @ V @ inverse
    right = V @ minus + (np.eye(shape[1]) - V @ V.T) @ direction.T @ U @ inverse
    for k, formula in enumerate((left, np.diag(P), right)):
        np.testing.assert_allclose(found[k], formula, atol=1e-10)
        numeric = difference(lambda b, k=k: spectra.svd(b)[k], B, direction)
        np.testing.assert_allclose(found[k], numeric, atol=1e-6)


def of_eigh(t):
    values, V = spectra.eigh(A + t * E)
    return jnp.sum(jnp.sin(V * values[None]) * W)


def of_svd(t):
    U, values, V = spectra.svd(A[:, :3] + t * E[:, :3])
    return jnp.sum(jnp.sin(U * values[None]) * W[:, :3]) + jnp.sum(V * W[:3, :3])


@pytest.mark.parametrize("function", [of_eigh, of_svd])
def test_both_orders_agree_forward_and_reverse_and_with_differences(function):
    slope = difference(function, 0.1, 1.0)
    for inner in (jax.grad, jax.jacfwd):
        np.testing.assert_allclose(inner(function)(0.1), slope, rtol=1e-6)
        bend = difference(inner(function), 0.1, 1.0)
        for outer in (jax.grad, jax.jacfwd):
            np.testing.assert_allclose(outer(inner(function))(0.1), bend, rtol=1e-6)


REPEATED = [np.eye(4), np.zeros((4, 4)), with_values([3.0, 3.0, 1.0, 1.0]), 1e-20 * np.eye(4)]


@pytest.mark.parametrize("matrix", REPEATED)
def test_a_sum_over_values_has_its_gradient_where_they_repeat(matrix):
    """∇ Σ f(λ) = f′(A): here f(λ) = λ³ + λ."""
    found = jax.grad(lambda a: jnp.sum(spectra.eigh(a).values ** 3 + spectra.eigh(a).values))(
        matrix
    )
    np.testing.assert_allclose(found, 3 * matrix @ matrix + np.eye(4), atol=1e-12)


def test_the_projector_on_a_cluster_has_its_gradient():
    """tr(M P), P on the span of two equal eigenvalues: Σ (M̃ + M̃ᵀ)ᵢⱼ Ẽᵢⱼ / (λᵢ − λⱼ)."""
    matrix, M = with_values([3.0, 3.0, 1.0, 1.0]), W[:4, :4]

    def overlap(a):
        V = spectra.eigh(a).vectors[:, :2]
        return jnp.sum(M * (V @ V.T))

    V = np.asarray(spectra.eigh(matrix).vectors)
    across = (V.T @ (M + M.T) @ V) * np.kron([[0, 1], [1, 0]], np.ones((2, 2))) / (3.0 - 1.0)
    np.testing.assert_allclose(jax.grad(overlap)(matrix), V @ across @ V.T / 2, atol=1e-12)
    direction = E[:4, :4] + E[:4, :4].T
    numeric = difference(overlap, matrix, direction)
    np.testing.assert_allclose(jnp.sum(jax.grad(overlap)(matrix) * direction), numeric, rtol=1e-7)


@pytest.mark.parametrize("values", [[2.0, 2.0, 2.0], [3.0, 1.0, 1.0]])
def test_the_polar_factor_has_its_gradient_where_singular_values_repeat(values):
    B = np.linalg.qr(RNG.normal(size=(5, 3)))[0] * np.array(values) @ np.linalg.qr(W[:3, :3])[0]

    def polar(b):
        U, _, V = spectra.svd(b)
        return jnp.sum(W[:, :3] * (U @ V.T))

    numeric = difference(polar, B, E[:, :3])
    np.testing.assert_allclose(jnp.sum(jax.grad(polar)(B) * E[:, :3]), numeric, rtol=1e-7)


def test_the_nuclear_norm_has_its_gradient_where_values_repeat_and_a_finite_one_at_zero():
    def nuclear(b):
        return jnp.sum(spectra.svd(b).values)

    Q = np.linalg.qr(RNG.normal(size=(5, 3)))[0]
    np.testing.assert_allclose(jax.grad(nuclear)(2 * Q), Q, atol=1e-12)
    rank_one = np.outer(Q[:, 0], [2.0, 0, 0])
    assert np.isfinite(jax.grad(nuclear)(rank_one)).all()
    assert np.isfinite(jax.grad(lambda b: jnp.sum(spectra.svd(b).left))(np.zeros((5, 3)))).all()


def test_what_turns_with_a_cluster_only_where_its_values_differ_is_not_promised():
    """V f(Λ) Vᵀ loses Ẽᵢⱼ within a cluster, as the docstring says; matrix_functions has it."""

    def square(a):
        values, V = spectra.eigh(a)
        return V * values[None] ** 2 @ V.T

    found = jax.jvp(square, (np.eye(4),), (E[:4, :4] + E[:4, :4].T,))[1]
    assert np.abs(found - 2 * (E[:4, :4] + E[:4, :4].T)).max() > 0.1


def test_second_derivatives_at_a_cluster_show_that_they_are_none():
    assert np.isnan(jax.hessian(lambda a: jnp.sum(spectra.eigh(a).values ** 3))(np.eye(3))).all()
    B = np.eye(3)[:, :2]
    assert np.isnan(jax.hessian(lambda b: jnp.sum(spectra.svd(b).values ** 3))(B)).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_number_that_is_missing_shows(wrong):
    B = A.copy()
    B[1, 2] = wrong
    for found in (*spectra.eigh(B), *spectra.svd(B), *spectra.decompose(B)):
        assert np.isnan(found).all()


def test_one_number_is_its_own_spectrum():
    assert spectra.eigh(np.array([[-3.0]])) == (-3.0, 1.0)
    assert spectra.svd(np.array([[-3.0]])) == (-1.0, 3.0, 1.0)
    assert jax.grad(lambda a: spectra.eigh(a).values[0])(np.array([[-3.0]])) == 1


def test_lanes_are_a_loop_and_no_two_factorisations_stand_side_by_side():
    many = np.stack([A, np.eye(5), W + W.T])

    def slope(a):
        return jax.grad(lambda a: jnp.sum(spectra.eigh(a).values ** 3))(a)

    lanes = jax.jit(jax.vmap(slope))
    for found, a in zip(lanes(many), many, strict=True):
        np.testing.assert_allclose(found, 3 * a @ a, atol=1e-10)
    assert side_by_side(lanes.lower(many).compile().as_text()) == []
