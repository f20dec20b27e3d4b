"""Decisions: how often a predicted class is the class, and how it errs when it is not.

Row i has weight sᵢ, class yᵢ and predicted class ŷᵢ. With [·] = 1 if true, else 0,

    accuracy             A = Σᵢ sᵢ [ŷᵢ = yᵢ] / Σᵢ sᵢ                            (1)

Among classes 0, …, k − 1 the confusion matrix counts class j taken for class l, and balanced
accuracy is the mean of the recalls of the classes P that occur (Σₗ C_jl ≠ 0):

    confusion matrix     C_jl = Σᵢ sᵢ [yᵢ = j] [ŷᵢ = l]                         (2)
    balanced accuracy    B = (1/|P|) Σ_{j ∈ P} C_jj / Σₗ C_jl                   (3)

Of two classes, 0 and 1, with C = (TN FP; FN TP),

    precision            p = TP / (TP + FP)                                    (4)
    recall               r = TP / (TP + FN)                                    (5)
    F-β                  F = (1 + β²) TP / ((1 + β²) TP + β² FN + FP)           (6)

where F = (1 + β²) p r / (β² p + r) if p and r exist: recall counts β times as much as precision.
Precision of class c among many is ``precision(predicted == c, y == c)``, or C_cc over a column of
C; the comparison would turn NaN into "another class", C shows it.

At the edges: 0/0 has no value and is NaN, so that selection ranks it last: everything but C where
all weights are 0, precision if nothing is predicted to be 1, recall if nothing is 1, F-β if both.
There scikit-learn warns and says 0. A NaN that counts makes the result NaN, and where
classes are numbered so does a label that is none of them, which scikit-learn leaves out.

Labels may be integers, booleans or floats; nothing here has a derivative in them. The derivatives
in the weights are right, at weight 0 too, except that (3) jumps where a class appears.

Time O(n) or O(n + k²), memory O(n + k²).

>>> import jax.numpy as jnp
>>> from mlmath.evaluate import metrics
>>> predicted, y = jnp.array([0, 1, 1, 1]), jnp.array([0, 0, 1, 1])
>>> print(metrics.accuracy(predicted, y), metrics.balanced_accuracy(predicted, y, classes=2))
0.75 0.75
>>> print(metrics.confusion_matrix(predicted, y, classes=2))
[[1. 1.]
 [0. 2.]]
>>> print(metrics.f_score(predicted, y, beta=1.0))
0.8

References:
    van Rijsbergen (1979), Information Retrieval, 2nd ed., ch. 7 (its effectiveness E is 1 − F).
    Brodersen, Ong, Stephan & Buhmann (2010), The balanced accuracy and its posterior
        distribution, ICPR.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Labels, Real, Scalar
from mlmath.compiled import compiled
from mlmath.evaluate.averages import coded, counted, mean, part, totals

__all__ = ["accuracy", "balanced_accuracy", "confusion_matrix", "f_score", "precision", "recall"]


@compiled()
def accuracy(
    predicted: Labels, y: Labels, *, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, ""]:
    """Share of the rows whose class was predicted, eq. (1)."""
    known = (predicted == predicted) & (y == y)
    weight = counted(known, sample_weight, predicted, y)
    return mean((predicted == y).astype(weight.dtype), weight)


@compiled(static=("classes",))
def balanced_accuracy(
    predicted: Labels,
    y: Labels,
    *,
    classes: int,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Mean recall of the classes that occur, eq. (3).

    Args:
        predicted: ŷᵢ.
        y: yᵢ, classes 0, …, classes − 1.
        classes: k, static.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.

    Raises:
        ValueError: if there is no class.
    """
    (guess, known), (truth, labelled) = coded(predicted, classes=classes), coded(y, classes=classes)
    # the weight of each class is the same whatever was predicted: one for all lanes of a vmap
    total = totals(truth, counted(labelled, sample_weight, predicted, y), classes=classes)
    weight = counted(known & labelled, sample_weight, predicted, y)
    right = totals(truth, part(weight, guess == truth), classes=classes)
    present = total != 0
    recalls = jnp.where(present, right / jnp.where(present, total, 1), 0)
    return jnp.sum(recalls) / jnp.sum(present)


@compiled(static=("classes",))
def confusion_matrix(
    predicted: Labels,
    y: Labels,
    *,
    classes: int,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, "k k"]:
    """Weight C of each class (row) taken for each class (column), eq. (2).

    Args:
        predicted: ŷᵢ.
        y: yᵢ, classes 0, …, classes − 1.
        classes: k, static.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.

    Raises:
        ValueError: if there is no class.
    """
    (guess, known), (truth, labelled) = coded(predicted, classes=classes), coded(y, classes=classes)
    weight = counted(known & labelled, sample_weight, predicted, y)
    return totals(truth * classes + guess, weight, classes=classes**2).reshape(classes, classes)


@compiled()
def precision(
    predicted: Labels, y: Labels, *, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, ""]:
    """Share of the rows predicted to be 1 that are, eq. (4); NaN if there are none."""
    right, extra, _ = _outcomes(predicted, y, sample_weight)
    return right / (right + extra)


@compiled()
def recall(
    predicted: Labels, y: Labels, *, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, ""]:
    """Share of the rows of class 1 predicted to be, eq. (5); NaN if there are none."""
    right, _, missed = _outcomes(predicted, y, sample_weight)
    return right / (right + missed)


@compiled()
def f_score(
    predicted: Labels,
    y: Labels,
    *,
    beta: Scalar = 1.0,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """F-β, eq. (6); NaN if nothing is 1 nor predicted to be.

    Args:
        predicted: ŷᵢ, 0 or 1.
        y: yᵢ, 0 or 1.
        beta: β, how much more recall counts than precision; finite, 0 is precision.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
    """
    right, extra, missed = _outcomes(predicted, y, sample_weight)
    square = jnp.square(jnp.asarray(beta, right.dtype))
    return (1 + square) * right / ((1 + square) * right + square * missed + extra)


def _outcomes(predicted, y, sample_weight):
    """TP, FP and FN."""
    guess, truth = predicted == 1, y == 1
    known = (guess | (predicted == 0)) & (truth | (y == 0))
    weight = counted(known, sample_weight, predicted, y)
    return [jnp.sum(part(weight, a)) for a in (guess & truth, guess & ~truth, ~guess & truth)]
