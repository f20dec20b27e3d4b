"""The way of a method: every step, and the value at every step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.tree_util import Partial

from mlmath.optimize import adam, chain, momentum, schedules, trajectory
from mlmath.optimize.landscapes import rosenbrock

START, STEPS = np.array([-1.2, 1.0]), 30


def follow(optimizer, steps=STEPS):
    return trajectory.follow(rosenbrock, optimizer, START, steps=steps)


def test_positions_and_values_are_their_definition():
    """Eq. (1) with the velocity of momentum, and the gradient of Rosenbrock's function by hand."""
    u, v = START.tolist()
    p = q = 0.0
    positions, values = [], []
    for _ in range(STEPS + 1):
        positions.append([u, v])
        values.append(100 * (v - u**2) ** 2 + (1 - u) ** 2)
        p = -400 * u * (v - u**2) - 2 * (1 - u) + 0.9 * p
        q = 200 * (v - u**2) + 0.9 * q
        u, v = u - 1e-3 * p, v - 1e-3 * q
    way = follow(momentum.momentum(1e-3))
    np.testing.assert_allclose(way.positions, positions, rtol=1e-10)
    np.testing.assert_allclose(way.values, values, rtol=1e-10)


def test_steps_are_those_of_optax():
    method = optax.adamw(optax.cosine_decay_schedule(0.1, 20), weight_decay=0.1)
    x, state, expected = jnp.asarray(START), method.init(jnp.asarray(START)), []
    for _ in range(STEPS):
        updates, state = method.update(jax.grad(rosenbrock)(x), state, x)
        x = optax.apply_updates(x, updates)
        expected.append(x)
    way = follow(adam.adamw(schedules.cosine_decay(0.1, steps=20), decay=0.1))
    np.testing.assert_array_equal(way.positions[0], START)
    np.testing.assert_allclose(way.positions[1:], expected, rtol=1e-6)
    same = follow(chain.from_optax(method))
    np.testing.assert_allclose(same.positions, way.positions, rtol=1e-6)


def test_on_a_quadratic_gradient_descent_is_a_geometric_series():
    a = jnp.array([1.0, 4.0])
    way = trajectory.follow(lambda x: jnp.sum(a * x**2) / 2, momentum.sgd(0.1), jnp.ones(2))
    expected = (1 - 0.1 * np.array([1.0, 4.0])) ** np.arange(101)[:, None]
    np.testing.assert_allclose(way.positions, expected, rtol=1e-12)


def test_more_steps_are_the_same_way_further():
    short, long = follow(adam.adam(0.1), 7), follow(adam.adam(0.1))
    np.testing.assert_array_equal(long.positions[:8], short.positions)
    np.testing.assert_array_equal(long.values[:8], short.values)
    none = follow(adam.adam(0.1), 0)
    np.testing.assert_array_equal(none.positions, [START])
    np.testing.assert_allclose(none.values, [24.2])


def test_a_batch_of_methods_is_each_alone():
    rates = jnp.array([1e-4, 1e-3, 2e-3])
    ways = jax.vmap(lambda rate: follow(momentum.nesterov(rate)))(rates)
    for k in range(3):
        alone = follow(momentum.nesterov(rates[k]))
        np.testing.assert_allclose(ways.positions[k], alone.positions, rtol=1e-9)


def test_the_derivative_of_the_last_value_in_a_number_is_its_difference():
    def last(rate):
        return follow(momentum.momentum(rate)).values[-1]

    h = 1e-8
    difference = (last(1e-3 + h) - last(1e-3 - h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(last)(1e-3), difference, rtol=1e-5)
    np.testing.assert_allclose(jax.jacfwd(last)(1e-3), difference, rtol=1e-5)


def test_trees_are_followed_block_by_block():
    def f(x):
        return rosenbrock(jnp.stack([x["u"], x["v"]]))

    start = {"u": START[0], "v": START[1]}
    way = trajectory.follow(f, adam.adam(0.1), start, steps=STEPS)
    blocks = jnp.stack([way.positions["u"], way.positions["v"]], axis=1)
    np.testing.assert_allclose(blocks, follow(adam.adam(0.1)).positions, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_that_of_the_start(dtype):
    way = trajectory.follow(rosenbrock, adam.adam(0.1), START.astype(dtype), steps=3)
    assert way.positions.dtype == way.values.dtype == dtype


def test_what_is_not_finite_is_kept():
    way = follow(momentum.sgd(1.0), 12)
    assert jnp.isfinite(way.values[:3]).all()
    assert not jnp.isfinite(way.values[-1])


def test_new_numbers_compile_nothing():
    def scaled(c, x):
        return c * rosenbrock(x)

    before = trajectory._follow._cache_size()
    for c, rate in ((1.0, 1e-3), (2.0, 1e-4)):
        trajectory.follow(Partial(scaled, c), momentum.sgd(rate), START, steps=4)
    assert trajectory._follow._cache_size() == before + 1
