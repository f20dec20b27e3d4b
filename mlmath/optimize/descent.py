"""Descent: minimisers that search one direction after another, and what they share.

At x with gradient g of the objective L a method has a direction d and a first trial t₀ of

    x⁺ = x + t d                                                               (1)

where t meets the strong conditions of Wolfe (:mod:`mlmath.optimize.line_search`), so that L falls.
From the step s = x⁺ − x and the change v = ∇L(x⁺) − g, of which sᵀv ≥ (1 − c₂) t |gᵀd| > 0, and
from what it remembers it makes the next d and t₀. The first d is −g/‖g‖ with t₀ = 1, and where L
does not fall along d the method begins anew: x should have units in which 1 is a change worth
trying (logarithms have).

What comes back is a stationary point, as a rule a local minimum: without convexity nothing bounds
L(x) − L*. The gap is the relative gradient

    ‖∇L(x)‖ max(‖x‖, 1) / |L(null)|                                            (2)

the change to first order when x moves by its own length, or by 1. A trial where L or ∇L is not
finite is too long; where no trial helps, the last iterate comes back with its own gap. Derivatives
of the answer are the implicit ones, which exist where ∇²L(x) is regular.

>>> import jax.numpy as jnp
>>> from mlmath.calculus import implicit
>>> from mlmath.optimize import descent
>>> steepest = descent.Method(
...     lambda aim, before, found: descent.Aim(-found.point.gradient, 0.5, ())
... )
>>> x, certificate = descent.minimize(
...     lambda x, a: jnp.sum((x - a) ** 2), jnp.zeros(2), 3.0,
...     method=steepest, attach=implicit.attach, curvature=0.9, max_steps=9,
... )
>>> print(x, certificate.steps, certificate.converged)
[3. 3.] 2 True

References:
    Nocedal & Wright (2006), Numerical Optimization, §3.1, §3.2 (theorem 3.2).
    Dennis & Schnabel (1983), Numerical Methods for Unconstrained Optimization, §7.2 (for (2)).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from mlmath.arrays import Count, Scalar
from mlmath.calculus import implicit
from mlmath.certificate import Certificate, certify, first_order_tolerance
from mlmath.optimize import line_search

__all__ = ["Aim", "Method", "minimize"]


class Aim(NamedTuple):
    """Where to search next."""

    direction: Float[Array, " d"]  # d
    length: Scalar  # t₀
    memory: Any  # what the method keeps of earlier steps


def _nothing(x):
    return ()


class Method(NamedTuple):
    """What tells one method from another."""

    turn: Callable[..., Aim]  # Aim, line_search.Point before, line_search.Found -> Aim
    begin: Callable[..., Any] = _nothing  # x -> memory before the first step


class _State(NamedTuple):
    point: Any
    aim: Any
    steps: Any
    moved: Any  # the last search found a length


def minimize(
    objective: Callable[..., Any],
    start: Any,
    *args: Any,
    method: Method,
    attach: Callable[..., Any],
    curvature: Scalar,
    max_steps: Count,
    null_value: Scalar | None = None,
    tolerance: Scalar | None = None,
) -> tuple[Any, Certificate]:
    """Minimise ``objective(x, *args)`` from ``start`` by the steps (1).

    Args:
        objective: L, a smooth function of a pytree and of ``args``.
        start: first iterate.
        args: data and hyperparameters; derivatives flow through these.
        method: the directions.
        attach: of ``calculus.implicit``, how the implicit derivative is solved for.
        curvature: c₂ of the line search, between 10⁻⁴ and 1; a small one makes it exact.
        max_steps: most evaluations of L and ∇L after the first.
        null_value: L of the null model, whose size scales the gap; L(start) if None.
        tolerance: largest gap (2) that counts as converged; ε^⅔ of the dtype if None.
    """
    fixed = lax.stop_gradient(args)
    flat, unravel = ravel_pytree(lax.stop_gradient(start))
    value_and_gradient = jax.value_and_grad(lambda v: objective(unravel(v), *fixed))
    first = line_search.Point(flat, *value_and_gradient(flat))
    scale = jnp.abs(first.value if null_value is None else lax.stop_gradient(null_value))
    if tolerance is None:
        tolerance = first_order_tolerance(flat)
    state = _iterate(method, value_and_gradient, first, curvature, tolerance * scale, max_steps)
    x = attach(jax.grad(objective), unravel(state.point.x), *args)
    value = implicit.attach_value(objective, state.point.value, x, *args)
    return x, certify(value, _change(state.point), scale, steps=state.steps, tolerance=tolerance)


def _change(point):
    """Numerator of (2)."""
    return jnp.linalg.norm(point.gradient) * jnp.maximum(jnp.linalg.norm(point.x), 1)


def _first(method, point):
    down = -point.gradient / jnp.linalg.norm(point.gradient)
    return Aim(down, jnp.ones_like(point.value), method.begin(point.x))


def _iterate(method, value_and_gradient, first, curvature, target, max_steps):
    def unfinished(state):  # false for NaN
        return (_change(state.point) > target) & (state.steps < max_steps) & state.moved

    def step(state):
        # A finished lane of a vmap has no trial left, and so holds up no other.
        left = jnp.where(unfinished(state), max_steps - state.steps, 0)
        found = line_search.search(
            value_and_gradient, state.point, state.aim.direction,
            length=state.aim.length, curvature=curvature, max_trials=left,
        )  # fmt: skip
        turned = method.turn(state.aim, state.point, found)
        falls = found.point.gradient @ turned.direction < 0
        aim = jax.tree.map(lambda a, b: jnp.where(falls, a, b), turned, _first(method, found.point))
        return _State(found.point, aim, state.steps + found.trials, found.accepted)

    start = _State(first, _first(method, first), jnp.asarray(0), jnp.asarray(True))
    return lax.while_loop(unfinished, step, start)
