"""What every metric promises, of each of them: one line per metric."""

import functools
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from mlmath.evaluate import decisions, metrics, probabilities, ranking, recommendation, residuals
from mlmath.linear import least_squares, logistic_regression, softmax_regression

N, K = 24, 3  # a multiple of the devices


class Case(NamedTuple):
    """A metric under examination."""

    metric: Callable[..., Any]
    predicted: str
    y: str
    numbers: dict[str, int] = {}  # noqa: RUF012
    sums: bool = False  # it is a sum, not a mean
    sorts: bool = False  # rows on several devices are gathered


CASES = {
    "accuracy": Case(metrics.accuracy, "class", "class"),
    "balanced_accuracy": Case(metrics.balanced_accuracy, "class", "class", {"classes": K}),
    "confusion_matrix": Case(metrics.confusion_matrix, "class", "class", {"classes": K}, sums=True),
    "precision": Case(metrics.precision, "binary", "binary"),
    "recall": Case(metrics.recall, "binary", "binary"),
    "f_score": Case(metrics.f_score, "binary", "binary"),
    "log_loss": Case(metrics.log_loss, "distribution", "class"),
    "binary_log_loss": Case(metrics.binary_log_loss, "probability", "binary"),
    "brier": Case(metrics.brier, "probability", "binary"),
    "multiclass_brier": Case(metrics.multiclass_brier, "distribution", "class"),
    "roc_auc": Case(metrics.roc_auc, "probability", "binary", sorts=True),
    "average_precision": Case(metrics.average_precision, "probability", "binary", sorts=True),
    "r_squared": Case(metrics.r_squared, "number", "number"),
    "mean_squared_error": Case(metrics.mean_squared_error, "number", "number"),
    "mean_absolute_error": Case(metrics.mean_absolute_error, "number", "number"),
}
every = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def draw(kind, seed, rows=N):
    rng = np.random.default_rng([seed, len(kind)])
    if kind == "distribution":
        return rng.dirichlet(np.ones(K), size=rows)
    return {
        "class": lambda: rng.integers(0, K, rows).astype(float),
        "binary": lambda: rng.integers(0, 2, rows).astype(float),
        "probability": lambda: rng.integers(1, 10, rows) / 10,
        "number": lambda: rng.normal(size=rows) + 2,
    }[kind]()


def drawn(case):
    metric = functools.partial(case.metric, **case.numbers)
    return metric, draw(case.predicted, 0), draw(case.y, 1)


def test_every_metric_is_examined():
    others = {"decided", "most_probable", "roc_curve", "precision_recall_curve"}
    others |= set(recommendation.__all__)  # of lists: in their own tests
    functions = {name for name in metrics.__all__ if name[0].islower()}
    assert functions == set(CASES) | others


@pytest.mark.parametrize("module", [decisions, probabilities, ranking, recommendation, residuals])
def test_metrics_offers_what_its_modules_hold(module):
    for name in module.__all__:
        assert getattr(metrics, name) is getattr(module, name)


@every
def test_a_weight_counts_as_repetition(case):
    metric, predicted, y = drawn(case)
    s = np.arange(N) % 3  # as many rows as before
    repeated = metric(predicted.repeat(s, axis=0), y.repeat(s))
    np.testing.assert_allclose(metric(predicted, y, sample_weight=s + 0.0), repeated, rtol=1e-13)


@every
def test_no_weights_are_weights_of_1(case):
    metric, predicted, y = drawn(case)
    ones = metric(predicted, y, sample_weight=np.ones(N))
    np.testing.assert_allclose(metric(predicted, y), ones, rtol=1e-14)


@every
@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_a_factor_on_all_weights_does_not_matter(case, factor):
    metric, predicted, y = drawn(case)
    s = np.random.default_rng(2).uniform(size=N)
    expected = metric(predicted, y, sample_weight=s) * (factor if case.sums else 1)
    found = metric(predicted, y, sample_weight=factor * s)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@every
def test_the_order_of_the_rows_does_not_matter(case):
    metric, predicted, y = drawn(case)
    s, order = np.random.default_rng(2).uniform(size=N), np.random.default_rng(3).permutation(N)
    found = metric(predicted[order], y[order], sample_weight=s[order])
    np.testing.assert_allclose(found, metric(predicted, y, sample_weight=s), rtol=1e-12)


@every
@pytest.mark.parametrize("spoilt", ["predicted", "y", "both"])
def test_nan_shows_where_it_counts_and_only_there(case, spoilt):
    metric, predicted, y = drawn(case)
    s = np.ones(N)
    s[5] = 0
    lost_predicted, lost_y = predicted.copy(), y.copy()
    if spoilt != "y":
        lost_predicted[5] = np.nan
    if spoilt != "predicted":
        lost_y[5] = np.nan
    assert np.isnan(metric(lost_predicted, lost_y)).all()
    assert np.isnan(metric(lost_predicted, lost_y, sample_weight=1 - s)).all()

    def value(predicted, y, s):
        return metric(predicted, y, sample_weight=s)

    np.testing.assert_allclose(value(lost_predicted, lost_y, s), value(predicted, y, s), rtol=1e-14)
    slopes = jax.jit(jax.jacobian(value, (0, 2)))
    lost, clean = slopes(lost_predicted, lost_y, s), slopes(predicted, y, s)
    for slope, expected, rank in zip(lost, clean, (predicted.ndim, 1), strict=True):
        axis = slope.ndim - rank
        others = [np.delete(np.asarray(a), 5, axis=axis) for a in (slope, expected)]
        np.testing.assert_allclose(*others, rtol=1e-12, atol=1e-15)
        assert np.isfinite(slope).all()
    assert (np.take(np.asarray(lost[0]), 5, axis=lost[0].ndim - predicted.ndim) == 0).all()


@every
def test_derivatives_in_the_weights_are_differences(case):
    metric, predicted, y = drawn(case)
    s = np.random.default_rng(2).uniform(size=N)
    s[3] = 0

    def value(s):
        return metric(predicted, y, sample_weight=s)

    slope = jax.jit(jax.jacobian(value))(s)
    for i in (3, 4):
        step = 1e-6 * np.eye(N)[i]
        difference = (np.asarray(value(s + step)) - np.asarray(value(s - step))) / 2e-6
        np.testing.assert_allclose(np.asarray(slope)[..., i], difference, rtol=1e-5, atol=1e-8)


@every
def test_no_weight_at_all_is_no_answer(case):
    metric, predicted, y = drawn(case)
    nothing = metric(predicted, y, sample_weight=np.zeros(N))
    assert (nothing == 0).all() if case.sums else np.isnan(nothing)


@every
def test_jit_and_vmap_equal_eager(case):
    metric, _, y = drawn(case)
    batch = np.stack([draw(case.predicted, seed) for seed in range(3)])
    s = np.random.default_rng(2).uniform(size=(2, N))
    found = jax.jit(
        jax.vmap(jax.vmap(lambda p, s: metric(p, y, sample_weight=s), (0, None)), (None, 0))
    )(batch, s)  # folds outside, candidates inside
    expected = [[metric(p, y, sample_weight=row) for p in batch] for row in s]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@every
def test_numpy_equals_jax_and_float32_stays(case):
    metric, predicted, y = drawn(case)
    s = np.random.default_rng(2).uniform(size=N)
    expected = metric(predicted, y, sample_weight=s)
    assert expected.dtype == np.float64
    found = metric(*map(jnp.asarray, (predicted, y)), sample_weight=jnp.asarray(s))
    np.testing.assert_array_equal(found, expected)
    narrow = (a.astype(np.float32) for a in (predicted, y, s))
    found = metric(next(narrow), next(narrow), sample_weight=next(narrow))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=2e-6)


@every
def test_misuse_is_refused_in_a_sentence(case):
    metric, predicted, y = drawn(case)
    with pytest.raises(TypeError, match=r"y must be .* of shape \(n,\)"):
        metric(predicted, y[:-1])
    with pytest.raises(TypeError, match=r"y must be .* of shape \(n,\)"):
        metric(predicted, y[:, None])
    with pytest.raises(TypeError, match="sample_weight must be"):
        metric(predicted, y, sample_weight=np.ones(N - 1))
    with pytest.raises(ValueError, match="at least one row to judge, got none"):
        metric(predicted[:0], y[:0])


@every
def test_rows_on_several_devices_stay_where_they_are(case):
    metric, predicted, y = drawn(case)
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
    rows = NamedSharding(mesh, PartitionSpec("rows"))
    s = np.random.default_rng(2).uniform(size=N)
    placed = [jax.device_put(a, rows) for a in (predicted, y, s)]
    program = jax.jit(lambda p, y, s: metric(p, y, sample_weight=s)).lower(*placed).compile()
    moves = re.search("all-gather|all-to-all|collective-permute", program.as_text())
    assert bool(moves) == case.sorts
    np.testing.assert_allclose(program(*placed), metric(predicted, y, sample_weight=s), rtol=1e-12)


def test_what_methods_predict_is_judged():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 2))
    z = X @ [1.0, -2.0] + rng.logistic(size=N)
    y = (z > 0).astype(int)
    params = logistic_regression.fit(X, y).params
    p = jax.vmap(logistic_regression.predict, (None, 0))(params, X)
    guessed = jax.vmap(metrics.decided)(p)
    np.testing.assert_allclose(metrics.accuracy(guessed, y), np.mean((p > 0.5) == y))
    losses = jax.vmap(logistic_regression.loss, (None, 0, 0))(params, X, y)
    np.testing.assert_allclose(metrics.binary_log_loss(p, y), losses.mean(), rtol=1e-12)
    y = np.digitize(z, [-1, 1])
    params = softmax_regression.fit(X, y, classes=3).params
    P = jax.vmap(softmax_regression.predict, (None, 0))(params, X)
    guessed = jax.vmap(metrics.most_probable)(P)
    np.testing.assert_allclose(metrics.accuracy(guessed, y), np.mean(P.argmax(axis=1) == y))
    losses = jax.vmap(softmax_regression.loss, (None, 0, 0))(params, X, y)
    np.testing.assert_allclose(metrics.log_loss(P, y), losses.mean(), rtol=1e-12)
    fitted = least_squares.fit(X, z)
    predicted = jax.vmap(least_squares.predict, (None, 0))(fitted.params, X)
    expected = least_squares.summarize(fitted, X, z).r_squared
    np.testing.assert_allclose(metrics.r_squared(predicted, z), expected, rtol=1e-10)
