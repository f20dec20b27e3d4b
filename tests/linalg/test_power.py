"""Power iteration and Lanczos' method: recursions, certificates, and what ends them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse.linalg

from mlmath.linalg import power

RNG = np.random.default_rng(0)
Q = np.linalg.qr(RNG.normal(size=(8, 8)))[0]
START = RNG.normal(size=8)


def symmetric(values):
    return Q * np.asarray(values, float) @ Q.T


A = symmetric([-5, 3, 2, 1, 0.5, 0, -1, -2])


def times(matrix):
    return lambda x: jnp.asarray(matrix, x.dtype) @ x


def test_power_iteration_is_equation_1():
    v = START / np.linalg.norm(START)
    for steps in range(1, 6):
        value = v @ A @ v
        found = power.iterate(times(A), START, tolerance=0.0, max_steps=steps)
        np.testing.assert_allclose(found.value, value, rtol=1e-12)
        np.testing.assert_allclose(found.residual, np.linalg.norm(A @ v - value * v), rtol=1e-12)
        np.testing.assert_allclose(np.abs(found.vector), np.abs(v), rtol=1e-11)
        assert found.steps == steps
        assert not found.converged
        v = A @ v / np.linalg.norm(A @ v)


@pytest.mark.parametrize("unit", [1e-20, 1.0, 1e20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dominant_pair_comes_with_its_residual_at_any_scale(unit, dtype):
    found = power.iterate(times(unit * A), START.astype(dtype))
    epsilon = np.finfo(dtype).eps
    assert found.converged
    assert found.vector.dtype == dtype
    np.testing.assert_allclose(found.value / unit, -5, rtol=50 * epsilon)
    assert found.residual / unit <= 2 * np.sqrt(epsilon) * 5.01
    assert np.max(found.vector) == np.max(np.abs(found.vector))
    np.testing.assert_allclose(np.abs(Q[:, 0] @ found.vector), 1, rtol=50 * epsilon)


def test_two_dominant_values_of_opposite_sign_are_not_passed_off():
    found = power.iterate(times(symmetric([2, -2, 1, 1, 1, 0, 0, 0])), START, max_steps=200)
    assert not found.converged
    assert found.residual > 0.1


def test_a_repeated_dominant_value_is_found():
    found = power.iterate(times(symmetric([2, 2, 1, 1, 1, 0, 0, 0])), START)
    assert found.converged
    np.testing.assert_allclose(found.value, 2, rtol=1e-12)


@pytest.mark.parametrize("steps", [1, 3, 5, 8])
def test_lanczos_is_the_best_of_the_krylov_space(steps):
    """Ritz pairs of an orthonormal basis of b, Ab, …, by numpy; eq. (3) for the residuals."""
    krylov = [START / np.linalg.norm(START)]
    for _ in range(steps - 1):
        v = A @ krylov[-1]
        for q in krylov * 2:
            v = v - q * (q @ v)
        krylov.append(v / np.linalg.norm(v))
    basis = np.array(krylov).T
    values, S = np.linalg.eigh(basis.T @ A @ basis)
    found = power.lanczos(times(A), START, steps)
    assert found.size == steps
    np.testing.assert_allclose(found.values, values[::-1], atol=1e-10)
    vectors = np.asarray(found.vectors)
    np.testing.assert_allclose(np.abs(vectors), np.abs(basis @ S[:, ::-1]), atol=1e-8)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(steps), atol=1e-12)
    residuals = np.linalg.norm(A @ vectors - vectors * found.values[None], axis=0)
    np.testing.assert_allclose(found.residuals, residuals, atol=1e-10)
    exact = np.linalg.eigvalsh(A)
    for value, residual in zip(found.values, found.residuals, strict=True):
        assert np.abs(exact - value).min() <= residual + 1e-12


@pytest.mark.parametrize("unit", [1e-20, 1.0, 1e20])
def test_lanczos_at_any_scale_in_single_precision(unit):
    found = power.lanczos(times(unit * A), START.astype(np.float32), 8)
    np.testing.assert_allclose(found.values / unit, np.linalg.eigvalsh(A)[::-1], atol=5e-5)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(8), atol=1e-5)


def test_reorthogonalisation_keeps_a_long_run_orthonormal():
    """Of a spectrum with one value far out, where the bare recursion loses all orthogonality."""
    values = np.r_[1e6, np.linspace(0, 1, 99)]
    start = np.ones(100)
    found = power.lanczos(lambda x: jnp.asarray(values) * x, start, 60)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(60), atol=1e-10)
    peer = scipy.sparse.linalg.eigsh(scipy.sparse.diags(values).tocsr(), 2, v0=start)[0]
    np.testing.assert_allclose(found.values[:2], peer[::-1], rtol=1e-8)


@pytest.mark.parametrize(("distinct", "steps"), [(1, 4), (3, 3), (3, 8)])
def test_an_invariant_space_ends_it_with_exact_pairs(distinct, steps):
    values = np.array([5.0, 2.0, -1.0])[:distinct]
    found = power.lanczos(times(symmetric(np.resize(values, 8))), START, steps)
    assert found.size == distinct
    np.testing.assert_allclose(found.values[:distinct], values, rtol=1e-12)
    for rest in (found.values[distinct:], found.vectors[:, distinct:], found.residuals):
        np.testing.assert_allclose(rest, 0, atol=1e-11)


def test_nothing_and_one_number():
    nothing = power.lanczos(lambda x: 0 * x, START, 3)
    assert nothing.size == 1
    np.testing.assert_array_equal(nothing.values, 0)
    found = power.iterate(lambda x: 0 * x, START)
    assert found.value == found.residual == 0
    one = power.lanczos(lambda x: -3 * x, np.ones(1), 1)
    assert (one.values[0], one.vectors[0, 0], one.residuals[0]) == (-3, 1, 0)
    assert power.iterate(lambda x: -3 * x, np.ones(1)).value == -3


@pytest.mark.parametrize("start", [np.zeros(8), np.full(8, np.nan)])
def test_what_has_no_direction_shows(start):
    found = power.iterate(times(A), start)
    assert np.isnan(found.value)
    assert not found.converged
    assert np.isnan(power.lanczos(times(A), start, 3).values).all()
    assert np.isnan(power.lanczos(lambda x: x * jnp.nan, START, 3).values).all()


def test_more_steps_than_the_order_are_refused():
    with pytest.raises(ValueError, match="k must be from 1 to 8"):
        power.lanczos(times(A), START, 9)


def test_lanes_are_a_loop():
    many = np.stack([A, symmetric(np.resize([5.0, 2.0], 8))])
    pairs = jax.vmap(lambda a: power.lanczos(times(a), START, 4))(many)
    dominant = jax.vmap(lambda a: power.iterate(times(a), START))(many)
    for i, a in enumerate(many):
        for x, y in zip(pairs, power.lanczos(times(a), START, 4), strict=True):
            np.testing.assert_allclose(x[i], y, atol=1e-12)
        for x, y in zip(dominant, power.iterate(times(a), START), strict=True):
            np.testing.assert_allclose(x[i], y, atol=1e-12)
