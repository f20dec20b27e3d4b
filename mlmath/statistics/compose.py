"""Compose: a transformation of the features and a model become one model.

With a transformation t (parameters φ) and a model f (parameters θ) the composed model is

    ŷ(x) = f(θ, t(φ, x))                                                       (1)

    φ = fit_t(X, s),        θ = fit_f(t(φ, X), y, s)                           (2)

so that the preprocessing is refitted wherever the model is (in every fold, under every weight,
inside every derivative), saved with it and applied by ``predict``. The composed pair composes
again: ``compose(one_hot.columns(sizes), compose(standardise, ridge))``.

The certificate, and whatever else the model's fit returns, is the model's: of fit_f on t(φ, X).

>>> import jax, jax.numpy as jnp, mlmath
>>> from mlmath.linear import ridge
>>> from mlmath.statistics import standardise
>>> from mlmath.statistics.compose import compose
>>> model = compose(standardise, ridge)
>>> X, y = jnp.array([[0.0], [1000.0], [2000.0]]), jnp.array([1.0, 3.0, 5.0])
>>> fitted = model.fit(X, y, l2=0.0)
>>> print(fitted.params.transformation.center, mlmath.rows(model.predict)(fitted.params, X))
[1000.] [1. 3. 5.]

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §7.10.2 (why
    preprocessing belongs inside the folds).
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from mlmath.arrays import Labels, Real
from mlmath.compiled import compiled
from mlmath.statistics.weights import present

__all__ = ["Composed", "Params", "compose"]


class Params(NamedTuple):
    """Parameters of both parts."""

    transformation: Any  # φ
    model: Any  # θ


class Composed(NamedTuple):
    """One model; hashable, so that it can be a static argument."""

    fit: Callable[..., Any]
    predict: Callable[..., Any]


@cache
def compose(transformation: Any, model: Any) -> Composed:
    """Compose (``fit``, ``transform``) with (``fit``, ``predict``), eq. (1) and (2).

    The same parts give the same pair, ``compose(a, b) is compose(a, b)``: nothing is traced twice.

    Args:
        transformation: a module, or any hashable object, with ``fit`` and ``transform``.
        model: a module, or any hashable object, with ``fit`` and ``predict``.

    Raises:
        ValueError: if a part lacks one of the two functions.
    """
    for part, verb in ((transformation, "transform"), (model, "predict")):
        if not (hasattr(part, "fit") and hasattr(part, verb)):
            raise ValueError(f"{getattr(part, '__name__', part)} must have fit and {verb}.")

    def fit(
        X: Float[Real, "n d"],
        *targets: Labels,
        sample_weight: Float[Real, " n"] | None = None,
        start: Params | None = None,
        **hyperparameters: Any,
    ) -> Any:
        """Fit both parts, eq. (2); ``hyperparameters`` are the model's."""
        X, sample_weight = _rows_that_count(X, sample_weight)
        learnt = transformation.fit(X, sample_weight=sample_weight).params
        Z = _apply(transformation.transform, learnt, X)
        if start is not None:
            hyperparameters["start"] = start.model
        fitted = model.fit(Z, *targets, sample_weight=sample_weight, **hyperparameters)
        return fitted._replace(params=Params(learnt, fitted.params))

    def predict(params: Params, x: Float[Real, " d"]) -> Any:
        """Predict for ONE example, eq. (1)."""
        return model.predict(params.model, transformation.transform(params.transformation, x))

    fit.__signature__ = inspect.signature(model.fit)  # type: ignore[attr-defined]  # its names
    return Composed(fit, predict)


@compiled()
def _rows_that_count(X, sample_weight):
    """Clear the rows of weight 0 of NaN before t: 0 · NaN would reach the derivative in φ."""
    X = jnp.asarray(X)
    X, _, weight = present(X, jnp.zeros_like(X, shape=X.shape[:1]), sample_weight)
    return X, weight


@compiled(static=("transform",))
def _apply(transform, params, X):
    return jax.vmap(transform, (None, 0))(params, X)
