"""Expectation–maximisation over a stream of blocks of rows that are never together in memory.

For a mixture with means μⱼ and covariances Σⱼ = LⱼLⱼᵀ put zᵢⱼ = Lⱼ⁻¹(xᵢ − μⱼ). With the
responsibilities rᵢⱼ, eq. (2) of ``latent.gaussian_mixture``, and row weights sᵢ, the sums

    Nⱼ = Σᵢ sᵢrᵢⱼ,    Dⱼ = Σᵢ sᵢrᵢⱼ zᵢⱼ,    Qⱼ = Σᵢ sᵢrᵢⱼ zᵢⱼzᵢⱼᵀ,    ℓ = Σᵢ sᵢ log p(xᵢ)    (1)

of two blocks add up to those of both. From the sums of all blocks follow the step of
``latent.expectation_maximisation``,

    πⱼ⁺ = Nⱼ/Σⱼ Nⱼ,    μⱼ⁺ = μⱼ + LⱼDⱼ/Nⱼ,    Sⱼ = Lⱼ(Qⱼ − DⱼDⱼᵀ/Nⱼ)Lⱼᵀ                  (2)

the covariance of all rows, which the prior and the null model need,

    T = Σⱼ [Sⱼ + Nⱼ(μⱼ⁺ − x̄)(μⱼ⁺ − x̄)ᵀ] / Σⱼ Nⱼ,    x̄ = Σⱼ Nⱼμⱼ⁺ / Σⱼ Nⱼ                (3)

the objective of the mixture that was given, and by how much the step is sure to lower it, eq. (2)
there: its certificate. A step to numbers that are not finite shows in it as NaN. A component that
loses all rows has none to go to.

Sums are about the mixture itself, so that nothing is lost to where the origin lies, nor of a
component however small it is. Those of one array in blocks are those of the array to rounding.
Everything is differentiable in the rows and the weights, with the mixture fixed.

Time O(nkd²) for the rows of a block, O(nkd) where covariances are diagonal, without products of
matrices: several times that of a step in memory. Memory a block and the sums.

>>> import jax.numpy as jnp
>>> from mlmath.latent import full_mixture, mixture_stream
>>> blocks = [jnp.array([[0.0], [1.0], [2.0]]), jnp.array([[10.0], [11.0], [12.0]])]
>>> params = full_mixture.Params(jnp.ones(2), jnp.array([[0.0], [9.0]]), 9 * jnp.ones((2, 1, 1)))
>>> for _ in range(5):
...     sums = [mixture_stream.summarize(full_mixture.FAMILY, params, X) for X in blocks]
...     step = mixture_stream.solve(full_mixture.FAMILY, params, mixture_stream.merge(*sums))
...     params = step.ahead
>>> print(params.means[:, 0].round(3), params.covariances[:, 0, 0].round(3))
[ 1. 11.] [0.667 0.667]

References:
    Dempster, Laird & Rubin (1977), Maximum likelihood from incomplete data via the EM
        algorithm, §3.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Real, Scalar
from mlmath.certificate import Certificate, certify
from mlmath.compiled import compiled
from mlmath.latent.gaussian_mixture import (
    Family,
    log_weights,
    maximised,
    opened,
    penalty,
    present,
    prior_of,
    reached,
)
from mlmath.linalg import gram
from mlmath.statistics.weights import present_rows

__all__ = ["Step", "Sums", "merge", "solve", "summarize"]


class Sums(NamedTuple):
    """What blocks of rows say of a mixture, eq. (1)."""

    totals: Float[Array, " k"]  # Nⱼ
    shifts: Float[Array, "k d"]  # Dⱼ
    squares: Float[Array, "k ..."]  # Qⱼ, or its diagonal
    likelihood: Float[Array, ""]  # ℓ


class Step(NamedTuple):
    """Outcome of :func:`solve`."""

    params: Any  # the mixture, as given
    certificate: Certificate  # of it: gap, what the step is sure to gain over L(one Gaussian) − L
    ahead: Any  # where the next step begins


@compiled(static=("family",))
def summarize(
    family: Family,
    params: Any,
    X: Float[Real, "n d"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Sums:
    """Sums (1) of one block of rows; NaN with a negative weight.

    Args:
        family: kind of covariance, the module's ``FAMILY``; static.
        params: the mixture, the same for all blocks of a step.
        X: rows of the block.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
    """
    X, weight = present_rows(X, sample_weight)
    weight = weight + jnp.where((weight < 0).any(), jnp.nan, 0)
    k, d = params.means.shape
    block = max(d, 2**19 // (k * d))  # numbers of rows, of each of which k d² are made
    point = opened(family, params, X)
    return Sums(*gram.row_sum(partial(_sums, family), (X, weight), point, block=block))


def merge(first: Sums, second: Sums) -> Sums:
    """Sums of two blocks, or sets of blocks, together."""
    return jax.tree.map(jnp.add, first, second)


@compiled(static=("family",))
def solve(
    family: Family,
    params: Any,
    sums: Sums,
    *,
    prior_rows: Scalar = 0.0,
    prior_scale: Scalar | None = None,
    tolerance: Scalar | None = None,
) -> Step:
    """Step (2) from the mixture that the sums are about, and what it is worth.

    Args:
        family: kind of covariance, the module's ``FAMILY``; static.
        params: the mixture.
        sums: of all rows.
        prior_rows: κ, how many rows the prior counts for in each covariance.
        prior_scale: τ, the covariance of these rows as a share of T; k^(−2/d) if None.
        tolerance: largest gap that counts as converged; ε^(4/3) of the dtype if None.
    """
    mass, shifts, squares, likelihood = map(jnp.asarray, sums)
    point, factors, d = opened(family, params, shifts), family.factors, shifts.shape[1]
    prior = prior_of(prior_rows, prior_scale, params, shifts)
    some = (point.weights != 0)[:, None]
    step = jnp.where(some, shifts / jnp.where(some, mass[:, None], 1), 0)
    means = point.means + factors.apply(point.factor, step)
    scatter = factors.congruent(point.factor, squares - factors.per(mass) * factors.outer(step))
    total = _covariance(family, mass, means, scatter)
    pooled = family.pool(scatter) + prior.rows * prior.scale * total
    size = family.pool(factors.diagonal(factors.congruent(point.factor, squares)))
    image, excess = maximised(family, point, mass, means, step, pooled, size, prior.rows)
    value = penalty(family, point, total, prior, d) - likelihood
    null = _null_value(
        family, total, jnp.sum(mass), prior.rows * jnp.sum(present(family, point)), prior.scale, d
    )
    if tolerance is None:
        tolerance = float(jnp.finfo(shifts.dtype).eps) ** (4 / 3)
    certificate = certify(value, excess, jnp.maximum(null - value, 0) + excess, tolerance=tolerance)
    covariances = family.shaped(factors.covariance(image.factor))
    ahead = params._replace(weights=image.weights, means=means, covariances=covariances)
    return Step(params, certificate, ahead)


def _sums(family, X, weight, point):
    factors, d = family.factors, X.shape[1]
    X = reached(family, point, X, weight)
    z = jax.vmap(lambda x: factors.apply(point.inverse, x[None] - point.means))(X)
    constant = log_weights(point.weights) + factors.log_determinant(point.inverse, d)
    joint = constant[None] - jnp.sum(z**2, axis=2) / 2 - d / 2 * math.log(2 * math.pi)
    shares = weight[:, None] * jax.nn.softmax(joint, axis=1)
    squares = jax.vmap(lambda s, z: factors.per(s) * factors.outer(z))(shares, z)
    return (
        jnp.sum(shares, axis=0),
        jnp.sum(shares[:, :, None] * z, axis=0),
        jnp.sum(squares, axis=0),
        weight @ jax.nn.logsumexp(joint, axis=1),
    )


def _covariance(family, mass, means, scatter):
    """T, eq. (3), in the shape of one covariance, stacked."""
    factors, whole = family.factors, jnp.sum(mass)
    apart = means - means[jnp.argmax(mass)][None]
    apart = apart - (mass @ apart / whole)[None]
    each = scatter + factors.per(mass) * factors.outer(apart)
    return family.pool(jnp.sum(each, axis=0, keepdims=True) / whole)


def _null_value(family, total, mass, prior_mass, scale, d):
    """L of one Gaussian, N(x̄, T), in the place of all components."""
    factors = family.factors
    half = factors.log_determinant(factors.factor(total, factors.diagonal(total)), d)[0]
    fit = mass * (d / 2 * (1 + math.log(2 * math.pi)) + half)
    return fit + prior_mass * (scale * d / 2 + half)
