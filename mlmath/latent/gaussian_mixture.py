"""Gaussian mixtures: what the four kinds of covariance share.

A row x ∈ ℝᵈ comes from one of k components, the j-th with probability πⱼ, and its density is

    p(x) = Σⱼ πⱼ N(x; μⱼ, Σⱼ)                                                  (1)

The components that may have brought it forth have the responsibilities

    rⱼ(x) = πⱼ N(x; μⱼ, Σⱼ) / p(x)                                             (2)

A fit minimises the negative log-likelihood with a penalty on the covariances,

    L = −Σᵢ sᵢ log p(xᵢ) + κ/2 Σ_c [log det Σ_c + τ tr(Σ_c⁻¹ T)]                  (3)

where T is the covariance of all rows (in the shape of Σ) and c runs over the covariances: k of
them, or the one that is tied. Up to a constant this is the logarithm of an inverse Wishart prior
with κ − d − 1 degrees of freedom and scale κτT: each covariance is as if κ more rows had been
seen, whose covariance is τT; κ is in the unit of the weights. κ = 0 is maximum likelihood, of
which L has no minimum: it falls without bound where a component shrinks onto one row.
A component of weight 0 is absent: it has neither a density nor a penalty.

A family of covariances is an algebra of their factors and the way in which sums for each component
become sums for each covariance: as they are, summed over components (tied), or averaged over
features (spherical). ``latent.expectation_maximisation`` fits them all.

Time O(kd²) per row, O(kd) where covariances are diagonal; memory that of a block of rows
(on an accelerator of all: ``linalg.gram``).

>>> import jax.numpy as jnp
>>> from mlmath.latent import full_mixture, gaussian_mixture
>>> params = full_mixture.Params(jnp.ones(2) / 2, jnp.array([[-1.0], [1.0]]), jnp.ones((2, 1, 1)))
>>> print(gaussian_mixture.responsibilities(full_mixture.FAMILY, params, jnp.array([0.0])))
[0.5 0.5]

References:
    Bishop (2006), Pattern Recognition and Machine Learning, §9.2.
    Fraley & Raftery (2007), Bayesian regularization for normal mixture estimation and model-based
        clustering, §3 (the prior; τ by default that of its §4.1).
"""

import math
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.absence import apart, within
from mlmath.arrays import Key, Real, Scalar
from mlmath.calculus.log1pmx import log1pmx
from mlmath.linalg import gram
from mlmath.statistics.center import sampled_mean
from mlmath.statistics.weights import present_rows

__all__ = [
    "Family",
    "Params",
    "Point",
    "Prior",
    "log_prob",
    "log_weights",
    "maximised",
    "moments",
    "objective",
    "opened",
    "penalised",
    "penalty",
    "present",
    "prior_of",
    "reached",
    "responsibilities",
    "sample",
]


class Params(NamedTuple):
    """A mixture as its family's module has it; ``covariances`` in the shape of the family."""

    weights: Float[Array, " k"]  # πⱼ, probabilities
    means: Float[Array, "k d"]  # μⱼ
    covariances: Float[Array, "..."]  # Σ


class Family(NamedTuple):
    """A kind of covariance."""

    factors: ModuleType  # algebra of its factors, ``dense_factors`` or ``diagonal_factors``
    pool: Callable[[Array], Array]  # sums for k components to sums for each covariance
    stacked: Callable[[Array], Array]  # ``covariances`` along a first axis
    shaped: Callable[[Array], Array]  # its inverse


class Point(NamedTuple):
    """A mixture by the factors of its covariances."""

    weights: Any  # πⱼ
    means: Any  # μⱼ
    factor: Any  # L_c
    inverse: Any  # U_c = L_c⁻¹


class Prior(NamedTuple):
    """The prior of (3)."""

    rows: Any  # κ
    scale: Any  # τ


def log_prob(family: Family, params: Any, x: Float[Real, " d"]) -> Float[Array, ""]:
    """Log density log p(x) of ONE example, eq. (1)."""
    return jax.nn.logsumexp(_joint(family, opened(family, params, x), jnp.asarray(x)))


def responsibilities(family: Family, params: Any, x: Float[Real, " d"]) -> Float[Array, " k"]:
    """Probabilities that ONE example comes from each of the components, eq. (2)."""
    return jax.nn.softmax(_joint(family, opened(family, params, x), jnp.asarray(x)))


def sample(family: Family, key: Key, params: Any) -> Float[Array, " d"]:
    """Draw ONE example."""
    which, noise = jax.random.split(key)
    point = opened(family, params, params.means)
    j = jax.random.categorical(which, log_weights(point.weights))
    z = jax.random.normal(noise, point.means.shape, point.means.dtype)
    return (point.means + family.factors.apply(point.factor, z))[j]


def objective(
    family: Family,
    params: Any,
    X: Float[Real, "n d"],
    prior_rows: Scalar,
    prior_scale: Scalar | None,
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Penalised negative log-likelihood L, eq. (3)."""
    X, weight = present_rows(X, sample_weight)
    prior = prior_of(prior_rows, prior_scale, params, X)
    _, total = moments(family, X, weight)
    return penalised(family, opened(family, params, X), X, weight, total, prior)


def prior_of(rows: Scalar, scale: Scalar | None, params: Any, X: Float[Real, "n d"]) -> Prior:
    """Numbers of the prior; τ = k^(−2/d) if None, k ellipsoids of which fill that of all rows."""
    if scale is None:
        scale = params.means.shape[0] ** (-2 / X.shape[1])
    return Prior(jnp.asarray(rows, X.dtype), jnp.asarray(scale, X.dtype))


def log_weights(weights: Float[Real, " k"]) -> Float[Array, " k"]:
    """Log of probabilities; of 0 so low that nothing is left of it, with derivative 0."""
    weights = jnp.asarray(weights)
    none = weights == 0
    return jnp.where(none, jnp.finfo(weights.dtype).min / 4, jnp.log(jnp.where(none, 1, weights)))


def opened(family: Family, params: Any, like: Float[Real, "..."]) -> Point:
    """Point of parameters, in the dtype of ``like``."""
    dtype = jnp.asarray(like).dtype
    weights, means, covariances = (jnp.asarray(a, dtype) for a in params)
    covariances = family.stacked(covariances)
    L = family.factors.factor(covariances, 0 * family.factors.diagonal(covariances))
    return Point(weights / jnp.sum(weights), means, L, family.factors.inverse(L))


def _joint(family, point, x):
    """log πⱼ N(x; μⱼ, Σⱼ) of each component."""
    d = x.shape[0]
    z = family.factors.apply(point.inverse, x[None] - point.means)
    constant = log_weights(point.weights) + family.factors.log_determinant(point.inverse, d)
    return constant - jnp.sum(z**2, axis=1) / 2 - d / 2 * math.log(2 * math.pi)


def penalised(
    family: Family,
    point: Point,
    X: Float[Real, "n d"],
    weight: Float[Real, " n"],
    total: Float[Real, "..."],
    prior: Prior,
) -> Float[Array, ""]:
    """L, eq. (3), with ``total`` in the place of T."""
    k, d = point.means.shape
    likelihood = gram.row_sum(partial(_likelihood, family), (X, weight), point, block=2**19 // k)
    return penalty(family, point, total, prior, d) - likelihood


def _likelihood(family, X, weight, point):
    joint = jax.vmap(partial(_joint, family, point))(reached(family, point, X, weight))
    return weight @ jax.nn.logsumexp(joint, axis=1)


def penalty(
    family: Family, point: Point, total: Float[Real, "..."], prior: Prior, d: int
) -> Float[Array, ""]:
    """Second term of (3); a component that is absent has none."""
    log_determinant = family.factors.log_determinant(point.inverse, d)
    trace = family.factors.trace(point.inverse, total, d)
    counted = present(family, point)
    return prior.rows / 2 * jnp.sum(counted * (prior.scale * trace - 2 * log_determinant))


def maximised(
    family: Family,
    point: Point,
    mass: Float[Real, " k"],
    means: Float[Real, "k d"],
    step: Float[Real, "k d"],
    scatter: Float[Real, "..."],
    size: Float[Real, "..."],
    rows: Scalar,
) -> tuple[Point, Float[Array, ""]]:
    """Next point of ``latent.expectation_maximisation``, and its eq. (2), what that gains.

    Args:
        family: kind of covariance.
        point: where the responsibilities were taken.
        mass: Nⱼ.
        means: μⱼ⁺.
        step: Lⱼ⁻¹(μⱼ⁺ − μⱼ).
        scatter: S_c + κτT of each covariance.
        size: of the numbers of whose difference its diagonal is.
        rows: κ.
    """
    factors, d, mass = family.factors, point.means.shape[1], jnp.asarray(mass)
    there = present(family, point)
    masses = jnp.where(there > 0, family.pool(mass[:, None])[:, 0] + rows, 1)
    L = factors.factor(scatter / factors.per(masses), size / masses[:, None])
    L = jnp.where(factors.per(there) > 0, L, point.factor)
    weights = mass / jnp.sum(mass)
    ratio = jnp.where(weights == 0, 1, point.weights / jnp.where(weights == 0, 1, weights))
    excess = (
        jnp.sum(mass * (jnp.sum(step**2, axis=1) / 2 - log1pmx(ratio - 1)))
        + (there * masses) @ factors.divergence(point.inverse, L, d) / 2
    )
    rounding = (8 * jnp.finfo(L.dtype).eps) ** 2 * jnp.sum(mass) * d
    excess = jnp.where(jnp.abs(excess) <= rounding, 0, excess)
    return Point(weights, means, L, factors.inverse(L)), excess


def reached(
    family: Family, point: Point, X: Float[Real, "n d"], weight: Float[Real, " n"]
) -> Float[Array, "n d"]:
    """Rows ``within`` the reach of every component that is there, eq. (2) of ``absence``."""
    there = family.factors.per(present(family, point)) > 0
    unit = 1 / jnp.max(jnp.where(there, jnp.abs(point.inverse), 0))
    return within(X, weight, point.weights @ point.means, unit=lax.stop_gradient(unit))


def present(family: Family, point: Point) -> Float[Array, " c"]:
    """1 for covariances of which a component has a weight, else 0."""
    there = lax.stop_gradient((point.weights != 0).astype(point.weights.dtype))
    return (family.pool(there[:, None])[:, 0] > 0).astype(point.weights.dtype)


def moments(
    family: Family, X: Float[Real, "n d"], weight: Float[Real, " n"]
) -> tuple[Float[Array, " d"], Float[Array, "..."]]:
    """Mean and covariance T of the rows, the latter in the shape of one factor, stacked."""
    c, d = sampled_mean(X, weight), X.shape[1]
    mass, first, second = gram.row_sum(partial(_row_moments, family), (X, weight), c)
    away = first / mass
    square = family.factors.second(second[None] / mass, d)
    return c + away, family.pool(square - family.factors.outer(away[None]))


def _row_moments(family, X, weight, c):
    Z = apart(X, weight, c).T
    return jnp.sum(weight), Z @ weight, family.factors.feature_sums(Z, weight)
