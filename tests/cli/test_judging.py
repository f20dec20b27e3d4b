"""A model is judged beside one that knows nothing, by rows that neither saw."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from mlmath.cli import judging, methods, pipeline
from mlmath.data import columns as tables

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 1))
ROWS = np.arange(40) % 4 == 0
WEIGHT = RNG.uniform(0.5, 2.0, size=40)


def judged(name, y, labels):
    features = pl.DataFrame({"x": X[:, 0]})
    gathered = SimpleNamespace(
        features=features, columns=tables.describe(features), y=y, weight=WEIGHT, labels=labels,
        target="y",
    )  # fmt: skip
    composed = pipeline.model(pipeline.part(methods.METHODS[name]), gathered.columns, False)
    padded = pipeline.padded(X, y, np.where(ROWS, 0, WEIGHT), "float64")
    params = composed.fit(padded.X, padded.y, sample_weight=padded.weight).params
    predicted = pipeline.predict(composed, params, X[ROWS], "float64")
    return predicted, *judging.judge(composed, params, gathered, ROWS, "float64")


def test_a_number_is_judged_beside_the_mean_of_the_other_rows():
    y = X[:, 0] + RNG.normal(size=40)
    predicted, held, score = judged("ridge", y, [])
    np.testing.assert_array_equal(held.predicted, predicted)
    np.testing.assert_array_equal(held.observed, y[ROWS])
    mean, s = np.average(y[~ROWS], weights=WEIGHT[~ROWS]), WEIGHT[ROWS]
    null, own = s @ (y[ROWS] - mean) ** 2, s @ (y[ROWS] - predicted) ** 2
    assert score["r_squared"] == pytest.approx(1 - own / null, rel=1e-12)


def test_classes_are_judged_beside_their_frequencies_in_the_other_rows():
    y = (X[:, 0] + RNG.normal(size=40) > 0).astype(float)
    predicted, held, score = judged("logistic_regression", y, ["a", "b"])
    np.testing.assert_allclose(held.predicted.sum(axis=1), 1)
    s = WEIGHT[ROWS] / WEIGHT[ROWS].sum()
    right = (predicted > 0.5) == y[ROWS]
    assert score["accuracy"] == pytest.approx(s @ right, rel=1e-12)
    likelihood = np.where(y[ROWS] == 1, predicted, 1 - predicted)
    assert score["log_loss"] == pytest.approx(-s @ np.log(likelihood), rel=1e-9)
