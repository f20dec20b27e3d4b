"""Logistic regression: a linear model of the log-odds of a binary label.

For one example x ∈ ℝᵈ with label y ∈ {0, 1},

    P(y = 1 | x) = σ(wᵀx + b),        σ(z) = 1 / (1 + e⁻ᶻ)                     (1)

Fitting minimises the weighted negative log-likelihood with an ℓ₂ penalty on w,

    L(w, b) = Σᵢ sᵢ [log(1 + e^zᵢ) − yᵢ zᵢ] + λ/2 ‖w‖²,    zᵢ = wᵀxᵢ + b       (2)

which is convex; Newton's method on it is iteratively reweighted least squares. With
λ = 0 and classes that a plane separates L has no minimiser, only the infimum 0, and
the weights that come back are finite ones whose L is within the gap of it.

A label may also be a share between 0 and 1, the mixture of a row of each class. A row with
sᵢ > 0 whose label is outside by more than 1/10 (the coding −1/+1, say) makes the result NaN, and
so do weights that are all 0.

The columns are centred on any c near their means, which is exact as b is not penalised:

    z = wᵀ(x − c) + b̃,        b = b̃ − wᵀc                                      (3)

Rounding b to within Δ = ε(|w|ᵀ|c| + |b|) adds at most Σᵢ sᵢ Δ²/8 to L, which the gap counts.

Time O(nd² + d³) per Hessian, memory O(nd): X centred, and weighted for the Hessian.

>>> import jax, jax.numpy as jnp
>>> from mlmath.linear import logistic_regression
>>> X = jnp.array([[-2.0], [-1.0], [1.0], [2.0]])
>>> y = jnp.array([0, 1, 0, 1])
>>> fitted = logistic_regression.fit(X, y, l2=1.0)
>>> bool(fitted.certificate.converged)
True
>>> path = jax.vmap(lambda l2: logistic_regression.fit(X, y, l2=l2))(jnp.logspace(-3, 3, 50))
>>> path.params.weights.shape
(50, 1)

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §4.4.1.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Count, Label, Labels, Real, Scalar
from mlmath.certificate import Certificate, superlinear_tolerance
from mlmath.compiled import compiled
from mlmath.linalg.gram import affine_gram
from mlmath.optimize import newton
from mlmath.statistics.center import near_mean
from mlmath.statistics.weights import known, present

__all__ = ["Fit", "Params", "fit", "log_odds", "loss", "objective", "predict"]


class Params(NamedTuple):
    """The plane wᵀx + b = 0 that separates the classes."""

    weights: Float[Array, " d"]  # w, change of log-odds per unit of each feature
    bias: Float[Array, ""]  # b, log-odds at x = 0


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: Certificate  # gap: bound by self-concordance, optimize.newton eq. (3), / L(0)


def log_odds(params: Params, x: Float[Real, " d"]) -> Float[Array, ""]:
    """Log-odds z = wᵀx + b of ONE example."""
    return jnp.vdot(params.weights, x) + params.bias


def predict(params: Params, x: Float[Real, " d"]) -> Float[Array, ""]:
    """Probability that y = 1 for ONE example, eq. (1)."""
    return jax.nn.sigmoid(log_odds(params, x))


def loss(params: Params, x: Float[Real, " d"], y: Label) -> Float[Array, ""]:
    """Negative log-likelihood of ONE example, the bracket in eq. (2)."""
    z = log_odds(params, x)
    return jax.nn.softplus(z) - y * z


def objective(
    params: Params,
    X: Float[Real, "n d"],
    y: Labels,
    *,
    l2: Scalar = 1.0,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Penalised objective L, eq. (2), that :func:`fit` minimises."""
    X, y, weight = present(X, y, sample_weight)
    return _objective(params, X, y, _known(weight, y), l2)


@compiled()
def fit(
    X: Float[Real, "n d"],
    y: Labels,
    *,
    l2: Scalar = 1.0,
    sample_weight: Float[Real, " n"] | None = None,
    start: Params | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count = 100,
) -> Fit:
    """Minimise :func:`objective` by guarded Newton steps.

    Differentiable to second order in every array argument and in ``l2``.

    Args:
        X: features.
        y: labels 0 and 1.
        l2: λ, the penalty on the squared weights, in the units of the summed loss.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        start: first iterate; if None zeros, or of very many rows the minimiser over a sample.
        tolerance: largest gap that counts as converged; 4ε of the dtype if None.
        max_steps: most Newton steps.
    """
    X, y, weight = present(X, y, sample_weight)
    counted, weight = weight != 0, _known(weight, y)
    l2 = jnp.asarray(l2, X.dtype)
    center = near_mean(X, weight)
    Xc = X - center[None]
    null = Params(jnp.zeros_like(X[0]), jnp.zeros_like(y[0]))
    if start is None:
        first = _warm_start(null, *jax.lax.stop_gradient((Xc, y, weight, l2)))
    else:
        first = _shifted(jax.tree.map(lambda a: jnp.asarray(a, X.dtype), start), center)
    if tolerance is None:
        tolerance = superlinear_tolerance(X)
    solution, certificate = newton.minimize(
        _objective, first, Xc, y, weight, l2, null_value=_null_value(weight), hessian=_hessian,
        reach=newton.Reach(Xc, counted), chord_steps=X.shape[1] // 16 if _many(*X.shape) else 0,
        tolerance=tolerance, max_steps=max_steps,
    )  # fmt: skip
    lost = jax.lax.stop_gradient(0 * jnp.sum(weight))  # NaN if no answer exists, in any lane
    params = jax.tree.map(lambda a: a + lost, _shifted(solution, -center))
    convex = (weight >= 0).all() & (l2 >= 0)
    rounding = jax.lax.stop_gradient(_rounding(params, center))
    gap = jnp.where(convex, certificate.gap + rounding, jnp.nan)
    return Fit(params, certificate._replace(gap=gap, converged=gap <= tolerance))


def _known(weight, y):
    """Weights; a label that counts and is outside [0, 1] by 1/10, or no weight, makes NaN."""
    return known(weight, ~((y < -0.1) | (y > 1.1)))


def _shifted(params, c):
    """The same plane over x − c, eq. (3)."""
    return params._replace(bias=params.bias + params.weights @ c)


def _rounding(params, c):
    """Σᵢ sᵢ Δ²/8 of (3) over L(0) = Σᵢ sᵢ log 2."""
    size = jnp.abs(params.weights) @ jnp.abs(c) + jnp.abs(params.bias)
    return (jnp.finfo(c.dtype).eps * size) ** 2 / (8 * math.log(2))


def _objective(params, X, y, weight, l2):
    losses = jax.vmap(loss, (None, 0, 0))(params, X, y)
    return weight @ losses + l2 / 2 * params.weights @ params.weights


def _null_value(weight):
    """L(0) = Σᵢ sᵢ log 2."""
    return math.log(2) * jnp.sum(weight)


def _warm_start(null, X, y, weight, l2):
    """Minimiser over every m-th row, where that is many rows, else the null model.

    It moves only the path to the minimum of (2). The sample is a view of the rows as
    (n/m, m): where they are sharded each device takes its own and none travels.
    """
    n, d = X.shape
    m = _stride(n, d)
    if m == 1:
        return null
    rows, labels, weights = (a.reshape(n // m, m, *a.shape[1:])[:, 0] for a in (X, y, weight))
    found = newton.minimize(
        _objective, null, rows, labels, weights, l2 / m, null_value=_null_value(weights),
        hessian=_hessian, tolerance=1e-3, max_steps=8,
    )[0]  # fmt: skip
    better = _objective(found, X, y, weight, l2) < _null_value(weight)
    return jax.tree.map(lambda a, b: jnp.where(better, a, b), found, null)


def _many(n, d):
    """So many rows that passes over them are all that costs; a Hessian then costs d/16 passes."""
    return n * d >= 2**19


def _stride(n, d):
    """Largest m ≤ 32 that divides n, keeps 20d rows, and whose n/m devices can divide as n."""
    if not _many(n, d):
        return 1
    for m in range(min(32, n // (20 * d)), 3, -1):
        if n % m == 0 and (m % 2 == 1 or n // m % 1024 == 0):
            return m
    return 1


def _hessian(params, X, y, weight, l2):
    """∇²L over (w, b): the Gram matrix of (x, 1) with the weights sᵢpᵢ(1 − pᵢ)."""
    z = X @ params.weights + params.bias
    curvature = weight * jax.nn.sigmoid(z) * jax.nn.sigmoid(-z)
    penalty = jnp.append(jnp.broadcast_to(l2, X.shape[1:]), 0)
    return affine_gram(X, curvature) + jnp.diag(penalty)
