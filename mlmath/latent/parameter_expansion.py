"""Steps of expectation–maximisation for probabilistic PCA with missing entries.

The model of a row of which the entries in Oᵢ are observed, the mean t̂ᵢ and precision Aᵢ of t given
these, the residual rᵢ and the density are (1)–(3) of ``latent.incomplete_pca``; here numbers go on
from (3), and mᵢⱼ is 1 where j ∈ Oᵢ and else 0.

With E the mean over t given row i, u = (1, t) and βⱼ = (μⱼ, wⱼ) a step solves for each column j
a least squares problem over the rows that observe it; with N = Σᵢⱼ sᵢmᵢⱼ,

    Gⱼ = Σᵢ sᵢmᵢⱼ E[uuᵀ],    gⱼ = Σᵢ sᵢmᵢⱼ E[(xᵢⱼ − βⱼᵀu)u],    β̃ⱼ = βⱼ + Gⱼ⁻¹gⱼ          (4)
    σ²⁺ = Σᵢⱼ sᵢmᵢⱼ E[(xᵢⱼ − β̃ⱼᵀu)²] / N                                        (5)

and lets t have the mean and covariance that the rows give it, before it is standard again: with
S the weight of the rows that observe something and G₀ the first sum of (4) over those,

    βⱼ⁺ = Λᵀβ̃ⱼ,    ΛΛᵀ = G₀/S,    Λ lower triangular                           (6)

(parameter expansion). Without (6) a step changes lengths within the plane of W by shares of
σ²/‖w‖² only; with it and without noise steps are those of orthogonal iteration. No step raises
L = −Σᵢ sᵢ log p(xᵢ): it lowers it by at least

    ½ Σⱼ gⱼᵀGⱼ⁻¹gⱼ/σ² + ½ N D(σ²⁺/σ²) + ½ S D(ΛΛᵀ),    D(Σ) = tr(Σ − I) − log det Σ      (7)

which falls with the square of the step, and none of whose terms cancels. Below (8ε)²N it is
rounding, and 0. A step to numbers that are not finite is not taken, and its gain is NaN. So it is
where rows lie in a plane, and σ² falls below (8ε)² of the mean square of the entries; and where a
row with few entries has a pivot of Aᵢ below 16ε of what it is subtracted from.

Time O(n(dk² + k³)) per step, memory O(nd), the sums (4), and n_B k² for a block of n_B rows (on an
accelerator all, and for derivatives: ``linalg.gram``). Derivatives of where the steps end are in
``latent.horizontal_derivative``.

>>> import jax.numpy as jnp
>>> from mlmath.latent import parameter_expansion
>>> X, M = jnp.array([[-1.0, -1.0], [1.0, 1.0], [3.0, 0.0]]), jnp.array([[1.0, 1], [1, 1], [1, 0]])
>>> point = parameter_expansion.Point(jnp.array([[0.0, 1.0], [0.0, 1.0]]), jnp.array(0.5))
>>> first = parameter_expansion.evaluated(point, X, M, jnp.ones(3))
>>> then = parameter_expansion.evaluated(first.image, X, M, jnp.ones(3))
>>> bool(first.value - then.value >= first.excess > 0)
True

References:
    Tipping & Bishop (1999), Probabilistic principal component analysis, Journal of the Royal
        Statistical Society B 61(3), appendix B (EM).
    Ilin & Raiko (2010), Practical approaches to principal component analysis in the presence of
        missing values, Journal of Machine Learning Research 11, §4 (missing entries).
    Liu, Rubin & Wu (1998), Parameter expansion to accelerate EM: the PX-EM algorithm, Biometrika
        85(4), §4.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, Int

from mlmath.arrays import Count, Real, Scalar
from mlmath.calculus.log1pmx import log1pmx
from mlmath.linalg import gram, spectra

__all__ = [
    "Point",
    "State",
    "Sums",
    "evaluated",
    "factors",
    "given",
    "minimise",
    "of_sums",
    "principal",
    "sums",
    "surprise",
]


class Point(NamedTuple):
    """The model, (1) of ``incomplete_pca``."""

    coefficients: Float[Array, "d p"]  # βⱼ = (μⱼ, wⱼ) in row j, p = k + 1
    noise: Float[Array, ""]  # σ²


class State(NamedTuple):
    """A point, and the step from it."""

    point: Point
    image: Point  # where the step leads
    value: Float[Array, ""]  # L at the point
    excess: Float[Array, ""]  # (7)
    steps: Int[Array, ""]


class Sums(NamedTuple):
    """What one pass over the rows adds up, eq. (4), S in the first of the moments."""

    moments: Float[Array, "e q"]  # upper triangles of G₀, G₁, …
    pull: Float[Array, "d p"]  # gⱼ
    squares: Float[Array, ""]  # Σᵢⱼ sᵢmᵢⱼ E[(xᵢⱼ − βⱼᵀu)²]
    entries: Float[Array, ""]  # N
    size: Float[Array, ""]  # Σᵢⱼ sᵢmᵢⱼ xᵢⱼ²
    value: Float[Array, ""]  # L


def given(
    point: Point, X: Float[Real, "n d"], M: Float[Real, "n d"]
) -> tuple[Float[Array, "n k"], Float[Array, "n d"], Float[Array, "n k k"]]:
    """Of each row t̂ᵢ, rᵢ (0 where nothing is observed) and Lᵢ⁻¹ for Aᵢ = LᵢLᵢᵀ, eq. (2)."""
    X, M, (coefficients, noise) = jnp.asarray(X), jnp.asarray(M), point
    W, identity = coefficients[:, 1:], jnp.eye(coefficients.shape[1] - 1, dtype=X.dtype)
    i, j, place = _triangle(W.shape[1])
    A = (M @ (W[:, i] * W[:, j] / noise))[:, place] + identity[None]
    inverse = solve_triangular(
        jnp.linalg.cholesky(A), jnp.broadcast_to(identity, A.shape), lower=True
    )
    apart = jnp.where(M != 0, X - coefficients[:, 0][None], 0)
    half = jnp.einsum("nab,nb->na", inverse, apart @ W / noise)
    t = jnp.einsum("nab,na->nb", inverse, half)
    return t, apart - M * (t @ W.T), inverse


def surprise(
    point: Point, X: Float[Real, "n d"], M: Float[Real, "n d"], weight: Float[Real, " n"]
) -> Float[Array, ""]:
    """L of the observed entries of finite rows, by eq. (3)."""
    with jax.default_matmul_precision("highest"):
        return _over_rows(_surprise, point, X, M, weight)


def sums(
    point: Point, X: Float[Real, "n d"], M: Float[Real, "n d"], weight: Float[Real, " n"]
) -> Sums:
    """Sums (4) of finite rows, what a step starts from."""
    return _over_rows(_sums, point, X, M, weight)


def factors(found: Sums, point: Point) -> Float[Array, "e p p"]:
    """Cholesky factors of G₀, G₁, …; the identity for a column that nobody observes."""
    p = point.coefficients.shape[1]
    G = jnp.asarray(found.moments)[:, _triangle(p)[2]]
    empty = (jnp.asarray(found.moments)[:, 0] == 0)[:, None, None]
    return jnp.linalg.cholesky(jnp.where(empty, jnp.eye(p, dtype=G.dtype)[None], G))


def evaluated(
    point: Point, X: Float[Real, "n d"], M: Float[Real, "n d"], weight: Float[Real, " n"]
) -> State:
    """The step (4)–(6) from a point, by one pass over the rows, and what it is sure to gain (7)."""
    return of_sums(sums(point, X, M, weight), point)


def of_sums(now: Sums, point: Point) -> State:
    """The step (4)–(6) from a point whose sums over all rows are known, and (7)."""
    now, point = jax.tree.map(jnp.asarray, (now, point))
    L = factors(now, point)
    root = solve_triangular(L[1:], now.pull[:, :, None], lower=True)
    step = solve_triangular(L[1:], root, lower=True, trans=1)[:, :, 0]
    total = now.moments[0, 0]
    expansion = L[0] / jnp.sqrt(total)
    gained = jnp.sum(root**2)
    left, rounding = now.squares - gained, (8 * jnp.finfo(gained.dtype).eps) ** 2
    noise = jnp.where(left > rounding * now.size, left, jnp.nan) / now.entries
    pivots = jnp.diagonal(expansion)
    below = jnp.sum(jnp.tril(expansion, -1) ** 2) - jnp.sum(log1pmx(pivots**2 - 1))
    excess = gained / point.noise - now.entries * log1pmx(noise / point.noise - 1) + total * below
    return State(
        point,
        Point((point.coefficients + step) @ expansion, noise),
        now.value,
        jnp.where(jnp.abs(excess) / 2 <= rounding * now.entries, 0, excess / 2),
        jnp.asarray(0),
    )


def minimise(
    start: Point,
    null: Scalar,
    tolerance: Scalar,
    max_steps: Count,
    X: Float[Real, "n d"],
    M: Float[Real, "n d"],
    weight: Float[Real, " n"],
) -> State:
    """Step until what the next one is sure to gain is at most ``tolerance`` of L(null) − L.

    Args:
        start: first point.
        null: L of the null model.
        tolerance: largest gain, over L(null) − L plus the gain, that ends the steps.
        max_steps: most steps.
        X: finite rows.
        M: 1 where an entry is observed, else 0.
        weight: sᵢ, 0 where a row observes nothing.
    """

    def step(state):
        new = evaluated(state.image, X, M, weight)._replace(steps=state.steps + 1)
        sound = jnp.isfinite(new.value)
        kept = state._replace(excess=jnp.full_like(state.excess, jnp.nan))
        return jax.tree.map(lambda a, b: jnp.where(sound, a, b), new, kept)

    def going(state):
        scale = jnp.maximum(null - state.value, 0) + state.excess
        return (state.excess > tolerance * scale) & (state.steps < max_steps)

    return lax.while_loop(going, step, evaluated(start, X, M, weight))


def principal(point: Point) -> Point:
    """The rotation of W for which WWᵀ is diagonal and descends, with the signs of its axes."""
    coefficients, noise = map(jnp.asarray, point)
    axes = spectra.svd(coefficients[:, 1:].T)
    W = axes.values[None] * axes.right
    return Point(jnp.concatenate([coefficients[:, :1], W], axis=1), noise)


def _triangle(k):
    """Places of the upper triangle of k × k numbers, and the place of each number among them."""
    i, j = np.triu_indices(k)
    place = np.zeros((k, k), int)
    place[i, j] = place[j, i] = np.arange(len(i))
    return i, j, place


def _over_rows(function, point, X, M, weight):
    k = point.coefficients.shape[1]
    block = X.shape[1] * max(256, 2**18 // k**2)  # whose k × k matrices fit the cache
    return gram.row_sum(function, (X, M, weight), point, block=block)


def _surprise(X, M, weight, point):
    return _value(point, M, weight, *given(point, X, M))


def _value(point, M, weight, t, residual, inverse):
    logs = jnp.sum(M, axis=1) * jnp.log(2 * math.pi * point.noise)
    logs = logs - 2 * jnp.sum(jnp.log(jnp.diagonal(inverse, axis1=1, axis2=2)), axis=1)
    squares = jnp.sum(residual**2, axis=1) / point.noise + jnp.sum(t**2, axis=1)
    size = 1 + M @ (point.coefficients[:, 1:] ** 2) / point.noise  # what a pivot is left of
    rounding = 16 * jnp.finfo(size.dtype).eps
    sound = (jnp.diagonal(inverse, axis1=1, axis2=2) ** 2 * size * rounding < 1).all(axis=1)
    return jnp.where((sound | (weight == 0)).all(), weight @ (logs + squares) / 2, jnp.nan)


def _sums(X, M, weight, point):
    """:func:`sums` of one block of rows."""
    t, residual, inverse = given(point, X, M)
    W = point.coefficients[:, 1:]
    i, j, place = _triangle(W.shape[1])
    covariance = jnp.einsum("nai,naj->nij", inverse, inverse)[:, i, j]
    u = jnp.concatenate([jnp.ones_like(t[:, :1]), t], axis=1)
    seen = weight[:, None] * M
    every = jnp.concatenate([weight[:, None], seen], axis=1)
    first, second, spread = (every.T @ a for a in (u, t[:, i] * t[:, j], covariance))
    spread_w = jnp.einsum("jab,jb->ja", spread[1:, place], W)
    pull = (seen * residual).T @ u - jnp.pad(spread_w, ((0, 0), (1, 0)))
    squares = jnp.sum(seen * residual**2) + jnp.sum(W * spread_w)
    moments = jnp.concatenate([first, second + spread], axis=1)
    value = _value(point, M, weight, t, residual, inverse)
    return Sums(moments, pull, squares, jnp.sum(seen), jnp.sum(seen * X**2), value)
