"""Descent: minimisers that search one direction after another, and what they share.

At x with gradient g of the objective L a method has a direction d and a first trial t₀ of

    x⁺ = x + t d                                                               (1)

where t meets the strong conditions of Wolfe (:mod:`mlmath.optimize.line_search`), so that L falls.
From the step s = x⁺ − x and the change v = ∇L(x⁺) − g, of which sᵀv ≥ (1 − c₂) t |gᵀd| > 0, and
from what it remembers it makes the next d and t₀. The first search is downhill, to the minimum of
the parabola that L is there,

    d = u = −g/‖g‖,        t₀ = ‖g‖ / uᵀ∇²L(x)u                                 (2)

and where L does not fall along d, or no trial along it helps, the method begins anew with d = u and
t₀ = 1. What comes back is a stationary point, as a rule a local minimum: without convexity nothing
bounds L(x) − L*. The gap is the relative gradient

    ‖g‖ max(‖x‖, 1, r) / N,        r = ‖s‖ ‖g‖ / ‖v‖,  at the start t₀          (3)

the change to first order when x moves by its own length, by 1, or by r: as far as the gradient
would last if it went on changing as over the last step. Where L is convex and x* no farther than
that, it is a bound. N is |L(null)|, or, if there is no null model, |L(start)| + L(start) − L(x):
whoever starts where L is huge must give the null model, or every place will do. Nothing is proved
(NaN) where no step is taken and L has no curvature in (2). L is computed in units of |L(null)| or
|L(start)|.

A trial where L or ∇L is not finite is too long; where no trial helps, the last iterate comes back
with its own gap. Derivatives of the answer are the implicit ones, which exist where ∇²L(x) is
regular.

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
[3. 3.] 1 True

References:
    Nocedal & Wright (2006), Numerical Optimization, §3.1, §3.2 (theorem 3.2).
    Dennis & Schnabel (1983), Numerical Methods for Unconstrained Optimization, §7.2 (for (3)).
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
from mlmath.compiled import as_argument, compiled
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
    reach: Any  # r; at the start ∞ where L has no curvature
    anew: Any  # the aim is −g
    steps: Any
    moved: Any  # the last search found a length, or was not along −g


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
        method: the directions; fixes the program.
        attach: of ``calculus.implicit``, how the implicit derivative is solved for; fixes it too.
        curvature: c₂ of the line search, between 10⁻⁴ and 1; a small one makes it exact.
        max_steps: most evaluations of L and ∇L after the first.
        null_value: L of the null model, for N of (3); L(start) if None.
        tolerance: largest gap (3) that counts as converged; ε^⅔ of the dtype if None.

    Raises:
        ValueError: if the start holds no numbers, or not only floats.
    """
    return _minimize(
        as_argument(objective), start, args, curvature, max_steps, null_value, tolerance,
        method=method, attach=attach,
    )  # fmt: skip


@compiled(static=("method", "attach"))
def _minimize(
    objective, start, args, curvature, max_steps, null_value, tolerance, *, method, attach
):
    fixed = lax.stop_gradient(args)
    flat, unravel = ravel_pytree(lax.stop_gradient(start))
    if not flat.size or not jnp.issubdtype(flat.dtype, jnp.floating):
        raise ValueError(f"start must hold floats, got {flat.size} numbers of {flat.dtype}.")
    if tolerance is None:
        tolerance = first_order_tolerance(flat)

    def raw(v):
        return objective(unravel(v), *fixed)

    given = lax.stop_gradient(raw(flat) if null_value is None else null_value)
    unit = jnp.where((given != 0) & jnp.isfinite(given), jnp.abs(given), 1).astype(flat.dtype)
    value_and_gradient = jax.value_and_grad(lambda v: raw(v) / unit)
    first = line_search.Point(flat, *value_and_gradient(flat))

    def null(value):
        """N in that unit."""
        fall = first.value - value if null_value is None else 0
        return jnp.abs(given) / unit + fall

    state = _iterate(method, value_and_gradient, first, curvature, tolerance, null, max_steps)
    x = attach(jax.grad(objective), unravel(state.point.x), *args)
    value = implicit.attach_value(objective, state.point.value * unit, x, *args)
    scale = null(state.point.value)
    return x, certify(value, _change(state), scale, steps=state.steps, tolerance=tolerance)


def _change(state):
    """Numerator of (3)."""
    norm = jnp.linalg.norm(state.point.gradient)
    far = jnp.maximum(jnp.maximum(jnp.linalg.norm(state.point.x), 1), state.reach)
    return norm * jnp.where(norm == 0, 0, far)


def _anew(method, point):
    down = -point.gradient / jnp.linalg.norm(point.gradient)
    return Aim(down, jnp.ones_like(point.value), method.begin(point.x))


def _begun(method, value_and_gradient, first):
    """The first aim, by (2), and its reach."""
    aim = _anew(method, first)
    slope = jax.grad(lambda v: value_and_gradient(v)[1] @ aim.direction)(first.x)
    length = jnp.linalg.norm(first.gradient) / (slope @ aim.direction)
    curved = (length > 0) & jnp.isfinite(length)
    return aim._replace(length=jnp.where(curved, length, 1)), jnp.where(curved, length, jnp.inf)


def _reach(before, after):
    """r of (3)."""
    s, v = after.x - before.x, after.gradient - before.gradient
    return jnp.linalg.norm(s) * jnp.linalg.norm(after.gradient) / jnp.linalg.norm(v)


def _iterate(method, value_and_gradient, first, curvature, tolerance, null, max_steps):
    def unfinished(state):  # false for NaN
        open_ = _change(state) > tolerance * null(state.point.value)
        return open_ & (state.steps < max_steps) & state.moved

    def step(state):
        # A finished lane of a vmap has no trial left, and so holds up no other.
        left = jnp.where(unfinished(state), max_steps - state.steps, 0)
        found = line_search.search(
            value_and_gradient, state.point, state.aim.direction,
            length=state.aim.length, curvature=curvature, max_trials=left,
        )  # fmt: skip
        turned, anew = method.turn(state.aim, state.point, found), _anew(method, found.point)
        falls = found.accepted & (found.point.gradient @ turned.direction < 0)
        aim = jax.tree.map(lambda a, b: jnp.where(falls, a, b), turned, anew)
        reach = jnp.where(found.accepted, _reach(state.point, found.point), state.reach)
        moved = found.accepted | ~state.anew
        return _State(found.point, aim, reach, ~falls, state.steps + found.trials, moved)

    aim, reach = _begun(method, value_and_gradient, first)
    start = _State(first, aim, reach, jnp.asarray(True), jnp.asarray(0), jnp.asarray(True))
    return lax.while_loop(unfinished, step, start)
