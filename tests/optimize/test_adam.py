"""Adam and its kin: their recursions, and what the correction of the bias is for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mlmath.optimize import adam, chain, schedules

G = np.random.default_rng(0).normal(size=(12, 5)) * np.geomspace(1e-2, 1e2, 5)
B1, B2, EPS, DECAY = 0.8, 0.95, 0.03, 0.1
NUMBERS = {"b1": B1, "b2": B2, "eps": EPS}


def iterates(optimizer, gradients=G, x=1.0):
    def step(carry, g):
        x, state = carry
        updates, state = optimizer.update(g, state, x)
        x = chain.apply(x, updates)
        return (x, state), x

    x, gradients = jnp.full(gradients.shape[1], x), jnp.asarray(gradients)
    return jax.jit(lambda o: lax.scan(step, (x, o.init(x)), gradients)[1])(optimizer)


def direction_of_adam(t, g, m, v, w, x):
    return m / (1 - B1**t) / (np.sqrt(v / (1 - B2**t)) + EPS), w


def direction_of_adamw(t, g, m, v, w, x):
    return direction_of_adam(t, g, m, v, w, x)[0] + DECAY * x, w


def direction_of_nadam(t, g, m, v, w, x):
    mean = B1 * m / (1 - B1 ** (t + 1)) + (1 - B1) * g / (1 - B1**t)
    return mean / (np.sqrt(v / (1 - B2**t)) + EPS), w


def direction_of_amsgrad(t, g, m, v, w, x):
    w = np.maximum(w, v / (1 - B2**t))
    return m / (1 - B1**t) / (np.sqrt(w) + EPS), w


def direction_of_adamax(t, g, m, v, w, x):
    w = np.maximum(B2 * w, np.abs(g) + EPS)
    return m / (1 - B1**t) / w, w


@pytest.mark.parametrize(
    ("method", "direction"),
    [
        (adam.adam, direction_of_adam),
        (adam.adamw, direction_of_adamw),
        (adam.nadam, direction_of_nadam),
        (adam.amsgrad, direction_of_amsgrad),
        (adam.adamax, direction_of_adamax),
    ],
    ids=["adam", "adamw", "nadam", "amsgrad", "adamax"],
)
def test_the_recursion_is_its_transcription(method, direction):
    numbers = NUMBERS | ({"decay": DECAY} if method is adam.adamw else {})
    rate = schedules.exponential_decay(0.1, steps=5, rate=0.5)
    x, m, v, w, expected = np.ones(5), 0, 0, np.zeros(5), []
    for t, g in enumerate(G, start=1):
        m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g**2
        d, w = direction(t, g, m, v, w, x)
        x = x - 0.1 * 0.5 ** ((t - 1) / 5) * d
        expected.append(x)
    np.testing.assert_allclose(iterates(method(rate, **numbers)), expected, rtol=1e-12)


@pytest.mark.parametrize("method", [adam.adam, adam.nadam, adam.amsgrad, adam.adamax])
def test_a_constant_gradient_moves_every_number_by_the_rate(method):
    x = iterates(method(0.01, eps=1e-12), np.tile([1e-3, -1.0, 1e3], (30, 1)), 0.0)
    expected = np.outer(np.arange(1, 31), [-0.01, 0.01, -0.01])
    if method is adam.nadam:  # which weighs the next step's memory and the gradient
        t = np.arange(1, 31)
        weight = 0.9 * (1 - 0.9**t) / (1 - 0.9 ** (t + 1)) + 0.1 / (1 - 0.9**t)
        expected = np.outer(np.cumsum(weight), [-0.01, 0.01, -0.01])
    np.testing.assert_allclose(x, expected, rtol=1e-6)


def test_amsgrad_s_steps_do_not_grow_after_a_large_gradient():
    gradients = np.ones((400, 1))
    gradients[0] = 1e3
    moved = np.abs(np.diff(np.asarray(iterates(adam.amsgrad(0.1), gradients))[:, 0]))
    after = np.abs(np.diff(np.asarray(iterates(adam.adam(0.1), gradients))[:, 0]))
    assert np.all(moved[100:] <= 0.1 * 1e-3 * 1.1)
    assert after[-1] > 10 * moved[-1]


def test_without_memory_adam_is_the_sign():
    x = iterates(adam.adam(0.1, b1=0.0, b2=0.0, eps=1e-12), x=0.0)
    np.testing.assert_allclose(x, -0.1 * np.cumsum(np.sign(G), axis=0), rtol=1e-6, atol=1e-9)


def test_the_state_counts_its_steps():
    optimizer = adam.adam(0.1)
    state = optimizer.init(jnp.ones(2))
    for t in range(3):
        assert int(state[0].step) == t
        _, state = optimizer.update(jnp.ones(2), state)
