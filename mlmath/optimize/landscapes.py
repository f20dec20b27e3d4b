"""Three functions of two variables on which methods of minimisation are watched.

For x = (u, v), each a sum of squares with the least value 0:

    Rosenbrock    f(x) = 100 (v − u²)² + (1 − u)²                              (1)
    Beale         f(x) = (3/2 − u(1 − v))² + (9/4 − u(1 − v²))² + (21/8 − u(1 − v³))²   (2)
    Himmelblau    f(x) = (u² + v − 11)² + (u + v² − 7)²                        (3)

(1) is a curved valley, steep across and nearly flat along its floor v = u²: at the minimum the
curvatures differ by a factor of 2,508. (2) has plateaus and, along v = 1, the constant value
14.203125 with a saddle at (0, 1). (3) has four minima, and between them a maximum of 181.617 and
four saddles. Where they are, a usual start and a window are in ``STANDARD``.

>>> import jax.numpy as jnp
>>> from mlmath.optimize import landscapes
>>> landscapes.beale(jnp.array([1.0, 1.0])).item()
14.203125
>>> for name, landscape in landscapes.STANDARD.items():
...     print(name, len(landscape.minima), landscape.start)
Rosenbrock 1 (-1.2, 1.0)
Beale 1 (1.0, 1.0)
Himmelblau 4 (0.0, 0.0)

References:
    Rosenbrock (1960), An automatic method for finding the greatest or least value of a function.
    Moré, Garbow & Hillstrom (1981), Testing unconstrained optimization software, §3, problem 1
        for (1), problem 5 for (2), both with their starts.
    Himmelblau (1972), Applied Nonlinear Programming, appendix A, for (3).
"""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Float

from mlmath.arrays import Real

__all__ = ["STANDARD", "Landscape", "beale", "himmelblau", "rosenbrock"]


class Landscape(NamedTuple):
    """A function of two variables, and where to look at it."""

    function: Callable[..., Float[Array, ""]]  # f, of x ∈ ℝ²
    minima: tuple[tuple[float, float], ...]  # all of them, to the precision of float64
    start: tuple[float, float]
    window: tuple[tuple[float, float], tuple[float, float]]  # from and to in u, then in v


def rosenbrock(x: Float[Real, "2"]) -> Float[Array, ""]:
    """Rosenbrock's valley, eq. (1)."""
    u, v = x
    return 100 * (v - u**2) ** 2 + (1 - u) ** 2


def beale(x: Float[Real, "2"]) -> Float[Array, ""]:
    """Beale's function, eq. (2)."""
    u, v = x
    return sum((c - u * (1 - v**k)) ** 2 for k, c in enumerate((1.5, 2.25, 2.625), 1))


def himmelblau(x: Float[Real, "2"]) -> Float[Array, ""]:
    """Himmelblau's function, eq. (3)."""
    u, v = x
    return (u**2 + v - 11) ** 2 + (u + v**2 - 7) ** 2


STANDARD = {
    "Rosenbrock": Landscape(rosenbrock, ((1.0, 1.0),), (-1.2, 1.0), ((-2.0, 2.0), (-1.0, 3.0))),
    "Beale": Landscape(beale, ((3.0, 0.5),), (1.0, 1.0), ((-4.5, 4.5), (-4.5, 4.5))),
    "Himmelblau": Landscape(
        himmelblau,
        (
            (3.0, 2.0),
            (-2.805118086952745, 3.131312518250573),
            (-3.779310253377747, -3.283185991286170),
            (3.584428340330492, -1.848126526964404),
        ),
        (0.0, 0.0),
        ((-5.0, 5.0), (-5.0, 5.0)),
    ),
}
