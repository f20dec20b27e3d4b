"""Figures of a model of two classes show what was given."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

from mlmath.evaluate import metrics
from mlmath.plot import classification


def test_the_bars_count_every_example_in_its_class():
    p = np.array([0.01, 0.02, 0.6, 0.99])
    axes = classification.probabilities(p, np.array([0, 0, 1, 1]), positive="ill").axes[0]
    heights = [sum(bar.get_height() for bar in bars) for bars in axes.containers]
    assert heights == [2, 2]
    assert "ill" in axes.get_xlabel()


@pytest.mark.parametrize("decimals", [1, 6])
def test_the_area_is_that_of_scikit_learn_ties_included(decimals):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    p = np.clip(rng.normal(0.4 + 0.2 * y, 0.2), 0, 1).round(decimals)
    axes = classification.receiver_operating_characteristic(p, y).axes[0]
    assert axes.lines[0].get_label() == f"area {roc_auc_score(y, p):.4f}"


def shown(figure):
    """Text of each cell, row by row."""
    found = {text.get_position()[::-1]: text.get_text() for text in figure.axes[0].texts}
    k = len(figure.axes[0].get_yticks())
    return [[found.get((i, j), "") for j in range(k)] for i in range(k)]


def test_a_confusion_matrix_is_drawn_as_it_is_whatever_threshold_decided():
    p, y = np.array([0.1, 0.3, 0.35, 0.9, 0.2]), np.array([0, 0, 1, 1, 1])
    for t in (0.25, 0.5):
        matrix = metrics.confusion_matrix(p >= t, y, classes=2)
        drawn = classification.confusion_matrix(matrix, ["well", "ill"])
        right = confusion_matrix(y, p >= t)
        assert shown(drawn) == [[str(c) if c else "" for c in row] for row in right.tolist()]
        assert [t.get_text() for t in drawn.axes[0].get_yticklabels()] == ["well", "ill"]
        (image,) = drawn.axes[0].images
        np.testing.assert_allclose(image.get_array(), right / right.sum(axis=1, keepdims=True))
    assert shown(classification.confusion_matrix(right, "ab")) == shown(drawn)


def test_a_confusion_matrix_may_hold_weights_and_classes_that_do_not_occur():
    p, y = np.array([0, 1, 2, 0]), np.array([0, 1, 1, 1])
    weight = np.array([0.25, 2.0, 0.0, 10.125])
    matrix = metrics.confusion_matrix(p, y, classes=3, sample_weight=weight)
    drawn = classification.confusion_matrix(matrix, "abc")
    assert shown(drawn) == [["0.25", "", ""], ["10.1", "2", ""], ["", "", ""]]
    np.testing.assert_array_equal(drawn.axes[0].images[0].get_array()[[0, 2]], [[1, 0, 0], [0] * 3])
    with pytest.raises(ValueError, match="names must be as many as the classes of the matrix, 3"):
        classification.confusion_matrix(matrix, "ab")


def test_a_weight_is_a_repetition_and_0_an_absence():
    p, y = np.array([0.1, 0.2, 0.7, 0.9, 0.6]), np.array([0, 1, 0, 1, 1])
    weight = np.array([3, 1, 2, 0, 2])
    for draw in (classification.probabilities, classification.receiver_operating_characteristic):
        repeated = draw(p.repeat(weight), y.repeat(weight)).axes[0]
        given = np.where(weight == 0, np.nan, p)
        weighted = draw(given, np.where(weight == 0, 7, y), sample_weight=weight.astype(float))
        for a, b in zip(weighted.axes[0].lines, repeated.lines, strict=True):
            np.testing.assert_allclose(a.get_xydata(), b.get_xydata())
        heights = (
            [bar.get_height() for bar in axes.patches] for axes in (weighted.axes[0], repeated)
        )
        np.testing.assert_array_equal(*heights)


def test_a_probability_that_is_not_finite_is_counted():
    axes = classification.probabilities(np.array([0.1, np.nan, 0.9]), np.array([0, 1, 1])).axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == 2
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "1 of 3 rows without a finite value" in named
