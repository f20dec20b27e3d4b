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


def number(held: Held) -> dict[str, bytes]:
    """Predicted against observed numbers."""
    from mlmath.plot import regression

    drawn = regression.predicted_against_observed(held.predicted, held.observed, unit=held.target)
    return {f"Held-out rows: predicted against observed {held.target}": report.png(drawn)}


def several(held: Held) -> dict[str, bytes]:
    """Confusion matrix."""
    from mlmath.plot import classification

    names = list(map(str, held.labels))
    matrix = classification.confusion_matrix(held.predicted, held.observed, names)
    return {f"Held-out rows: {held.target} observed and predicted": report.png(matrix)}


def two(held: Held) -> dict[str, bytes]:
    """Probabilities by class, and the receiver operating characteristic, of two classes."""
    from mlmath.plot import classification

    probability = held.predicted[:, 1]
    negative, positive = map(str, held.labels)
    spread = classification.probabilities(
        probability, held.observed, negative=negative, positive=positive
    )
    curve = classification.receiver_operating_characteristic(probability, held.observed)
    return {
        f"Held-out rows: predicted probability of {held.target} = {positive}": report.png(spread),
        "Receiver operating characteristic on the held-out rows": report.png(curve),
    }
