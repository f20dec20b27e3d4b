"""Gradient descent and momentum: their recursions, and their rates on a quadratic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mlmath.optimize import chain, momentum, schedules

CURVATURE = np.geomspace(1, 100, 12)  # of L = Σ cᵢ xᵢ² / 2, whose minimum is 0
SMALL, LARGE = 1.0, 100.0
KAPPA = LARGE / SMALL


def path(optimizer, steps, x=None, slope=lambda x: CURVATURE * x):
    """Iterates x₁, x₂, … of an optimizer."""

    def step(carry, _):
        x, state = carry
        updates, state = optimizer.update(slope(x), state, x)
        x = chain.apply(x, updates)
        return (x, state), x

    x = jnp.ones(12) if x is None else x
    return jax.jit(lambda o: lax.scan(step, (x, o.init(x)), length=steps)[1])(optimizer)


def transcribed(direction, steps=20, rate=0.003):
    """Eq. (1) to (4) in NumPy; ``direction(g, v, x)`` returns d and the new v."""
    x, v, found = np.ones(12), np.zeros(12), []
    for t in range(steps):
        d, v = direction(CURVATURE * x, v, x)
        x = x - rate / (1 + t) * d
        found.append(x)
    return np.array(found)


RATE = schedules.Schedule(lambda a, t: a / (1 + t), 0.003)


@pytest.mark.parametrize(
    ("optimizer", "direction"),
    [
        (momentum.sgd(RATE), lambda g, v, x: (g, v)),
        (momentum.momentum(RATE, decay=0.7), lambda g, v, x: (g + 0.7 * v, g + 0.7 * v)),
        (
            momentum.nesterov(RATE, decay=0.7),
            lambda g, v, x: (g + 0.7 * (g + 0.7 * v), g + 0.7 * v),
        ),
        (
            momentum.lion(RATE, b1=0.8, b2=0.6, decay=0.05),
            lambda g, v, x: (np.sign(0.2 * g + 0.8 * v) + 0.05 * x, 0.4 * g + 0.6 * v),
        ),
    ],
    ids=["sgd", "momentum", "nesterov", "lion"],
)
def test_the_recursion_is_its_transcription(optimizer, direction):
    np.testing.assert_allclose(path(optimizer, 20), transcribed(direction), rtol=1e-12)


def test_momentum_is_the_heavy_ball():
    """xₜ₊₁ − xₜ = −η gₜ + μ (xₜ − xₜ₋₁)."""
    x = np.vstack([np.ones(12), path(momentum.momentum(0.003, decay=0.8), 30)])
    moved = np.diff(x, axis=0)
    expected = -0.003 * CURVATURE * x[1:-1] + 0.8 * moved[:-1]
    np.testing.assert_allclose(moved[1:], expected, rtol=1e-9, atol=1e-14)


def test_without_memory_both_are_gradient_descent():
    plain = path(momentum.sgd(0.003), 20)
    np.testing.assert_array_equal(path(momentum.momentum(0.003, decay=0.0), 20), plain)
    np.testing.assert_array_equal(path(momentum.nesterov(0.003, decay=0.0), 20), plain)


def test_a_constant_gradient_moves_momentum_further_by_one_over_one_less_decay():
    x = path(momentum.momentum(0.1, decay=0.9), 400, slope=jnp.ones_like)
    np.testing.assert_allclose(x[-1] - x[-2], -0.1 / (1 - 0.9), rtol=1e-12)


def test_nesterov_is_the_method_that_looks_ahead():
    """v⁺ = μv − η∇L(x + μv), x⁺ = x + v⁺, seen at the points x + μv."""
    x, v, seen = np.ones(12), np.zeros(12), []
    for _ in range(20):
        v = 0.8 * v - 0.003 * CURVATURE * (x + 0.8 * v)
        x = x + v
        seen.append(x + 0.8 * v)
    np.testing.assert_allclose(path(momentum.nesterov(0.003, decay=0.8), 20), seen, rtol=1e-11)


def test_gradient_descent_contracts_at_every_step():
    """(5): by (κ − 1)/(κ + 1), and by no less where only the extreme curvatures are left."""
    bound = (KAPPA - 1) / (KAPPA + 1)
    x = path(momentum.sgd(2 / (LARGE + SMALL)), 1500, jnp.linspace(1, 3, 12))
    error = np.linalg.norm(np.vstack([np.linspace(1, 3, 12), x]), axis=1)
    assert np.all(error[1:] <= bound * error[:-1] * (1 + 1e-12))
    np.testing.assert_allclose(error[-1] / error[-2], bound, rtol=1e-9)
    longer = path(momentum.sgd(2.1 / (LARGE + SMALL)), 1500, jnp.linspace(1, 3, 12))
    assert np.linalg.norm(longer[-1]) > 10 * error[-1]


def test_momentum_s_error_falls_with_the_root_of_the_condition():
    """(6): below C (1 + t) ρᵗ, and the slope of its logarithm over t = 200 … 400 is log ρ."""
    rho = (np.sqrt(KAPPA) - 1) / (np.sqrt(KAPPA) + 1)
    rate = 4 / (np.sqrt(LARGE) + np.sqrt(SMALL)) ** 2
    x = path(momentum.momentum(rate, decay=rho**2), 400)
    t = np.arange(1, 401)
    error = np.linalg.norm(x, axis=1)
    constants = error / ((1 + t) * rho**t)
    assert np.max(constants[200:]) <= 1.05 * np.max(constants[:200])
    late = t >= 200
    scaled = np.log(error / (1 + t))[late]
    slope = np.polyfit(t[late], scaled, 1)[0]
    np.testing.assert_allclose(slope, np.log(rho), rtol=0.01)
    plain = (KAPPA - 1) / (KAPPA + 1)
    assert slope < 5 * np.log(plain)  # κ = 100: gradient descent is ten times slower


def test_lion_moves_each_number_by_the_rate():
    x = jnp.asarray(np.geomspace(1e-6, 1e6, 12))
    moved = path(momentum.lion(0.01, decay=0.0), 1, x)[0] - x
    np.testing.assert_allclose(moved, -0.01, rtol=1e-6)
