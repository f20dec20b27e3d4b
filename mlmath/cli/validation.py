"""Validation of a model of the shell: every candidate in every fold, in compiled calls.

One call holds one fold and as many candidates as the memory allows, so that what candidates
share is computed once per fold and every call is the same program. Folds are drawn over the rows
that count; the padding belongs to none.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from mlmath.cli import candidates, filling, methods, metrics, pipeline
from mlmath.data import columns as tables
from mlmath.evaluate import folds, selection
from mlmath.evaluate.folds import Folds

__all__ = ["Validated", "drawn", "validate"]

_MOST = 64  # candidates in a call
_NUMBERS = 1 << 24  # that a call may hold in one array over its candidates


class Validated(NamedTuple):
    """Every score, and what they choose."""

    grid: dict[str, np.ndarray]  # value of each hyperparameter in each candidate
    scores: np.ndarray  # (f, c) as people read them, NaN where a fit or a score is not finite
    converged: np.ndarray  # (c,) in how many folds the fit is proved
    choice: selection.Choice  # of the signed scores: means are negated for a loss
    sign: int  # −1 for a loss
    seconds: float  # of all calls, with the compilation


def validate(
    method: methods.Method,
    gathered: Any,
    options: Any,
    fixed: Mapping[str, Any],
    values: Mapping[str, Sequence[Any]],
    metric: metrics.Metric,
    dtype: str,
) -> Validated:
    """Fit and score every combination of ``values`` in every fold."""
    composed = pipeline.model(pipeline.part(method), gathered.columns, options.raw)
    if options.missing == "mean":
        composed = filling.inside(gathered.columns, composed)
    matrix = tables.encode(gathered.columns, gathered.features).matrix
    rows = pipeline.padded(matrix, gathered.y, gathered.weight, dtype)
    data = jax.tree.map(jnp.asarray, rows)
    parts = drawn(gathered, options, length=len(rows.y))
    fit = _bound(composed.fit, method, methods.arguments(method, dict(fixed), gathered.labels))
    score = metrics.score(metric, method.task, composed.predict, len(gathered.labels))
    grid = candidates.grid(values)
    size = _size(data, len(gathered.labels), len(next(iter(grid.values()))))
    start = time.perf_counter()
    scores, converged = _scored(fit, score, data, parts, grid, size)
    seconds = time.perf_counter() - start
    choice = selection.choose(scores, simplicity=candidates.simplicity(values))
    choice = jax.tree.map(np.asarray, choice)
    proved = converged.sum(axis=0)
    return Validated(grid, metric.sign * scores, proved, choice, metric.sign, seconds)


def drawn(gathered: Any, options: Any, *, length: int) -> Folds:
    """Folds from ``options.seed``, of classes stratified, as masks that are false on the padding.

    They are ``folds.repeated(key, make, repeats=…)`` of ``folds.stratified`` or ``folds.k_fold``
    with the key of the seed.
    """
    y, count = jnp.asarray(gathered.y), options.folds

    def make(key):
        if gathered.labels:
            return folds.stratified(key, y, folds=count)
        return folds.k_fold(key, len(y), folds=count)

    parts = folds.repeated(jax.random.key(options.seed), make, repeats=options.repeats)
    room = ((0, 0), (0, length - len(y)))
    return Folds(*(jnp.pad(mask, room) for mask in parts))


def _scored(fit, score, data, parts, grid, size):
    """Scores and proofs (f, c) by chunks; the last repeats its last candidate to be as long."""
    f, c = len(parts.train), len(next(iter(grid.values())))
    scores, converged = np.zeros((f, c)), np.zeros((f, c), bool)
    starts = range(0, c, size)
    with _progress(f * len(starts)) as advance:
        for k in range(f):
            part = Folds(parts.train[k : k + 1], parts.test[k : k + 1])
            for start in starts:
                at = np.minimum(np.arange(start, start + size), c - 1)
                chunk = {name: jnp.asarray(v[at], _kind(v, data)) for name, v in grid.items()}
                found = selection.score_all(
                    fit, score, data.X, data.y, part, chunk, sample_weight=data.weight
                )
                scores[k, at] = np.asarray(found.scores)[0]
                converged[k, at] = np.asarray(found.certificates.converged)[0]
                advance()
    return np.where(np.isfinite(scores), scores, np.nan), converged


def _kind(values, data):
    return data.X.dtype if values.dtype.kind == "f" else None


def _size(data, labels, count):
    """Candidates in a call, as even as they divide."""
    n, d = data.X.shape
    most = max(1, min(_MOST, _NUMBERS // (n * max(labels, 1) + d * d)))
    return -(-count // -(-count // most))


def _bound(fit, method, arguments):
    """What fixes the program is bound outside, numbers are carried as data."""
    static = {k: v for k, v in arguments.items() if k in methods.static(method)}
    numbers = {k: v for k, v in arguments.items() if k not in static}
    return Partial(partial(fit, **static) if static else fit, **numbers)


@contextmanager
def _progress(calls: int) -> Iterator[Any]:
    """Give a function that advances a bar on a terminal, and does nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("folds × candidates", total=calls)
        yield lambda: bar.advance(task)
