"""Validation: fits on the training rows of each fold, scored on its held-out rows.

With folds k = 1…f, masks Tₖ of their training rows and Vₖ of their held-out rows, row weights s
and candidates λ_c (the c-th rows of a grid of hyperparameters), each fit and each score is

    θ_kc = fit(X, y, s·Tₖ; λ_c),        a_kc = score(θ_kc, X, y, s·Vₖ)           (1)

A method is ``fit(X, y, *, sample_weight, **hyperparameters) -> Fit`` and
``score(params, X, y, *, sample_weight) -> scalar``, greater is better (``evaluate.scorer``).
A fit that draws takes its key first, one key per fold and seed, the same for all candidates.

Folds are outside, one after the other; candidates inside by ``vmap``: what does not depend on
the candidate (a Gram matrix) is computed once per fold. Masks multiply ``sample_weight``, so a
held-out row is absent from the fit, whatever it holds.

Functions are told apart by identity: the same ``fit`` and ``score`` compile once, a lambda
written inside a loop compiles anew each time. Numbers that they carry belong in a
``jax.tree_util.Partial``; what fixes a shape is bound by ``functools.partial``.

>>> import jax, jax.numpy as jnp
>>> from mlmath.evaluate import folds, metrics, scorer, validation
>>> from mlmath.linear import ridge
>>> X = jax.random.normal(jax.random.key(0), (60, 3))
>>> y = X @ jnp.array([1.0, 2.0, 3.0])
>>> score = scorer.scorer(ridge.predict, metrics.r_squared)
>>> parts = folds.k_fold(jax.random.key(1), 60, folds=5)
>>> validation.cross_validate(ridge.fit, score, X, y, parts).scores.shape
(5,)

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §7.10.1.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from jaxtyping import Key as Keys

from mlmath.arrays import Key, Labels, Real, rows
from mlmath.certificate import Certificate
from mlmath.compiled import as_argument, compiled
from mlmath.evaluate.folds import Folds
from mlmath.evaluate.grids import Grid
from mlmath.nearest import hint

__all__ = [
    "Scored", "Validation", "check_draws", "check_folds", "check_names", "checked_grid",
    "cross_validate", "cross_validate_seeds", "data", "score_all", "scored",
]  # fmt: skip


class Validation(NamedTuple):
    """One method over the folds; with seeds every field has them as second axis."""

    params: Any  # θₖ, leading axis the folds
    certificate: Certificate  # of each fit
    scores: Float[Array, "f ..."]  # aₖ, greater is better


class Scored(NamedTuple):
    """Many candidates over the folds; with seeds they are the third axis."""

    scores: Float[Array, "f c ..."]  # a_kc, greater is better
    certificates: Certificate  # of each fit


def cross_validate(
    fit: Callable[..., Any],
    score: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    folds: Folds,
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Validation:
    """Fit and score once per fold, eq. (1). Differentiable as the fit and the score are.

    Args:
        fit: the method, its hyperparameters at their defaults or bound in a ``Partial``.
        score: greater is better.
        X: features.
        y: targets.
        folds: masks of training and held-out rows.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
    """
    check_folds(folds)
    return _validate(as_argument(fit), as_argument(score), X, y, sample_weight, folds, ())


def cross_validate_seeds(
    key: Key,
    fit: Callable[..., Any],
    score: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    folds: Folds,
    *,
    seeds: int = 3,
    sample_weight: Float[Real, " n"] | None = None,
) -> Validation:
    """:func:`cross_validate` of a fit that draws: ``fit(key, X, y, …)`` per fold and seed."""
    check_folds(folds)
    check_draws(fit, seeds)
    keys = jax.random.split(key, (len(folds.train), seeds))
    return _validate(as_argument(fit), as_argument(score), X, y, sample_weight, folds, (keys,))


def score_all(
    fit: Callable[..., Any],
    score: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    folds: Folds,
    grid: Grid,
    *,
    sample_weight: Float[Real, " n"] | None = None,
    keys: Keys[Array, "f r"] | None = None,
    batch_size: int | None = None,
) -> Scored:
    """Fit and score every candidate in every fold, eq. (1).

    Args:
        fit: the method; it takes a key first where ``keys`` are given.
        score: greater is better.
        X: features.
        y: targets.
        folds: masks of training and held-out rows.
        grid: name of a hyperparameter -> its value in each candidate, as ``grids.product`` makes.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        keys: typed keys of shape (folds, seeds) for a fit that draws.
        batch_size: candidates at a time, which bounds the memory; all if None.

    Raises:
        ValueError: if there is no fold or no candidate, the arrays of the grid differ in length,
            the fit takes no such hyperparameter, or the score is not one number.
    """
    check_folds(folds)
    numbers = checked_grid(fit, grid)
    functions = as_argument(fit), as_argument(score)
    given = () if keys is None else (keys,)
    return _score_all(*functions, X, y, sample_weight, folds, numbers, given, batch_size)


@compiled()
def _validate(fit, score, X, y, sample_weight, folds, keys):
    X, y, weight = data(X, y, sample_weight=sample_weight)

    def fold(part):
        train, test, *keys = part

        def one(*key):
            fitted = fit(*key, X, y, sample_weight=weight * train)
            value = scored(score, fitted.params, X, y, weight * test)
            return Validation(fitted.params, fitted.certificate, value)

        return jax.vmap(one)(*keys) if keys else one()

    return jax.lax.map(fold, (folds.train, folds.test, *keys))


@compiled(static=("batch_size",))
def _score_all(fit, score, X, y, sample_weight, folds, grid, keys, batch_size):
    X, y, weight = data(X, y, sample_weight=sample_weight)

    def fold(part):
        train, test, *keys = part

        def candidate(_, numbers):
            def one(*key):
                fitted = fit(*key, X, y, sample_weight=weight * train, **numbers)
                value = scored(score, fitted.params, X, y, weight * test)
                return Scored(value, fitted.certificate)

            return jax.vmap(one)(*keys) if keys else one()

        return rows(candidate)((), grid, batch_size=batch_size)

    return jax.lax.map(fold, (folds.train, folds.test, *keys))


def data(
    X: Float[Real, "n d"], y: Labels, *, sample_weight: Float[Real, " n"] | None = None
) -> tuple[Array, Array, Array]:
    """Data as they came: it is the weights of a fit that say which rows are there."""
    X = jnp.asarray(X)
    ones = jnp.ones_like(X, shape=X.shape[:1])
    return X, jnp.asarray(y), ones if sample_weight is None else jnp.asarray(sample_weight, X.dtype)


def scored(
    score: Callable[..., Any], params: Any, X: Array, y: Array, weight: Array
) -> Float[Array, ""]:
    """Score of ``params`` on the rows that count; a ValueError unless it is one number."""
    value = score(params, X, y, sample_weight=weight)
    if not isinstance(value, int | float | jax.Array | np.ndarray | np.generic):
        raise ValueError(f"score must return one number, got {type(value).__name__}.")
    if jnp.shape(value) != ():
        shape = jnp.shape(value)
        raise ValueError(f"score must return one number, got an array of shape {shape}.")
    found = jnp.asarray(value)
    return found if jnp.issubdtype(found.dtype, jnp.floating) else found.astype(X.dtype)


def check_folds(folds: Folds) -> None:
    """Raise a ValueError if there is no fold."""
    if not len(folds.train):
        raise ValueError("folds must hold at least one fold, got none.")


def check_draws(fit: Callable[..., Any], seeds: int) -> None:
    """Raise a ValueError if there is no seed, or the fit takes no key."""
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}.")
    kinds = [p.kind for p in inspect.signature(fit).parameters.values()]
    positional = [k for k in kinds if k in (k.POSITIONAL_ONLY, k.POSITIONAL_OR_KEYWORD)]
    if len(positional) < 3 and inspect.Parameter.VAR_POSITIONAL not in kinds:
        raise ValueError("the fit must take a key before X and y, but takes none.")


def checked_grid(fit: Callable[..., Any], grid: Grid) -> dict[str, Any]:
    """Candidates as arrays, after what is wrong with them for this fit has been raised.

    Raises:
        ValueError: if there is no candidate, the arrays differ in length, or the fit takes no such
            hyperparameter.
    """
    check_names(fit, grid)
    arrays = {name: jnp.asarray(values) for name, values in grid.items()}
    for name, values in arrays.items():
        if values.shape == ():
            raise ValueError(f"grid['{name}'] must be an array of candidates, got one number.")
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"the arrays of grid must have one length, got {listed}.")
    if not lengths or 0 in lengths.values():
        raise ValueError("grid must hold at least one candidate, got none.")
    return arrays


def check_names(fit: Callable[..., Any], names: Iterable[str]) -> None:
    """Raise a ValueError if the fit takes no number of such a name."""
    parameters = inspect.signature(fit).parameters.values()
    static = getattr(getattr(fit, "func", fit), "static", ())
    for name in names:
        if name in static:
            raise ValueError(
                f"'{name}' fixes the program of the fit and cannot vary in it; bind it with "
                "functools.partial."
            )
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    taken = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "sample_weight"]
    listed = f"it takes {', '.join(taken)}." if taken else "it takes no hyperparameter."
    for name in names:
        if name not in taken:
            raise ValueError(f"the fit takes no '{name}'; {hint(name, taken, listed)}")
