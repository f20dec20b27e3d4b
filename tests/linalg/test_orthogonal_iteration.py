"""Orthogonal iteration against the spectrum it approaches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.linalg import orthogonal_iteration

VALUES = np.array([5.0, 3.0, 2.0, 0.5, 0.3, 0.1])


def matrix(seed=0):
    Q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))
    return Q * VALUES @ Q.T, Q


def run(C, k=2, columns=4, **given):
    start = np.random.default_rng(1).normal(size=(6, columns))
    given = {"enough": 0.0, "max_steps": 60} | given
    return orthogonal_iteration.iterate(lambda V, C: C @ V, start, k, C, **given)


def test_the_leading_values_and_vectors_are_found():
    C, Q = matrix()
    found = run(C)
    np.testing.assert_allclose(found.values, VALUES[:2], rtol=1e-12)
    np.testing.assert_allclose(np.abs(Q[:, :2].T @ found.vectors), np.eye(2), atol=1e-7)
    V = np.asarray(found.vectors)
    assert (V[np.abs(V).argmax(0), [0, 1]] > 0).all()


def test_a_step_is_equation_1():
    C, _ = matrix()
    start = np.random.default_rng(1).normal(size=(6, 4))
    found = run(C, max_steps=2)
    V = start
    for _ in range(2):
        Q = np.linalg.qr(V)[0]
        theta, U = np.linalg.eigh(Q.T @ C @ Q)
        V = C @ Q @ U
    np.testing.assert_allclose(found.values, theta[::-1][:2], rtol=1e-12)
    assert found.steps == 2


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_the_estimate_is_equation_2_and_not_below_the_truth(steps):
    C, _ = matrix()
    found, all_four = run(C, max_steps=steps), run(C, k=4, max_steps=steps)
    V, theta = np.asarray(found.vectors), np.asarray(all_four.values)
    e = np.linalg.norm(C @ V - V * theta[:2])
    t = np.geomspace(1e-9, 1, 100_001) * np.sqrt(2)
    right = (2 * e * t - (theta[1] - theta[2] - 2 * e) * t**2).max()
    np.testing.assert_allclose(found.excess, right, rtol=1e-6)
    assert found.excess >= VALUES[:2].sum() - np.trace(V.T @ C @ V)


def test_steps_end_where_enough_is_reached_and_one_is_always_taken():
    C, _ = matrix()
    full = run(C, enough=1e-6)
    assert 1 < full.steps < 60
    assert full.excess <= 1e-6 < run(C, max_steps=full.steps - 1).excess
    assert run(C, max_steps=0).steps == 1
    assert run(C, enough=jnp.inf).steps == 1
    assert run(C, rounding=1.0).excess > 1


def test_as_many_columns_as_wanted_leave_no_rest():
    C, _ = matrix()
    found = run(C, k=6, columns=6, max_steps=1)
    np.testing.assert_allclose(found.values, VALUES, rtol=1e-12)


def test_a_product_that_is_not_finite_shows_and_nothing_has_a_derivative():
    C, _ = matrix()
    assert np.isnan(run(C * np.nan).excess)
    slopes = jax.grad(lambda C: run(C).values.sum())(C)
    np.testing.assert_array_equal(slopes, 0)


def test_without_spare_columns_nothing_is_known_of_the_rest():
    flat = np.diag(1 + 0.01 * np.arange(6.0)[::-1])
    found = run(flat, k=2, columns=2, max_steps=1)
    V = np.asarray(found.vectors)
    lost = 1.05 + 1.04 - np.trace(V.T @ flat @ V)
    assert lost > 1e-3
    assert found.excess >= lost
