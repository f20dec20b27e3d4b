"""Expectation–maximisation for Gaussian mixtures of any kind of covariance.

With responsibilities rᵢⱼ, eq. (2) of ``latent.gaussian_mixture``, and Nⱼ = Σᵢ sᵢrᵢⱼ a step is

    πⱼ⁺ = Nⱼ/Σᵢ sᵢ,  μⱼ⁺ = Σᵢ sᵢrᵢⱼxᵢ/Nⱼ,  Sⱼ = Σᵢ sᵢrᵢⱼ(xᵢ − μⱼ⁺)(xᵢ − μⱼ⁺)ᵀ          (1)
    Σ_c⁺ = (S_c + κτT)/(N_c + κ)               pooled as the family has it

and never raises the objective L of ``latent.gaussian_mixture``, eq. (3): it lowers it by at least

    Σᵢ sᵢ KL(π⁺‖π) + ½ Σ_c (N_c + κ) D(Σ_c⁺‖Σ_c) + ½ Σⱼ Nⱼ (μⱼ⁺ − μⱼ)ᵀΣⱼ⁻¹(μⱼ⁺ − μⱼ)   (2)
    D(Σ⁺‖Σ) = tr(Σ⁻¹Σ⁺) − d − log det(Σ⁻¹Σ⁺)

which falls with the square of the step, and none of whose terms cancels. The gap is (2) over
L(one Gaussian) − L plus (2), for L has other minima and no zero. A step to numbers that are not
finite is not taken: the mixture before it comes back, and its gap is NaN. So it is where a
component shrinks onto one row, where rows determine no covariance (a constant column, one
that others determine, fewer distinct rows than components), or where a component loses all rows.

Everything runs in units in which T is the identity. There a step is two products of matrices,
of the features (1, x, xᵢxⱼ) of a block of rows with the coefficients of log N, and of their
responsibilities with the features again. This forgets of a component what is smaller than
√(16 ε) of its distance from the mean of all rows: one that shrinks so far has no next step.

The derivative is that of the point where ∇L = 0, in the coordinates a, b, E of πⱼ e^{aⱼ/√Nⱼ},
μⱼ + Lⱼbⱼ/√Nⱼ and (I + E_c/√(N_c + κ))U_c, in which the Hessian of (2) is close to the identity,
so that conjugate gradients take few products. It is NaN where a weight tends to 0, or at a saddle.

Time O(nkq) per step for q features, memory O(nd), the sums of (1), and a block of rows
(on an accelerator all: ``linalg.gram``).

>>> import jax, jax.numpy as jnp
>>> from mlmath.latent import expectation_maximisation, full_mixture
>>> X = jnp.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
>>> start = full_mixture.Params(jnp.ones(2), jnp.array([[0.0], [9.0]]), jnp.ones((2, 1, 1)))
>>> found, certificate = expectation_maximisation.maximise(full_mixture.FAMILY, start, X, 0.0, 1.0)
>>> print(found.means[:, 0], certificate.converged)
[ 1. 11.] True

References:
    Dempster, Laird & Rubin (1977), Maximum likelihood from incomplete data via the EM
        algorithm, §3.
    Bishop (2006), Pattern Recognition and Machine Learning, §9.2.2, §9.4.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from mlmath.absence import within
from mlmath.arrays import Count, Real, Scalar
from mlmath.calculus import implicit
from mlmath.certificate import Certificate, certify
from mlmath.latent.gaussian_mixture import (
    Family,
    Params,
    Point,
    log_weights,
    maximised,
    moments,
    penalised,
    penalty,
    present,
    prior_of,
)
from mlmath.linalg import gram
from mlmath.statistics.weights import present_rows

__all__ = ["maximise"]


class _State(NamedTuple):
    point: Point
    image: Point  # where the next step leads
    value: Any  # L at the point, in the units of the frame
    excess: Any  # (2)
    steps: Any


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
    """Minimise L by expectation–maximisation from ``params``, eq. (1).

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
    prior = prior_of(prior_rows, prior_scale, params, X)
    if tolerance is None:
        tolerance = float(jnp.finfo(X.dtype).eps) ** (4 / 3)
    center, total = moments(family, X, weight)
    frame = _frame(family, center, total)
    Z = family.factors.apply(frame.inverse, X - frame.means)
    Z = within(Z, weight, jnp.zeros_like(center))
    inner = family.factors.congruent(frame.inverse, total)
    fixed = lax.stop_gradient((Z, weight, inner, prior))
    start = _start(family, *lax.stop_gradient((params, frame)))
    null = _null_value(family, start, weight, prior)
    last = _iterate(family, start, fixed, null, tolerance, max_steps)
    found = _attached(family, last.point, last.value, Z, weight, inner, prior)
    point = _mapped(family, frame, found)
    certificate = certify(
        penalised(family, point, X, weight, total, prior),
        jnp.where((weight >= 0).all() & (prior.rows >= 0), last.excess, jnp.nan),
        jnp.maximum(null - last.value, 0) + last.excess,
        steps=last.steps,
        tolerance=tolerance,
    )
    covariances = family.shaped(family.factors.covariance(point.factor))
    return Params(point.weights, point.means, covariances), certificate


def _frame(family, center, total):
    """Units in which T is the identity; they are free, and have no derivative."""
    center, total = lax.stop_gradient((center, total))
    unit = family.factors.factor(total, family.factors.diagonal(total))
    return Point(None, center[None], unit, family.factors.inverse(unit))


def _refuse_sizes(params, X):
    k, n = params.means.shape[0], X.shape[0]
    if not 1 <= k <= n:
        raise ValueError(f"the number of components must be from 1 to the {n} rows of X, got {k}.")
    if X.shape[1] == 0:
        raise ValueError("X must have at least one column, got none.")


def _start(family, params, frame):
    """Start in units of the frame."""
    factors, dtype = family.factors, frame.factor.dtype
    weights, means, covariances = (jnp.asarray(a, dtype) for a in params)
    inner = factors.congruent(frame.inverse, family.stacked(covariances))
    L = factors.factor(inner, factors.diagonal(inner))
    return Point(
        weights / jnp.sum(weights),
        factors.apply(frame.inverse, means - frame.means),
        L,
        factors.inverse(L),
    )


def _mapped(family, frame, point):
    """Point in the units of the rows."""
    factors = family.factors
    return Point(
        point.weights,
        frame.means + factors.apply(frame.factor, point.means),
        factors.compose(frame.factor, point.factor),
        factors.compose(point.inverse, frame.inverse),
    )


def _null_value(family, point, weight, prior):
    """L of one Gaussian, N(0, I) in units of the frame, in the place of all components."""
    d = point.means.shape[1]
    penalty = prior.rows / 2 * jnp.sum(present(family, point)) * prior.scale * d
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
    constant = log_weights(point.weights) + factors.log_determinant(point.inverse, d)
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
    # F on the left: its long products are the faster so
    return (F @ (parts * (weight / whole)[None]).T).T, weight @ (top + jnp.log(whole))


def _statistics(family, point, X, weight, total, prior):
    """Nⱼ, μⱼ⁺, Sⱼ + κτT of each covariance, the size of its numbers, and log likelihood."""
    factors, d = family.factors, X.shape[1]
    coefficients = _coefficients(family, point)
    block = d * max(256, 2**20 // coefficients.shape[1])  # 2²⁰ features: long enough for threads
    sums, likelihood = gram.row_sum(partial(_sums, family), (X, weight), coefficients, block=block)
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
    step = factors.apply(point.inverse, means - point.means)
    image, excess = maximised(family, point, mass, means, step, scatter, size, prior.rows)
    value = penalty(family, point, total, prior, d) - likelihood
    return _State(point, image, value, excess, jnp.asarray(0))


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
        return Point(weights / jnp.sum(weights), means, None, inverse)

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
