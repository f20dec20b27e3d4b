"""Activations: their definitions, their kinks and their tails."""

import jax
import numpy as np
import pytest
from scipy import stats

from mlmath.neural import activations as a

DEFINITIONS = {
    "identity": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)),
    "relu": lambda x: max(x, 0),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "elu": lambda x: x if x > 0 else np.exp(x) - 1,
    "gelu": lambda x: x * stats.norm.cdf(x),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.log(1 + np.exp(x)),
}
every = pytest.mark.parametrize("name", DEFINITIONS)


def slopes(name):
    """Value, first and second derivative at many numbers, in one program."""
    f = getattr(a, name)
    return jax.jit(jax.vmap(lambda x: (f(x), jax.grad(f)(x), jax.grad(jax.grad(f))(x))))


@every
def test_an_activation_is_its_definition(name):
    x = np.array([-3.0, -0.7, 0.0, 0.4, 2.0])
    expected = [DEFINITIONS[name](v) for v in x]
    np.testing.assert_allclose(getattr(a, name)(x), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(jax.jit(getattr(a, name))(x[:, None])[:, 0], expected, rtol=1e-12)
