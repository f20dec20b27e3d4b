"""Averaging: the mean of the iterates of a method that does not notice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mlmath.optimize import averaging, momentum
from mlmath.optimize.chain import apply


def path(optimizer, steps=9):
    x, found = {"a": jnp.array([1.0, -2.0])}, []
    state = optimizer.init(x)
    for _ in range(steps):
        updates, state = optimizer.update(jax.tree.map(lambda x: x**3, x), state, x)
        x = apply(x, updates)
        found.append(np.asarray(x["a"]))
    return np.array(found), state


@pytest.mark.parametrize("skip", [0, 4, 20])
def test_the_mean_is_that_of_the_iterates_after_the_first(skip):
    plain, _ = path(momentum.momentum(0.1, decay=0.5))
    watched, state = path(averaging.averaged(momentum.momentum(0.1, decay=0.5), skip=skip))
    np.testing.assert_array_equal(watched, plain)
    expected = plain[skip:].mean(axis=0) if skip < 9 else plain[-1]
    np.testing.assert_allclose(state.mean["a"], expected, rtol=1e-14)
    assert int(state.step) == 9


def test_the_noise_ball_is_proportional_to_the_step_and_the_mean_leaves_it():
    """x⁺ = x − η (x + noise): E x² = η/(2 − η) at rest, and E x̄² ≈ 1/t of the mean of t."""
    steps, lanes = 2000, 400

    def run(rate):
        optimizer = averaging.averaged(momentum.sgd(rate), skip=200)

        def step(carry, key):
            x, state = carry
            noise = jax.random.normal(key, x.shape)
            updates, state = optimizer.update(x + noise, state, x)
            x = apply(x, updates)
            return (x, state), jnp.mean(x**2)

        start = jnp.zeros(lanes)
        keys = jax.random.split(jax.random.key(0), steps)
        (_, state), squares = lax.scan(step, (start, optimizer.init(start)), keys)
        return jnp.mean(squares[200:]), jnp.mean(state.mean**2)

    rates = np.array([0.05, 0.1, 0.2])
    ball, mean = jax.jit(jax.vmap(run))(rates)
    np.testing.assert_allclose(ball, rates / (2 - rates), rtol=0.03)
    np.testing.assert_allclose(mean * (steps - 200), 1, rtol=0.25)


def test_the_mean_keeps_the_dtype_of_the_iterates():
    x = jnp.ones(2, jnp.float32)
    optimizer = averaging.averaged(momentum.sgd(0.1), skip=np.float64(1))
    _, state = optimizer.update(x, optimizer.init(x), x)
    assert state.mean.dtype == jnp.float32


def test_it_needs_the_parameters():
    optimizer = averaging.averaged(momentum.sgd(0.1))
    with pytest.raises(ValueError, match="needs the parameters"):
        optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))
