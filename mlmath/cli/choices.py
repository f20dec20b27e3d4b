"""What a sweep tells people: its record, its facts, the best candidates and the figures.

A mean score is shown as people read it, a loss without its minus, with its standard error over
the folds (``evaluate.selection``, eq. (1)). Folds share rows, repeated ones all of them, so the
error says less than it would of independent samples.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlmath.cli import candidates, metrics, report

__all__ = ["every", "facts", "figures", "listed", "numbers", "record", "table"]

_SHOWN = 10


def numbers(judged: Any, candidate: int) -> dict[str, Any]:
    """Hyperparameters of a candidate as plain numbers."""
    return {name: values[candidate].item() for name, values in judged.grid.items()}


def record(
    judged: Any, values: Mapping[str, Sequence[Any]], options: Any, metric: metrics.Metric
) -> dict[str, Any]:
    """Return what ``run.json`` says of the sweep; candidates in order, the last name fastest."""
    mean, error = _means(judged)
    fits = judged.scores.size

    def one(c):
        found = {"mean": _json(mean[c]), "standard_error": _json(error[c])}
        return numbers(judged, c) | found | {"converged": int(judged.converged[c])}

    return {
        "over": dict(values),
        "metric": metric.name,
        "better": _better(metric),
        "folds": options.folds,
        "repeats": options.repeats,
        "candidates": len(mean),
        "failed": int(judged.choice.failed),
        "fits": fits,
        "seconds": judged.seconds,
        "fits_per_second": fits / judged.seconds,
        "best": one(judged.choice.best),
        "one_standard_error": one(judged.choice.simplest),
        "mean": [_json(m) for m in mean],
        "standard_error": [_json(e) for e in error],
        "converged": judged.converged.tolist(),
        "note": "the rows of held_out took part in the choice, so held_out is no test of it",
    }


def every(judged: Any) -> bytes:
    """All candidates with the score in each fold, as CSV."""
    import polars as pl

    mean, error = _means(judged)
    columns = {**judged.grid, "mean": mean, "standard error": error, "converged": judged.converged}
    columns |= {f"fold {k}": fold for k, fold in enumerate(judged.scores, 1)}
    return pl.DataFrame(columns).fill_nan(None).write_csv().encode()


def facts(
    judged: Any,
    values: Mapping[str, Sequence[Any]],
    gathered: Any,
    options: Any,
    metric: metrics.Metric,
) -> dict[str, str]:
    """Label to value, for the terminal and the report."""
    choice, fits = judged.choice, judged.scores.size
    count, lost = len(choice.mean), int(choice.failed)
    ranges = ", ".join(_range(name, v) for name, v in values.items())
    folds = f"{options.folds}, of {len(gathered.y)} rows"
    folds += f", drawn {options.repeats} times" if options.repeats > 1 else ""
    folds += ", classes alike in all" if gathered.labels else ""
    left_out = f"; {gathered.left_out} rows left out" if gathered.left_out else ""
    proved = int(judged.converged.sum())
    return {
        "target": gathered.target,
        "folds": folds + left_out,
        "metric": metrics.words(metric, gathered.labels),
        "candidates": f"{count}: {ranges}" + (f"; {lost} without a finite score" if lost else ""),
        "best": _line(judged, choice.best),
        "one-standard-error choice": f"{_line(judged, choice.simplest)}, "
        f"{candidates.simplest(values)} within one standard error of the best",
        "fits": f"{fits} in {judged.seconds:.2f} s, {fits / judged.seconds:.0f} per second with "
        f"compilation; {_part(proved, fits)} converged",
    } | _edges(judged, values)


def table(judged: Any, metric: metrics.Metric) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the best candidates, and of the simplest wherever it ranks."""
    f, (mean, error) = len(judged.scores), _means(judged)
    header = ["rank", *judged.grid, metric.title, "standard error", "converged", ""]
    rows = []
    for rank, c in _shown(judged):
        given = [f"{value:.6g}" for value in numbers(judged, c).values()]
        scored = [f"{mean[c]:.5g}", f"{error[c]:.2g}", f"{judged.converged[c]} of {f}"]
        rows.append([str(rank), *given, *scored, _mark(judged, c)])
    return header, rows


def listed(judged: Any) -> dict[str, str]:
    """Rows of the table as facts of the report."""
    return {
        f"rank {rank}": ", ".join(
            filter(None, [_line(judged, c), _proofs(judged, c), _mark(judged, c)])
        )
        for rank, c in _shown(judged)
    }


def figures(judged: Any, metric: metrics.Metric, labels: Sequence[Any]) -> dict[str, bytes]:
    """Score against each hyperparameter through the best, and of two their map first."""
    from mlmath.plot import selection

    swept = [name for name, v in judged.grid.items() if len(np.unique(v)) > 1]
    swept = swept or list(judged.grid)[:1]
    score, choice, found = metrics.words(metric, labels), judged.choice, {}
    if len(swept) == 2:
        drawn = selection.score_map(
            judged.grid[swept[0]], judged.grid[swept[1]], judged.scores, best=int(choice.best),
            simplest=int(choice.simplest), parameters=swept, score=score,
        )  # fmt: skip
        found[f"{metric.title} over {swept[0]} and {swept[1]}"] = report.png(drawn)
    for name in swept:
        others = {k: v[choice.best] for k, v in judged.grid.items() if k != name}
        same = [judged.grid[k] == v for k, v in others.items()]
        along = np.flatnonzero(np.all([np.ones(len(choice.mean), bool), *same], axis=0))
        place = {int(c): k for k, c in enumerate(along)}
        drawn = selection.validation_curve(
            judged.grid[name][along], judged.scores[:, along], best=place[int(choice.best)],
            simplest=place.get(int(choice.simplest)), parameter=name, score=score,
        )  # fmt: skip
        through = "".join(f", {k} = {v:.4g}" for k, v in others.items())
        found[f"{metric.title} against {name}{through}"] = report.png(drawn)
    return found


def _means(judged):
    """Mean score of each candidate as people read it, and its standard error."""
    return judged.sign * judged.choice.mean + 0.0, judged.choice.standard_error


def _shown(judged):
    """Ranks and candidates: the best with a score, and the simplest."""
    known = judged.choice.ranking[: len(judged.choice.mean) - judged.choice.failed]
    return [
        (rank, int(c))
        for rank, c in enumerate(known, 1)
        if rank <= _SHOWN or c == judged.choice.simplest
    ]


def _mark(judged, c):
    marks = {"best": judged.choice.best, "one-standard-error choice": judged.choice.simplest}
    return ", ".join(mark for mark, chosen in marks.items() if chosen == c)


def _line(judged, c):
    """One candidate in words."""
    mean, error = _means(judged)
    given = ", ".join(f"{name} = {value:.6g}" for name, value in numbers(judged, c).items())
    return f"{mean[c]:.5g} ± {error[c]:.2g} at {given}"


def _proofs(judged, c):
    """In how many folds the fit is proved."""
    return f"converged in {judged.converged[c]} of {len(judged.scores)}"


def _range(name, values):
    low, high = values[0], values[-1]
    return f"{name} = {low:.6g}" if low == high else f"{name} from {low:.6g} to {high:.6g}"


def _edges(judged, values):
    """Where the best lies at an end of what was tried and the score still rises towards it."""
    shape = [len(v) for v in values.values()]
    mean = judged.choice.mean.reshape(shape)
    best = np.unravel_index(judged.choice.best, shape)
    ends = []
    for axis, (name, n) in enumerate(zip(values, shape, strict=True)):
        inward = list(best)
        inward[axis] += 1 if best[axis] == 0 else -1
        if n > 2 and best[axis] in (0, n - 1) and mean[best] > mean[tuple(inward)]:
            ends.append(f"the {'smallest' if best[axis] == 0 else 'greatest'} {name}")
    if not ends:
        return {}
    return {"note": f"the best has {' and '.join(ends)} tried; a wider --over may hold a better"}


def _part(some, whole):
    return {0: "none", whole: "all"}.get(some, str(some))


def _better(metric):
    return "higher" if metric.sign > 0 else "lower"


def _json(value):
    return float(value) if math.isfinite(value) else None
