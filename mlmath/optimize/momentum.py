"""Gradient descent and momentum: the gradient, its sum with a memory, and the sign of it.

With the gradient gₜ = ∇L(xₜ), xₜ₊₁ = xₜ − ηₜ dₜ, and a velocity v that starts as v₋₁ = 0:

    sgd         dₜ = gₜ                                                        (1)
    momentum    vₜ = gₜ + μ vₜ₋₁,    dₜ = vₜ                                    (2)
    Nesterov    vₜ = gₜ + μ vₜ₋₁,    dₜ = gₜ + μ vₜ                             (3)
    Lion        dₜ = sign[(1 − β₁) gₜ + β₁ vₜ₋₁] + λ xₜ,
                vₜ = (1 − β₂) gₜ + β₂ vₜ₋₁                                     (4)

(2) is Polyak's heavy ball, xₜ₊₁ − xₜ = −η gₜ + μ (xₜ − xₜ₋₁). (3) is Nesterov's method with the
point at which it takes the gradient, xₜ, as the iterate. Both are (1) at μ = 0. With η constant a
constant gradient moves them 1/(1 − μ) times as far as (1). In (4) η alone sets how far a
number moves; λ is decoupled weight decay. The conventions are optax's: the velocity does not
contain η, and λ = 10⁻³ in Lion. The derivative of a sign is 0: through one step Lion has none
in β₁, and in β₂ only through the steps that follow.

On a quadratic with curvatures from m to L and κ = L/m, where the best numbers are known:

    (1), η = 2/(L + m):                       ‖xₜ₊₁ − x*‖ ≤ ρ ‖xₜ − x*‖,  ρ = (κ − 1)/(κ + 1)   (5)
    (2), η = 4/(√L + √m)², μ = ρ²:    ‖xₜ − x*‖ ≤ C (1 + t) ρᵗ,  ρ = (√κ − 1)/(√κ + 1)          (6)

Where L is not quadratic (6) can fail; nothing here adapts η. Memory: (1) none, the others one x.

>>> import jax.numpy as jnp
>>> from mlmath.optimize import chain, momentum
>>> optimizer = momentum.momentum(0.1, decay=0.5)
>>> x = jnp.array([1.0])
>>> state = optimizer.init(x)
>>> for _ in range(3):
...     updates, state = optimizer.update(x, state, x)  # L = x²/2
...     x = chain.apply(x, updates)
>>> print(x)
[0.62]

References:
    Polyak (1964), Some methods of speeding up the convergence of iteration methods, §2, for (2)
        and (6).
    Sutskever, Martens, Dahl & Hinton (2013), On the importance of initialization and momentum,
        §2, for (3).
    Chen et al. (2023), Symbolic discovery of optimization algorithms, algorithm 2, for (4).
    Nesterov (2018), Lectures on Convex Optimization, theorem 2.1.15, for (5).
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

__all__ = ["LionState", "State", "lion", "momentum", "nesterov", "sgd"]


class State(NamedTuple):
    """Memory of (2) and (3)."""

    velocity: Any  # v, a tree like x


class LionState(NamedTuple):
    """Memory of (4)."""

    step: Int[Array, ""]  # t
    velocity: Any  # v, a tree like x


def sgd(learning_rate: Scalar | Schedule) -> Optimizer:
    """Gradient descent, eq. (1), stochastic where the gradient is."""
    return descend(learning_rate)


def momentum(learning_rate: Scalar | Schedule, *, decay: Scalar = 0.9) -> Optimizer:
    """Heavy-ball momentum, eq. (2).

    Args:
        learning_rate: η, a number or a schedule.
        decay: μ, in [0, 1).
    """
    return chain(Optimizer(Partial(_init), Partial(_momentum, decay)), descend(learning_rate))


def nesterov(learning_rate: Scalar | Schedule, *, decay: Scalar = 0.9) -> Optimizer:
    """Nesterov's momentum, eq. (3); arguments as for :func:`momentum`."""
    return chain(Optimizer(Partial(_init), Partial(_nesterov, decay)), descend(learning_rate))


def lion(
    learning_rate: Scalar | Schedule,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    decay: Scalar = 1e-3,
) -> Optimizer:
    """Evolved sign momentum, eq. (4).

    Args:
        learning_rate: η, a number or a schedule; three to ten times smaller than Adam's.
        b1: β₁, weight of the memory in the direction.
        b2: β₂, what remains of the memory.
        decay: λ.
    """
    return chain(
        Optimizer(Partial(_init_lion), Partial(_lion, b1, b2)),
        weight_decay.coupled(decay),
        descend(learning_rate),
    )


def _init(params):
    return State(trees.zeros(params))


def _init_lion(params):
    return LionState(jnp.zeros((), jnp.int32), trees.zeros(params))


def _momentum(decay, grads, state, params=None):
    velocity = trees.add_scaled(grads, decay, state.velocity)
    return velocity, State(velocity)


def _nesterov(decay, grads, state, params=None):
    velocity = trees.add_scaled(grads, decay, state.velocity)
    return trees.add_scaled(grads, decay, velocity), State(velocity)


def _lion(b1, b2, grads, state, params=None):
    sign = jax.tree.map(jnp.sign, trees.average(state.velocity, grads, b1))
    return sign, LionState(increment(state.step), trees.average(state.velocity, grads, b2))
