"""Absent rows: eq. (1), (2), their derivatives, and what a ``vmap`` over weights leaves alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlmath.absence import apart, cleared, unreachable, within

number = st.floats(-100, 100, allow_subnormal=False) | st.sampled_from([np.nan, np.inf, -np.inf])


@settings(deadline=None, max_examples=100)
@given(
    arrays(float, (4, 2), elements=number),
    arrays(float, 4, elements=number),
    arrays(float, 4, elements=st.sampled_from([0.0, 1.0, 2.5])),
)
def test_cleared_is_its_definition(X, y, s):
    ours = cleared(X, y, s)
    for i in range(4):
        finite = np.isfinite(X[i]).all() and np.isfinite(y[i])
        np.testing.assert_array_equal(ours[0][i], X[i] if finite else [0, 0])
        np.testing.assert_array_equal(ours[1][i], y[i] if finite else 0)
        np.testing.assert_array_equal(ours[2][i], s[i] if finite else (0 if s[i] == 0 else np.nan))


def test_the_influence_of_a_finite_row_at_weight_zero_survives():
    X, y = jnp.ones((3, 1)), jnp.array([1.0, 2.0, 3.0])

    def total(s):
        _, y_, s_ = cleared(X, y, s)
        return s_ @ y_

    np.testing.assert_array_equal(jax.grad(total)(jnp.zeros(3)), y)


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_absent_rows_have_no_derivative(hole):
    X = jnp.array([[1.0], [hole]])

    def total(X):
        X_, y_, s_ = cleared(X, jnp.ones(2), jnp.array([1.0, 0.0]))
        return jnp.sum(s_[:, None] * X_ * y_[:, None])

    np.testing.assert_array_equal(jax.grad(total)(X), [[1.0], [0.0]])


def test_a_vmap_over_weights_batches_the_weights_alone():
    X, y = jnp.ones((3, 2)), jnp.ones(3)
    weights = jnp.arange(15.0).reshape(5, 3)
    found = jax.vmap(lambda s: cleared(X, y, s), out_axes=(None, None, 0))(weights)  # or it raises
    np.testing.assert_array_equal(found[0], X)
    np.testing.assert_array_equal(found[2], weights)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unreachable_is_its_definition(dtype):
    reach = float(np.finfo(dtype).max) ** 0.25  # (2)
    c, u = np.array([3.0, -1.0], dtype), np.array([2.0, 0.5], dtype)
    shares = np.array([[0.99, 0], [1.01, 0], [0, -0.99], [0, -1.01], [1e5, 1e5], [np.inf, 0]])
    X = (c + reach * u * shares).astype(dtype)
    for s in (0, 1):
        weight = np.full(len(X), s, dtype)
        expected = (s == 0) & np.array([False, True, False, True, True, True])
        np.testing.assert_array_equal(unreachable(X, weight, c, unit=u), expected)
        np.testing.assert_array_equal(
            within(X, weight, c, unit=u), np.where(expected[:, None], c, X)
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_differences_of_absent_rows_have_squares(dtype):
    most = np.finfo(dtype).max
    X = np.array([[1.0], [most / 2], [2.0], [0.9 * np.sqrt(most)], [most / 2]], dtype)
    found = apart(X, np.array([1.0, 0.0, 0.0, 0.0, 1.0], dtype), np.array([1.0], dtype))
    np.testing.assert_array_equal(found[:4, 0], [0, 0, 1, X[3, 0]])
    assert found[4, 0] == X[4, 0]  # a row that counts is what it is
    assert np.isfinite(found[:4] ** 2).all()
