"""Gaussian mixtures: what the four kinds of covariance share.

A row x ∈ ℝᵈ comes from one of k components, the j-th with probability πⱼ, and its density is

    p(x) = Σⱼ πⱼ N(x; μⱼ, Σⱼ)                                                  (1)

The components that may have brought it forth have the responsibilities

    rⱼ(x) = πⱼ N(x; μⱼ, Σⱼ) / p(x)                                             (2)

Fitting minimises the negative log-likelihood with a penalty on the covariances,

    L = −Σᵢ sᵢ log p(xᵢ) + κ/2 Σ_c [log det Σ_c + τ tr(Σ_c⁻¹ T)]                  (3)

where T is the covariance of all rows (in the shape of Σ) and c runs over the covariances: k of
them, or the one that is tied. Up to a constant this is the logarithm of an inverse Wishart prior
with κ − d − 1 degrees of freedom and scale κτT: each covariance is as if κ more rows had been
seen, whose covariance is τT. κ = 0 is maximum likelihood, of which L has no minimum: it falls
without bound where a component shrinks onto one row, and a fit that goes there does not converge.

Expectation–maximisation takes rᵢⱼ = rⱼ(xᵢ), Nⱼ = Σᵢ sᵢrᵢⱼ and

    πⱼ⁺ = Nⱼ/Σᵢ sᵢ,  μⱼ⁺ = Σᵢ sᵢrᵢⱼxᵢ/Nⱼ,  Sⱼ = Σᵢ sᵢrᵢⱼ(xᵢ − μⱼ⁺)(xᵢ − μⱼ⁺)ᵀ          (4)
    Σⱼ⁺ = (Sⱼ + κτT)/(Nⱼ + κ)                  pooled as the kind of covariance has it

which never raises L: one step lowers it by at least

    Σᵢ sᵢ KL(π⁺‖π) + ½ Σ_c (N_c + κ) D(Σ_c⁺‖Σ_c) + ½ Σⱼ Nⱼ (μⱼ⁺ − μⱼ)ᵀΣⱼ⁻¹(μⱼ⁺ − μⱼ)   (5)
    D(Σ⁺‖Σ) = tr(Σ⁻¹Σ⁺) − d − log det(Σ⁻¹Σ⁺)

The gap is (5) over L(one Gaussian) − L plus (5), since L has other minima and no zero.

Everything runs in units in which T is the identity. There a step is two products of matrices,
of the features (1, x, xᵢxⱼ) of a block of rows with the coefficients of log N, and of their
responsibilities with the features again. It forgets what of a component is smaller than
√(16 ε) of its distance from the mean of all rows: one that shrinks so far has no next step.
Derivatives are those of the point where ∇L = 0, by conjugate gradients, no matrix being formed.

Time O(nk·q) per step for q features, memory O(nd), the result of (4), and a block of rows.

>>> import jax, jax.numpy as jnp
>>> from mlmath.latent import full_mixture, gaussian_mixture
>>> params = full_mixture.Params(jnp.ones(2) / 2, jnp.array([[-1.0], [1.0]]), jnp.ones((2, 1, 1)))
>>> print(gaussian_mixture.responsibilities(full_mixture.FAMILY, params, jnp.array([0.0])))
[0.5 0.5]

References:
    Dempster, Laird & Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm.
    Bishop (2006), Pattern Recognition and Machine Learning, §9.2.2, §9.4.
    Fraley & Raftery (2007), Bayesian regularization for normal mixture estimation, §3.
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

from mlmath.arrays import Count, Key, Real, Scalar
from mlmath.calculus import implicit
from mlmath.calculus.log1pmx import log1pmx
from mlmath.certificate import Certificate, certify
from mlmath.linalg import gram
from mlmath.statistics.center import near_mean
from mlmath.statistics.weights import present_rows

__all__ = [
    "Family",
    "Params",
    "log_prob",
    "maximise",
    "objective",
    "responsibilities",
    "sample",
    "standardised",
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


class _Point(NamedTuple):
    """Parameters by which the iteration goes."""

    weights: Any  # πⱼ
    means: Any  # μⱼ
    factor: Any  # L_c
    inverse: Any  # U_c = L_c⁻¹


class _State(NamedTuple):
    point: _Point
    image: _Point  # where the next step leads
    value: Any  # L at the point, in the units of the frame
    excess: Any  # (5)
    steps: Any


class _Prior(NamedTuple):
    rows: Any  # κ
    scale: Any  # τ


def log_prob(family: Family, params: Any, x: Float[Real, " d"]) -> Float[Array, ""]:
    """Log density log p(x) of ONE example, eq. (1)."""
    return jax.nn.logsumexp(_joint(family, _opened(family, params, x), jnp.asarray(x)))


def responsibilities(family: Family, params: Any, x: Float[Real, " d"]) -> Float[Array, " k"]:
    """Probabilities that ONE example comes from each of the components, eq. (2)."""
    return jax.nn.softmax(_joint(family, _opened(family, params, x), jnp.asarray(x)))


def sample(family: Family, key: Key, params: Any) -> Float[Array, " d"]:
    """Draw ONE example."""
    which, noise = jax.random.split(key)
    point = _opened(family, params, params.means)
    j = jax.random.categorical(which, _log(point.weights))
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
    prior = _prior(prior_rows, prior_scale, params, X)
    _, total = _moments(family, X, weight)
    return _objective(family, _opened(family, params, X), X, weight, total, prior)


def maximise(
    family: Family,
    params: Any,
    X: Float[Real, "n d"],
    prior_rows: Scalar,
    prior_scale: Scalar | None,
    *,
    sample_weight: Float[Real, " n"] | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count = 1000,
) -> tuple[Params, Certificate]:
    """Minimise :func:`objective` by expectation–maximisation from ``params``, eq. (4).

    Args:
        family: kind of covariance.
        params: where the iteration starts.
        X: rows.
        prior_rows: κ.
        prior_scale: τ; k^(−2/d) if None.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        tolerance: largest gap that counts as converged; ε^(4/3) of the dtype if None.
        max_steps: most steps.
    """
    _refuse_sizes(params, X)
    X, weight = present_rows(X, sample_weight)
    prior = _prior(prior_rows, prior_scale, params, X)
    if tolerance is None:
        tolerance = float(jnp.finfo(X.dtype).eps) ** (4 / 3)
    center, total = _moments(family, X, weight)
    frame = _frame(family, center, total)
    Z = family.factors.apply(frame.inverse, X - frame.means)
    inner = family.factors.congruent(frame.inverse, total)
    fixed = lax.stop_gradient((Z, weight, inner, prior))
    start = _start(family, *lax.stop_gradient((params, frame)))
    null = _null_value(family, start, weight, prior)
    last = _iterate(family, start, fixed, null, tolerance, max_steps)
    found = _attached(family, last.point, last.value, Z, weight, inner, prior)
    point = _mapped(family, frame, found)
    certificate = certify(
        _objective(family, point, X, weight, total, prior),
        jnp.where((weight >= 0).all() & (prior.rows >= 0), last.excess, jnp.nan),
        jnp.maximum(null - last.value, 0) + last.excess,
        steps=last.steps,
        tolerance=tolerance,
    )
    covariances = family.shaped(family.factors.covariance(point.factor))
    return Params(point.weights, point.means, covariances), certificate


def standardised(
    family: Family, X: Float[Real, "n d"], weight: Float[Real, " n"]
) -> Float[Array, "n d"]:
    """Rows in the units in which T is the identity, about their mean."""
    frame = _frame(family, *_moments(family, jnp.asarray(X), jnp.asarray(weight)))
    return family.factors.apply(frame.inverse, X - frame.means)


def _frame(family, center, total):
    """Units in which T is the identity; they are free, and have no derivative."""
    center, total = lax.stop_gradient((center, total))
    unit = family.factors.factor(total, family.factors.diagonal(total))
    return _Point(None, center[None], unit, family.factors.inverse(unit))


def _refuse_sizes(params, X):
    k, n = params.means.shape[0], X.shape[0]
    if not 1 <= k <= n:
        raise ValueError(f"the number of components must be from 1 to the {n} rows of X, got {k}.")
    if X.shape[1] == 0:
        raise ValueError("X must have at least one column, got none.")


def _prior(rows, scale, params, X):
    """Numbers of the prior; τ = k^(−2/d) if None, k ellipsoids of which fill that of all rows."""
    if scale is None:
        scale = params.means.shape[0] ** (-2 / X.shape[1])
    return _Prior(jnp.asarray(rows, X.dtype), jnp.asarray(scale, X.dtype))


def _log(weights):
    """Log of probabilities; of 0 so low that nothing is left of it, with derivative 0."""
    none = weights == 0
    return jnp.where(none, jnp.finfo(weights.dtype).min / 4, jnp.log(jnp.where(none, 1, weights)))


def _opened(family, params, like):
    """Point of parameters."""
    dtype = jnp.asarray(like).dtype
    weights, means, covariances = (jnp.asarray(a, dtype) for a in params)
    covariances = family.stacked(covariances)
    L = family.factors.factor(covariances, 0 * family.factors.diagonal(covariances))
    return _Point(weights / jnp.sum(weights), means, L, family.factors.inverse(L))


def _joint(family, point, x):
    """log πⱼ N(x; μⱼ, Σⱼ) of each component."""
    d = x.shape[0]
    z = family.factors.apply(point.inverse, x[None] - point.means)
    constant = _log(point.weights) + family.factors.log_determinant(point.inverse, d)
    return constant - jnp.sum(z**2, axis=1) / 2 - d / 2 * math.log(2 * math.pi)


def _objective(family, point, X, weight, total, prior):
    k, d = point.means.shape
    likelihood = gram.row_sum(partial(_likelihood, family), (X, weight), point, block=2**19 // k)
    return _penalty(family, point, total, prior, d) - likelihood


def _likelihood(family, X, weight, point):
    joint = jax.vmap(partial(_joint, family, point))(X)
    return weight @ jax.nn.logsumexp(joint, axis=1)


def _penalty(family, point, total, prior, d):
    """Second term of (3); a component that is absent has none."""
    log_determinant = family.factors.log_determinant(point.inverse, d)
    trace = family.factors.trace(point.inverse, total, d)
    counted = _there(family, point)
    return prior.rows / 2 * jnp.sum(counted * (prior.scale * trace - 2 * log_determinant))


def _there(family, point):
    """1 for covariances of which a component is present, else 0."""
    present = lax.stop_gradient((point.weights != 0).astype(point.weights.dtype))
    return (family.pool(present[:, None])[:, 0] > 0).astype(point.weights.dtype)


def _moments(family, X, weight):
    """Mean and covariance T of the rows."""
    c, d = near_mean(X, weight), X.shape[1]
    mass, first, second = gram.row_sum(partial(_row_moments, family), (X, weight), c)
    away = first / mass
    square = family.factors.second(second[None] / mass, d)
    return c + away, family.pool(square - family.factors.outer(away[None]))


def _row_moments(family, X, weight, c):
    Z = (X - c[None]).T
    return jnp.sum(weight), Z @ weight, family.factors.features(Z) @ weight


def _start(family, params, frame):
    """Start in units of the frame."""
    factors, dtype = family.factors, frame.factor.dtype
    weights, means, covariances = (jnp.asarray(a, dtype) for a in params)
    inner = factors.congruent(frame.inverse, family.stacked(covariances))
    L = factors.factor(inner, factors.diagonal(inner))
    return _Point(
        weights / jnp.sum(weights),
        factors.apply(frame.inverse, means - frame.means),
        L,
        factors.inverse(L),
    )


def _mapped(family, frame, point):
    """Point in the units of the rows."""
    factors = family.factors
    return _Point(
        point.weights,
        frame.means + factors.apply(frame.factor, point.means),
        factors.compose(frame.factor, point.factor),
        factors.compose(point.inverse, frame.inverse),
    )


def _null_value(family, point, weight, prior):
    """L of one Gaussian, N(0, I) in units of the frame, in the place of all components."""
    d = point.means.shape[1]
    penalty = prior.rows / 2 * jnp.sum(_there(family, point)) * prior.scale * d
    return lax.stop_gradient(jnp.sum(weight) * d / 2 * (1 + math.log(2 * math.pi)) + penalty)


def _iterate(family, start, fixed, null, tolerance, max_steps):
    """States until the gap is met."""

    def step(state):
        return _evaluated(family, state.image, *fixed)._replace(steps=state.steps + 1)

    def going(state):
        scale = jnp.maximum(null - state.value, 0) + state.excess
        return (state.excess > tolerance * scale) & (state.steps < max_steps)

    return lax.while_loop(going, step, _evaluated(family, start, *fixed))


def _coefficients(family, point):
    """Of the features (1, x, xᵢxⱼ) in the joint log density."""
    factors, d = family.factors, point.means.shape[1]
    z = factors.apply(point.inverse, point.means)
    constant = _log(point.weights) + factors.log_determinant(point.inverse, d)
    constant = constant - jnp.sum(z**2, axis=1) / 2 - d / 2 * math.log(2 * math.pi)
    quadratic = factors.quadratic(point.inverse, d)
    quadratic = jnp.broadcast_to(quadratic, (z.shape[0], quadratic.shape[1]))
    linear = factors.apply_transposed(point.inverse, z)
    return jnp.concatenate([constant[:, None], linear, quadratic], axis=1)


def _features(family, X):
    columns = X.T
    return jnp.concatenate([jnp.ones_like(columns[:1]), columns, family.factors.features(columns)])


def _sums(family, X, weight, coefficients):
    """Sums of the features, weighted by responsibilities, and log likelihood."""
    F = _features(family, X)
    joint = coefficients @ F
    top = lax.stop_gradient(jnp.max(joint, axis=0))
    parts = jnp.exp(joint - top[None])
    whole = jnp.sum(parts, axis=0)
    return (parts * (weight / whole)[None]) @ F.T, weight @ (top + jnp.log(whole))


def _statistics(family, point, X, weight, total, prior):
    """Nⱼ, μⱼ⁺, Sⱼ + κτT of each covariance, the size of its numbers, and log likelihood."""
    factors, d = family.factors, X.shape[1]
    coefficients = _coefficients(family, point)
    sums, likelihood = gram.row_sum(partial(_sums, family), (X, weight), coefficients)
    mass, first, square = sums[:, 0], sums[:, 1 : d + 1], factors.second(sums[:, d + 1 :], d)
    present = (point.weights != 0)[:, None]
    means = jnp.where(present, first / jnp.where(present, mass[:, None], 1), point.means)
    added = prior.rows * prior.scale * total
    scatter = family.pool(square - factors.per(mass) * factors.outer(means)) + added
    return mass, means, scatter, family.pool(factors.diagonal(square)), likelihood


def _evaluated(family, point, X, weight, total, prior):
    """State at a point: one pass over the rows."""
    factors, d = family.factors, X.shape[1]
    mass, means, scatter, size, likelihood = _statistics(family, point, X, weight, total, prior)
    there = _there(family, point)
    masses = jnp.where(there > 0, family.pool(mass[:, None])[:, 0] + prior.rows, 1)
    L = factors.factor(scatter / factors.per(masses), size / masses[:, None])
    L = jnp.where(factors.per(there) > 0, L, point.factor)
    weights = mass / jnp.sum(mass)
    ratio = jnp.where(weights == 0, 1, point.weights / jnp.where(weights == 0, 1, weights))
    step = factors.apply(point.inverse, means - point.means)
    excess = (
        jnp.sum(mass * (jnp.sum(step**2, axis=1) / 2 - log1pmx(ratio - 1)))
        + (there * masses) @ factors.divergence(point.inverse, L, d) / 2
    )
    rounding = (8 * jnp.finfo(X.dtype).eps) ** 2 * jnp.sum(mass) * d
    return _State(
        point,
        _Point(weights, means, L, factors.inverse(L)),
        _penalty(family, point, total, prior, d) - likelihood,
        jnp.where(jnp.abs(excess) <= rounding, 0, excess),
        jnp.asarray(0),
    )


def _attached(family, point, value, X, weight, total, prior):
    """Point with the derivative of ∇L = 0, in coordinates in which ∇²L resembles 1."""
    point = lax.stop_gradient(jax.tree.map(lambda a: a + 0 * value, point))
    factors, mass = family.factors, lax.stop_gradient(jnp.sum(weight)) * point.weights
    masses = family.pool(mass[:, None])[:, 0] + lax.stop_gradient(prior.rows)
    unit, pooled = map(_inverse_root, (mass, masses))
    unit, pooled = unit[:, None], factors.per(pooled)
    free = jnp.sqrt(point.weights)  # direction in which the logits do nothing

    def moved(z):
        logits, shift, stretch = z
        weights = point.weights * jnp.exp(unit[:, 0] * logits)
        means = point.means + factors.apply(point.factor, unit * shift)
        inverse = factors.displaced(point.inverse, pooled * stretch)
        return _Point(weights / jnp.sum(weights), means, None, inverse)

    def slope(z, X, weight, total, prior):
        there, d = moved(z), X.shape[1]
        mass, means, scatter, _, _ = _statistics(family, there, X, weight, total, prior)
        step = there.means - means
        about = scatter + family.pool(factors.per(mass) * factors.outer(step))
        masses = family.pool(mass[:, None])[:, 0] + prior.rows
        pull = factors.apply_transposed(there.inverse, factors.apply(there.inverse, step))
        return (
            unit[:, 0] * (jnp.sum(mass) * there.weights - mass) + free * (free @ z[0]),
            unit * mass[:, None] * factors.apply_transposed(point.factor, pull),
            pooled * factors.slope(point.inverse, pooled * z[2], about, masses, d),
        )

    zero = jax.tree.map(jnp.zeros_like, (point.weights, point.means, point.inverse))
    found = moved(implicit.attach_symmetric(slope, zero, X, weight, total, prior))
    return found._replace(factor=factors.inverse(found.inverse))


def _inverse_root(mass):
    return jnp.where(mass == 0, 0, 1 / jnp.sqrt(jnp.where(mass == 0, 1, mass)))
