"""Figures of a model of two classes show what was given."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

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


def test_the_confusion_matrix_counts_pairs():
    p = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.1, 0.2, 0.7], [0.6, 0.2, 0.2]])
    y = np.array([0, 1, 2, 2])
    axes = classification.confusion_matrix(p, y, ["a", "b", "c"]).axes[0]
    counts = np.zeros((3, 3), int)
    for text in axes.texts:
        j, i = text.get_position()
        counts[i, j] = int(text.get_text())
    np.testing.assert_array_equal(counts, confusion_matrix(y, p.argmax(1)))
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b", "c"]
