"""Derivatives along a line, checked by differences."""

import jax
import numpy as np

__all__ = ["check"]


def check(function, *, order=2, step=1e-5):
    """First and second derivative at 0 of a function of one number, forward and reverse."""

    def slope(t):
        return jax.grad(function)(t)

    def at(t):
        forward = jax.jvp(function, (t,), (1.0,))[1]
        return function(t), slope(t), forward, jax.grad(slope)(t) if order > 1 else 0.0

    at = jax.jit(at)  # one program
    (before, slope_before, *_), (_, first, forward, second), (after, slope_after, *_) = map(
        at, (-step, 0.0, step)
    )
    np.testing.assert_allclose(first, (after - before) / (2 * step), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(forward, first, rtol=1e-12)
    if order > 1:
        difference = (slope_after - slope_before) / (2 * step)
        np.testing.assert_allclose(second, difference, rtol=1e-6, atol=1e-9)
