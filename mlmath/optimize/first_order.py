"""First-order methods: every optimizer, schedule and link under one name.

An optimizer is a pair of functions that is a pytree; the loop belongs to its user:

    (uₜ, sₜ₊₁) = update(∇L(xₜ), sₜ, xₜ),        xₜ₊₁ = xₜ + uₜ                   (1)

Where each formula stands: ``momentum`` (sgd, momentum, nesterov, lion), ``adaptive`` (adagrad,
rmsprop, centred_rmsprop, adadelta), ``adam`` (adam, adamw, nadam, amsgrad, adamax), ``clipping``,
``weight_decay``, ``averaging``, ``schedules``, ``chain``. All are optax's methods in optax's
protocol and conventions, with one difference: their numbers are leaves.

>>> import jax, jax.numpy as jnp
>>> from jax import lax
>>> from mlmath.optimize import first_order
>>> def descended(optimizer, x):
...     def step(carry, _):
...         x, state = carry
...         updates, state = optimizer.update(jax.grad(lambda x: jnp.sum(x**4))(x), state, x)
...         return (first_order.apply(x, updates), state), None
...     (x, _), _ = lax.scan(step, (x, optimizer.init(x)), length=20)
...     return x
>>> sweep = jax.vmap(first_order.adam)(jnp.array([0.01, 0.1, 0.2]))  # three optimizers
>>> print(jax.vmap(descended, (0, None))(sweep, jnp.array(1.0)).round(2))
[ 0.81 -0.11 -0.42]

References:
    Goodfellow, Bengio & Courville (2016), Deep Learning, §8.3-8.5.
"""

from mlmath.optimize.adam import adam, adamax, adamw, amsgrad, nadam
from mlmath.optimize.adaptive import adadelta, adagrad, centred_rmsprop, rmsprop
from mlmath.optimize.averaging import averaged
from mlmath.optimize.chain import Optimizer, apply, chain, descend, from_optax
from mlmath.optimize.clipping import clip, clip_by_global_norm
from mlmath.optimize.momentum import lion, momentum, nesterov, sgd
from mlmath.optimize.schedules import (
    Schedule,
    constant,
    cosine_decay,
    exponential_decay,
    one_cycle,
    polynomial_decay,
    step_decay,
    warm_up,
)
from mlmath.optimize.weight_decay import coupled, decoupled

__all__ = [
    "Optimizer", "Schedule", "adadelta", "adagrad", "adam", "adamax", "adamw", "amsgrad", "apply",
    "averaged", "centred_rmsprop", "chain", "clip", "clip_by_global_norm", "constant",
    "cosine_decay", "coupled", "decoupled", "descend", "exponential_decay", "from_optax", "lion",
    "momentum", "nadam", "nesterov", "one_cycle", "polynomial_decay", "rmsprop", "sgd",
    "step_decay", "warm_up",
]  # fmt: skip
