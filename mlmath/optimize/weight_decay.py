"""Weight decay: parameters that shrink, as part of the gradient or beside it.

    coupled      dₜ = gₜ + λ xₜ                                                (1)
    decoupled    uₜ′ = uₜ − ηₜ λ xₜ                                            (2)

as links of a chain. Before a method, (1) is the gradient of the penalty λ/2 ‖x‖²:
``chain(coupled(λ), adam(η))``. An adaptive method rescales that gradient like any other, so that
the penalty differs from one parameter to the next. (2) comes after a method and shrinks all by
the factor 1 − ηₜλ:
``chain(adam(η), decoupled(η, decay=λ))``, which is AdamW up to rounding. After gradient descent (1)
before and (2) after are the same. (1) is optax's ``add_decayed_weights``.

>>> import jax, jax.numpy as jnp
>>> from mlmath.optimize import chain, momentum, weight_decay
>>> x = jnp.array([1.0, -2.0])
>>> optimizer = chain.chain(momentum.sgd(0.1), weight_decay.decoupled(0.1, decay=0.5))
>>> print(chain.apply(x, optimizer.update(jnp.zeros(2), optimizer.init(x), x)[0]))
[ 0.95 -1.9 ]

References:
    Loshchilov & Hutter (2019), Decoupled weight decay regularization, §2, propositions 1 and 2.
"""

from jax.tree_util import Partial

from mlmath.arrays import Scalar
from mlmath.optimize import trees
from mlmath.optimize.chain import Optimizer, descend
from mlmath.optimize.schedules import Schedule

__all__ = ["coupled", "decoupled"]


def coupled(decay: Scalar) -> Optimizer:
    """The gradient of a penalty, eq. (1), with λ = ``decay``."""
    return Optimizer(Partial(_nothing), Partial(_coupled, decay))


def decoupled(learning_rate: Scalar | Schedule, *, decay: Scalar = 1e-4) -> Optimizer:
    """Shrinkage beside the step, eq. (2).

    Args:
        learning_rate: η, that of the method before.
        decay: λ.
    """
    link = descend(learning_rate)
    return Optimizer(link.init, Partial(_decoupled, link.update, decay))


def _nothing(params):
    return ()


def _coupled(decay, grads, state, params=None):
    return trees.add_scaled(grads, decay, _required(params)), state


def _decoupled(step, decay, updates, state, params=None):
    shrinkage, state = step(_required(params), state, params)
    return trees.add_scaled(updates, decay, shrinkage), state


def _required(params):
    if params is None:
        raise ValueError("Weight decay needs the parameters: call update(grads, state, params).")
    return params
