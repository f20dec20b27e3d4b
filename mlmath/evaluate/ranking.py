"""Ranking: how well a score puts the rows of class 1 before those of class 0.

Let row i have weight sᵢ, label yᵢ ∈ {0, 1} and a score fᵢ, of which only the order matters. At
the threshold t the rows with fᵢ ≥ t are called 1, which are right and wrong with the weights

    TP(t) = Σᵢ sᵢ yᵢ [fᵢ ≥ t],        FP(t) = Σᵢ sᵢ (1 − yᵢ) [fᵢ ≥ t]           (1)

and with S₁ and S₀ the weights of the classes the rates are

    T(t) = TP(t) / S₁,    F(t) = FP(t) / S₀,    P(t) = TP(t) / (TP(t) + FP(t))  (2)

(true and false positive rate, precision; T is also the recall). Over the scores of the rows from
the greatest down, t₁ ≥ … ≥ tₙ, and from T = F = 0,

    ROC-AUC              Σⱼ (F(tⱼ) − F(tⱼ₋₁)) (T(tⱼ) + T(tⱼ₋₁)) / 2             (3)
    average precision    Σⱼ (T(tⱼ) − T(tⱼ₋₁)) P(tⱼ)                             (4)

Rows of one score have one threshold: what lies between them is crossed in one step, whatever
their order. So (3) is the chance that a row of class 1 beats a row of class 0, ties counting half:

    ROC-AUC = Σᵢⱼ sᵢ sⱼ yᵢ (1 − yⱼ) ([fᵢ > fⱼ] + ½ [fᵢ = fⱼ]) / (S₁ S₀)          (5)

At the edges: without a row of class 1 T, (3) and (4) are NaN, and without one of class 0 F and
(3); scikit-learn says 0 for (4) and 1 for T beside P. Above the first row that counts P is 1,
where both curves begin at T = 0. A NaN that counts, or a label that is not 0 or 1, makes all rates
NaN. ±∞ are scores (scikit-learn refuses them). The scores have no derivative but 0; those in the
weights are right, at weight 0 too.

Time O(n log n), memory O(n); rows on several devices are gathered, because they are sorted.

>>> import jax.numpy as jnp
>>> from mlmath.evaluate import metrics
>>> score, y = jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1])
>>> print(metrics.roc_auc(score, y), metrics.average_precision(score, y))
0.75 0.8333
>>> print(metrics.roc_curve(score, y).true_positive_rate)
[0.5 0.5 1.  1. ]

References:
    Hanley & McNeil (1982), The meaning and use of the area under a receiver operating
        characteristic (ROC) curve, Radiology 143:29–36 (eq. 5).
    Fawcett (2006), An introduction to ROC analysis, Pattern Recognition Letters 27,
        algorithms 1 and 2 (ties).
    Manning, Raghavan & Schütze (2008), Introduction to Information Retrieval, §8.4.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.arrays import Labels, Real
from mlmath.compiled import compiled
from mlmath.evaluate.averages import counted, part

__all__ = [
    "PrecisionRecallCurve",
    "RocCurve",
    "average_precision",
    "precision_recall_curve",
    "roc_auc",
    "roc_curve",
]


class RocCurve(NamedTuple):
    """Rates at the rows' thresholds from the greatest down; it starts at (0, 0), not listed."""

    false_positive_rate: Float[Array, " n"]  # F
    true_positive_rate: Float[Array, " n"]  # T
    threshold: Float[Array, " n"]  # t, called 1 is what scores t or more


class PrecisionRecallCurve(NamedTuple):
    """Rates at the rows' thresholds from the greatest down; a step function that is P up to T."""

    precision: Float[Array, " n"]  # P
    recall: Float[Array, " n"]  # T
    threshold: Float[Array, " n"]  # t, called 1 is what scores t or more


@compiled()
def roc_curve(
    score: Float[Real, " n"], y: Labels, *, sample_weight: Float[Real, " n"] | None = None
) -> RocCurve:
    """False and true positive rates (F, T) at every row's threshold, eq. (2)."""
    right, wrong, threshold = _counts(score, y, sample_weight)
    return RocCurve(wrong / wrong[-1], right / right[-1], threshold)


@compiled()
def precision_recall_curve(
    score: Float[Real, " n"], y: Labels, *, sample_weight: Float[Real, " n"] | None = None
) -> PrecisionRecallCurve:
    """Precision and recall (P, T) at every row's threshold, eq. (2)."""
    right, wrong, threshold = _counts(score, y, sample_weight)
    return PrecisionRecallCurve(_precision(right, wrong), right / right[-1], threshold)


@compiled()
def roc_auc(
    score: Float[Real, " n"], y: Labels, *, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, ""]:
    """Area under the ROC curve, eq. (3)."""
    right, wrong, _ = _counts(score, y, sample_weight)
    # steps of the counts, not of the rates: between ties they are 0 to the bit
    height = (right - _steps(right) / 2) / right[-1]
    return jnp.sum(_steps(wrong) * height) / wrong[-1]


@compiled()
def average_precision(
    score: Float[Real, " n"], y: Labels, *, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, ""]:
    """Mean precision over the recall, eq. (4)."""
    right, wrong, _ = _counts(score, y, sample_weight)
    return jnp.sum(_steps(right) * _precision(right, wrong)) / right[-1]


def _precision(right, wrong):
    """P, eq. (2); 1 while nothing counts, NaN if nothing ever does or NaN counts."""
    called = right + wrong
    some = called != 0
    precision = jnp.where(some, right / jnp.where(some, called, 1), 1)
    return jnp.where(called[-1] > 0, precision, jnp.nan)


def _counts(score, y, sample_weight):
    """TP and FP, eq. (1), at the scores of the rows from the greatest down."""
    judged = (score == score) & ((y == 0) | (y == 1))
    weight, one = counted(judged, sample_weight, score), y == 1
    key = _falling(jnp.where(judged, score, 0))
    n = key.shape[0]
    rows = jnp.arange(n, dtype=jnp.int32)
    keys = lax.sort(key, is_stable=False)  # a lone integer: XLA sorts nothing else as fast
    ends = jnp.append(keys[1:] != keys[:-1], True)
    last = lax.cummin(jnp.where(ends, rows, n), reverse=True)  # place where the ties end
    first = jnp.searchsorted(keys, key).astype(jnp.int32)  # and begin
    place = first + rows % (last[first] - first + 1)  # anywhere among them: few rows per place
    right, wrong = (
        jnp.cumsum(jax.ops.segment_sum(part(weight, a), place, num_segments=n))[last]
        for a in (one, ~one)
    )
    return right, wrong, _score(keys, score.dtype)


def _falling(score):
    """Integers that fall as the score, not NaN, rises: its bits, negative numbers' turned round."""
    integer = jnp.int32 if score.dtype == jnp.float32 else jnp.int64
    bits = lax.bitcast_convert_type(jnp.where(score == 0, 0, score), integer)  # −0 is 0
    return ~_turned(bits)


def _score(key, dtype):
    return lax.bitcast_convert_type(_turned(~key), dtype)


def _turned(bits):
    return jnp.where(bits < 0, bits ^ jnp.iinfo(bits.dtype).max, bits)


def _steps(rate):
    """Differences from row to row, from 0."""
    return jnp.diff(rate, prepend=0)
