"""Schedules: their formulas, optax's, and their numbers as leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree
from jax.tree_util import Partial

from mlmath.arguments import ArgumentError
from mlmath.optimize import schedules

T = np.arange(120)


def cosine(start, end, part):
    return end + (start - end) * (1 + np.cos(np.pi * np.clip(part, 0, 1))) / 2


CASES = {
    "constant": (
        schedules.constant(0.3),
        optax.constant_schedule(0.3),
        np.full(120, 0.3),
    ),
    "step": (
        schedules.step_decay(0.3, steps=25, rate=0.5),
        optax.exponential_decay(0.3, 25, 0.5, staircase=True),
        0.3 * 0.5 ** (T // 25),
    ),
    "exponential": (
        schedules.exponential_decay(0.3, steps=25, rate=0.5),
        optax.exponential_decay(0.3, 25, 0.5),
        0.3 * 0.5 ** (T / 25),
    ),
    "linear": (
        schedules.polynomial_decay(0.3, steps=80, end=0.1),
        optax.linear_schedule(0.3, 0.1, 80),
        0.3 - 0.2 * np.minimum(T / 80, 1),
    ),
    "polynomial": (
        schedules.polynomial_decay(0.3, steps=80, end=0.1, power=2.5),
        optax.polynomial_schedule(0.3, 0.1, 2.5, 80),
        0.1 + 0.2 * (1 - np.minimum(T / 80, 1)) ** 2.5,
    ),
    "cosine": (
        schedules.cosine_decay(0.3, steps=80, end=0.06),
        optax.cosine_decay_schedule(0.3, 80, alpha=0.2),
        cosine(0.3, 0.06, T / 80),
    ),
    "warm-up": (
        schedules.warm_up(schedules.cosine_decay(0.3, steps=80), steps=20, start=0.05),
        optax.warmup_cosine_decay_schedule(0.05, 0.3, 20, 100),
        np.where(T < 20, 0.05 + 0.25 * T / 20, cosine(0.3, 0, (T - 20) / 80)),
    ),
    "one cycle": (
        schedules.one_cycle(0.3, steps=91),
        optax.cosine_onecycle_schedule(91, 0.3),
        np.where(
            T < 27,
            cosine(0.3 / 25, 0.3, T / 27),
            cosine(0.3, 0.3 / 25 / 1e4, (T - 27) / (91 - 27)),
        ),
    ),
}
every = pytest.mark.parametrize(("schedule", "peer", "formula"), CASES.values(), ids=CASES.keys())


@every
def test_a_schedule_is_its_formula_and_optax_s(schedule, peer, formula):
    found = jax.jit(jax.vmap(schedule))(T)
    np.testing.assert_allclose(found, formula, rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(found, [peer(t) for t in T], rtol=1e-12, atol=1e-16)


@every
def test_a_schedule_is_a_partial_whose_leaves_are_its_numbers(schedule, peer, formula):
    assert isinstance(schedule, Partial)
    numbers, unravel = ravel_pytree(schedule)

    @jax.jit
    def mean(numbers):
        return jnp.mean(jax.vmap(unravel(numbers))(jnp.arange(1, 120, 9)))

    slope = jax.jit(jax.grad(mean))(numbers)
    assert np.isfinite(slope).all()
    numbers = np.asarray(numbers)
    h = 1e-6 * np.diag(numbers)
    moved = np.reshape(jax.jit(jax.vmap(mean))(np.concatenate([numbers + h, numbers - h])), (2, -1))
    difference = (moved[0] - moved[1]) / np.maximum(2 * np.diag(h), 1e-300)
    smooth = (numbers > 0) & (numbers < 20)  # a length moves where a schedule breaks
    np.testing.assert_allclose(slope[smooth], difference[smooth], rtol=1e-5, atol=1e-9)


def test_a_schedule_is_read_at_one_step_of_any_kind():
    schedule = schedules.warm_up(schedules.constant(0.5), steps=4)
    for step in (2, np.int64(2), jnp.int32(2), jnp.float32(2)):
        assert float(schedule(step)) == 0.25


def test_a_schedule_has_all_digits_at_a_step_of_32_bits():
    rate = jax.jit(schedules.exponential_decay(0.1, steps=3, rate=0.5))(jnp.int32(1))
    np.testing.assert_allclose(rate, 0.1 * 0.5 ** (1 / 3), rtol=1e-15)


def test_a_root_has_a_derivative_after_its_end():
    slope = jax.grad(lambda s: s(9))(schedules.polynomial_decay(1.0, steps=9.0, power=0.5))
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(slope))


@pytest.mark.parametrize("up", [0.0, 1.0])
def test_a_cycle_of_one_flank_has_a_value_and_a_derivative_at_every_step(up):
    cycle = schedules.one_cycle(0.3, steps=4.0, up=up)
    found = jax.vmap(jax.value_and_grad(lambda s, t: s(t)), (None, 0))(cycle, jnp.arange(7))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def test_a_schedule_that_is_large_before_its_begin_is_not_asked_there():
    """rᵗ overflows for t = −200, where a warm-up of 200 steps begins."""
    decay = schedules.exponential_decay(1.0, steps=1.0, rate=1e-3)
    slope = jax.grad(lambda s: s(0))(schedules.warm_up(decay, steps=200.0))
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(slope))


def test_a_bare_function_is_no_schedule():
    with pytest.raises(ArgumentError, match=r"Partial, got function; bind the numbers"):
        schedules.warm_up(lambda t: 0.1, steps=3)


ZERO = {  # what a length of 0 means: it is over at t = 0
    "step": (lambda T: schedules.step_decay(0.3, steps=T, rate=0.5), 0.0),
    "exponential": (lambda T: schedules.exponential_decay(0.3, steps=T, rate=0.5), 0.0),
    "no decay": (lambda T: schedules.exponential_decay(0.3, steps=T, rate=1.0), 0.3),
    "polynomial": (lambda T: schedules.polynomial_decay(0.3, steps=T, end=0.1), 0.1),
    "cosine": (lambda T: schedules.cosine_decay(0.3, steps=T, end=0.1), 0.1),
    "warm-up": (lambda T: schedules.warm_up(schedules.constant(0.1), steps=T), 0.1),
    "one cycle": (lambda T: schedules.one_cycle(0.3, steps=T), 0.3 / 25 / 1e4),
}


@pytest.mark.parametrize(("make", "end"), ZERO.values(), ids=ZERO.keys())
@pytest.mark.parametrize("t", [0, 3])
def test_a_length_of_zero_is_over_at_once_and_has_derivatives(make, end, t):
    for T in (0, 0.0, jnp.int32(0)):
        np.testing.assert_allclose(make(T)(t), end, rtol=1e-15)
    lanes = jax.vmap(lambda T: jax.grad(lambda s: s(t))(make(T)))(jnp.array([0.0, 2.0]))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(lanes))
    numbers, unravel = ravel_pytree(make(0.0))
    for twice in (jax.hessian, lambda f: jax.jacfwd(jax.jacfwd(f))):
        assert np.isfinite(twice(lambda v: unravel(v)(t))(numbers)).all()


@pytest.mark.parametrize("decay", [schedules.step_decay, schedules.exponential_decay])
def test_a_rate_of_zero_has_its_derivatives(decay):
    """0.1 r^p at r = 0 with p = t/3 = 0, 1, 2; for 0 < p < 1 it is infinite."""
    slope = jax.vmap(jax.grad(lambda r, t: decay(0.1, steps=3.0, rate=r)(t)), (None, 0))
    np.testing.assert_allclose(slope(0.0, jnp.array([0, 3, 6])), [0, 0.1, 0], atol=1e-16)
    bend = jax.vmap(jax.grad(jax.grad(lambda r, t: decay(0.1, steps=3.0, rate=r)(t))), (None, 0))
    np.testing.assert_allclose(bend(0.0, jnp.array([0, 6])), [0, 0.2], atol=1e-16)


def test_a_length_that_is_no_number_shows():
    for name in ZERO.keys() - {"no decay"}:  # 1ᵖ = 1
        assert np.isnan(ZERO[name][0](np.nan)(3)), name


def test_the_derivative_in_the_step_holds_at_the_first():
    slope = jax.grad(schedules.exponential_decay(0.3, steps=4, rate=0.5))(0.0)
    np.testing.assert_allclose(slope, 0.3 * np.log(0.5) / 4, rtol=1e-12)


def test_a_cycle_ends_where_its_formula_says_if_it_only_rises():
    schedule = schedules.one_cycle(0.3, steps=4, up=1.0)
    np.testing.assert_allclose(schedule(2), cosine(0.3 / 25, 0.3, 0.5), rtol=1e-15)
    np.testing.assert_allclose(schedule(4), 0.3 / 25 / 1e4, rtol=1e-12)
