"""Optimizers that are data: the protocol of a first-order method, and chains of them.

A first-order method turns the gradient gₜ = ∇L(xₜ) into an update uₜ with a state sₜ of its own,

    s₀ = init(x₀),        (uₜ, sₜ₊₁) = update(gₜ, sₜ, xₜ),        xₜ₊₁ = xₜ + uₜ      (1)

A chain passes what one method returns on to the next, each with its own state:

    (uₜ⁽ᵏ⁾, sₜ₊₁⁽ᵏ⁾) = updateₖ(uₜ⁽ᵏ⁻¹⁾, sₜ⁽ᵏ⁾, xₜ),        uₜ⁽⁰⁾ = gₜ           (2)

Its last link is mostly the step of length ηₜ against the direction that the others found,

    uₜ = −ηₜ dₜ,        ηₜ = η or a schedule at t                                (3)

Both functions are ``jax.tree_util.Partial``: an optimizer is a pytree and its leaves are its
numbers. It is an argument of a compiled program, three learning rates cost one trace, ``vmap``
sweeps them and ``grad`` learns them. The protocol is optax's, so that ``optax.chain`` takes
it too; an object of optax, whose numbers are hidden in closures, becomes one of ours by
:func:`from_optax`, with no leaf at all.

>>> import jax, jax.numpy as jnp
>>> from mlmath.optimize import chain, clipping, momentum
>>> optimizer = chain.chain(clipping.clip(1.0), momentum.sgd(0.1))
>>> params = jnp.array([3.0, 0.5])
>>> updates, state = optimizer.update(2 * params, optimizer.init(params), params)
>>> print(chain.apply(params, updates))
[2.9 0.4]
>>> jax.tree.leaves(optimizer)
[1.0, 0.1]

References:
    Nesterov (2018), Lectures on Convex Optimization, §2.1.1 (black-box first-order methods).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Int

from mlmath.arrays import Scalar
from mlmath.optimize import trees
from mlmath.optimize.schedules import Schedule

__all__ = ["Optimizer", "apply", "chain", "descend", "from_optax", "increment"]


class Optimizer(NamedTuple):
    """A first-order method, eq. (1); ``update`` takes x = None where the method does not ask."""

    init: Callable[..., Any]  # params -> state
    update: Callable[..., Any]  # grads, state, params -> updates, state


def apply(params: Any, updates: Any) -> Any:
    """Add an update, xₜ₊₁ = xₜ + uₜ of eq. (1), in the dtype of the parameters."""
    return jax.tree.map(lambda p, u: jnp.asarray(p + u, jnp.result_type(p)), params, updates)


def chain(*optimizers: Optimizer) -> Optimizer:
    """One method after another, eq. (2); the state is the tuple of theirs."""
    return Optimizer(
        Partial(_chain_init, tuple(o.init for o in optimizers)),
        Partial(_chain_update, tuple(o.update for o in optimizers)),
    )


def descend(learning_rate: Scalar | Schedule) -> Optimizer:
    """The step (3); its state is t under a schedule, else nothing."""
    if isinstance(learning_rate, Partial):
        return Optimizer(Partial(_first), Partial(_scheduled, learning_rate))
    return Optimizer(Partial(_nothing), Partial(_scaled, learning_rate))


def from_optax(transformation: Any) -> Optimizer:
    """An optax ``GradientTransformation`` as an optimizer; its numbers stay in its closures."""
    return Optimizer(Partial(transformation.init), Partial(transformation.update))


def increment(step: Int[Array, ""]) -> Int[Array, ""]:
    """t + 1, or t where no larger integer exists."""
    largest = jnp.iinfo(step.dtype).max
    return jnp.where(step < largest, step + 1, largest)


def _chain_init(inits, params):
    return tuple(init(params) for init in inits)


def _chain_update(links, grads, states, params=None):
    after = []
    for link, state in zip(links, states, strict=True):
        grads, state = link(grads, state, params)
        after.append(state)
    return grads, tuple(after)


def _first(params):
    return jnp.zeros((), jnp.int32)


def _nothing(params):
    return ()


def _scheduled(schedule, grads, step, params=None):
    return trees.scale(-schedule(step), grads), increment(step)


def _scaled(learning_rate, grads, state, params=None):
    return trees.scale(-learning_rate, grads), state
