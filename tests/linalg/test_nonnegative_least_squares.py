"""Non-negative least squares: eq. (1)–(5), Lawson and Hanson's answers, nearly parallel columns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls

from mlmath.linalg import nonnegative_least_squares as nn

solve = jax.jit(nn.minimize)
RNG = np.random.default_rng(0)


def problem(k, d, m, offset=0.0):
    """Rows of A, and right sides half of whose entries are small."""
    rng = np.random.default_rng(3)
    A = rng.random((k, d)) + offset
    A /= np.linalg.norm(A, axis=1, keepdims=True)
    b = rng.random((m, d)) * (rng.random((m, d)) < 0.5) + offset
    return A, b, A @ A.T, A @ b.T


def minimize(G, C, start):
    return solve(G, C, start).W


def value(G, C, W):
    return np.einsum("jm,jl,lm->m", W, G, W) / 2 - np.sum(C * W, axis=0)  # (1)


def test_a_sweep_and_its_gain_are_equations_2_and_3():
    _, _, G, C = problem(4, 6, 9)
    W = RNG.random((4, 9))
    found, gain = nn.sweep(G, C, W)
    right, gained = W.copy(), np.zeros(9)
    for m in range(9):
        for j in range(4):
            delta = C[j, m] - sum(G[j, i] * right[i, m] for i in range(4))
            new = max(0.0, right[j, m] + delta / G[j, j])
            moved = new - right[j, m]
            gained[m] += moved * (delta - G[j, j] * moved / 2)
            assert moved * (delta - G[j, j] * moved / 2) >= G[j, j] * moved**2 / 2 - 1e-15
            right[j, m] = new
    np.testing.assert_allclose(found, right, atol=1e-14)
    np.testing.assert_allclose(gain, gained, atol=1e-14)
    np.testing.assert_allclose(gain, value(G, C, W) - value(G, C, right), atol=1e-13)
    assert (right == 0).any()


@pytest.mark.parametrize("offset", [0.0, 1.0, 30.0])
def test_the_answer_is_lawson_and_hansons_also_where_columns_are_nearly_parallel(offset):
    A, b, G, C = problem(8, 12, 60, offset)
    found = np.asarray(minimize(G, C, np.zeros_like(C)))
    right = np.array([nnls(A.T, row)[0] for row in b]).T
    np.testing.assert_allclose(found, right, atol=1e-8 * np.abs(right).max())
    np.testing.assert_array_equal(found == 0, right == 0)


def test_the_answer_meets_the_conditions_of_a_minimum_and_forgets_where_it_began():
    _, _, G, C = problem(8, 12, 60, 1.0)
    found = np.asarray(minimize(G, C, np.zeros_like(C)))
    slope = C - G @ found
    assert (found >= 0).all()
    assert (slope <= 1e-12).all()
    assert np.abs(slope[found > 0]).max() < 1e-12
    np.testing.assert_allclose(minimize(G, C, RNG.random(C.shape)), found, atol=1e-10)


def test_one_column_more_changes_no_other():
    _, _, G, C = problem(8, 12, 60, 1.0)
    far = np.asarray(minimize(G, np.concatenate([C, 1e12 * G[:, :1]], 1), np.zeros((8, 61))))
    np.testing.assert_allclose(far[:, :60], minimize(G, C, np.zeros_like(C)), atol=1e-11)


def test_a_singular_gram_matrix_has_one_image():
    A, b, _, _ = problem(3, 6, 20)
    twice = np.concatenate([A, A[:1], np.zeros((1, 6))])
    found = np.asarray(minimize(twice @ twice.T, twice @ b.T, np.zeros((5, 20))))
    right = np.asarray(minimize(A @ A.T, A @ b.T, np.zeros((3, 20))))
    np.testing.assert_allclose(twice.T @ found, A.T @ right, atol=1e-12)
    assert (found[4] == 0).all()


def test_float32_is_near_float64():
    _, _, G, C = problem(8, 12, 60)
    single = minimize(*(a.astype(np.float32) for a in (G, C, np.zeros_like(C))))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, minimize(G, C, np.zeros_like(C)), atol=1e-4)


def test_nan_stays_in_its_column():
    _, _, G, C = problem(8, 12, 60)
    C[2, 5] = np.nan
    found = np.asarray(minimize(G, C, jnp.zeros_like(C)))
    assert np.isnan(found[:, 5]).any()
    assert np.isfinite(np.delete(found, 5, axis=1)).all()


@pytest.mark.parametrize("power", [-83, 83])
def test_squares_of_columns_need_not_be_numbers(power):
    """Around 1e-25 and 1e25, where float32 has no squares."""
    _, _, G, C = problem(8, 12, 60)
    G, C, zero = (a.astype(np.float32) for a in (G, C, np.zeros_like(C)))
    right = np.ldexp(minimize(G, C, zero), power)
    np.testing.assert_array_equal(minimize(G, np.ldexp(C, power), zero), right)
    near = minimize(G, np.ldexp(C, power), right)
    np.testing.assert_allclose(near, right, rtol=1e-5)


def test_what_the_steps_leave_comes_with_the_answer(monkeypatch):
    _, _, G, C = problem(8, 12, 60, 1.0)
    assert (np.asarray(solve(G, C, np.zeros_like(C)).gain) == 0).all()
    monkeypatch.setattr(nn, "_SWEEPS", 2)
    monkeypatch.setattr(nn, "_STEPS", 0)
    W, gain = nn.minimize(G, 4 * C, np.zeros_like(C))
    slope = 4 * C - G @ W
    right = np.where((W > 0) | (slope > 0), slope**2 / (2 * np.diag(G)[:, None]), 0).max(axis=0)
    np.testing.assert_allclose(gain, right, rtol=1e-9)
    assert (right > 0).any()
