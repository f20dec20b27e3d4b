"""Averaging: the mean of the iterates, which forgets the noise of stochastic gradients.

A method x₀, x₁, … that is not changed is watched, and after t steps the mean of the iterates that
came after the first b is

    x̄ₜ = x̄ₜ₋₁ + (xₜ − x̄ₜ₋₁) / max(1, t − b),        x̄₀ = x₀                    (1)

the mean of x_{b+1}, …, xₜ for t > b, and xₜ before. With a constant step η, stochastic gradient
descent does not converge but moves in a ball, E‖xₜ − x*‖² ∝ η; on a quadratic the mean does
converge, E‖x̄ₜ − x*‖² ∝ 1/t, whatever η.

>>> import jax.numpy as jnp
>>> from mlmath.optimize import averaging, chain, momentum
>>> optimizer = averaging.averaged(momentum.sgd(1.0))
>>> x = jnp.array([1.0])
>>> state = optimizer.init(x)
>>> for _ in range(4):
...     updates, state = optimizer.update(2 * x, state, x)  # jumps from 1 to −1 and back
...     x = chain.apply(x, updates)
>>> print(x, state.mean)
[1.] [0.]

References:
    Polyak & Juditsky (1992), Acceleration of stochastic approximation by averaging, theorem 1.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Int

from mlmath.arrays import Scalar
from mlmath.optimize import chain
from mlmath.optimize.trees import like

__all__ = ["State", "averaged"]


class State(NamedTuple):
    """Memory of (1), and that of the method which is watched."""

    step: Int[Array, ""]  # t
    mean: Any  # x̄, a tree like x
    watched: Any  # state of the method


def averaged(optimizer: chain.Optimizer, *, skip: Scalar = 0) -> chain.Optimizer:
    """The same method, with the mean (1) of its iterates in ``state.mean``.

    Args:
        optimizer: the method, with all its links: what it returns is what is added to x.
        skip: b, how many of the first iterates the mean leaves out.
    """
    return chain.Optimizer(Partial(_init, optimizer.init), Partial(_update, optimizer.update, skip))


def _init(init, params):
    return State(jnp.zeros((), jnp.int32), jax.tree.map(jnp.asarray, params), init(params))


def _update(method, skip, grads, state, params=None):
    if params is None:
        raise ValueError("An average needs the parameters: call update(grads, state, params).")
    updates, watched = method(grads, state.watched, params)
    step = chain.increment(state.step)
    share = jnp.maximum(step - skip, 1)

    def moved(mean, x):
        return mean + (x - mean) / like(share, mean)

    mean = jax.tree.map(moved, state.mean, chain.apply(params, updates))
    return updates, State(step, mean, watched)
