from types import SimpleNamespace

import jax
import numpy as np
import polars as pl
import pytest

from mlmath.cli import candidates, examples, fit, methods, metrics, validation
from mlmath.data.readers import Source
from mlmath.evaluate import folds
from mlmath.linear import ridge


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def _options(**given):
    return SimpleNamespace(**(fit.Plain()._asdict() | {"folds": 4, "repeats": 1} | given))


def _gathered(table, task, options):
    return examples.gather(Source(table, "t", "", None), task, options)


@pytest.fixture
def table():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 70))
    y = a - b + rng.normal(size=70)
    s = rng.integers(1, 3, 70)
    return pl.DataFrame({"a": a, "b": 10 * b, "s": s, "y": y})


def _validated(table, values, **given):
    options = _options(**given)
    gathered = _gathered(table, "number", options)
    method, metric = methods.find("ridge"), metrics.find("mean_squared_error", "number")
    found = validation.validate(method, gathered, options, {}, values, metric, "float64")
    return found, gathered, options


def _naive(X, y, s, parts, l2):
    """Standardise, fit and score by hand, fold by fold."""
    scores = []
    for train, test in zip(np.asarray(parts.train), np.asarray(parts.test), strict=True):
        center = np.average(X[train], axis=0, weights=s[train])
        scale = np.sqrt(np.average((X[train] - center) ** 2, axis=0, weights=s[train]))
        Z = (X - center) / scale
        params = ridge.fit(Z[train], y[train], l2=l2, sample_weight=s[train]).params
        residual = y[test] - Z[test] @ np.asarray(params.weights) - params.bias
        scores.append(np.average(residual**2, weights=s[test]))
    return np.array(scores)


def test_every_score_is_that_of_a_loop_over_folds_and_candidates(table, monkeypatch):
    monkeypatch.setattr(validation, "_MOST", 4)  # 7 candidates are two chunks of 4, one filled
    values = {"l2": [0.01, 0.1, 1.0, 10.0, 30.0, 100.0, 1000.0]}
    found, gathered, options = _validated(table, values, weight="s", repeats=2, seed=3)
    parts = validation.drawn(gathered, options, length=70)
    X, y, s = (table[["a", "b"]].to_numpy(), table["y"].to_numpy(), table["s"].to_numpy())
    for c, l2 in enumerate(values["l2"]):
        expected = _naive(X, y, s.astype(float), parts, l2)
        np.testing.assert_allclose(found.scores[:, c], expected, rtol=1e-9)
    mean = found.scores.mean(axis=0)
    np.testing.assert_allclose(found.choice.mean, -mean)
    assert found.choice.best == mean.argmin()
    error = found.scores.std(axis=0, ddof=1) / np.sqrt(8)
    within = mean <= mean.min() + error[mean.argmin()]
    assert found.choice.simplest == np.flatnonzero(within).max()
    assert found.converged.tolist() == [8] * 7
    np.testing.assert_array_equal(found.grid["l2"], values["l2"])


def test_folds_and_candidates_share_one_program(table, monkeypatch):
    seen = []

    def listen(event, seconds, **_):
        seen.append(event)

    _validated(table, {"l2": [0.5, 1.0, 2.0]})
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        _validated(table, {"l2": [3.0, 4.0, 5.0]}, repeats=1, seed=1)
    finally:
        jax.monitoring.clear_event_listeners()
    assert "/jax/core/compile/backend_compile_duration" not in seen


def test_folds_are_those_of_the_library_and_false_on_the_padding(table):
    gathered, options = _gathered(table, "number", _options()), _options(repeats=3, seed=5)
    parts = validation.drawn(gathered, options, length=80)
    assert parts.test.shape == (12, 80)
    assert not parts.train[:, 70:].any()
    assert not parts.test[:, 70:].any()
    expected = folds.repeated(jax.random.key(5), lambda k: folds.k_fold(k, 70, folds=4), repeats=3)
    np.testing.assert_array_equal(parts.test[:, :70], expected.test)
    assert (parts.test.reshape(3, 4, 80).sum(axis=1)[:, :70] == 1).all()


def test_folds_of_classes_are_stratified():
    kind = ["u"] * 40 + ["v"] * 8
    table = pl.DataFrame({"a": np.arange(48.0), "y": kind})
    gathered = _gathered(table, "two classes", _options())
    parts = validation.drawn(gathered, _options(), length=64)
    assert (np.asarray(parts.test)[:, 40:48].sum(axis=1) == 2).all()


def test_the_held_out_rows_of_a_fold_do_not_reach_its_training_through_filled_gaps(table):
    """Each fold's score follows from its own rows: a mean over all rows would leak into it."""
    gaps = table.with_columns(pl.when(pl.arange(70) % 3 == 0).then(None).otherwise("a").alias("a"))
    values = {"l2": [1.0]}
    found, gathered, options = _validated(gaps, values, missing="mean", ignore=("s",))
    parts = validation.drawn(gathered, options, length=70)
    mark = gaps["a"].is_null().to_numpy()
    for k, train in enumerate(np.asarray(parts.train)):
        mean = gaps["a"].filter(pl.Series(train)).mean()
        X = np.stack([gaps["a"].fill_null(mean), mark, gaps["b"]], axis=1).astype(float)
        one = folds.Folds(parts.train[k : k + 1], parts.test[k : k + 1])
        expected = _naive(X, gaps["y"].to_numpy(), np.ones(70), one, 1.0)
        np.testing.assert_allclose(found.scores[k], expected, rtol=1e-9)


def test_what_fixes_the_program_is_bound_and_numbers_are_data():
    method = methods.find("adaline")
    bound = validation._bound(len, method, {"epochs": 3, "decay": 0.5})
    assert jax.tree.leaves(bound) == [0.5]
    many = validation._bound(len, methods.find("softmax_regression"), {"classes": 3, "l2": 2.0})
    assert jax.tree.leaves(many) == [2.0]


def test_a_call_holds_as_many_candidates_as_the_memory_allows():
    def data(n, d):
        return SimpleNamespace(X=np.zeros((n, d)))

    assert validation._size(data(100, 4), 0, 30) == 30
    assert validation._size(data(100, 4), 0, 100) == 50
    assert validation._size(data(1 << 20, 1), 4, 100) == 3
    assert validation._size(data(1 << 25, 1), 0, 100) == 1


def test_a_score_that_is_not_finite_is_nan(table):
    found, _, _ = _validated(table, {"l2": [1.0, float("nan")]})
    assert np.isnan(found.scores[:, 1]).all()
    assert found.choice.failed == 1
    assert found.choice.best == 0


def test_candidates_of_two_names_are_their_product(table):
    values = {"l2": [1.0, 100.0], "tolerance": [1e-9, 1e-3, 1e-1]}
    found, _, _ = _validated(table, values)
    assert found.scores.shape == (4, 6)
    np.testing.assert_array_equal(found.grid["l2"], candidates.grid(values)["l2"])
    np.testing.assert_allclose(found.scores[:, :3], found.scores[:, :1] @ np.ones((1, 3)))
