"""Figures of a fit for its report, drawn from the rows that were held out."""

from typing import Any, NamedTuple

import numpy as np

from mlmath.cli import report

__all__ = ["Held", "number", "several", "two"]


class Held(NamedTuple):
    """Predictions of rows that the model did not see."""

    predicted: np.ndarray  # numbers, or one probability per class
    observed: np.ndarray  # numbers, or positions of the labels
    labels: list[Any]
    target: str
    weight: np.ndarray


def number(held: Held) -> dict[str, bytes]:
    """Predicted against observed numbers."""
    from mlmath.plot import regression

    drawn = regression.predicted_against_observed(
        held.predicted, held.observed, sample_weight=held.weight, unit=held.target
    )
    return {f"Held-out rows: predicted against observed {held.target}": report.png(drawn)}


def several(held: Held) -> dict[str, bytes]:
    """Confusion matrix."""
    from mlmath.evaluate import metrics
    from mlmath.plot import classification

    names = list(map(str, held.labels))
    taken = held.predicted.argmax(axis=1)
    matrix = metrics.confusion_matrix(
        taken, held.observed, classes=len(names), sample_weight=held.weight
    )
    drawn = classification.confusion_matrix(matrix, names)
    return {f"Held-out rows: {held.target} observed and predicted": report.png(drawn)}


def two(held: Held) -> dict[str, bytes]:
    """Probabilities by class, and the receiver operating characteristic, of two classes."""
    from mlmath.plot import classification

    probability = held.predicted[:, 1]
    negative, positive = map(str, held.labels)
    spread = classification.probabilities(
        probability, held.observed, sample_weight=held.weight, negative=negative, positive=positive
    )
    curve = classification.receiver_operating_characteristic(
        probability, held.observed, sample_weight=held.weight
    )
    return {
        f"Held-out rows: predicted probability of {held.target} = {positive}": report.png(spread),
        "Receiver operating characteristic on the held-out rows": report.png(curve),
    }
