"""Successive halving: a little effort for every candidate, more for those that did well.

With budgets b₁ < b₂ < … < b_R of one hyperparameter (steps, epochs, components) and a rate η,

    C₁ = all candidates,        C_{r+1} = the ⌈|C_r| / η⌉ best of C_r at budget b_r   (1)

where best is by the mean score over the folds, ``evaluate.selection`` eq. (1). The winner is the
best of C_R at budget b_R, refitted to all rows with it. Of the Σᵣ |C_r| b_r units of effort
each rung takes about as many, where budgets rise by η, in the place of |C₁| b_R for a search.

Candidates that were dropped take no lane: each rung is a compiled program of its own size, and
the indices of C_r stay on the device.

>>> import jax.numpy as jnp, jax
>>> from mlmath.evaluate import folds, halving, metrics, scorer
>>> from mlmath.linear import logistic_regression as model
>>> X = jax.random.normal(jax.random.key(0), (60, 3))
>>> y = (X @ jnp.array([1.0, 2.0, 3.0]) > 0).astype(float)
>>> score = scorer.of_loss(model.predict, metrics.binary_log_loss)
>>> parts = folds.k_fold(jax.random.key(1), 60, folds=3)
>>> found = halving.halve(
...     model.fit, score, X, y, parts, {"l2": jnp.logspace(-3, 3, 27)},
...     {"max_steps": jnp.array([1, 3, 9])}, rate=3)
>>> [len(rung.candidates) for rung in found.rungs], int(found.numbers["max_steps"])
([27, 9, 3], 9)

References:
    Jamieson & Talwalkar (2016), Non-stochastic best arm identification, algorithm 1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mlmath.arrays import Labels, Real
from mlmath.certificate import Certificate
from mlmath.evaluate.folds import Folds
from mlmath.evaluate.grids import Grid
from mlmath.evaluate.selection import Choice, choose, search
from mlmath.evaluate.validation import check_names, checked_grid, score_all

__all__ = ["Halving", "Rung", "halve"]


class Rung(NamedTuple):
    """One round of (1)."""

    candidates: Int[Array, " c"]  # C_r, positions in the grid
    scores: Float[Array, "f c"]
    choice: Choice  # among C_r, positions in ``candidates``


class Halving(NamedTuple):
    """Outcome of :func:`halve`."""

    params: Any  # of the winner, refitted to all rows with the last budget
    certificate: Certificate  # of that fit
    numbers: dict[str, Any]  # hyperparameters of the winner
    rungs: tuple[Rung, ...]


def halve(
    fit: Callable[..., Any],
    score: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    folds: Folds,
    grid: Grid,
    budgets: Grid,
    *,
    rate: int = 3,
    sample_weight: Float[Real, " n"] | None = None,
    simplicity: Float[Real, " c"] | None = None,
    batch_size: int | None = None,
) -> Halving:
    """Search by successive halving, eq. (1).

    Args:
        fit: the method.
        score: greater is better.
        X: features.
        y: targets.
        folds: masks of training and held-out rows.
        grid: name of a hyperparameter -> its value in each candidate.
        budgets: name of one more hyperparameter -> b₁, …, b_R.
        rate: η.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        simplicity: π; if None a candidate is simpler the later it stands, as with rising penalties.
        batch_size: candidates at a time, which bounds the memory; all if None.

    Raises:
        ValueError: if the rate is below 2, there is not one name of budgets or it is in the grid,
            and as ``validation.score_all``.
    """
    if rate < 2:
        raise ValueError(f"rate must be at least 2, got {rate}.")
    if len(budgets) != 1 or set(budgets) & set(grid):
        raise ValueError(
            "budgets must hold one hyperparameter that is not in the grid, "
            f"got {', '.join(budgets) or 'none'}."
        )
    numbers, ((name, levels),) = checked_grid(fit, grid), budgets.items()
    check_names(fit, budgets)
    levels = jnp.asarray(levels)
    if levels.shape in ((), (0,)):
        what = "none" if levels.shape else "one number"
        raise ValueError(f"budgets['{name}'] must be an array of budgets, got {what}.")
    given: dict[str, Any] = {"sample_weight": sample_weight, "batch_size": batch_size}
    candidates, rungs = jnp.arange(len(next(iter(numbers.values())))), []
    simple = jnp.asarray(candidates if simplicity is None else simplicity, float)

    def at(level):
        rung = {key: values[candidates] for key, values in numbers.items()}
        return rung | {name: jnp.broadcast_to(jnp.asarray(level), candidates.shape)}

    for level in levels[:-1]:
        scores = score_all(fit, score, X, y, folds, at(level), **given).scores
        choice = choose(scores, simplicity=simple[candidates])
        rungs.append(Rung(candidates, scores, choice))
        best = choice.ranking[: -(-len(candidates) // rate)]
        candidates = candidates[jnp.sort(best)]  # in the order of the grid
    given["simplicity"] = simple[candidates]
    found = search(fit, score, X, y, folds, at(levels[-1]), **given)
    rungs.append(Rung(candidates, found.scores, found.choice))
    return Halving(found.params, found.certificate, found.numbers, tuple(rungs))
