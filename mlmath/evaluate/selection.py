"""Model selection: every fold and every candidate in one compiled call.

From the scores a_kc of candidates c over f folds k, ``evaluate.validation`` eq. (1), averaged
over seeds where there are any, come the mean and its standard error,

    ā_c = Σₖ a_kc / f,        e_c = √[Σₖ (a_kc − ā_c)² / (f (f − 1))]            (1)

and from these the best candidate and, by the rule of one standard error, the simplest one that
is not clearly worse,

    c* = argmax_c ā_c,     c₁ = argmax_c { π_c : ā_c ≥ ā_c* − e_c* }              (2)

with π the simplicity of each candidate; the first of equals is taken. The winner is refitted to
all rows. A search has ``params`` and ``certificate`` as a fit has, so ``cross_validate`` of a
search is nested selection: its inner folds lie within the rows that the outer mask leaves.

A score that is NaN in one fold makes its candidate rank last, and those are counted; where all
are NaN nothing is chosen: params, numbers and certificate are NaN (integers stay what they are).

What is said in ``validation`` of functions and of what is computed once holds here too.

>>> import jax, jax.numpy as jnp
>>> from mlmath.evaluate import folds, metrics, scorer, selection
>>> from mlmath.linear import ridge
>>> X = jax.random.normal(jax.random.key(0), (60, 3))
>>> y = X @ jnp.array([1.0, 2.0, 3.0])
>>> score = scorer.scorer(ridge.predict, metrics.r_squared)
>>> parts = folds.k_fold(jax.random.key(1), 60, folds=5)
>>> found = selection.search(ridge.fit, score, X, y, parts, {"l2": jnp.logspace(-3, 3, 20)})
>>> found.scores.shape, int(found.choice.best)
((5, 20), 0)

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §7.10.
    Breiman, Friedman, Olshen & Stone (1984), Classification and Regression Trees, §3.4.3.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mlmath.arrays import Key, Labels, Real
from mlmath.certificate import Certificate
from mlmath.compiled import as_argument, compiled
from mlmath.evaluate.folds import Folds
from mlmath.evaluate.grids import Grid, log_uniform, product, random
from mlmath.evaluate.scorer import of_loss, scorer, shown
from mlmath.evaluate.validation import (
    Scored,
    Validation,
    check_draws,
    checked_grid,
    cross_validate,
    cross_validate_seeds,
    score_all,
)

__all__ = [
    "Choice", "Scored", "Search", "Validation", "choose", "cross_validate",
    "cross_validate_seeds", "log_uniform", "of_loss", "product", "random", "score_all", "scorer",
    "search", "search_seeds", "shown",
]  # fmt: skip


class Choice(NamedTuple):
    """What scores say of the candidates."""

    mean: Float[Array, " c"]  # ā, eq. (1)
    standard_error: Float[Array, " c"]  # e; NaN for one fold
    ranking: Int[Array, " c"]  # candidates, best first, NaN last
    failed: Int[Array, ""]  # how many candidates have no score
    best: Int[Array, ""]  # c*, eq. (2)
    simplest: Int[Array, ""]  # c₁


class Search(NamedTuple):
    """Outcome of :func:`search`."""

    params: Any  # of the winner, refitted to all rows
    certificate: Certificate  # of that fit
    numbers: dict[str, Any]  # hyperparameters of the winner
    choice: Choice
    scores: Float[Array, "f c ..."]  # a_kc, with seeds as third axis where there are any
    certificates: Certificate  # of every fit


def choose(
    scores: Float[Real, "f c ..."], *, simplicity: Float[Real, " c"] | None = None
) -> Choice:
    """Rank the candidates by their scores, eq. (1) and (2).

    Args:
        scores: greater is better; axes after the second are averaged.
        simplicity: π; if None a candidate is simpler the later it stands, as with rising penalties.
    """
    scores = jnp.asarray(scores)
    f, c = scores.shape[:2]
    per_fold = scores.reshape(f, c, -1).mean(axis=2)
    mean = per_fold.mean(axis=0)
    squares = jnp.sum((per_fold - mean[None]) ** 2, axis=0)
    error = jnp.sqrt(squares / (f * (f - 1))) if f > 1 else jnp.full_like(mean, jnp.nan)
    unknown = jnp.isnan(mean)
    ranking = jnp.lexsort((-mean, unknown))
    best = ranking[0]
    margin = jnp.where(jnp.isnan(error[best]), 0, error[best])
    simple = jnp.arange(c) if simplicity is None else jnp.asarray(simplicity)
    simplest = jnp.argmax(jnp.where(mean >= mean[best] - margin, simple, -jnp.inf))
    return Choice(mean, error, ranking, jnp.sum(unknown), best, simplest)


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
    """Fit and score every candidate in every fold, choose, and refit the winner.

    Args:
        fit: the method.
        score: greater is better.
        X: features.
        y: targets.
        folds: masks of training and held-out rows.
        grid: name of a hyperparameter -> its value in each candidate, as :func:`product` makes.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        simplicity: π; if None a candidate is simpler the later it stands, as with rising penalties.
        batch_size: candidates at a time, which bounds the memory; all if None.

    Raises:
        ValueError: as :func:`score_all`.
    """
    numbers = checked_grid(fit, grid)
    return _search(
        as_argument(fit), as_argument(score), X, y, folds, numbers, sample_weight, simplicity,
        None, batch_size,
    )  # fmt: skip


def search_seeds(
    key: Key,
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
    check_draws(fit, seeds)
    numbers = checked_grid(fit, grid)
    keys = jax.random.split(key, len(folds.train) * seeds + 1)
    return _search(
        as_argument(fit), as_argument(score), X, y, folds, numbers, sample_weight, simplicity,
        (keys[0], keys[1:].reshape(-1, seeds)), batch_size,
    )  # fmt: skip


@compiled(static=("batch_size",))
def _search(fit, score, X, y, folds, grid, sample_weight, simplicity, keys, batch_size):
    last, each = ((), None) if keys is None else ((keys[0],), keys[1])
    scored = score_all(
        fit, score, X, y, folds, grid,
        sample_weight=sample_weight, keys=each, batch_size=batch_size,
    )  # fmt: skip
    choice = choose(scored.scores, simplicity=simplicity)
    numbers = {name: values[choice.best] for name, values in grid.items()}
    fitted = fit(*last, X, y, sample_weight=sample_weight, **numbers)
    winner = (fitted.params, fitted.certificate, numbers)
    none = choice.failed == len(choice.mean)
    params, certificate, numbers = jax.tree.map(partial(_nothing, none), winner)
    return Search(params, certificate, numbers, choice, *scored)


def _nothing(none, a):
    """NaN or false in the place of a number, where ``none``."""
    a = jnp.asarray(a)
    if jnp.issubdtype(a.dtype, jnp.floating):
        return jnp.where(none, jnp.nan, a)
    return ~none & a if a.dtype == bool else a
