"""Judge a fitted model by rows that it did not see."""

from typing import Any

from mlmath.cli import saved

__all__ = ["judge"]


def judge(
    composed: Any, params: Any, gathered: Any, rows: Any, dtype: str
) -> tuple[Any, dict[str, float]]:
    """Predict the ``rows``, a mask, and score that beside a model that knows nothing."""
    import numpy as np

    from mlmath.cli import figures, pipeline, scores
    from mlmath.data import columns as tables

    encoded = tables.encode(gathered.columns, gathered.features.filter(rows)).matrix
    predicted = pipeline.predict(composed, params, encoded, dtype)
    predicted = saved.probabilities(predicted) if gathered.labels else predicted
    y, kept = gathered.y, np.where(rows, 0, gathered.weight)
    held = figures.Held(predicted, y[rows], gathered.labels, gathered.target, gathered.weight[rows])
    if not held.labels:
        mean = float(kept @ y / kept.sum())
        return held, scores.of_numbers(predicted, held.observed, held.weight, mean)
    frequencies = np.bincount(y.astype(int), kept, len(held.labels)) / kept.sum()
    return held, scores.of_classes(predicted, held.observed, held.weight, frequencies)
