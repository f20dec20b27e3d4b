"""Adaptive steps: their recursions, and what the size of a gradient does to them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mlmath.optimize import adaptive

G = np.random.default_rng(0).normal(size=(12, 5)) * np.geomspace(1e-2, 1e2, 5)
EPS, B = 0.03, 0.7


def directions(optimizer, gradients):
    """−u of a learning rate of 1."""

    def step(state, g):
        updates, state = optimizer.update(g, state)
        return state, -updates

    gradients = jnp.asarray(gradients)
    return jax.jit(lambda o: lax.scan(step, o.init(gradients[0]), gradients)[1])(optimizer)


def adagrad():
    s = 0.2
    for g in G:
        s = s + g**2
        yield g / np.sqrt(s + EPS)


def rmsprop():
    s = 0
    for g in G:
        s = B * s + (1 - B) * g**2
        yield g / np.sqrt(s + EPS)


def centred():
    m = q = 0
    for g in G:
        m, q = B * m + (1 - B) * g, B * q + B * (1 - B) * (g - m) ** 2
        yield g / np.sqrt(q + EPS)


def centred_by_squares():
    """The form of Graves's (40), which optax has."""
    m = s = 0
    for g in G:
        m, s = B * m + (1 - B) * g, B * s + (1 - B) * g**2
        yield g / np.sqrt(s - m**2 + EPS)


def adadelta():
    s = r = 0
    for g in G:
        s = B * s + (1 - B) * g**2
        d = g * np.sqrt(r + EPS) / np.sqrt(s + EPS)
        r = B * r + (1 - B) * d**2
        yield d


NUMBERS = {"decay": B, "eps": EPS}


@pytest.mark.parametrize(
    ("optimizer", "recursion"),
    [
        (adaptive.adagrad(1.0, start=0.2, eps=EPS), adagrad),
        (adaptive.rmsprop(1.0, **NUMBERS), rmsprop),
        (adaptive.centred_rmsprop(1.0, **NUMBERS), centred),
        (adaptive.centred_rmsprop(1.0, **NUMBERS), centred_by_squares),
        (adaptive.adadelta(1.0, **NUMBERS), adadelta),
    ],
    ids=["adagrad", "rmsprop", "centred", "centred by squares", "adadelta"],
)
def test_the_recursion_is_its_transcription(optimizer, recursion):
    np.testing.assert_allclose(directions(optimizer, G), list(recursion()), rtol=1e-12)


def test_the_scale_of_a_gradient_does_not_matter():
    for optimizer in (adaptive.adagrad(1.0, start=0.0), adaptive.rmsprop(1.0)):
        small, large = directions(optimizer, G), directions(optimizer, 1e6 * G)
        np.testing.assert_allclose(small[:, 2:], large[:, 2:], rtol=1e-4)  # ε is seen below


def test_the_first_step_of_rmsprop_is_longer_than_one():
    first = directions(adaptive.rmsprop(1.0, decay=0.99), G)[0]
    np.testing.assert_allclose(first[2:], 10 * np.sign(G[0, 2:]), rtol=1e-4)


def test_adagrad_s_steps_shrink_like_one_over_the_root_of_t():
    d = directions(adaptive.adagrad(1.0, start=0.0), np.ones((400, 1)))[:, 0]
    np.testing.assert_allclose(d, 1 / np.sqrt(np.arange(1, 401)), rtol=1e-6)


def test_adadelta_keeps_the_units_of_x():
    """Gradients of L(x) with x in other units are 1/c as large, steps c times as long."""
    d, scaled = (
        directions(adaptive.adadelta(1.0, eps=e), g) for e, g in ((1e-30, G), (1e-30, G / 8))
    )
    np.testing.assert_allclose(d, scaled, rtol=1e-6)  # from r = 0, only ε gives the unit


def test_a_steady_gradient_in_float32_is_no_nan_when_centred():
    """s − m² in float32 is below −ε here; the variance is not."""
    g = np.tile(np.linspace(3, 30, 50).astype(np.float32), (300, 1))
    m = s = np.zeros(50, np.float32)
    below = False
    for x in g:
        m = np.float32(0.9) * m + np.float32(0.1) * x
        s = np.float32(0.9) * s + np.float32(0.1) * x**2
        below |= bool(np.any(s - m**2 < -1e-8))
    assert below
    assert np.isfinite(directions(adaptive.centred_rmsprop(1.0), g)).all()


def test_what_never_had_a_gradient_does_not_move():
    for optimizer in (
        adaptive.adagrad(1.0, start=0.0, eps=0.0),
        adaptive.rmsprop(1.0),
        adaptive.centred_rmsprop(1.0),
        adaptive.adadelta(1.0),
    ):
        np.testing.assert_array_equal(directions(optimizer, np.zeros((3, 2))), 0)
