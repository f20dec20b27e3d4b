"""The descent: eq. (1)–(4) in naive NumPy, units, and what stops it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls

from mlmath.latent import nonnegative_codes
from mlmath.latent import nonnegative_descent as descent

RNG = np.random.default_rng(0)
X = RNG.random((25, 6)) * (RNG.random((25, 6)) < 0.7)
S = RNG.uniform(0.5, 2, 25)
START = RNG.random((3, 6))


def ahead(A, B, H, ahead):
    return ahead


@jax.jit
def descended(X, s, H, steps):
    return descent.descend(ahead, H, descent.frame(X, s), 0.0, steps)


def by_hand(X, s, H, steps):
    """Codes by Lawson and Hanson, then four sweeps over the rows of H."""
    H = H / np.linalg.norm(H, axis=1, keepdims=True)
    for _ in range(steps):
        W = np.array([nnls(H.T, x)[0] for x in X])
        A, B = (s[:, None] * W).T @ W, (s[:, None] * W).T @ X  # (1)
        for _ in range(4):
            for j in range(len(H)):
                H[j] = np.maximum(0, H[j] + (B - A @ H)[j] / A[j, j])  # (2)
        H = H / np.linalg.norm(H, axis=1, keepdims=True)  # (4)
    return H


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_steps_are_equations_1_2_and_4(steps):
    found = descended(X, S, START, steps)
    np.testing.assert_allclose(found.components, by_hand(X, S, START.copy(), steps), atol=1e-10)
    assert found.steps == steps


def test_codes_are_exact_and_the_gain_is_what_the_sweeps_lower():
    found, data = descended(X, S, START, 2), descent.frame(X, S)
    right = nonnegative_codes.of_rows(found.components, data.X).codes
    np.testing.assert_allclose(found.codes, right, atol=1e-12)
    A, B = nonnegative_codes.products(found.codes, data.X, data.weight)

    def value(H):
        return jnp.trace(H.T @ A @ H) / 2 - jnp.trace(B.T @ H)

    after, gain = descent.sweeps(A, B, found.components)
    np.testing.assert_allclose(gain, value(found.components) - value(after), rtol=1e-9)
    np.testing.assert_allclose(found.gain, gain, rtol=1e-6)


@pytest.mark.parametrize("weight", [S, np.where(np.arange(25) == 7, 1e-20, S)])
def test_an_unused_component_goes_where_equation_3_puts_it(weight):
    H = np.stack([X.mean(axis=0)] * 2 + [np.zeros(6)])
    H[:2] /= np.linalg.norm(H[:2], axis=1, keepdims=True)
    far = np.where(np.arange(25)[:, None] == 7, 3 * X, X)
    data = descent.frame(far, weight)
    start, found = descended(far, weight, H, 0), descended(far, weight, H, 1)
    w = far @ H[0]
    swept = np.maximum(0, (weight * w) @ far / np.sum(weight * w**2))  # (2), of the one in use
    missed = far - np.outer(w, swept)
    lengths = np.linalg.norm(np.maximum(missed, 0), axis=1)
    f = np.argmax(np.where(weight > 1e-15, lengths, 0))
    right = np.maximum(missed[f], 0) / lengths[f]
    np.testing.assert_allclose(found.components[1], right, atol=1e-12)
    np.testing.assert_array_equal(found.components[2], 0)
    old = weight @ np.sum((far - np.outer(w, H[0])) ** 2, axis=1) / 2
    new = weight @ np.sum(missed**2, axis=1) / 2
    gain = old - new + weight @ np.maximum(missed @ right, 0) ** 2 / 2
    np.testing.assert_allclose(start.gain * data.unit**2 * data.share, gain, rtol=1e-10)


def test_no_step_raises_the_objective():
    values = []
    for steps in range(25):
        params = nonnegative_codes.Params(descended(X, S, START, steps).components)
        values.append(float(nonnegative_codes.objective(params, X, sample_weight=S)))
    assert (np.diff(values) <= 1e-14 * values[0]).all()
    assert values[-1] < 0.8 * values[0]


def test_units_are_powers_of_two_that_leave_no_square_out_of_range():
    X32 = (1e25 * X).astype(np.float32)
    data = descent.frame(X32, 1e-9 * np.ones(25, np.float32))
    assert 0.5 <= data.X.max() <= 1
    assert 0.5 <= data.weight.max() <= 1
    assert np.isfinite(data.null)
    assert (np.frexp(X32 / np.where(data.X > 0, data.X, 1))[0][X32 > 0] == 0.5).all()
    data = descent.frame(X, S)
    null = data.null * data.unit**2 * data.share
    np.testing.assert_allclose(null, S @ np.sum(X**2, axis=1) / 2, rtol=1e-12)


def test_a_row_that_is_absent_may_be_beyond_the_range():
    far = np.concatenate([X, np.full((1, 6), 1e38)]).astype(np.float32)
    found = descended(far, np.append(S, 0).astype(np.float32), START.astype(np.float32), 3)
    right = descended(X.astype(np.float32), S.astype(np.float32), START.astype(np.float32), 3)
    np.testing.assert_allclose(found.components, right.components, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, -0.1])
def test_a_row_that_cannot_be_shows_where_it_counts_only(value):
    bad = np.array(X)
    bad[4, 2] = value
    found = descended(bad, S, START, 3)
    assert np.isnan(found.components).all()
    assert np.isnan(found.gain)
    some = np.where(np.arange(25) == 4, 0, S)
    cleared = np.where(np.isnan(bad), 0, bad)
    np.testing.assert_allclose(
        descended(cleared, some, START, 3).components,
        by_hand(np.delete(X, 4, 0), np.delete(S, 4), START.copy(), 3),
        atol=1e-10,
    )


def test_a_negative_start_or_weight_proves_nothing():
    assert np.isnan(descended(X, S, START - 0.5, 3).components).all()
    assert np.isnan(descended(X, S - 0.6, START, 3).gain)


def test_sizes_that_cannot_be_are_refused():
    for k in (0, 7):
        with pytest.raises(ValueError, match=f"k must be from 1 to 6, .*got {k}"):
            descent.descend(ahead, np.ones((k, 6)), descent.frame(X, S), 0.0, 3)


def test_the_normal_form_leaves_a_row_of_zeros():
    H = np.array([[3.0, 4.0], [0.0, 0.0], [1e200, 1e200]])
    found = descent.normal(H)
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0], [0.5**0.5] * 2], rtol=1e-14)
