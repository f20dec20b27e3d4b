"""Bias and variance: why predictions miss, learnt from refits to resamples of the training rows.

Let pᵣ = f(θ̂ᵣ, x) be the prediction of refit r = 1…b at a test row (x, t), and E the mean over the
refits. Of several test rows the means by weight are taken.

Squared loss. The main prediction is p̄ = E pᵣ, and

    E (t − pᵣ)² = (t − p̄)² + E (pᵣ − p̄)²                                        (1)
          error = noise + bias² + variance,      bias² = (t − p̄)² − noise       (2)

where the noise is the variance of t given x. One t per row cannot tell it from bias: it is the
caller's number. With the default 0 what is called bias² holds both; with the true one bias² is
right in the mean over t, and may come out below zero.

0–1 loss. The main prediction m is the class predicted most often (of several the lowest), and t
is taken as the best that can be said of x: no noise. The bias and the variance are

    B = 1[m ≠ t],        V = P(pᵣ ≠ m)                                          (3)
    P(pᵣ ≠ t) = B + cV,        c = 1 if m = t, else −P(pᵣ = t | pᵣ ≠ m)           (4)
        error = bias + net variance,      net = unbiased − biased               (5)

where unbiased is V in rows with m = t and 0 in others, and biased is P(pᵣ = t) in rows with
m ≠ t and 0 in others: there variance helps. Of two classes c = ±1, so that biased is V.

A resample is a vector of row weights (:mod:`mlmath.statistics.resampling`), so that all refits are
one program and X is not copied. To hold out rows of one table by a mask h, pass the table twice,
with ``sample_weight`` s(1 − h) and ``test_weight`` s·h. The refits of a bootstrap scatter about the
fit to the rows at hand, not about the mean over new data. Where refits to new data are at hand,
:func:`squared` and :func:`zero_one` take their predictions. A prediction that is not finite in a
row that counts makes the result NaN; what certificates say of each refit is returned.

Time that of b fits; memory that of ``batch_size`` fits, and O(b) per test row.

>>> import jax, jax.numpy as jnp
>>> from mlmath.evaluate import bias_variance
>>> from mlmath.linear import ridge
>>> X = jax.random.normal(jax.random.key(0), (100, 2))
>>> y = jnp.sin(3 * X[:, 0]) + X[:, 1]
>>> refits = bias_variance.decompose(
...     jax.random.key(1), ridge.fit, ridge.predict, X[:50], y[:50], X[50:], y[50:]
... )
>>> refits.predictions.shape, bool(refits.certificate.converged.all())
((200, 50), True)
>>> parts = refits.parts
>>> bool(jnp.isclose(parts.error, parts.squared_bias + parts.variance))
True

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §7.3, eq. 7.9.
    Domingos (2000), A unified bias-variance decomposition for zero-one and squared loss.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Shaped

from mlmath.absence import cleared
from mlmath.arrays import Key, Labels, Real, Scalar, rows
from mlmath.certificate import Certificate
from mlmath.compiled import as_argument, compiled
from mlmath.statistics import resampling
from mlmath.statistics.weights import present

__all__ = ["Refits", "Squared", "ZeroOne", "decompose", "squared", "zero_one"]


class Squared(NamedTuple):
    """Eq. (2), means over the test rows; error, noise, bias² and variance in squared units of t."""

    error: Float[Array, ""]
    noise: Float[Array, ""]
    squared_bias: Float[Array, ""]
    variance: Float[Array, ""]
    main: Float[Array, " n"]  # p̄ of each row, in the units of t


class ZeroOne(NamedTuple):
    """Eq. (3)–(5), means over the test rows: shares of predictions between 0 and 1."""

    error: Float[Array, ""]
    bias: Float[Array, ""]
    variance: Float[Array, ""]  # V
    net_variance: Float[Array, ""]  # unbiased − biased: error − bias
    unbiased_variance: Float[Array, ""]
    biased_variance: Float[Array, ""]
    main: Float[Array, " n"]  # m of each row, a class


class Refits(NamedTuple):
    """Outcome of :func:`decompose`."""

    parts: Any  # the decomposition, Squared or ZeroOne
    predictions: Float[Array, "b n"] | Int[Array, "b n"] | Bool[Array, "b n"]  # pᵣ
    certificate: Certificate  # of each refit, leading axis b


def squared(
    predictions: Float[Real, "b n"],
    y: Float[Real, " n"],
    *,
    noise: Scalar | Float[Real, " n"] = 0.0,
    sample_weight: Float[Real, " n"] | None = None,
) -> Squared:
    """Decompose the squared error of b predictions of each row, eq. (1) and (2).

    Args:
        predictions: pᵣ, one row per refit.
        y: t.
        noise: variance of t given x, one for all rows or one per row.
        sample_weight: weights of the test rows; 0 leaves a row out.
    """
    p = jnp.asarray(predictions)
    main = jnp.mean(p, axis=0)
    last = jnp.broadcast_to(jnp.asarray(noise, p.dtype), main.shape)
    table, y, mean = _counted(jnp.concatenate([p, last[None]]), y, sample_weight)
    p, irreducible = table[:-1], mean(table[-1])
    center = jnp.mean(p, axis=0)
    error = mean(jnp.mean((y[None] - p) ** 2, axis=0))
    variance = mean(jnp.mean((p - center[None]) ** 2, axis=0))
    squared_bias = mean((y - center) ** 2) - irreducible
    return Squared(error, irreducible, squared_bias, variance, main)


def zero_one(
    predictions: Float[Real, "b n"] | Int[Real, "b n"] | Bool[Real, "b n"],
    y: Labels,
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> ZeroOne:
    """Decompose the share of wrong classes among b predictions of each row, eq. (3)–(5).

    Args:
        predictions: pᵣ, classes in the coding of y, one row per refit.
        y: t.
        sample_weight: weights of the test rows; 0 leaves a row out.
    """
    p = jnp.asarray(predictions, jnp.result_type(predictions, y, 1.0))
    lost = ~jnp.isfinite(p).all(axis=0)
    p, y, mean = _counted(p, y, sample_weight)
    main = _mode(p)
    biased = main != y
    right = jnp.mean(p == y[None], axis=0, dtype=p.dtype)
    away = jnp.mean(p != main[None], axis=0, dtype=p.dtype)
    helpful, harmful = mean(jnp.where(biased, right, 0)), mean(jnp.where(biased, 0, away))
    return ZeroOne(
        error=mean(1 - right),
        bias=mean(biased),
        variance=mean(away),
        net_variance=harmful - helpful,
        unbiased_variance=harmful,
        biased_variance=helpful,
        main=jnp.where(lost, jnp.nan, main),
    )


def decompose(
    key: Key,
    fit: Callable[..., Any],
    predict: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    X_test: Float[Real, "m d"],
    y_test: Shaped[Real, " m"],
    *,
    into: Callable[..., Any] = squared,
    sample_weight: Float[Real, " n"] | None = None,
    test_weight: Float[Real, " m"] | None = None,
    resamples: int = 200,
    draw: Callable[..., Any] = resampling.bootstrap,
    batch_size: int | None = None,
) -> Refits:
    """Refit to resamples of the training rows and decompose the error at the test rows.

    Differentiable in the data and in the numbers of the fit where :func:`squared` is taken; a
    resample is discrete in ``sample_weight``.

    Args:
        key: a typed key.
        fit: the method, its hyperparameters at their defaults or bound in a ``Partial``.
        predict: of ONE example, a number; for :func:`zero_one` its class, not a probability.
        X: features of the training rows.
        y: their targets.
        X_test: features of the test rows.
        y_test: their targets.
        into: :func:`squared`, perhaps with its noise in a ``Partial``, or :func:`zero_one`.
        sample_weight: of the training rows, which are drawn in proportion; 0 leaves a row out.
        test_weight: of the test rows; 0 leaves a row out.
        resamples: b.
        draw: weights of one resample from a key and the weights, as ``resampling`` has them.
        batch_size: refits at a time, which bounds the memory; all if None.
    """
    functions = map(as_argument, (fit, predict, into, draw))
    train, test = (X, y, sample_weight), (X_test, y_test, test_weight)
    return _decompose(tuple(functions), key, train, test, resamples, batch_size)


@compiled(static=("resamples", "batch_size"))
def _decompose(functions, key, train, test, resamples, batch_size):
    fit, predict, into, draw = functions
    X, y, weight = present(*train)
    X_test, y_test, test_weight = present(*test)

    def refit(weight, key):
        fitted = fit(X, y, sample_weight=draw(key, weight))
        return jax.vmap(predict, (None, 0))(fitted.params, X_test), fitted.certificate

    keys = jax.random.split(key, resamples)
    predictions, certificate = rows(refit)(weight, keys, batch_size=batch_size)
    return Refits(into(predictions, y_test, sample_weight=test_weight), predictions, certificate)


def _counted(table, y, sample_weight):
    """Columns of the table and y as finite numbers, and the mean over them by weight."""
    y = jnp.asarray(y, table.dtype)
    weight = jnp.ones_like(y) if sample_weight is None else jnp.asarray(sample_weight, y.dtype)
    columns, y, weight = cleared(table.T, y, weight)
    return columns.T, y, lambda v: jnp.sum(weight * v) / jnp.sum(weight)


def _mode(p):
    """Most frequent value of each column, of several the lowest: the longest run once sorted."""
    p = jnp.sort(p, axis=0)
    place = lax.broadcasted_iota(int, p.shape, 0)
    new = jnp.concatenate([jnp.ones_like(p[:1], bool), p[1:] != p[:-1]])
    run = place - lax.cummax(jnp.where(new, place, 0), axis=0)
    return jnp.take_along_axis(p, jnp.argmax(run, axis=0)[None], axis=0)[0]
