"""Scores of a fit, greater is better: a prediction and a metric.

With the prediction f of ONE example and a metric m of all predictions,

    score(θ, X, y, s) = ± m([f(θ, x₁), …, f(θ, xₙ)], y, s)                      (1)

where + is for what should be large (accuracy, R²) and − for what should be small (a loss), so
that selection always takes the largest; people are shown m, eq. (2).

    m = ± score                                                                (2)

>>> import jax.numpy as jnp
>>> from mlmath.evaluate import scorer
>>> def predict(params, x):
...     return params * x[0]
>>> def squared_error(predicted, y, *, sample_weight=None):
...     return jnp.mean((predicted - y) ** 2)
>>> score = scorer.of_loss(predict, squared_error)
>>> value = score(2.0, jnp.array([[1.0], [2.0]]), jnp.array([2.0, 6.0]))
>>> print(value, scorer.shown(score, value))
-2.0 2.0
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
from jaxtyping import Array, Float

from mlmath.arrays import Labels, Real

__all__ = ["of_loss", "scorer", "shown"]


def scorer(predict: Callable[..., Any], metric: Callable[..., Any]) -> Callable[..., Any]:
    """Score by a metric that should be large, eq. (1) with +.

    ``scorer(f, m) is scorer(f, m)``: the same parts are traced once.

    Args:
        predict: f, of ONE example.
        metric: m, called as ``metric(predicted, y, sample_weight=s)``.
    """
    return _scorer(predict, metric, 1)


def of_loss(predict: Callable[..., Any], metric: Callable[..., Any]) -> Callable[..., Any]:
    """Score by a metric that should be small, eq. (1) with −; arguments as for :func:`scorer`."""
    return _scorer(predict, metric, -1)


def shown(score: Callable[..., Any], value: Any) -> Any:
    """What people are shown of the values of a score, eq. (2): a loss without its minus."""
    return getattr(score, "sign", 1) * value


@cache
def _scorer(predict, metric, sign):
    def score(
        params: Any, X: Any, y: Labels, *, sample_weight: Float[Real, " n"] | None = None
    ) -> Float[Array, ""]:
        """Score of ``params`` on the rows that count, eq. (1)."""
        predicted = jax.vmap(predict, (None, 0))(params, X)
        return sign * metric(predicted, y, sample_weight=sample_weight)

    score.sign = sign  # type: ignore[attr-defined]
    return score
