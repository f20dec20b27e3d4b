"""Steps that stay finite: a method that refuses what would lead out of the numbers.

Around a method (uₜ, sₜ₊₁) = update(gₜ, sₜ, xₜ), with the same gradient,

    (uₜ, sₜ₊₁)  if xₜ + uₜ and sₜ₊₁ are finite,  else  (0, sₜ)                    (1)

so that after a NaN or an overflow x is the last finite iterate and the method's memory is that
of before. The number of steps that were taken is counted. Where the gradient is the same at the
same x, one refused step is followed by refused steps only; where it is drawn anew, a bad batch is
left out. optax's ``apply_if_finite`` looks at gradients and gives up after some; this looks at
what they lead to. Derivatives go through the steps that were taken; one that was refused, whose
gradient has none, makes them NaN.

>>> import jax.numpy as jnp
>>> from mlmath.optimize import chain, finite, momentum
>>> optimizer = finite.guarded(momentum.momentum(0.1))
>>> x = jnp.array([1.0])
>>> state = optimizer.init(x)
>>> for g in (2.0, jnp.nan, 2.0):
...     updates, state = optimizer.update(jnp.array([g]), state, x)
...     x = chain.apply(x, updates)
>>> print(x.round(2), int(state.taken))
[0.42] 2
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Int

from mlmath.optimize import chain

__all__ = ["State", "guarded"]


class State(NamedTuple):
    """Memory of the method which is guarded, and how often it was allowed to step."""

    taken: Int[Array, ""]  # steps taken
    guarded: Any  # s, state of the method


def guarded(optimizer: chain.Optimizer) -> chain.Optimizer:
    """The same method under (1).

    Args:
        optimizer: the method, with all its links: what it returns is what is added to x.
    """
    return chain.Optimizer(Partial(_init, optimizer.init), Partial(_update, optimizer.update))


def _init(init, params):
    return State(jnp.zeros((), jnp.int32), init(params))


def _update(method, grads, state, params=None):
    if params is None:
        raise ValueError("A guard needs the parameters: call update(grads, state, params).")
    updates, after = method(grads, state.guarded, params)
    sound = _finite((chain.apply(params, updates), after))
    kept = jax.tree.map(lambda new, old: jnp.where(sound, new, old), after, state.guarded)
    zeroed = jax.tree.map(lambda u: jnp.where(sound, u, jnp.zeros_like(u)), updates)
    return zeroed, State(jnp.where(sound, chain.increment(state.taken), state.taken), kept)


def _finite(tree):
    """Whether the largest |x| of every block is a number: a NaN is larger than all."""
    blocks = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(jnp.result_type(x), jnp.inexact)]
    return jnp.array([jnp.isfinite(jnp.max(jnp.abs(x), initial=0)) for x in blocks]).all()
