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


def test_the_mean_is_weighted_and_a_row_of_weight_0_is_no_point():
    y, weight = np.array([1.0, 2.0, np.nan, 4.0]), np.array([1, 1, 0, 2])
    draw = regression.predicted_against_observed
    weighted = draw(y + 1, y, sample_weight=weight.astype(float)).axes[0]
    repeated = draw((y + 1).repeat(weight), y.repeat(weight)).axes[0]
    assert len(weighted.collections[0].get_offsets()) == 3
    for a, b in zip(weighted.lines, repeated.lines, strict=True):
        np.testing.assert_allclose(a.get_xydata(), b.get_xydata())


def test_every_weight_is_a_line_and_the_largest_are_named():
    penalties = np.logspace(-1, 1, 5)
    weights = np.outer(np.linspace(1, 0, 5), [1.0, -3.0, 0.1])
    figure = regression.coefficient_path(penalties, weights, ["a", "b", "c"], shown=2, chosen=1.0)
    lines = figure.axes[0].lines
    drawn = sorted(float(np.abs(line.get_ydata()).max()) for line in lines[:3])
    assert drawn == [0.1, 1.0, 3.0]
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["b", "a", "the fit above"]
