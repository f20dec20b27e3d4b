"""The way of a method: where each step of an optimizer arrives, and the value there.

An optimizer (``chain``) that starts at x₀ and follows the gradient of f arrives at

    (uₜ, sₜ₊₁) = update(∇f(xₜ), sₜ, xₜ),        xₜ₊₁ = xₜ + uₜ,        s₀ = init(x₀)     (1)

Kept are x₀, …, x_T and f(x₀), …, f(x_T). The optimizer's numbers are leaves: ``vmap`` over them
takes all ways in one program, and ``grad`` of the last value, through all steps, says which
number would have led lower. A step after which something is not finite is kept as it is.

Time: T gradients. Memory: T + 1 positions, and for a derivative as many states.

>>> import jax, jax.numpy as jnp
>>> from mlmath.optimize import landscapes, momentum, trajectory
>>> way = trajectory.follow(
...     landscapes.rosenbrock, momentum.momentum(1e-3), jnp.array([-1.2, 1.0]), steps=200
... )
>>> print(way.positions.shape, way.values.shape, way.values[jnp.array([0, 200])].round(3))
(201, 2) (201,) [24.2    0.035]
>>> rates = jnp.array([1e-4, 1e-3])
>>> ways = jax.vmap(lambda rate: trajectory.follow(
...     landscapes.rosenbrock, momentum.momentum(rate), jnp.array([-1.2, 1.0]), steps=200
... ))(rates)
>>> ways.positions.shape
(2, 201, 2)

References:
    Nesterov (2018), Lectures on Convex Optimization, §1.1.2 (general iterative scheme).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.compiled import as_argument, compiled
from mlmath.optimize import chain

__all__ = ["Trajectory", "follow"]


class Trajectory(NamedTuple):
    """Outcome of :func:`follow`."""

    positions: Any  # x₀, …, x_T: a tree like x₀, each array with T + 1 in front
    values: Float[Array, " _"]  # f(x₀), …, f(x_T)


def follow(
    function: Callable[..., Any], optimizer: chain.Optimizer, start: Any, *, steps: int = 100
) -> Trajectory:
    """Take T steps (1) and keep them all; new numbers compile nothing.

    Args:
        function: f, from a tree of arrays to a number; what a ``Partial`` binds is traced.
        optimizer: the method.
        start: x₀.
        steps: T; fixes a shape.
    """
    return _follow(as_argument(function), optimizer, start, steps=steps)


@compiled(static=("steps",))
def _follow(function, optimizer, start, *, steps):
    start = jax.tree.map(jnp.asarray, start)

    def step(carry, _):
        x, state = carry
        value, gradient = jax.value_and_grad(function)(x)
        updates, state = optimizer.update(gradient, state, x)
        return (chain.apply(x, updates), state), (x, value)

    (last, _), (positions, values) = lax.scan(step, (start, optimizer.init(start)), length=steps)
    return Trajectory(
        jax.tree.map(lambda xs, x: jnp.concatenate([xs, x[None]]), positions, last),
        jnp.append(values, function(last)),
    )
