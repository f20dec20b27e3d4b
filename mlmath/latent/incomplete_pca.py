"""Probabilistic PCA of rows with missing entries, by expectation–maximisation.

Of row i only the entries in Oᵢ are observed, dᵢ of them; which ones says nothing of their values
(missing at random). The model is that of ``latent.probabilistic_pca``, restricted to them:

    x_O = μ_O + W_Oᵀt + σ ε,    −log p(x_O) = −log N(x_O; μ_O, W_OᵀW_O + σ²I)        (1)

where W_O ∈ ℝᵏˣᵈⁱ has the columns in Oᵢ. With the precision of t given them, Aᵢ ∈ ℝᵏˣᵏ,

    Aᵢ = I + W_OW_Oᵀ/σ²,    t̂ᵢ = Aᵢ⁻¹W_O(x − μ)_O/σ²,    rᵢ = x_O − μ_O − W_Oᵀt̂ᵢ       (2)
    −2 log p(x_O) = dᵢ log 2πσ² + log det Aᵢ + ‖rᵢ‖²/σ² + ‖t̂ᵢ‖²                      (3)

and the mean of the other entries given these is μ + Wᵀt̂. Fitting minimises

    L(μ, W, σ²) = −Σᵢ sᵢ log p(xᵢ,O)                                           (4)

by expectation–maximisation, which never raises it, parameter-expanded so that lengths within the
plane do not creep where σ² is small (``latent.parameter_expansion``). The gap is what the next step
is sure to gain, eq. (7) there, over L(null) − L plus that: L has saddles and other minima, and no
zero. The null model is a Gaussian with the means of the columns, alike in all directions. A step to
numbers that are not finite is not taken, and its gap is NaN. Where rows lie in a plane L has
no minimum: σ² falls without end, and nothing is proved. Where rows hold too few entries to tell
noise from loadings, as one each, the answer is one of many and has no derivative.

The answer is rotated to where WWᵀ is diagonal and descends, with the signs of ``latent.pca``.
Where every entry is observed it is that of ``probabilistic_pca.fit``, which takes no steps. A row
that observes nothing changes nothing. Of a column that nobody observes nothing is known: its mean
is NaN, its loadings are 0. Derivatives are those of the point where ∇L = 0, rotations of W held
(``latent.horizontal_derivative``), by conjugate gradients; equal lengths of W have none.
Of L they are the partial ones (envelope theorem), also where steps end early.

Time O(n(dk² + k³)) per step, memory O(nd + dk²) and n_B k² for a block of n_B rows (on an
accelerator all, and for derivatives: ``linalg.gram``).

>>> import jax.numpy as jnp, mlmath
>>> from mlmath.latent import incomplete_pca
>>> X = jnp.array([[0.0, 0.1], [2.0, 1.9], [4.0, jnp.nan], [6.0, 6.1], [8.0, 7.9]])
>>> observed = jnp.isfinite(X)
>>> start = incomplete_pca.init(X, k=1, observed=observed)
>>> fitted = incomplete_pca.fit(start, X, observed=observed)
>>> bool(fitted.certificate.converged)
True
>>> print(incomplete_pca.impute(fitted.params, X[2], observed[2]).round(1))
[4. 4.]

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
from jax import lax
from jaxtyping import Array, Bool, Float

from mlmath.absence import unreachable
from mlmath.arrays import Count, Real, Scalar
from mlmath.certificate import Certificate, certify
from mlmath.compiled import compiled
from mlmath.latent import (
    alternating,
    horizontal_derivative,
    parameter_expansion,
    probabilistic_pca,
)
from mlmath.latent.parameter_expansion import Point
from mlmath.latent.probabilistic_pca import Params
from mlmath.linalg.vectors import magnitude
from mlmath.statistics.weights import present_rows

__all__ = [
    "Fit",
    "Params",
    "fit",
    "impute",
    "init",
    "log_prob",
    "objective",
    "present",
    "transform",
    "within_reach",
]


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: Certificate  # gap: (7) of ``parameter_expansion`` / (L(null) − L + (7))


def log_prob(params: Params, x: Float[Real, " d"], observed: Bool[Real, " d"]) -> Float[Array, ""]:
    """Log density of the observed entries of ONE example, eq. (3)."""
    X, M, weight = present(jnp.asarray(x)[None], jnp.asarray(observed)[None], None)
    return -parameter_expansion.surprise(_point_of(params), X, M, weight)


def transform(
    params: Params, x: Float[Real, " d"], observed: Bool[Real, " d"]
) -> Float[Array, " k"]:
    """Mean t̂ of t given the observed entries of ONE example, eq. (2)."""
    X, M, _ = present(jnp.asarray(x)[None], jnp.asarray(observed)[None], None)
    with jax.default_matmul_precision("highest"):
        return parameter_expansion.given(_point_of(params), X, M)[0][0]


def impute(params: Params, x: Float[Real, " d"], observed: Bool[Real, " d"]) -> Float[Array, " d"]:
    """Observed entries of ONE example, and the mean of the others given these."""
    return jnp.where(observed, x, probabilistic_pca.inverse(params, transform(params, x, observed)))


def objective(
    params: Params,
    X: Float[Real, "n d"],
    *,
    observed: Bool[Real, "n d"] | None = None,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Negative log-likelihood L, eq. (4), that :func:`fit` minimises."""
    point, (X, M, weight) = _point_of(params), present(X, observed, sample_weight)
    X, M = within_reach(X, M, weight, point.coefficients[:, 0], jnp.sqrt(point.noise))
    return parameter_expansion.surprise(point, X, M, weight)


@compiled(static=("k",))
def init(
    X: Float[Real, "n d"],
    *,
    k: int = 2,
    observed: Bool[Real, "n d"] | None = None,
    sample_weight: Float[Real, " n"] | None = None,
) -> Params:
    """Fit of ``probabilistic_pca`` to the rows with means of columns in the place of what misses.

    Args:
        X: data.
        k: number of directions, below d and at most n; static.
        observed: which entries are known; the others may hold anything. All if None.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
    """
    X, M, weight = present(X, observed, sample_weight)
    filled = jnp.where(M != 0, X, _column_means(X, M, weight)[None])
    return probabilistic_pca.fit(filled, k=k, sample_weight=weight).params


@compiled()
def fit(
    params: Params,
    X: Float[Real, "n d"],
    *,
    observed: Bool[Real, "n d"] | None = None,
    sample_weight: Float[Real, " n"] | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count = 1000,
) -> Fit:
    """Minimise :func:`objective` by expectation–maximisation.

    Differentiable to second order in X and the weights.

    Args:
        params: start, from :func:`init` or a fit to other rows; it fixes k.
        X: data.
        observed: which entries are known; the others may hold anything. All if None.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        tolerance: largest gap that counts as converged; ε^(4/3) of the dtype if None.
        max_steps: most steps.
    """
    n, d = X.shape
    k = params.loadings.shape[0]
    if not 1 <= k <= min(n, d - 1):
        raise ValueError(
            f"the loadings must be 1 to {min(n, d - 1)}, below d and at most n, got {k}."
        )
    X, M, weight = present(X, observed, sample_weight)
    if tolerance is None:
        tolerance = float(jnp.finfo(X.dtype).eps) ** (4 / 3)
    entries = lax.stop_gradient(weight @ M)
    center, unit = lax.stop_gradient(_frame(X, M, weight))
    X, M = within_reach(X, M, weight, jnp.where(entries == 0, jnp.nan, center), unit)
    Z = M * (X - center[None]) / unit
    null = jnp.sum(entries) / 2 * (1 + math.log(2 * math.pi))
    last = parameter_expansion.minimise(
        lax.stop_gradient(_start(params, center, unit, entries)), null, tolerance, max_steps,
        *lax.stop_gradient((Z, M, weight)),
    )  # fmt: skip
    found = horizontal_derivative.attached(parameter_expansion.principal(last.point), Z, M, weight)
    found = jax.tree.map(lambda a: a + 0 * last.value, found)
    point = _mapped(parameter_expansion.principal(found), center, unit)
    certificate = certify(
        alternating.stationary(_surprise, point, (M,), (X, weight)),
        jnp.where((weight >= 0).all(), last.excess, jnp.nan),
        jnp.maximum(null - last.value, 0) + last.excess,
        steps=last.steps,
        tolerance=tolerance,
    )
    mean = jnp.where(entries == 0, jnp.nan, point.coefficients[:, 0])
    return Fit(Params(mean, point.coefficients[:, 1:].T, point.noise), certificate)


def present(
    X: Float[Real, "n d"],
    observed: Bool[Real, "n d"] | None,
    sample_weight: Float[Real, " n"] | None,
) -> tuple[Float[Array, "n d"], Float[Array, "n d"], Float[Array, " n"]]:
    """Entries that count as finite numbers, m, and the weights of rows that observe something."""
    X = jnp.asarray(X)
    M = jnp.ones_like(X) if observed is None else jnp.asarray(observed, X.dtype)
    X, weight = present_rows(jnp.where(M != 0, X, 0), sample_weight)
    return X, M, jnp.where((M != 0).any(axis=1), weight, 0)


def within_reach(
    X: Float[Real, "n d"],
    M: Float[Real, "n d"],
    weight: Float[Real, " n"],
    center: Float[Real, " d"],
    unit: Scalar,
) -> tuple[Float[Array, "n d"], Float[Array, "n d"]]:
    """Entries, of which rows of weight 0 have none far away, nor any whose centre is unknown.

    A row that is far away in one of its entries has none.
    """
    seen = jnp.where(M != 0, X, center[None])
    far = unreachable(seen, weight, center, unit=unit)[:, None]
    absent = far | ((weight == 0)[:, None] & jnp.isnan(center)[None])
    return jnp.where(absent, 0, X), jnp.where(absent, 0, M)


def _surprise(point, M, X, weight):
    return parameter_expansion.surprise(point, X, M, weight)


def _point_of(params):
    mean, W, noise = map(jnp.asarray, params)
    return Point(jnp.concatenate([mean[:, None], W.T], axis=1), noise)


def _start(params, center, unit, entries):
    """Start in the units of the frame, 0 in columns that nobody observes."""
    params = jax.tree.map(lambda a: jnp.asarray(a, unit.dtype), params)
    coefficients, noise = _mapped(_point_of(params), -center / unit, 1 / unit)
    return Point(jnp.where(entries[:, None] == 0, 0, coefficients), noise)


def _mapped(point, center, unit):
    """Point of the rows center + unit · z."""
    moved = jnp.pad(center[:, None], ((0, 0), (0, point.coefficients.shape[1] - 1)))
    return Point(moved + unit * point.coefficients, unit**2 * point.noise)


def _column_means(X, M, weight):
    entries = weight @ M
    return (weight @ (M * X)) / jnp.where(entries == 0, 1, entries)


def _frame(X, M, weight):
    """Means of the columns, and the deviation of the entries from them."""
    center = _column_means(X, M, weight)
    Z = jnp.where((M == 0) | (weight == 0)[:, None], 0, X - center[None])
    unit = magnitude(Z)
    return center, unit * jnp.sqrt(weight @ jnp.sum((Z / unit) ** 2, axis=1) / jnp.sum(weight @ M))
