"""Principal axes of weighted rows: mean, eigenvalues and eigenvectors of their scatter matrix.

    S = Σᵢ sᵢ,    μ = Σᵢ sᵢ xᵢ / S,    C = Σᵢ sᵢ (xᵢ − μ)(xᵢ − μ)ᵀ = V diag(λ) Vᵀ    (1)

in one pass over the rows where d ≤ n, else from the rows themselves (``linalg.scatter``). The k
leading axes capture λ₁ + … + λ_k of tr C, and less than the best possible by at most

    X + S ε² ‖μ‖²                                                              (2)

with X of ``linalg.scatter``, eq. (5); the second term is what rounding μ adds. (2) is NaN with a
negative weight, and where squares leave the range of the dtype; it is 0 where all rows are equal.

>>> import jax.numpy as jnp
>>> from mlmath.latent import principal_axes
>>> axes = principal_axes.of_rows(jnp.array([[0.0, 0.0], [2.0, 2.0], [4.0, 4.0]]), jnp.ones(3))
>>> print(axes.mean, axes.spectrum.values.round(3))
[2. 2.] [16.  0.]

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §14.5.1.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mlmath.absence import within
from mlmath.arrays import Real, Scalar
from mlmath.linalg import scatter
from mlmath.linalg.vectors import norm
from mlmath.statistics import moments
from mlmath.statistics.center import near_mean

__all__ = ["Axes", "missed", "of_moments", "of_rows", "proved"]


class Axes(NamedTuple):
    """Outcome of :func:`of_rows`."""

    weight: Float[Array, ""]  # S
    mean: Float[Array, " d"]  # μ
    spread: Float[Array, ""]  # tr C
    spectrum: scatter.Spectrum  # of C: the smaller of n and d values
    constant: Bool[Array, ""]  # whether all rows are equal
    least: Float[Array, ""]  # smallest weight


def of_rows(X: Float[Real, "n d"], weight: Float[Real, " n"]) -> Axes:
    """Axes (1) of finite rows, as :func:`~mlmath.statistics.weights.present_rows` has them."""
    X, weight = jnp.asarray(X), jnp.asarray(weight)
    n, d = X.shape
    least = jnp.min(weight)
    if d <= n:
        found, deviation = moments.of_rows(X, weight)
        return of_moments(found)._replace(constant=deviation == 0, least=least)
    total, first = jnp.sum(weight), near_mean(X, weight)
    mean = first + weight @ (X - first[None]) / total
    Xc = within(X - mean[None], weight, jnp.zeros_like(mean))
    spread = weight @ jnp.sum(Xc**2, axis=1)
    constant = weight @ jnp.max(jnp.abs(Xc), axis=1) == 0
    return Axes(total, mean, spread, scatter.eigh(Xc, weight), constant, least)


def of_moments(summary: moments.Moments) -> Axes:
    """Axes (1) of the rows of which these are the moments."""
    spread, spectrum = jnp.trace(summary.scatter), scatter.of_matrix(summary.scatter)
    unknown = jnp.zeros_like(spread, dtype=bool)
    return Axes(summary.weight, summary.mean, spread, spectrum, unknown, summary.weight)


def missed(axes: Axes, k: int) -> Float[Array, ""]:
    """Bound (2) on what the k leading axes capture too little."""
    return proved(scatter.excess(axes.spectrum, k), axes)


def proved(excess: Scalar, axes: Axes) -> Float[Array, ""]:
    """Bound (2) for an X by another way."""
    info = jnp.finfo(axes.mean.dtype)
    in_range = axes.spread > axes.weight * info.tiny / info.eps
    rounding = axes.weight * (info.eps * norm(axes.mean)) ** 2
    found = jnp.where(axes.constant, 0, excess + rounding)
    return jnp.where((axes.least >= 0) & (in_range | axes.constant), found, jnp.nan)
