"""Clipping: gradients that are too long are cut, number by number or as one vector.

    by value          uᵢ = min(max(gᵢ, −c), c)                                 (1)
    by global norm    u = g c / max(‖g‖, c),    ‖g‖ over all numbers of the tree    (2)

as links of a chain, mostly the first. (1) can turn the direction, (2) keeps it. Neither has a
state. c must be positive. A NaN stays NaN under both, and in (2) makes all of the gradient NaN. A
finite gradient whose square overflows becomes 0 in (2).

>>> import jax.numpy as jnp
>>> from mlmath.optimize import clipping
>>> g = {"w": jnp.array([3.0]), "b": jnp.array([-4.0])}
>>> for link in (clipping.clip(3.0), clipping.clip_by_global_norm(2.5)):
...     print({name: float(u[0]) for name, u in link.update(g, link.init(g), g)[0].items()})
{'b': -3.0, 'w': 3.0}
{'b': -2.0, 'w': 1.5}

References:
    Pascanu, Mikolov & Bengio (2013), On the difficulty of training recurrent neural networks,
        algorithm 1, for (2).
    Goodfellow, Bengio & Courville (2016), Deep Learning, §10.11.1, for both.
"""

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from mlmath.arrays import Scalar
from mlmath.optimize import trees
from mlmath.optimize.chain import Optimizer
from mlmath.optimize.trees import like

__all__ = ["clip", "clip_by_global_norm"]


def clip(limit: Scalar) -> Optimizer:
    """Clip each number to [−c, c], eq. (1)."""
    return Optimizer(Partial(_nothing), Partial(_clip, limit))


def clip_by_global_norm(limit: Scalar) -> Optimizer:
    """Shorten the whole gradient to the length c, eq. (2)."""
    return Optimizer(Partial(_nothing), Partial(_shorten, limit))


def _nothing(params):
    return ()


def _clip(limit, grads, state, params=None):
    return jax.tree.map(lambda g: jnp.clip(g, like(-limit, g), like(limit, g)), grads), state


def _shorten(limit, grads, state, params=None):
    norm = trees.norm(grads)
    limit = like(limit, norm)
    return trees.scale(limit / jnp.maximum(norm, limit), grads), state
