"""Figures of a model of a number show what was given."""

import numpy as np

from mlmath.plot import regression


def test_every_example_is_a_point_and_the_diagonal_is_perfect():
    y = np.array([1.0, 2.0, 4.0])
    axes = regression.predicted_against_observed(y + 0.5, y, unit="mm").axes[0]
    points = axes.collections[0].get_offsets()
    np.testing.assert_allclose(points, np.stack([y, y + 0.5], axis=1))
    np.testing.assert_allclose(*axes.lines[0].get_data())
    assert axes.get_xlabel() == "observed mm"


def test_every_weight_is_a_line_and_the_largest_are_named():
    penalties = np.logspace(-1, 1, 5)
    weights = np.outer(np.linspace(1, 0, 5), [1.0, -3.0, 0.1])
    figure = regression.coefficient_path(penalties, weights, ["a", "b", "c"], shown=2, chosen=1.0)
    lines = figure.axes[0].lines
    drawn = sorted(float(np.abs(line.get_ydata()).max()) for line in lines[:3])
    assert drawn == [0.1, 1.0, 3.0]
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["b", "a", "the fit above"]
