import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk

from mlmath.cli import methods, metrics
from mlmath.cli.refusal import Refusal

_RNG = np.random.default_rng(0)
_WEIGHT = np.array([2.0, 0, 1, 1, 3, 1, 1, 0, 1, 2])
_TWO = np.array([0, 1, 1, 0, 1, 0, 1, 1, 0, 1])
_P = np.round(_RNG.random(10), 2)
_SEVERAL = np.array([0, 1, 2, 2, 1, 0, 1, 2, 0, 2])
_SHARES = _RNG.dirichlet(np.ones(3), 10)
_TRUTH, _GUESS = _RNG.normal(size=(2, 10))


def _value(name, task, predicted, y, classes):
    """The metric of given predictions: the model predicts what X holds."""
    metric = metrics.find(name, task)
    score = metrics.score(metric, task, lambda _, x: x[0] if predicted.ndim == 1 else x, classes)
    X = predicted[:, None] if predicted.ndim == 1 else predicted
    return metric.sign * score(None, X, jnp.asarray(y, float), sample_weight=_WEIGHT)


def _brier(y, p, sample_weight):
    return np.average(((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1), weights=sample_weight)


_NUMBER = {
    "r_squared": sk.r2_score,
    "mean_squared_error": sk.mean_squared_error,
    "mean_absolute_error": sk.mean_absolute_error,
}
_PROBABILITY = {
    "log_loss": sk.log_loss,
    "brier": sk.brier_score_loss,
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
}
_DECISION = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.recall_score,
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "f_score": sk.f1_score,
}
_CASES = {
    "number": [(name, _GUESS, _TRUTH, f, _GUESS, {}) for name, f in _NUMBER.items()],
    "two classes": [(name, _P, _TWO, f, _P, {}) for name, f in _PROBABILITY.items()]
    + [(name, _P, _TWO, f, _P > 0.5, {}) for name, f in _DECISION.items()],
    "two sides": [(name, 1.0 * (_P > 0.5), _TWO, f, _P > 0.5, {}) for name, f in _DECISION.items()],
    "classes": [
        ("log_loss", _SHARES, _SEVERAL, sk.log_loss, _SHARES, {}),
        ("brier", _SHARES, _SEVERAL, _brier, _SHARES, {}),
        ("accuracy", _SHARES, _SEVERAL, sk.accuracy_score, _SHARES.argmax(axis=1), {}),
        ("balanced_accuracy", _SHARES, _SEVERAL, sk.recall_score, _SHARES.argmax(axis=1), {}),
    ],
}


@pytest.mark.parametrize(("task", "k"), [(t, k) for t, c in _CASES.items() for k in range(len(c))])
def test_every_metric_of_every_task_is_that_of_scikit_learn(task, k):
    name, predicted, y, function, theirs, _ = _CASES[task][k]
    macro = {"average": "macro"} if name == "balanced_accuracy" else {}
    expected = function(y, theirs, sample_weight=_WEIGHT, **macro)
    assert float(_value(name, task, predicted, y, 3 if task == "classes" else 2)) == pytest.approx(
        expected, rel=1e-5
    )


def test_the_cases_are_all_metrics():
    for task, cases in _CASES.items():
        assert [case[0] for case in cases] == metrics.names(task)
    unjudged = {"any", "structure"}  # of networks, which no sweep takes; without a target
    assert set(_CASES) == set(methods.TASKS) - unjudged
    assert all(metric.name in metrics.listed() for metric in metrics.METRICS)


def test_the_default_is_r_squared_or_log_loss_or_accuracy_without_a_probability():
    found = {task: metrics.find(None, task).name for task in _CASES}
    assert found == {
        "number": "r_squared", "two classes": "log_loss", "classes": "log_loss",
        "two sides": "accuracy",
    }  # fmt: skip


def test_a_loss_is_negated_for_selection():
    for metric in metrics.METRICS:
        lower = any(word in metric.name for word in ("loss", "error", "brier"))
        assert metric.sign == (-1 if lower else 1)
        assert ("lower" in metrics.words(metric, ["a", "b"])) is lower
    assert metrics.words(metrics.find("recall", "two classes"), ["a", "b"]).startswith(
        "recall of b,"
    )


def test_equal_arguments_make_equal_scores_so_that_nothing_is_traced_twice():
    def predict(params, x):
        return x

    for task, name in (("classes", "balanced_accuracy"), ("two classes", "accuracy")):
        one, other = (metrics.score(metrics.find(name, task), task, predict, 3) for _ in range(2))
        assert one == other
        assert hash(one) == hash(other)


@pytest.mark.parametrize(
    ("name", "task", "sentence"),
    [
        ("r_sqared", "number", "there is no metric 'r_sqared' for this model; did you mean 'r_sq"),
        ("zzz", "number", "there are r_squared, mean_squared_error, mean_absolute_error."),
        ("accuracy", "number", "is not for a model that predicts a number; there are r_squared"),
        ("r-squared", "classes", "--metric r-squared is not for a model that predicts one of se"),
        ("roc_auc", "classes", "is not for a model that predicts one of several classes; there ar"),
        ("log_loss", "two sides", "predicts classes without probabilities; there are accu"),
    ],
)
def test_a_metric_that_the_task_has_not_is_refused_with_those_it_has(name, task, sentence):
    with pytest.raises(Refusal) as refused:
        metrics.find(name, task)
    assert sentence in str(refused.value)
