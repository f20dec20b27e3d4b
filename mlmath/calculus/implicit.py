"""Implicit differentiation: the derivative of a solution, not of the iteration that found it.

Let x*(θ) be defined by g(x*, θ) = 0 with ∂g/∂x regular there. Then

    ∂x*/∂θ = −(∂g/∂x)⁻¹ ∂g/∂θ                                                  (1)

whatever algorithm found x*. Where ∂g/∂x is singular the derivative does not exist and comes
back as NaN or infinity.

:func:`attach` forms the matrix: as many products with ∂g/∂x as x has entries, and one solve, O(d³).
At a minimum g is a gradient and ∂g/∂x a Hessian, symmetric and positive definite. There
:func:`attach_symmetric` forms no matrix: it solves (1) by conjugate gradients, one product with
∂g/∂x per step, in memory O(d). Where they leave a residual above √ε of the right-hand side, as when
∂g/∂x is indefinite, or singular with that side not in its range, the derivative comes back as NaN.

>>> import jax, jax.numpy as jnp
>>> from mlmath.calculus import implicit
>>> def square_root(a):
...     found = jnp.sqrt(jax.lax.stop_gradient(a))  # by any means
...     return implicit.attach(lambda x, a: x * x - a, found, a)
>>> print(jax.grad(square_root)(4.0), jax.grad(jax.grad(square_root))(4.0))
0.25 -0.03125

References:
    Krantz & Parks (2002), The Implicit Function Theorem, §1.1.
    Blondel et al. (2022), Efficient and modular implicit differentiation, §2.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from mlmath.linalg.krylov import conjugate_gradients

__all__ = ["attach", "attach_symmetric", "attach_value"]


def attach(optimality: Callable[..., Any], solution: Any, *args: Any) -> Any:
    """Return ``solution`` with the derivative (1) in ``args`` attached.

    The iteration that found ``solution`` ran on ``jax.lax.stop_gradient(args)``.

    Args:
        optimality: g, called as ``optimality(x, *args)``, of the structure of x.
        solution: x*, a pytree of floats.
        args: θ, live.
    """

    def solve(linear, b):
        return jnp.linalg.solve(jax.jacobian(linear)(b), b)

    return _attach(solve, optimality, solution, *args)


def attach_symmetric(
    optimality: Callable[..., Any],
    solution: Any,
    *args: Any,
    preconditioner: Callable[[Array], Array] | None = None,
) -> Any:
    """Return ``solution`` with the derivative (1) in ``args`` attached, matrix-free.

    Args:
        optimality: g, the gradient in x of a function, called as ``optimality(x, *args)``.
        solution: x*, a pytree of floats at which that function is convex.
        args: θ, live.
        preconditioner: of ``linalg.krylov.conjugate_gradients``, over the flattened x.
    """

    def solve(linear, b):
        x = conjugate_gradients(linear, b, preconditioner=preconditioner)
        error, least = jnp.abs(linear(x) - b).max(), jnp.finfo(b.dtype).eps ** 0.5
        return jnp.where(error <= least * jnp.abs(b).max(), x, jnp.nan)

    def symmetric_solve(linear, b):
        return lax.custom_linear_solve(linear, b, solve, symmetric=True)

    return _attach(symmetric_solve, optimality, solution, *args)


def attach_value(function: Callable[..., Any], value: Any, *args: Any) -> Any:
    """Return ``value`` with the derivative of ``function`` in ``args``: (1) of g = x − f(θ).

    Args:
        function: f, of which ``value`` is the value at ``args``, by another route.
        value: an array.
        args: θ, live.
    """
    return lax.custom_root(
        lambda v: v - function(*args),
        lax.stop_gradient(value),
        lambda _, v: v,
        lambda _, b: b,
    )


def _attach(solve, optimality, solution, *args):
    flat, unravel = ravel_pytree(lax.stop_gradient(solution))

    def residual(v):
        return ravel_pytree(optimality(unravel(v), *args))[0]

    return unravel(lax.custom_root(residual, flat, lambda _, v: v, solve))
