import numpy as np
import pytest
from sklearn import metrics

from mlmath.cli import scores


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=40), rng.normal(size=40), rng.uniform(0.5, 2.0, size=40)


def test_scores_of_numbers_are_their_definition(rows):
    predicted, y, s = rows
    score = scores.of_numbers(predicted, y, s, 0.3)
    squares = sum(s[i] * (y[i] - predicted[i]) ** 2 for i in range(40))
    null = sum(s[i] * (y[i] - 0.3) ** 2 for i in range(40))
    assert score["root_mean_square_error"] == pytest.approx((squares / s.sum()) ** 0.5)
    assert score["baseline_root_mean_square_error"] == pytest.approx((null / s.sum()) ** 0.5)
    assert score["r_squared"] == pytest.approx(1 - squares / null)


def test_r_squared_is_that_of_scikit_learn_where_the_mean_is_its_mean(rows):
    predicted, y, s = rows
    score = scores.of_numbers(predicted, y, s, np.average(y, weights=s))
    assert score["r_squared"] == pytest.approx(metrics.r2_score(y, predicted, sample_weight=s))


def test_scores_of_classes_are_those_of_scikit_learn(rows):
    _, z, s = rows
    p = np.exp(np.random.default_rng(1).normal(size=(40, 3)))
    p /= p.sum(axis=1, keepdims=True)
    y = (np.abs(z) * 2 % 3).astype(int).astype(float)
    frequencies = np.array([0.2, 0.5, 0.3])
    score = scores.of_classes(p, y, s, frequencies)
    chosen = p.argmax(axis=1)
    assert score["accuracy"] == pytest.approx(metrics.accuracy_score(y, chosen, sample_weight=s))
    assert score["log_loss"] == pytest.approx(metrics.log_loss(y, p, sample_weight=s))
    assert score["baseline_accuracy"] == pytest.approx(s @ (y == 1) / s.sum())
    alone = metrics.log_loss(y, np.tile(frequencies, (40, 1)), sample_weight=s)
    assert score["baseline_log_loss"] == pytest.approx(alone)


def test_one_row_in_five_is_held_out_of_each_class_alike():
    y = np.array([0.0] * 50 + [1.0] * 10)
    held = scores.held_out(y, 2, seed=0)
    assert held.sum() == 12
    assert held[50:].sum() == 2
    assert (held == scores.held_out(y, 2, seed=0)).all()
    assert (held != scores.held_out(y, 2, seed=1)).any()
    assert scores.held_out(np.arange(50.0), 0, seed=0).sum() == 10
    assert not scores.held_out(np.arange(9.0), 0, seed=0).any()


def test_the_sentence_names_the_baseline():
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    y = np.array([0.0, 1.0])
    said = scores.sentence(scores.of_classes(p, y, np.ones(2), np.array([0.5, 0.5])))
    assert said.startswith("accuracy 100.0% (largest class alone 50.0%), log loss 0.164")
    said = scores.sentence(scores.of_numbers(y, y, np.ones(2), 0.5))
    assert said == "R² 1.000, root mean square error 0 (mean alone 0.5)"
    assert scores.sentence({}) == "not measured: fewer than ten rows"
