"""Schedules: a learning rate ηₜ that follows the step t = 0, 1, 2, …

A schedule is a ``jax.tree_util.Partial`` from t to ηₜ whose leaves are its numbers, so that they
are swept by ``vmap`` and learnt by ``grad``, and new ones compile nothing. With η the first
value, η̲ the last and T a number of steps:

    constant       ηₜ = η                                                      (1)
    step           ηₜ = η r^⌊t/T⌋                                              (2)
    exponential    ηₜ = η r^(t/T)                                              (3)
    polynomial     ηₜ = η̲ + (η − η̲)(1 − t/T)ᵖ,  t ≤ T,  then η̲               (4)
    cosine         ηₜ = η̲ + (η − η̲)(1 + cos πt/T)/2,  t ≤ T,  then η̲         (5)
    warm-up        ηₜ = a + (s₀ − a) t/W,  t < W,  then s₍ₜ₋W₎                  (6)
    one cycle      half a cosine from η/c up to η over t ≤ U = ⌊uT⌋,
                   then half a cosine down to η/(cf) at T                      (7)

with a schedule s in (6). (4) with p = 1 is the linear schedule. The numbers and their limits are
optax's: ``exponential_decay`` with and without ``staircase``, ``polynomial_schedule``,
``cosine_decay_schedule`` (η̲ here is its ``alpha`` times η), ``join_schedules`` of a linear one
with s, ``cosine_onecycle_schedule``. Lengths may be floats, which is what a derivative in
them needs; (2) and the U of (7) have derivative zero in theirs. A length of 0 is over at t = 0,
as if t/T were ∞ there too: (4) and (5) are η̲, (6) is s, and (2) and (3) are η r^∞, which is 0 for
r < 1. All derivatives are then finite for r ≤ 1. With r = 0 the derivative of (3) in r is the true
one, which is infinite where 0 < t < T.

>>> import jax, jax.numpy as jnp
>>> from mlmath.optimize import schedules
>>> schedule = schedules.warm_up(schedules.cosine_decay(1.0, steps=4), steps=2)
>>> print(jax.vmap(schedule)(jnp.arange(8)).round(2))
[0.   0.5  1.   0.85 0.5  0.15 0.   0.  ]
>>> float(jax.grad(lambda s: s(6))(schedules.exponential_decay(1.0, steps=3.0, rate=0.5)).args[0])
0.25

References:
    Goodfellow, Bengio & Courville (2016), Deep Learning, §8.3.1, for (4).
    Loshchilov & Hutter (2017), SGDR, eq. (5), for (5).
    Goyal et al. (2017), Accurate, large minibatch SGD, §2.2, for (6).
    Smith & Topin (2018), Super-convergence, §3, for (7), there with straight flanks.
"""

import jax.numpy as jnp
from jax.tree_util import Partial

from mlmath.arrays import Scalar

__all__ = [
    "Schedule", "constant", "cosine_decay", "exponential_decay", "one_cycle", "polynomial_decay",
    "step_decay", "warm_up",
]  # fmt: skip

Schedule = Partial  # t -> ηₜ


def constant(value: Scalar) -> Schedule:
    """The same rate at every step, eq. (1)."""
    return Partial(_constant, value)


def step_decay(value: Scalar, *, steps: Scalar, rate: Scalar = 0.1) -> Schedule:
    """Eq. (2): ``value`` times ``rate`` after each ``steps`` steps."""
    return Partial(_step, value, steps, rate)


def exponential_decay(value: Scalar, *, steps: Scalar, rate: Scalar = 0.1) -> Schedule:
    """Eq. (3): smooth, and ``rate`` times smaller after each ``steps`` steps."""
    return Partial(_exponential, value, steps, rate)


def polynomial_decay(
    value: Scalar, *, steps: Scalar, end: Scalar = 0.0, power: Scalar = 1.0
) -> Schedule:
    """Eq. (4).

    Args:
        value: η, at t = 0.
        steps: T, when ``end`` is reached.
        end: η̲.
        power: p > 0; 1 is a straight line.
    """
    return Partial(_polynomial, value, steps, end, power)


def cosine_decay(value: Scalar, *, steps: Scalar, end: Scalar = 0.0) -> Schedule:
    """Eq. (5): half a cosine from ``value`` to ``end`` over ``steps`` steps."""
    return Partial(_cosine, value, steps, end)


def warm_up(schedule: Schedule, *, steps: Scalar, start: Scalar = 0.0) -> Schedule:
    """Eq. (6): a straight line to where another schedule starts, then that schedule.

    Args:
        schedule: s, which takes over at t = W; :func:`constant` for a rate that stays.
        steps: W.
        start: a, the rate at t = 0.
    """
    return Partial(_warm_up, schedule, steps, start)


def one_cycle(
    peak: Scalar,
    *,
    steps: Scalar,
    up: Scalar = 0.3,
    start_ratio: Scalar = 25.0,
    end_ratio: Scalar = 10000.0,
) -> Schedule:
    """Eq. (7).

    Args:
        peak: η, the highest rate.
        steps: T.
        up: u, the part of the steps on which the rate rises.
        start_ratio: c, how much lower than the peak the rate starts.
        end_ratio: f, how much lower than the start it ends.
    """
    return Partial(_one_cycle, peak, steps, up, start_ratio, end_ratio)


def _constant(value, step):
    return jnp.asarray(value)


def _part(step, steps):
    """t/T, or 10¹⁸ for ∞; two integers of 32 bits would make it float32 also where x64 is on."""
    lasts = jnp.asarray(steps) != 0
    return jnp.where(lasts, jnp.asarray(step, float) / jnp.where(lasts, steps, 1), 1e18)


def _power(rate, part):
    """rᵖ, with 0⁰ = 1 also in its derivatives."""
    return jnp.where((part == 0) & (rate == 0), 1, rate) ** part


def _step(value, steps, rate, step):
    return value * _power(rate, jnp.floor(_part(step, steps)))


def _exponential(value, steps, rate, step):
    return value * _power(rate, _part(step, steps))


def _polynomial(value, steps, end, power, step):
    early = ~jnp.asarray(step >= steps)  # NaN shows
    left = jnp.where(early, 1 - _part(step, steps), 1)  # 0ᵖ has no derivative for p < 1
    return jnp.where(early, (value - end) * left**power, 0) + end


def _cosine(value, steps, end, step):
    part = jnp.minimum(_part(step, steps), 1)
    return end + (value - end) * (1 + jnp.cos(jnp.pi * part)) / 2


def _warm_up(schedule, steps, start, step):
    rise = start + (schedule(0) - start) * _part(step, steps)
    return jnp.where(step >= steps, schedule(jnp.maximum(step - steps, 0)), rise)


def _one_cycle(peak, steps, up, start_ratio, end_ratio, step):
    turn = jnp.floor(up * jnp.asarray(steps))
    start = peak / start_ratio
    rise = _cosine(start, turn, peak, step)
    fall = _cosine(peak, steps - turn, start / end_ratio, step - turn)
    return jnp.where(step < turn, rise, fall)
