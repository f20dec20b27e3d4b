"""Adaptive steps: each number divided by the size that its own gradient had so far.

With the gradient gₜ = ∇L(xₜ), xₜ₊₁ = xₜ − ηₜ dₜ, all operations number by number, and averages
that start at s₋₁ = a in (1) and at s₋₁ = m₋₁ = q₋₁ = r₋₁ = 0 elsewhere:

    Adagrad           sₜ = sₜ₋₁ + gₜ²,                 dₜ = gₜ / √(sₜ + ε)              (1)
    RMSprop           sₜ = β sₜ₋₁ + (1 − β) gₜ²,        dₜ = gₜ / √(sₜ + ε)              (2)
    centred RMSprop   mₜ = β mₜ₋₁ + (1 − β) gₜ,
                      qₜ = β qₜ₋₁ + β (1 − β)(gₜ − mₜ₋₁)²,    dₜ = gₜ / √(qₜ + ε)         (3)
    Adadelta          sₜ as in (2),                    dₜ = gₜ √(rₜ₋₁ + ε) / √(sₜ + ε),
                      rₜ = β rₜ₋₁ + (1 − β) dₜ²                                         (4)

The conventions are optax's: ε is inside the root (Adadelta's paper agrees, Adagrad's and many
programs have it outside), Adagrad starts at a = 0.1, nothing corrects the bias towards 0 of the
first averages, so that the first step of (2) is 1/√(1 − β) times as long as the gradient's sign,
and (4) has a learning rate, 1 in the paper. A number whose gradients were all 0 stays where it is.
q in (3) is the variance s − m², with the s of (2), which optax keeps in its place: rounding can
make that difference negative and the step NaN, which cannot happen here. ε must be positive. The
steps of (1) shrink like 1/√t, those of (2) and (3) do not; (4) keeps the units of x.

Memory: one x for (1) and (2), two for (3) and (4).

>>> import jax.numpy as jnp
>>> from mlmath.optimize import adaptive
>>> optimizer = adaptive.rmsprop(0.1, decay=0.75)
>>> g = jnp.array([100.0, -0.01])
>>> print(optimizer.update(g, optimizer.init(g), g)[0].round(3))  # of one size
[-0.2  0.2]

References:
    Duchi, Hazan & Singer (2011), Adaptive subgradient methods, §1.1, for (1).
    Tieleman & Hinton (2012), Neural Networks for Machine Learning, lecture 6.5, for (2).
    Graves (2013), Generating sequences with recurrent neural networks, eqs. (38)-(40), for (3).
    Zeiler (2012), ADADELTA, algorithm 1, for (4).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.tree_util import Partial

from mlmath.arrays import Scalar
from mlmath.optimize import trees
from mlmath.optimize.chain import Optimizer, chain, descend
from mlmath.optimize.schedules import Schedule
from mlmath.optimize.trees import like

__all__ = [
    "AdadeltaState", "CentredState", "State", "adadelta", "adagrad", "centred_rmsprop", "rmsprop",
]  # fmt: skip


class State(NamedTuple):
    """Memory of (1) and (2)."""

    square: Any  # s, a tree like x


class CentredState(NamedTuple):
    """Memory of (3)."""

    mean: Any  # m, a tree like x
    variance: Any  # q, a tree like x


class AdadeltaState(NamedTuple):
    """Memory of (4)."""

    square: Any  # s, a tree like x
    moved: Any  # r, a tree like x


def adagrad(
    learning_rate: Scalar | Schedule, *, start: Scalar = 0.1, eps: Scalar = 1e-7
) -> Optimizer:
    """Adagrad, eq. (1).

    Args:
        learning_rate: η, a number or a schedule.
        start: a, the sum of squares before the first step.
        eps: ε > 0.
    """
    return chain(Optimizer(Partial(_full, start), Partial(_adagrad, eps)), descend(learning_rate))


def rmsprop(
    learning_rate: Scalar | Schedule, *, decay: Scalar = 0.9, eps: Scalar = 1e-8
) -> Optimizer:
    """RMSprop, eq. (2).

    Args:
        learning_rate: η, a number or a schedule.
        decay: β, in [0, 1).
        eps: ε > 0.
    """
    link = Optimizer(Partial(_init), Partial(_rmsprop, decay, eps))
    return chain(link, descend(learning_rate))


def centred_rmsprop(
    learning_rate: Scalar | Schedule, *, decay: Scalar = 0.9, eps: Scalar = 1e-8
) -> Optimizer:
    """RMSprop by the variance, eq. (3); arguments as for :func:`rmsprop`."""
    link = Optimizer(Partial(_init_centred), Partial(_centred, decay, eps))
    return chain(link, descend(learning_rate))


def adadelta(
    learning_rate: Scalar | Schedule, *, decay: Scalar = 0.9, eps: Scalar = 1e-6
) -> Optimizer:
    """Adadelta, eq. (4); arguments as for :func:`rmsprop`."""
    link = Optimizer(Partial(_init_adadelta), Partial(_adadelta, decay, eps))
    return chain(link, descend(learning_rate))


def _full(start, params):
    return State(jax.tree.map(lambda p: jnp.full_like(p, start), params))


def _init(params):
    return State(trees.zeros(params))


def _init_centred(params):
    return CentredState(trees.zeros(params), trees.zeros(params))


def _init_adadelta(params):
    return AdadeltaState(trees.zeros(params), trees.zeros(params))


def _squares(tree):
    return jax.tree.map(jnp.square, tree)


def _adagrad(eps, grads, state, params=None):
    square = jax.tree.map(lambda s, g: g * g + s, state.square, grads)

    def direction(g, s):
        return jnp.where(s > 0, lax.rsqrt(s + like(eps, s)), 0) * g

    return jax.tree.map(direction, grads, square), State(square)


def _rmsprop(decay, eps, grads, state, params=None):
    square = trees.average(state.square, _squares(grads), decay)
    direction = jax.tree.map(lambda g, s: lax.rsqrt(s + like(eps, s)) * g, grads, square)
    return direction, State(square)


def _centred(decay, eps, grads, state, params=None):
    def spread(q, m, g):
        return like(decay * (1 - decay), g) * jnp.square(g - m) + like(decay, q) * q

    variance = jax.tree.map(spread, state.variance, state.mean, grads)
    direction = jax.tree.map(lambda g, q: lax.rsqrt(q + like(eps, q)) * g, grads, variance)
    return direction, CentredState(trees.average(state.mean, grads, decay), variance)


def _adadelta(decay, eps, grads, state, params=None):
    square = trees.average(state.square, _squares(grads), decay)

    def direction(g, s, r):
        return jnp.sqrt(r + like(eps, r)) / jnp.sqrt(s + like(eps, s)) * g

    found = jax.tree.map(direction, grads, square, state.moved)
    return found, AdadeltaState(square, trees.average(state.moved, _squares(found), decay))
