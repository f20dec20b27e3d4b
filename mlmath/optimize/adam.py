"""Adam and its kin: momentum, divided by the size that the gradient had, both without their bias.

With the gradient gₜ = ∇L(xₜ) at t = 1, 2, …, xₜ₊₁ = xₜ − ηₜ dₜ, all operations number by number,
and averages that start at m₀ = v₀ = w₀ = 0,

    mₜ = β₁ mₜ₋₁ + (1 − β₁) gₜ,        m̂ₜ = mₜ / (1 − β₁ᵗ)                      (1)
    vₜ = β₂ vₜ₋₁ + (1 − β₂) gₜ²,       v̂ₜ = vₜ / (1 − β₂ᵗ)                      (2)

    Adam       dₜ = m̂ₜ / (√v̂ₜ + ε)                                            (3)
    AdamW      dₜ = m̂ₜ / (√v̂ₜ + ε) + λ xₜ                                      (4)
    Nadam      dₜ = [β₁ mₜ / (1 − β₁ᵗ⁺¹) + (1 − β₁) gₜ / (1 − β₁ᵗ)] / (√v̂ₜ + ε)   (5)
    AMSGrad    wₜ = max(wₜ₋₁, v̂ₜ),            dₜ = m̂ₜ / (√wₜ + ε)               (6)
    Adamax     wₜ = max(β₂ wₜ₋₁, |gₜ| + ε),    dₜ = m̂ₜ / wₜ                      (7)

1 − βᵗ is the sum of the weights in an average, so that a constant gradient has m̂ₜ = gₜ and moves
every number by η. The conventions are optax's: ε outside the root of the unbiased v̂ₜ; (6) takes
the largest of the unbiased v̂ₜ, where the paper has vₜ; (7) has ε inside the maximum; λ = 10⁻⁴ in
(4). A schedule is asked at t − 1. ε must be positive; √ has the derivative 0 at 0, so that a
parameter with no gradient is no NaN in a derivative. Given as float32, β₂ = 0.999 has
itself an error of 3·10⁻⁵ in 1 − β₂: a number in float64 or a Python number has not.

Memory: two x, three for (6).

>>> import jax, jax.numpy as jnp
>>> from mlmath.optimize import adam
>>> optimizer = adam.adam(0.1)
>>> g = jnp.array([100.0, -0.01])
>>> print(optimizer.update(g, optimizer.init(g), g)[0].round(3))
[-0.1  0.1]
>>> len(jax.tree.leaves(optimizer))  # η, β₁, β₂, ε
4

References:
    Kingma & Ba (2015), Adam, algorithm 1 for (1)-(3), algorithm 2 for (7).
    Loshchilov & Hutter (2019), Decoupled weight decay regularization, algorithm 2, for (4).
    Dozat (2016), Incorporating Nesterov momentum into Adam, algorithm 2, for (5), without its
        factor β₂ of v̂ₜ.
    Reddi, Kale & Kumar (2018), On the convergence of Adam and beyond, algorithm 2, for (6).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Int

from mlmath.arrays import Scalar
from mlmath.optimize import trees, weight_decay
from mlmath.optimize.chain import Optimizer, chain, descend, increment
from mlmath.optimize.schedules import Schedule
from mlmath.optimize.trees import like

__all__ = ["AmsgradState", "State", "adam", "adamax", "adamw", "amsgrad", "nadam"]


class State(NamedTuple):
    """Memory of (3), (4), (5) and (7)."""

    step: Int[Array, ""]  # t
    mean: Any  # m, a tree like x
    square: Any  # v, in (7) w, a tree like x


class AmsgradState(NamedTuple):
    """Memory of (6)."""

    step: Int[Array, ""]  # t
    mean: Any  # m, a tree like x
    square: Any  # v, a tree like x
    largest: Any  # w, a tree like x


def adam(
    learning_rate: Scalar | Schedule,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
) -> Optimizer:
    """Adam, eq. (3).

    Args:
        learning_rate: η, a number or a schedule.
        b1: β₁, in [0, 1).
        b2: β₂, in [0, 1).
        eps: ε > 0.
    """
    link = Optimizer(Partial(_init), Partial(_adam, b1, b2, eps))
    return chain(link, descend(learning_rate))


def adamw(
    learning_rate: Scalar | Schedule,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    decay: Scalar = 1e-4,
) -> Optimizer:
    """Adam with decoupled weight decay λ = ``decay``, eq. (4); else as :func:`adam`."""
    link = Optimizer(Partial(_init), Partial(_adam, b1, b2, eps))
    return chain(link, weight_decay.coupled(decay), descend(learning_rate))


def nadam(
    learning_rate: Scalar | Schedule,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
) -> Optimizer:
    """Adam with Nesterov's momentum, eq. (5); arguments as for :func:`adam`."""
    link = Optimizer(Partial(_init), Partial(_nadam, b1, b2, eps))
    return chain(link, descend(learning_rate))


def amsgrad(
    learning_rate: Scalar | Schedule,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
) -> Optimizer:
    """Adam whose steps never grow, eq. (6); arguments as for :func:`adam`."""
    link = Optimizer(Partial(_init_amsgrad), Partial(_amsgrad, b1, b2, eps))
    return chain(link, descend(learning_rate))


def adamax(
    learning_rate: Scalar | Schedule,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
) -> Optimizer:
    """Adam by the largest gradient, eq. (7); arguments as for :func:`adam`."""
    link = Optimizer(Partial(_init), Partial(_adamax, b1, b2, eps))
    return chain(link, descend(learning_rate))


def _init(params):
    return State(jnp.zeros((), jnp.int32), trees.zeros(params), trees.zeros(params))


def _init_amsgrad(params):
    step, mean, square = _init(params)
    return AmsgradState(step, mean, square, trees.zeros(params))


def _moments(b1, b2, grads, state):
    """t, m and v of (1) and (2)."""
    squares = jax.tree.map(jnp.square, grads)
    mean = trees.average(state.mean, grads, b1)
    return State(increment(state.step), mean, trees.average(state.square, squares, b2))


def _unbiased(moment, decay, step):
    weight = 1 - decay**step
    return jax.tree.map(lambda m: m / like(weight, m), moment)


def _ratio(mean, square, eps):
    return jax.tree.map(lambda m, v: m / (trees.root(v) + like(eps, v)), mean, square)


def _adam(b1, b2, eps, grads, state, params=None):
    after = _moments(b1, b2, grads, state)
    mean = _unbiased(after.mean, b1, after.step)
    return _ratio(mean, _unbiased(after.square, b2, after.step), eps), after


def _nadam(b1, b2, eps, grads, state, params=None):
    after = _moments(b1, b2, grads, state)
    ahead = _unbiased(after.mean, b1, increment(after.step))
    mean = trees.add_scaled(trees.scale(b1, ahead), 1 - b1, _unbiased(grads, b1, after.step))
    return _ratio(mean, _unbiased(after.square, b2, after.step), eps), after


def _amsgrad(b1, b2, eps, grads, state, params=None):
    after = _moments(b1, b2, grads, state)
    square = _unbiased(after.square, b2, after.step)
    largest = jax.tree.map(jnp.maximum, state.largest, square)
    mean = _unbiased(after.mean, b1, after.step)
    direction = _ratio(mean, largest, eps)
    return direction, AmsgradState(after.step, after.mean, after.square, largest)


def _adamax(b1, b2, eps, grads, state, params=None):
    def larger(w, g):
        return jnp.maximum(jnp.abs(g) + like(eps, g), like(b2, w) * w)

    largest = jax.tree.map(larger, state.square, grads)
    after = State(increment(state.step), trees.average(state.mean, grads, b1), largest)
    return jax.tree.map(jnp.divide, _unbiased(after.mean, b1, after.step), largest), after
