"""Successive halving against a loop in Python."""

import numpy as np
import pytest

from mlmath.evaluate import halving, selection
from mlmath.evaluate.folds import Folds
from mlmath.linear import logistic_regression as model

L2 = np.logspace(-3, 3, 9)
STEPS = np.array([1, 2, 6])


def accuracy(predicted, y, *, sample_weight=None):
    return sample_weight @ ((predicted > 0.5) == (y > 0.5)) / sample_weight.sum() + (
        1e-3 * sample_weight @ (predicted * y) / sample_weight.sum()
    )


SCORE = selection.scorer(model.predict, accuracy)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    y = (X @ [1.0, 2.0, 0.0, 0.0] + rng.logistic(size=60) > 0).astype(float)
    test = np.arange(60)[None] % 3 == np.arange(3)[:, None]
    return X, y, Folds(~test, test)


def test_each_rung_keeps_the_best_of_the_last_as_equation_1_says(data):
    X, y, folds = data
    found = halving.halve(model.fit, SCORE, X, y, folds, {"l2": L2}, {"max_steps": STEPS})
    left = np.arange(9)
    for rung, steps, size in zip(found.rungs, STEPS, (9, 3, 1), strict=True):
        np.testing.assert_array_equal(rung.candidates, left)
        assert len(left) == size
        mean = np.zeros(size)
        for c, l2 in enumerate(L2[left]):
            for train, test in zip(*folds, strict=True):
                p = model.fit(X[train], y[train], l2=l2, max_steps=int(steps)).params
                z = X[test] @ p.weights + p.bias
                value = accuracy(1 / (1 + np.exp(-z)), y[test], sample_weight=np.ones(test.sum()))
                mean[c] += value / 3
        np.testing.assert_allclose(rung.choice.mean, mean, rtol=1e-9)
        left = np.sort(left[np.argsort(-mean, kind="stable")[: -(-size // 3)]])
    assert found.numbers == {"l2": L2[left[0]], "max_steps": 6}
    right = model.fit(X, y, l2=L2[left[0]], max_steps=6)
    np.testing.assert_allclose(found.params.weights, right.params.weights, rtol=1e-9)
    assert found.certificate.steps <= 6


@pytest.mark.parametrize("simplicity", [None, -L2])
def test_each_rung_names_the_simplest_candidate_within_one_standard_error(data, simplicity):
    """Later in the grid, or of greater ``simplicity``: not later in the ranking."""
    X, y, folds = data
    given = {} if simplicity is None else {"simplicity": simplicity}
    found = halving.halve(
        model.fit, SCORE, X, y, folds, {"l2": L2}, {"max_steps": STEPS}, rate=2, **given
    )
    order = np.arange(9) if simplicity is None else simplicity
    for rung in found.rungs:
        choice, best = rung.choice, int(rung.choice.best)
        near = np.flatnonzero(choice.mean >= choice.mean[best] - choice.standard_error[best])
        chosen = np.asarray(rung.candidates)[int(choice.simplest)]
        assert order[chosen] == order[np.asarray(rung.candidates)[near]].max()
    assert len(near) > 1 or len(found.rungs[1].candidates) > 1


def test_one_rung_is_a_search(data):
    X, y, folds = data
    found = halving.halve(model.fit, SCORE, X, y, folds, {"l2": L2}, {"max_steps": STEPS[2:]})
    grid = {"l2": L2, "max_steps": np.full(9, 6)}
    right = selection.search(model.fit, SCORE, X, y, folds, grid)
    np.testing.assert_array_equal(found.rungs[0].scores, right.scores)
    np.testing.assert_array_equal(found.params.weights, right.params.weights)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rate": 1}, "rate must be at least 2, got 1."),
        (
            {"budgets": {}},
            "budgets must hold one hyperparameter that is not in the grid, got none.",
        ),
        ({"budgets": {"l2": L2}}, "budgets must hold one hyperparameter .*, got l2."),
        ({"budgets": {"max_steps": STEPS[:0]}}, "must be an array of budgets, got none."),
        ({"budgets": {"max_steps": 3}}, "must be an array of budgets, got one number."),
        ({"budgets": {"max_step": STEPS}}, "takes no 'max_step'; did you mean 'max_steps'"),
        ({"grid": {}}, "grid must hold at least one candidate, got none."),
    ],
    ids=lambda v: v[:30] if isinstance(v, str) else "",
)
def test_misuse_is_one_sentence(data, change, sentence):
    X, y, folds = data
    given = {"grid": {"l2": L2}, "budgets": {"max_steps": STEPS}}
    with pytest.raises(ValueError, match=sentence):
        halving.halve(model.fit, SCORE, X, y, folds, **(given | change))
