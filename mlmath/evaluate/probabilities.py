"""Probabilities: what they decide, and what they are worth once the class is known.

For one example with p = P(y = 1), or with a vector p of P(y = c), the decision is

    ŷ = [p > ½],        ŷ = min argmax_c p_c                                   (1)

Over rows with weights sᵢ, S = Σᵢ sᵢ, of classes y ∈ {0, …, k − 1}, or 0 and 1,

    log loss            −(1/S) Σᵢ sᵢ log p_{i,yᵢ}                              (2)
    binary log loss     −(1/S) Σᵢ sᵢ [yᵢ log pᵢ + (1 − yᵢ) log(1 − pᵢ)]        (3)
    Brier               (1/S) Σᵢ sᵢ [yᵢ (1 − pᵢ)² + (1 − yᵢ) pᵢ²]              (4)
    multi-class Brier   (1/S) Σᵢ sᵢ Σ_c (p_ic − [yᵢ = c])²                     (5)

These scores are proper: the true probabilities have the least expectation. (4) is (p − y)² and
half of (5) at k = 2. In (3) and (4) y may also be a share between 0 and 1, the mixture of
a row of each class.

In the logarithms a probability is at least ε and at most 1 − ε, ε that of the dtype, as in
scikit-learn: a 0 or 1 is a rounded number, and one sure mistake should not make all candidates
infinitely bad alike. Where that binds the derivative is 0.

What cannot be judged is NaN, or makes the result NaN if it counts: a NaN, a number outside [0, 1]
or a row of probabilities whose sum is not 1 by more than 1/100 (log-odds, say; scikit-learn
refuses the one and warns of the other), a label that is no class. All weights 0 give NaN. (2) to
(5) are differentiable in the probabilities and the weights.

Time O(n) or O(nk), memory O(n).

>>> import jax.numpy as jnp, mlmath
>>> from mlmath.evaluate import metrics
>>> p, y = jnp.array([0.9, 0.2, 0.6]), jnp.array([1, 0, 0])
>>> print(metrics.binary_log_loss(p, y), metrics.brier(p, y))
0.4149 0.1367
>>> print(mlmath.rows(lambda _, p: metrics.decided(p))(None, p))
[1. 0. 1.]
>>> print(metrics.most_probable(jnp.array([0.2, 0.5, 0.3])))
1.0

References:
    Brier (1950), Verification of forecasts expressed in terms of probability, Monthly Weather
        Review 78:1–3.
    Gneiting & Raftery (2007), Strictly proper scoring rules, prediction, and estimation, §3.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Labels, Real, Scalar
from mlmath.compiled import compiled
from mlmath.evaluate.averages import coded, counted, mean

__all__ = ["binary_log_loss", "brier", "decided", "log_loss", "most_probable", "multiclass_brier"]

_SLACK = 1e-2  # what rounding, in a file perhaps, may add to a probability or to a sum of them


def decided(probability: Scalar) -> Float[Array, ""]:
    """Class of ONE example from P(y = 1), eq. (1), as a float; 0 at ½, NaN for no probability."""
    p = jnp.asarray(probability, jnp.result_type(probability, float))
    return jnp.where(_probable(p), (p > 0.5).astype(p.dtype), jnp.nan)


def most_probable(probability: Float[Real, " k"]) -> Float[Array, ""]:
    """Class of ONE example from P(y = c), eq. (1), as a float; the first of equals, NaN for NaN."""
    k = probability.shape[0]
    largest = jnp.max(probability)
    first = jnp.min(jnp.where(probability == largest, jnp.arange(k), k))  # argmax is slow on a CPU
    return jnp.where(first < k, first.astype(largest.dtype), jnp.nan)


@compiled()
def log_loss(
    probability: Float[Real, "n k"], y: Labels, *, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, ""]:
    """Mean negative log-probability of the class that came, eq. (2)."""
    own, judged = _own(probability, y)
    chosen = jnp.take_along_axis(probability, own[:, None], axis=1, mode="clip")[:, 0]
    losses = -_log(jnp.where(judged, chosen, 0.5))
    return mean(losses, counted(judged, sample_weight, probability))


@compiled()
def binary_log_loss(
    probability: Float[Real, " n"], y: Labels, *, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, ""]:
    """Mean negative log-probability of the class that came, eq. (3), from P(y = 1)."""
    p, y, judged = _binary(probability, y)
    losses = -(y * _log(p) + (1 - y) * _log(1 - p))
    return mean(losses, counted(judged, sample_weight, probability))


@compiled()
def brier(
    probability: Float[Real, " n"], y: Labels, *, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, ""]:
    """Brier score, eq. (4), from P(y = 1); between 0 and 1."""
    p, y, judged = _binary(probability, y)
    losses = y * jnp.square(1 - p) + (1 - y) * jnp.square(p)
    return mean(losses, counted(judged, sample_weight, probability))


@compiled()
def multiclass_brier(
    probability: Float[Real, "n k"], y: Labels, *, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, ""]:
    """Brier score, eq. (5), from P(y = c); between 0 and 2."""
    own, judged = _own(probability, y)
    p = jnp.where(_probable(probability), probability, 0)
    came = own[:, None] == jnp.arange(p.shape[1])[None]
    losses = jnp.sum(jnp.square(p - came), axis=1)
    return mean(losses, counted(judged, sample_weight, probability))


def _probable(p):
    return (p >= -_SLACK) & (p <= 1 + _SLACK)


def _binary(probability, y):
    """Probabilities and labels, cleared where they are none, and where they are."""
    judged = _probable(probability) & (y >= 0) & (y <= 1)
    y = jnp.asarray(y, probability.dtype)
    return jnp.where(judged, probability, 0.5), jnp.where(judged, y, 0), judged


def _own(probability, y):
    """Each row's own class, and where the row can be judged."""
    own, known = coded(y, classes=probability.shape[1])
    adds = jnp.abs(jnp.sum(probability, axis=1) - 1) <= _SLACK
    return own, _probable(probability).all(axis=1) & adds & known


def _log(p):
    eps = float(jnp.finfo(p.dtype).eps)
    return jnp.log(jnp.clip(p, eps, 1 - eps))
