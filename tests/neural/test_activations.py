"""Activations: their definitions, their kinks and their tails."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from mlmath.neural import activations

DEFINITIONS = {
    "identity": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)),
    "relu": lambda x: max(x, 0),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "elu": lambda x: x if x > 0 else np.exp(x) - 1,
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * stats.norm.cdf(x),
}
LIMITS = {  # value and slope at −10⁴, and the same at 10⁴
    "identity": (-1e4, 1, 1e4, 1),
    "sigmoid": (0, 0, 1, 0),
    "tanh": (-1, 0, 1, 0),
    "relu": (0, 0, 1e4, 1),
    "leaky_relu": (-100, 0.01, 1e4, 1),
    "elu": (-1, 0, 1e4, 1),
    "softplus": (0, 0, 1e4, 1),
    "silu": (0, 0, 1e4, 1),
    "gelu": (0, 0, 1e4, 1),
}
KINKS = {"relu": 0, "leaky_relu": 0.01, "elu": 1}  # slope from the left at 0
every = pytest.mark.parametrize("name", DEFINITIONS)


def derivatives(name):
    """Value, first and second derivative at many numbers."""
    f = getattr(activations, name)
    return jax.jit(jax.vmap(lambda x: (f(x), jax.grad(f)(x), jax.grad(jax.grad(f))(x))))


@every
def test_an_activation_is_its_definition(name):
    x = np.array([-3.0, -0.7, 0.0, 0.4, 2.0])
    expected = [DEFINITIONS[name](v) for v in x]
    f = getattr(activations, name)
    np.testing.assert_allclose(f(x), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(f(x[:, None])[:, 0], expected, rtol=1e-12, atol=1e-15)
    single = f(x.astype(np.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, expected, rtol=1e-5, atol=1e-7)


@every
def test_derivatives_are_differences_of_the_definition(name):
    x, h = np.array([-3.0, -0.7, 0.4, 2.0]), 1e-4
    low, mid, high = ([DEFINITIONS[name](v) for v in x + t] for t in (-h, 0, h))
    _, first, second = derivatives(name)(x)
    np.testing.assert_allclose(first, np.subtract(high, low) / (2 * h), rtol=1e-6, atol=1e-8)
    bend = (np.array(high) - 2 * np.array(mid) + low) / h**2
    np.testing.assert_allclose(second, bend, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", KINKS)
def test_the_derivative_at_a_kink_is_that_from_the_left(name):
    value, first, second = derivatives(name)(np.zeros(1))
    assert float(value[0]) == 0
    assert float(first[0]) == KINKS[name]
    assert float(second[0]) == (1 if name == "elu" else 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every
def test_tails_go_to_their_limits_and_stay_finite(name, dtype):
    value, first, second = derivatives(name)(np.array([-1e4, 1e4], dtype))
    found = [value[0], first[0], value[1], first[1]]
    np.testing.assert_allclose(found, LIMITS[name], rtol=1e-6, atol=1e-30)
    np.testing.assert_array_equal(second, 0)
    way = np.geomspace(1e-3, 1e4, 60).astype(dtype)
    assert all(np.isfinite(d).all() for d in derivatives(name)(np.concatenate([-way, way])))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every
def test_nothing_overflows_up_to_the_largest_number(name, dtype):
    f, most = getattr(activations, name), np.finfo(dtype).max
    x = np.array([-1, -0.6, 0.6, 1], dtype) * most
    slope = jax.grad(f)
    for second in (jax.grad(slope), jax.jacfwd(slope), jax.jacfwd(jax.jacfwd(f))):
        np.testing.assert_array_equal(jax.vmap(second)(x), 0)
    left, _, right, _ = LIMITS[name]
    ends = [left / 1e4 * x[:2] * -1 if abs(left) > 1 else left * np.ones(2)]
    ends += [x[2:] if right > 1 else np.ones(2)]
    np.testing.assert_allclose(jax.jit(f)(x), np.concatenate(ends), rtol=1e-6, atol=1e-30)
    slopes = np.repeat([LIMITS[name][1], LIMITS[name][3]], 2)
    np.testing.assert_allclose(jax.vmap(slope)(x), slopes, rtol=1e-6)


def test_the_left_tails_keep_their_digits():
    """Independent values: scipy's log Φ and logistic function."""
    x = np.array([-20.0, -5.0, -2.0])
    np.testing.assert_allclose(activations.gelu(x), x * np.exp(special.log_ndtr(x)), rtol=1e-12)
    np.testing.assert_allclose(activations.silu(x), x * special.expit(x), rtol=1e-12)
    np.testing.assert_allclose(activations.softplus(x), np.log1p(np.exp(x)), rtol=1e-12)
    np.testing.assert_allclose(activations.elu(1e-9 * x), np.expm1(1e-9 * x), rtol=1e-12)


@every
def test_nan_stays_nan(name):
    assert np.isnan(getattr(activations, name)(np.nan * np.ones(1)))


def test_slope_and_scale_are_numbers_that_are_learnt():
    assert float(jax.grad(lambda s: activations.leaky_relu(jnp.asarray(-2.0), slope=s))(0.1)) == -2
    slope = jax.grad(lambda a: activations.elu(jnp.asarray(-1.0), alpha=a))(2.0)
    np.testing.assert_allclose(slope, np.exp(-1) - 1, rtol=1e-12)
    single, number = np.ones(1, np.float32), np.float64(0.1)
    assert activations.leaky_relu(single, slope=number).dtype == jnp.float32
    assert activations.elu(single, alpha=number).dtype == jnp.float32


def test_softmax_is_its_definition_with_its_jacobian():
    x = np.array([0.3, -1.0, 2.0, 0.0])
    p = np.exp(x) / sum(np.exp(v) for v in x)  # (6)
    np.testing.assert_allclose(activations.softmax(x), p, rtol=1e-12)
    jacobian = jax.jacobian(activations.softmax)(x)
    np.testing.assert_allclose(jacobian, np.diag(p) - np.outer(p, p), rtol=1e-12)
    np.testing.assert_allclose(activations.softmax(x + 5), p, rtol=1e-12)
    far = activations.softmax(np.array([1e4, -1e4, 1e4], np.float32))
    np.testing.assert_array_equal(far, [0.5, 0, 0.5])
