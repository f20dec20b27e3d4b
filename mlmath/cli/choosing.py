"""The end of the tour: a penalty chosen by folds × candidates in one call, and by a loop.

The loop calls the same compiled fit and score once per fold and candidate, as one would write it
in Python; what differs is one program in the place of 500 calls.
"""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mlmath.cli import examples, fit, methods, metrics, pipeline, report, validation
from mlmath.data import columns as tables
from mlmath.data import readers
from mlmath.evaluate import selection

__all__ = ["section"]

_MODEL, _DATA, _FORMULA = "logistic_regression", "breast_cancer", "c* = argmax_c Σₖ score(θ_kc) / f"
_PENALTIES = (-2, 4, 100)  # of powers of ten


class _Options(NamedTuple):
    seed: int
    folds: int = 5
    repeats: int = 1


def section(seed: int, dtype: str) -> report.Section:
    """Search, time it against the loop, and draw the score against the penalty."""
    method = methods.find(_MODEL)
    gathered = examples.gather(readers.read(_DATA), method.task, fit.Plain(seed=seed))
    composed = pipeline.model(pipeline.part(method), gathered.columns, raw=False)
    matrix = tables.encode(gathered.columns, gathered.features).matrix
    data = jax.tree.map(jnp.asarray, pipeline.padded(matrix, gathered.y, gathered.weight, dtype))
    parts = validation.drawn(gathered, _Options(seed), length=len(data.y))
    metric = metrics.find("log_loss", method.task)
    score = metrics.score(metric, method.task, composed.predict, len(gathered.labels))
    penalties = jnp.logspace(*_PENALTIES, dtype=dtype)

    def search():
        return selection.search(
            composed.fit, score, data.X, data.y, parts, {"l2": penalties},
            sample_weight=data.weight,
        )  # fmt: skip

    first, found = _timed(search)
    again, _ = _timed(search)
    loop, scores = _timed(lambda: _loop(composed.fit, score, data, parts, penalties))
    choice, shown = found.choice, selection.shown(score, found.scores)
    facts = {
        "data": f"{_DATA}: {len(gathered.y)} rows",
        f"{found.scores.size} fits in one call": f"{again:.2f} s; {first:.1f} s the first time",
        "the same fits in a Python loop": f"{loop:.1f} s, with the fit and the score compiled; "
        f"scores differ by {float(jnp.abs(scores - found.scores).max()):.0e} at most",
        "best": _words(choice, penalties, score, int(choice.best)),
        "one-standard-error choice": _words(choice, penalties, score, int(choice.simplest)),
    }
    return report.Section(
        "Model selection: 5 folds × 100 penalties of logistic regression", _FORMULA, facts,
        _drawn(np.asarray(penalties), np.asarray(shown), choice, metric),
    )  # fmt: skip


def _timed(run):
    start = time.perf_counter()
    found = jax.block_until_ready(run())
    return time.perf_counter() - start, found


def _loop(fit, score, data, parts, penalties):
    """The scores by one call per fold and penalty."""
    judge = jax.jit(score)
    return jnp.array([
        [
            judge(
                fit(data.X, data.y, sample_weight=data.weight * train, l2=l2).params,
                data.X, data.y, sample_weight=data.weight * test,
            )
            for l2 in penalties
        ]
        for train, test in zip(*parts, strict=True)
    ])  # fmt: skip


def _words(choice, penalties, score, c):
    mean = float(selection.shown(score, choice.mean[c]))
    error = float(choice.standard_error[c])
    return f"l2 = {float(penalties[c]):.3g}: log loss {mean:.4f} ± {error:.4f}"


def _drawn(penalties, shown, choice, metric):
    from mlmath.plot import selection as figures

    drawn = figures.validation_curve(
        penalties, shown, best=int(choice.best), simplest=int(choice.simplest), parameter="l2",
        score=metrics.words(metric, []),
    )  # fmt: skip
    return {"Log loss of the held-out rows against the penalty": report.png(drawn)}
