"""Metrics: one number, or one curve, for how good predictions are.

Each takes what was predicted, then ``y``:

    classes          accuracy, balanced_accuracy, precision, recall, f_score, confusion_matrix
    probabilities    log_loss, binary_log_loss, brier, multiclass_brier (less is better)
    scores           roc_auc, average_precision, roc_curve, precision_recall_curve
    lists            ndcg, mean_average_precision, precision_at, recall_at
    numbers          r_squared; mean_squared_error, mean_absolute_error (less is better)

and ``decided`` and ``most_probable`` make the class of ONE example from its probability. The
formulas, with what comes back at their edges, are in the modules :mod:`~mlmath.evaluate.decisions`,
:mod:`~mlmath.evaluate.probabilities`, :mod:`~mlmath.evaluate.ranking`,
:mod:`~mlmath.evaluate.recommendation` and :mod:`~mlmath.evaluate.residuals`, whose names these are.

Everywhere ``sample_weight`` 2 is the row twice and 0 the row absent, whatever it holds. A metric
that is not defined (0/0) is NaN, so that selection ranks it last, and a NaN that counts makes
NaN, never a plausible number. All are compiled, and batched by ``jax.vmap``.

>>> import jax, jax.numpy as jnp
>>> from mlmath.evaluate import metrics
>>> y, predicted = jnp.array([0, 1, 1, 1]), jnp.array([[0, 1, 1, 1], [1, 1, 1, 1]])
>>> print(jax.vmap(metrics.accuracy, (0, None))(predicted, y))
[1.   0.75]
>>> print(metrics.accuracy(jnp.array([0.0, 1.0, 1.0, jnp.nan]), y))
nan
"""

from mlmath.evaluate.decisions import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    f_score,
    precision,
    recall,
)
from mlmath.evaluate.probabilities import (
    binary_log_loss,
    brier,
    decided,
    log_loss,
    most_probable,
    multiclass_brier,
)
from mlmath.evaluate.ranking import (
    PrecisionRecallCurve,
    RocCurve,
    average_precision,
    precision_recall_curve,
    roc_auc,
    roc_curve,
)
from mlmath.evaluate.recommendation import (
    mean_average_precision,
    ndcg,
    precision_at,
    recall_at,
)
from mlmath.evaluate.residuals import mean_absolute_error, mean_squared_error, r_squared

__all__ = [
    "PrecisionRecallCurve",
    "RocCurve",
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "binary_log_loss",
    "brier",
    "confusion_matrix",
    "decided",
    "f_score",
    "log_loss",
    "mean_absolute_error",
    "mean_average_precision",
    "mean_squared_error",
    "most_probable",
    "multiclass_brier",
    "ndcg",
    "precision",
    "precision_at",
    "precision_recall_curve",
    "r_squared",
    "recall",
    "recall_at",
    "roc_auc",
    "roc_curve",
]
