"""Model selection: every fold and every candidate in one compiled call.

With folds k = 1…f, masks Tₖ of their training rows and Vₖ of their held-out rows, row weights s
and candidates λ_c (rows of a grid of hyperparameters), each fit and each score is

    θ_kc = fit(X, y, s·Tₖ; λ_c),        a_kc = score(θ_kc, X, y, s·Vₖ)           (1)

over the folds the mean and its standard error are

    ā_c = Σₖ a_kc / f,        e_c = √[Σₖ (a_kc − ā_c)² / (f (f − 1))]            (2)

and the candidates chosen are the best one and, by the rule of one standard error, the simplest
one that is not clearly worse,

    c* = argmax_c ā_c,        c₁ = argmax_c { π_c : ā_c ≥ ā_c* − e_c* }           (3)

with π the simplicity of each candidate. The winner is refitted to all rows.

A method is ``fit(X, y, *, sample_weight, **hyperparameters) -> Fit`` and
``score(params, X, y, *, sample_weight) -> scalar``, greater is better (``evaluate.scorer``).
Folds are outside, one after the other; candidates inside by ``vmap``: what does not depend on
the candidate (a Gram matrix) is computed once per fold. Masks multiply ``sample_weight``, so a
held-out row is absent from the fit, whatever it holds. A search has ``params`` and
``certificate`` like a fit: ``cross_validate`` of a search is nested selection.

A score that is NaN ranks last and is counted; where all are NaN nothing is chosen: params, best
numbers and certificate are NaN.

Functions are told apart by identity: the same ``fit`` and ``score`` compile once, a lambda
written inside a loop compiles anew each time. Numbers that they carry belong in a
``jax.tree_util.Partial``; what fixes a shape is bound by ``functools.partial``.

>>> import jax, jax.numpy as jnp
>>> from mlmath.evaluate import folds, metrics, scorer, selection
>>> from mlmath.linear import ridge
>>> X = jax.random.normal(jax.random.key(0), (60, 3))
>>> y = X @ jnp.array([1.0, 2.0, 3.0])
>>> score = scorer.scorer(ridge.predict, metrics.r_squared)
>>> parts = folds.k_fold(jax.random.key(1), 60, folds=5)
>>> found = selection.search(ridge.fit, score, X, y, parts, {"l2": jnp.logspace(-3, 3, 20)})
>>> found.scores.shape, int(found.best)
((5, 20), 0)

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §7.10.
    Breiman, Friedman, Olshen & Stone (1984), Classification and Regression Trees, §3.4.3.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int

from mlmath.arrays import Count, Labels, Real
from mlmath.certificate import Certificate
from mlmath.compiled import compiled
from mlmath.evaluate.folds import Folds
from mlmath.evaluate.grids import Grid
from mlmath.nearest import hint

__all__ = [
    "Search", "Validation", "cross_validate", "cross_validate_seeds", "search", "search_seeds",
]  # fmt: skip


class Validation(NamedTuple):
    """One method over the folds; with seeds every field has one more axis, of the seeds."""

    params: Any  # θₖ, leading axis the folds
    certificate: Certificate  # of each fit
    scores: Float[Array, "f ..."]  # aₖ, greater is better


class Search(NamedTuple):
    """Outcome of :func:`search`; with seeds scores and certificates have a third axis."""

    params: Any  # of the winner, refitted to all rows
    certificate: Certificate  # of that fit
    numbers: dict[str, Any]  # hyperparameters λ_c* of the winner
    scores: Float[Array, "f c ..."]  # a_kc
    certificates: Certificate  # of every fit, shapes of the scores
    mean: Float[Array, " c"]  # ā, eq. (2)
    standard_error: Float[Array, " c"]  # e; NaN for one fold
    ranking: Int[Array, " c"]  # candidates, best first, NaN last
    failed: Int[Array, ""]  # how many candidates have no score
    best: Int[Array, ""]  # c*
    simplest: Int[Array, ""]  # c₁


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
    _check(fit, folds, {})
    return Validation(*_validate(*_static(fit, score), X, y, sample_weight, folds, ()))


def cross_validate_seeds(
    key: Array,
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
    _check(fit, folds, {})
    keys = jax.random.split(key, (len(folds.train), seeds))
    return Validation(*_validate(*_static(fit, score), X, y, sample_weight, folds, (keys,)))


def search(
    fit: Callable[..., Any],
    score: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    folds: Folds,
    grid: Grid,
    *,
    sample_weight: Float[Real, " n"] | None = None,
    simplicity: Float[Real, " c"] | None = None,
    batch_size: int | None = None,
) -> Search:
    """Fit and score every candidate in every fold, eq. (1)–(3), and refit the winner.

    Args:
        fit: the method.
        score: greater is better.
        X: features.
        y: targets.
        folds: masks of training and held-out rows.
        grid: name of a hyperparameter -> its value in each candidate, as ``grids.product`` makes.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        simplicity: π; if None a candidate is simpler the later it stands in the grid, as with
            rising penalties.
        batch_size: candidates at a time, which bounds the memory; all if None.

    Raises:
        ValueError: if the grid is empty, its arrays differ in length, it names what the fit does
            not take, the masks do not fit the rows, or the score is not one number.
    """
    _check(fit, folds, grid)
    _check_candidates(grid)
    return _search(
        *_static(fit, score), X, y, sample_weight, folds, dict(grid), simplicity, (), (), batch_size
    )


def search_seeds(
    key: Array,
    fit: Callable[..., Any],
    score: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    folds: Folds,
    grid: Grid,
    *,
    seeds: int = 3,
    sample_weight: Float[Real, " n"] | None = None,
    simplicity: Float[Real, " c"] | None = None,
    batch_size: int | None = None,
) -> Search:
    """:func:`search` of a fit that draws: ``fit(key, X, y, …)`` with a key per fold and seed.

    All candidates of a fold meet the same keys, so that they are compared on equal draws.
    """
    _check(fit, folds, grid)
    _check_candidates(grid)
    last, first = jax.random.split(key)
    keys = jax.random.split(first, (len(folds.train), seeds))
    return _search(
        *_static(fit, score), X, y, sample_weight, folds, dict(grid), simplicity, (keys,), (last,),
        batch_size,
    )  # fmt: skip


@compiled()
def _validate(fit, score, X, y, sample_weight, folds, keys):
    X, y, weight = _data(X, y, sample_weight)

    def fold(part):
        train, test, *keys = part

        def one(*key):
            fitted = fit(*key, X, y, sample_weight=weight * train)
            return fitted.params, fitted.certificate, _score(score, fitted, X, y, weight * test)

        return jax.vmap(one)(*keys) if keys else one()

    return jax.lax.map(fold, (folds.train, folds.test, *keys))


@compiled(static=("batch_size",))
def _search(
    fit, score, X, y, sample_weight, folds, grid, simplicity, keys, last_key, batch_size
):  # fmt: skip
    X, y, weight = _data(X, y, sample_weight)

    def fold(part):
        train, test, *keys = part

        def candidate(numbers):
            def one(*key):
                fitted = fit(*key, X, y, sample_weight=weight * train, **numbers)
                return _score(score, fitted, X, y, weight * test), fitted.certificate

            return jax.vmap(one)(*keys) if keys else one()

        if batch_size is None:
            return jax.vmap(candidate)(grid)
        return jax.lax.map(candidate, grid, batch_size=batch_size)

    scores, certificates = jax.lax.map(fold, (folds.train, folds.test, *keys))
    chosen = _choose(scores, simplicity)
    numbers = {name: jnp.asarray(v)[chosen["best"]] for name, v in grid.items()}
    fitted = fit(*last_key, X, y, sample_weight=weight, **numbers)
    none = chosen["failed"] == len(chosen["mean"])
    params, certificate, numbers = _nothing(none, (fitted.params, fitted.certificate, numbers))
    return Search(params, certificate, numbers, scores, certificates, **chosen)


def _choose(scores, simplicity):
    """Eq. (2) and (3)."""
    per_fold = scores.reshape(*scores.shape[:2], -1).mean(axis=2)
    f, c = per_fold.shape
    mean = per_fold.mean(axis=0)
    deviation = jnp.sum((per_fold - mean[None]) ** 2, axis=0)
    error = jnp.where(f > 1, jnp.sqrt(deviation / (f * max(f - 1, 1))), jnp.nan)
    known = ~jnp.isnan(mean)
    ranking = jnp.argsort(jnp.where(known, -mean, jnp.inf), stable=True)
    ranking = ranking[jnp.argsort(~known[ranking], stable=True)]  # NaN behind −∞
    best = ranking[0]
    margin = jnp.where(jnp.isnan(error[best]), 0, error[best])
    simple = jnp.arange(c) if simplicity is None else jnp.asarray(simplicity)
    near = jnp.where(known & (mean >= mean[best] - margin), simple, -jnp.inf)
    simplest = jnp.where(known.any(), jnp.argmax(near), best)
    return {
        "mean": mean, "standard_error": error, "ranking": ranking, "failed": jnp.sum(~known),
        "best": best, "simplest": simplest,
    }  # fmt: skip


def _nothing(none, tree):
    """NaN and false in the place of every number, where ``none``."""

    def clear(a):
        a = jnp.asarray(a)
        if jnp.issubdtype(a.dtype, jnp.floating):
            return jnp.where(none, jnp.nan, a)
        return jnp.where(none, False, a) if a.dtype == bool else a

    return jax.tree.map(clear, tree)


def _data(X, y, sample_weight):
    X, y = jnp.asarray(X), jnp.asarray(y)
    if sample_weight is None:
        return X, y, jnp.ones(X.shape[0], X.dtype)
    return X, y, jnp.asarray(sample_weight, X.dtype)


def _score(score, fitted, X, y, weight):
    value = jnp.asarray(score(fitted.params, X, y, sample_weight=weight))
    if value.shape != ():
        raise ValueError(f"score must return one number, got an array of shape {value.shape}.")
    return value


def _static(*functions):
    """Functions as pytrees: told apart by identity, the numbers of a ``Partial`` as leaves."""
    return tuple(f if isinstance(f, Partial) else Partial(f) for f in functions)


def _check(fit, folds, grid):
    """Raise what is wrong before anything runs."""
    if not len(folds.train):
        raise ValueError("folds must hold at least one fold, got none.")
    lengths = {name: len(v) if jnp.ndim(v) else None for name, v in grid.items()}
    for name, length in lengths.items():
        if length is None:
            raise ValueError(f"grid['{name}'] must be an array of candidates, got one number.")
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"the arrays of grid must have one length, got {listed}.")
    taken = _hyperparameters(fit)
    for name in grid if taken is not None else ():
        if name not in taken:
            raise ValueError(
                f"the fit takes no '{name}'; {hint(name, taken, f'it takes {_listed(taken)}.')}"
            )


def _check_candidates(grid):
    if not grid or not all(map(len, grid.values())):
        raise ValueError("grid must hold at least one candidate, got none.")


def _hyperparameters(fit):
    """Names of what a grid can set, None where the fit takes any."""
    parameters = inspect.signature(fit).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "sample_weight"]


def _listed(names):
    return ", ".join(names) if names else "no hyperparameter"
