"""Non-negative least squares: many right sides, one Gram matrix.

For a symmetric positive semidefinite G ∈ ℝᵏˣᵏ and each column c of C ∈ ℝᵏˣᵐ, sought is

    w* = argmin_{w ≥ 0} q(w),        q(w) = ½ wᵀGw − cᵀw                       (1)

With G = AAᵀ and c = Ab this is the least ‖b − Aᵀw‖² over w ≥ 0. A sweep of coordinate descent
gives one coordinate after the other, j = 1 … k, its best value with the rest fixed,

    wⱼ ← max(0, wⱼ + δⱼ/Gⱼⱼ),        δ = c − Gw                                 (2)

and lowers q by exactly the sum over j, with Δⱼ what wⱼ moved by, of

    Δⱼ (δⱼ − ½ Gⱼⱼ Δⱼ) ≥ ½ Gⱼⱼ Δⱼ²                                              (3)

A coordinate with Gⱼⱼ = 0 stays. Sweeps find w* soon, but not where columns of A are nearly
parallel. There Lawson and Hanson's steps go on, with P the coordinates that are free to move:

    G_PP p_P = δ_P,        w ← w + αp with the largest α ≤ 1 that keeps w ≥ 0        (4)

If α < 1 the coordinate that hindered leaves P; else the j outside with the largest δⱼ²/Gⱼⱼ of all
δⱼ > 0 joins. p is found by conjugate gradients, in which the columns share each product with G. A
column is done when no coordinate gains more than rounding may,

    maxⱼ δⱼ²/2Gⱼⱼ ≤ k (8ε)² maxⱼ max(cⱼ, 0)² / Gⱼⱼ        over j with wⱼ > 0 or δⱼ > 0   (5)

With G regular w* is unique; with G singular Aᵀw* is. A column that is not finite has NaN. Each is
solved in the power of two at its largest modulus, so that no square leaves the dtype. The steps
are limited; what the best coordinate of a column would gain beyond (5) then comes with the answer.

Nothing here has a derivative (``latent.nonnegative_codes`` attaches it). Columns that are sharded
over devices stay where they are.

Time O(k² m) a sweep and O(k³ m) a step (4), memory O(k m).

>>> import jax.numpy as jnp
>>> from mlmath.linalg import nonnegative_least_squares
>>> G = jnp.array([[1.0, 0.8], [0.8, 1.0]])
>>> C = jnp.array([[1.0, 1.8, -1.0], [0.5, 1.8, -2.0]])
>>> print(nonnegative_least_squares.minimize(G, C, jnp.zeros_like(C)).W)
[[1. 1. 0.]
 [0. 1. 0.]]

References:
    Lawson & Hanson (1974), Solving Least Squares Problems, ch. 23, algorithm NNLS (eq. 4).
    Franc, Hlaváč & Navara (2005), Sequential coordinate-wise algorithm for the non-negative least
        squares problem, CAIP 2005, §3 (eq. 2).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from mlmath.arrays import Real

__all__ = ["Minimum", "minimize", "sweep"]

_SWEEPS = 30  # before eq. (4)
_STEPS = 10  # most steps (4) for each coordinate


class Minimum(NamedTuple):
    """Outcome of :func:`minimize`."""

    W: Float[Array, "k m"]  # the columns w*
    gain: Float[Array, " m"]  # left side of (5), and 0 where (5) holds: the steps did not suffice


class _Face(NamedTuple):
    """Where the steps (4) are."""

    W: Float[Array, "k m"]
    free: Bool[Array, "k m"]  # P
    slope: Float[Array, "k m"]  # δ
    steps: Int[Array, ""]


def sweep(
    G: Float[Real, "k k"], C: Float[Real, "k m"], W: Float[Real, "k m"]
) -> tuple[Float[Array, "k m"], Float[Array, " m"]]:
    """One sweep (2) over the coordinates of every column, and what each column gains, eq. (3)."""
    G, C, W = jnp.asarray(G), jnp.asarray(C), jnp.asarray(W)

    def coordinate(j, state):
        W, gain = state
        curvature, old = G[j, j], W[j]
        slope = C[j] - G[j] @ W
        best = jnp.maximum(old + slope / jnp.where(curvature > 0, curvature, 1), 0)
        new = jnp.where(curvature <= 0, old, best)
        moved = new - old
        gained = jnp.maximum(moved * (slope - curvature * moved / 2), 0)
        return W.at[j].set(new), gain + gained

    return lax.fori_loop(0, len(G), coordinate, (W, jnp.zeros_like(C[0])))


def minimize(G: Float[Real, "k k"], C: Float[Real, "k m"], start: Float[Real, "k m"]) -> Minimum:
    """The columns w* of (1), to rounding.

    Args:
        G: Gram matrix.
        C: right sides in its columns.
        start: W ≥ 0 where the sweeps begin.
    """
    G, C, start = lax.stop_gradient((jnp.asarray(G), jnp.asarray(C), jnp.asarray(start)))
    unit = _binade(C)
    start = jnp.where(jnp.isfinite(start / unit), start / unit, 0)
    face, gain = _descend(G, C / unit, start)
    lost = ~jnp.isfinite(C).all(axis=0)[None] | ~jnp.isfinite(G).all()
    return Minimum(jnp.where(lost, jnp.nan, unit * face.W), gain * unit[0] ** 2)


def _descend(G, C, start):
    """Sweeps (2) and steps (4), and what is left of (5)."""
    curvature = jnp.diag(G)[:, None]
    unit = jnp.where(curvature > 0, curvature, jnp.inf)
    alone = jnp.max(jnp.maximum(C, 0) ** 2 / unit, axis=0)[None]
    least = len(G) * (8 * jnp.finfo(C.dtype).eps) ** 2 * alone

    def gains(W, slope):
        return jnp.where((W > 0) | (slope > 0), slope**2 / (2 * unit), 0)

    def going(most):
        return lambda s: (gains(s.W, s.slope) > least).any() & (s.steps < most)

    def sweep_on(s):
        W, _ = sweep(G, C, s.W)
        return _Face(W, W > 0, C - G @ W, s.steps + 1)

    def step(s):
        W, free, slope = _on_the_face(G, C, s)
        gain = jnp.where(free, 0, gains(W, slope))
        best = jnp.max(gain, axis=0)[None]
        joins = ~(s.free & ~free).any(axis=0)[None] & (gain >= best) & (gain > least)
        return _Face(W, free | joins, slope, s.steps + 1)

    face = _Face(start, start > 0, C - G @ start, jnp.zeros((), jnp.int32))
    face = lax.while_loop(going(_SWEEPS), sweep_on, face)
    face = lax.while_loop(going(_STEPS * len(G)), step, face._replace(steps=0 * face.steps))
    left = gains(face.W, face.slope)
    return face, jnp.max(jnp.where(left > least, left, 0), axis=0)


def _binade(C):
    """Power of two at the largest modulus of each column."""
    top = jnp.max(jnp.abs(C), axis=0)[None]
    usable = jnp.isfinite(top) & (top > 0)
    return jnp.ldexp(jnp.ones_like(top), jnp.frexp(jnp.where(usable, top, 1))[1] - 1)


def _on_the_face(G, C, face):
    """W after the step (4), what then is free, and the slope."""
    W, free = face.W, face.free
    p = _conjugate_gradients(G, jnp.where(free, face.slope, 0), free)
    room = jnp.where(free & (p < 0), -W / jnp.where(p < 0, p, -1), jnp.inf)
    share = jnp.min(room, axis=0)[None]
    hinders = (room <= share) & (share < 1)
    moved = jnp.maximum(W + jnp.minimum(share, 1) * p, 0)
    W = jnp.where(hinders | ~free, 0, moved)
    return W, free & ~hinders, C - G @ W


def _conjugate_gradients(G, residual, free):
    """p with (Gp)ⱼ = residualⱼ where ``free``, and 0 elsewhere, column by column."""

    def step(_, state):
        p, residual, direction, square = state
        image = jnp.where(free, G @ direction, 0)
        curvature = jnp.sum(direction * image, axis=0)
        along = jnp.where(curvature > 0, square / jnp.where(curvature > 0, curvature, 1), 0)[None]
        residual = residual - along * image
        new = jnp.sum(residual**2, axis=0)
        ratio = new / jnp.where(square > 0, square, jnp.inf)
        return p + along * direction, residual, residual + ratio[None] * direction, new

    state = jnp.zeros_like(residual), residual, residual, jnp.sum(residual**2, axis=0)
    return lax.fori_loop(0, 2 * len(G), step, state)[0]
