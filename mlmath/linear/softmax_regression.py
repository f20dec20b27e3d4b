"""Softmax regression: a linear model of the log-odds among K classes.

For one example x ∈ ℝᵈ with class y ∈ {0, …, K − 1},

    P(y = c | x) = e^{z_c} / Σⱼ e^{zⱼ},        z = W x + b,  W ∈ ℝᴷˣᵈ           (1)

Fitting minimises the weighted negative log-likelihood with an ℓ₂ penalty on W,

    L(W, b) = Σᵢ sᵢ [log Σⱼ e^{z_ij} − z_{i,yᵢ}] + λ/2 ‖W‖²                     (2)

which is convex. L does not change when a number is added to all biases, so that the answer
and its derivatives are those with

    Σ_c b_c = 0                                                                (3)

and for λ > 0 the stationary W has Σ_c W_cj = 0 by itself. (3) is brought about by adding
½ Σᵢsᵢ (Σ_c b_c / K)², which is zero at the minimum of (2) that satisfies (3). With K = 2 this
is logistic regression with the penalty λ/2 and w = W₁ − W₀, b = b₁ − b₀. With λ = 0 and
classes that planes separate L has no minimiser and finite weights come back whose L is near 0.

The number of classes fixes shapes, so it is a static argument; labels are data. A row with
sᵢ > 0 whose label is not one of 0, …, K − 1 makes the result NaN, and so do weights that are
all 0.

The columns are centred on any c near their means, which is exact as b is not penalised:

    z = W(x − c) + b̃,        b = b̃ − W c − the mean of its elements             (4)

Rounding b to within Δ = ε max_c(|W||c| + |b|)_c adds at most Σᵢ sᵢ Δ²/2 to L, which the gap
counts.

Time O(ndK) per Hessian product (see ``optimize.newton_cg``), memory O(n(d + K)), a copy of X in it.

>>> import jax.numpy as jnp
>>> from mlmath.linear import softmax_regression
>>> X = jnp.array([[-2.0], [-1.0], [0.0], [1.0], [2.0], [3.0]])
>>> y = jnp.array([0, 0, 1, 1, 2, 2])
>>> fitted = softmax_regression.fit(X, y, classes=3, l2=1.0)
>>> bool(fitted.certificate.converged)
True
>>> int(softmax_regression.predict(fitted.params, jnp.array([2.5])).argmax())
2

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §4.4, eq. 4.17.
    Murphy (2022), Probabilistic Machine Learning: An Introduction, §10.3.
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
from mlmath.optimize import newton_cg
from mlmath.statistics.center import near_mean
from mlmath.statistics.weights import known, present

__all__ = ["Fit", "Params", "fit", "log_odds", "loss", "objective", "predict"]


class Params(NamedTuple):
    """The K planes whose values are the log-odds."""

    weights: Float[Array, "k d"]  # W, change of each log-odds per unit of each feature
    bias: Float[Array, " k"]  # b, log-odds at x = 0; sums to zero


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: Certificate  # gap: estimate by self-concordance, newton_cg, / L(0)


def log_odds(params: Params, x: Float[Real, " d"]) -> Float[Array, " k"]:
    """Log-odds z = W x + b of ONE example, up to a number common to all classes."""
    return params.weights @ x + params.bias


def predict(params: Params, x: Float[Real, " d"]) -> Float[Array, " k"]:
    """Probability of each class for ONE example, eq. (1)."""
    return jax.nn.softmax(log_odds(params, x))


def loss(params: Params, x: Float[Real, " d"], y: Label) -> Float[Array, ""]:
    """Negative log-likelihood of ONE example, the bracket in eq. (2); NaN for no such class."""
    z = log_odds(params, x)
    classes = jnp.arange(len(z))
    own = jnp.sum(jnp.where(classes == y, z, 0))
    return jax.nn.logsumexp(z) - jnp.where((classes == y).any(), own, jnp.nan)


def objective(
    params: Params,
    X: Float[Real, "n d"],
    y: Labels,
    *,
    l2: Scalar = 1.0,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Penalised objective L, eq. (2), that :func:`fit` minimises."""
    X, own, weight = _present(X, y, sample_weight, len(params.bias))
    return _objective(params, X, own, weight, l2)


@compiled(static=("classes",))
def fit(
    X: Float[Real, "n d"],
    y: Labels,
    *,
    classes: int = 2,
    l2: Scalar = 1.0,
    sample_weight: Float[Real, " n"] | None = None,
    start: Params | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count = 100,
) -> Fit:
    """Minimise :func:`objective` under eq. (3) by Newton steps with conjugate gradients.

    Differentiable to any order in X, the weights and ``l2``; labels are discrete.

    Args:
        X: features.
        y: labels 0, …, classes − 1.
        classes: K.
        l2: λ, the penalty on the squared weights, in the units of the summed loss.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        start: first iterate, whose biases are shifted to sum to zero; zeros if None.
        tolerance: largest gap that counts as converged; 4ε of the dtype if None.
        max_steps: most Newton steps.

    Raises:
        ValueError: if there are fewer than two classes, or ``start`` has another number of them.
    """
    if classes < 2:
        raise ValueError(f"classes must be at least 2, got {classes}.")
    if start is not None and not len(start.weights) == len(start.bias) == classes:
        raise ValueError(f"start must have {classes} classes, got {len(start.bias)}.")
    X, own, weight = _present(X, y, sample_weight, classes)
    l2 = jnp.asarray(l2, X.dtype)
    center = near_mean(X, weight)
    X = X - center[None]
    null = Params(jnp.zeros((classes, X.shape[1]), X.dtype), jnp.zeros(classes, X.dtype))
    first = jax.tree.map(lambda a: jnp.asarray(a, X.dtype), null if start is None else start)
    if tolerance is None:
        tolerance = superlinear_tolerance(X)
    solution, certificate = newton_cg.minimize(
        _anchored, _shifted(first, center), X, own, weight, l2,
        null_value=math.log(classes) * jnp.sum(weight), preconditioner=_preconditioner,
        reach=_reach, tolerance=tolerance, max_steps=max_steps,
    )  # fmt: skip
    lost = jax.lax.stop_gradient(0 * jnp.sum(weight))  # NaN if no answer exists, in any lane
    params = jax.tree.map(lambda a: a + lost, _shifted(solution, -center))
    convex = (weight >= 0).all() & (l2 >= 0)
    rounding = jax.lax.stop_gradient(_rounding(params, center))
    gap = jnp.where(convex, certificate.gap + rounding, jnp.nan)
    return Fit(params, certificate._replace(gap=gap, converged=gap <= tolerance))


def _shifted(params, c):
    """The same planes over x − c, eq. (4), with eq. (3)."""
    bias = params.bias + params.weights @ c
    return params._replace(bias=bias - jnp.mean(bias))


def _rounding(params, c):
    """Σᵢ sᵢ Δ²/2 of (4) over L(0) = Σᵢ sᵢ log K."""
    size = jnp.max(jnp.abs(params.weights) @ jnp.abs(c) + jnp.abs(params.bias))
    return (jnp.finfo(c.dtype).eps * size) ** 2 / (2 * math.log(len(params.bias)))


def _present(X, y, sample_weight, classes):
    """Rows that count, labels as indicators; an unknown label, or no weight at all, makes NaN."""
    X, y, weight = present(X, y, sample_weight)
    own = y[None] == jnp.arange(classes)[:, None]
    return X, own.astype(X.dtype), known(weight, own.any(axis=0))


def _objective(params, X, own, weight, l2):
    z = params.weights @ X.T + params.bias[:, None]
    losses = jax.nn.logsumexp(z, axis=0) - jnp.sum(own * z, axis=0)
    return weight @ losses + l2 / 2 * jnp.sum(params.weights**2)


def _anchored(params, X, own, weight, l2):
    """L, eq. (2), plus the term that holds the biases to eq. (3)."""
    return _objective(params, X, own, weight, l2) + weight.sum() / 2 * jnp.mean(params.bias) ** 2


def _preconditioner(params, X, own, weight, l2):
    """V ↦ V M⁻¹ for all classes with the Gram matrix of (x, 1) under their mean curvature."""
    p = jax.nn.softmax(params.weights @ X.T + params.bias[:, None], axis=0)
    q = weight * jnp.mean(p * (1 - p), axis=0)
    penalty = jnp.append(jnp.broadcast_to(l2, X.shape[1:]), weight.sum() / len(p) ** 2)
    M = affine_gram(X, q) + jnp.diag(penalty)
    scale = jax.lax.rsqrt(jnp.where(jnp.diagonal(M) > 0, jnp.diagonal(M), 1))
    scale = jnp.where(jnp.isfinite(M).all(), scale, jnp.nan)  # ∞ would look like no way to go
    values, vectors = jnp.linalg.eigh(M * jnp.outer(scale, scale))
    least = len(M) * float(jnp.finfo(M.dtype).eps)
    root = scale[:, None] * vectors * jax.lax.rsqrt(jnp.maximum(values, least))[None]
    inverse = root @ root.T

    def apply(r):
        V = jnp.concatenate([r.weights, r.bias[:, None]], axis=1) @ inverse
        return Params(V[:, :-1], V[:, -1])

    return apply


def _reach(direction, X, own, weight, l2):
    """Largest spread of the changes of the log-odds of an example that counts.

    The third derivative of log-sum-exp is a third central moment, at most spread × variance.
    """
    z = direction.weights @ X.T + direction.bias[:, None]
    return jnp.max(jnp.where(weight != 0, z.max(axis=0) - z.min(axis=0), 0))
