"""Dropout: eq. (1), and the laws of mean and variance (2)."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.neural.dropout import dropout

KEY = jax.random.key(0)
X = np.array([1.0, -2.0, 0.5])


@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_mean_and_variance_are_those_of_the_law(rate):
    draws = 20_000
    keys = jax.random.split(KEY, draws)
    y = np.asarray(jax.jit(jax.vmap(lambda key: dropout(key, X, rate=rate)))(keys))
    assert np.all((y == 0) | np.isclose(y, X / (1 - rate)))  # (1)
    deviation = abs(X) * np.sqrt(rate / (1 - rate))
    assert np.all(abs(y.mean(axis=0) - X) <= 4 * deviation / np.sqrt(draws))
    np.testing.assert_allclose(y.std(axis=0), deviation, rtol=0.03)
    np.testing.assert_allclose(np.corrcoef(y.T), np.eye(3), atol=4 / np.sqrt(draws))  # independent


def test_rates_are_swept_and_compile_nothing():
    traced = jax.jit(chex.assert_max_traces(lambda rate: dropout(KEY, X, rate=rate), n=1))
    np.testing.assert_array_equal(traced(0.0), X)
    np.testing.assert_array_equal(traced(1.0), np.zeros(3))
    shares = jax.vmap(lambda rate: (dropout(KEY, jnp.ones(5000), rate=rate) == 0).mean())
    np.testing.assert_allclose(shares(jnp.array([0.1, 0.5, 0.9])), [0.1, 0.5, 0.9], atol=0.03)


def test_the_gradient_passes_where_the_number_passed():
    y, back = jax.vjp(lambda x: dropout(KEY, x, rate=0.5), jnp.ones(50))
    np.testing.assert_array_equal(back(jnp.ones(50))[0], y)
    assert 0 < float(y.sum()) < 100
    np.testing.assert_array_equal(jax.grad(lambda x: dropout(KEY, x, rate=1.0).sum())(X), 0)


def test_it_keeps_shape_and_dtype():
    y = dropout(KEY, np.ones((2, 3), np.float32), rate=np.float64(0.5))
    assert (y.shape, y.dtype) == ((2, 3), jnp.float32)


def test_the_numbers_of_an_array_are_left_out_one_by_one():
    rows, columns = dropout(KEY, np.ones((2, 5000))), dropout(KEY, np.ones((5000, 2))).T
    for y in (rows, columns):
        assert abs(np.corrcoef(y)[0, 1]) <= 4 / np.sqrt(5000)


def test_the_derivative_in_the_rate_is_that_of_the_factor():
    y, slope = jax.jvp(lambda rate: dropout(KEY, jnp.ones(50), rate=rate), (0.2,), (1.0,))
    np.testing.assert_allclose(slope, y / (1 - 0.2), rtol=1e-12)


@pytest.mark.parametrize("rate", [-0.1, 1.1, np.nan, -np.inf])
def test_a_rate_that_is_none_shows(rate):
    value, slope = jax.jit(jax.value_and_grad(lambda x, rate: dropout(KEY, x, rate=rate).sum()))(
        X, rate
    )
    assert np.isnan(dropout(KEY, X, rate=rate)).all()
    assert np.isnan(value)
    assert np.isnan(slope).all()
