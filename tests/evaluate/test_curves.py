"""Curves against scikit-learn's on the same subsets and folds, loops of fits, and their laws."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from sklearn import model_selection
from sklearn.linear_model import LogisticRegression, Ridge

import mlmath
from mlmath.evaluate import curves
from mlmath.evaluate.folds import Folds
from mlmath.linear import logistic_regression, ridge, softmax_regression

KEY = jax.random.key(5)
SIZES = np.array([8, 15, 30, 40])
PENALTIES = np.logspace(-2, 3, 4)


def r_squared(params, X, y, *, sample_weight):
    residual = y - mlmath.rows(ridge.predict)(params, X)
    mean = jnp.average(y, weights=sample_weight)
    return 1 - sample_weight @ residual**2 / (sample_weight @ (y - mean) ** 2)


def log_likelihood(params, X, y, *, sample_weight):
    losses = jax.vmap(logistic_regression.loss, (None, 0, 0))(params, X, y)
    return -sample_weight @ losses / sample_weight.sum()


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    return X, X @ [1.0, -1.0, 0.5] + 1 + rng.normal(size=60)


@pytest.fixture
def folds():
    """Three folds of 40 training rows; six rows are in none."""
    part = np.random.default_rng(1).permutation(np.r_[np.repeat(np.arange(3), 18), np.full(6, 3)])
    test = part == np.arange(3)[:, None]
    test[0, np.flatnonzero(part == 3)[:2]] = True
    train = ~test
    for k in range(3):
        train[k, np.flatnonzero(train[k])[40:]] = False
    return Folds(train, test)


@pytest.fixture
def weight():
    return np.random.default_rng(2).integers(0, 3, size=60).astype(float)


def order(k, mask):
    """Rows of a fold in the order in which they are learnt from."""
    drawn = np.asarray(jax.random.permutation(jax.random.split(KEY, 3)[k], 60))
    return drawn[mask[drawn]]


def splits(folds):
    return [
        (order(k, train), np.flatnonzero(test))
        for k, (train, test) in enumerate(zip(folds.train, folds.test, strict=True))
    ]


def ridge_curve(data, folds, *, score=r_squared, l2=0.7, **more):
    fit = Partial(ridge.fit, l2=l2)
    return curves.learning_curve(KEY, fit, score, *data, folds, SIZES, **more)


def test_the_folds_of_these_tests_are_what_they_claim(folds):
    assert (folds.train.sum(axis=1) == 40).all()
    assert not (folds.train & folds.test).any()


def test_learning_curve_of_ridge_is_that_of_scikit_learn(data, folds):
    _, train, test = model_selection.learning_curve(
        Ridge(alpha=0.7), *data, train_sizes=SIZES, cv=splits(folds), scoring="r2"
    )
    found = ridge_curve(data, folds)
    np.testing.assert_allclose(found.train_scores, train.T, rtol=1e-8)
    np.testing.assert_allclose(found.test_scores, test.T, rtol=1e-8)
    np.testing.assert_array_equal(found.sizes, SIZES)
    assert found.certificate.converged.shape == (3, 4)
    assert found.certificate.converged.all()


def test_curves_of_logistic_regression_are_those_of_scikit_learn(data, folds):
    X, y = data[0], (data[1] > 1).astype(int)
    given = {"cv": splits(folds), "scoring": "neg_log_loss"}
    peer = LogisticRegression(solver="newton-cholesky", tol=1e-12, C=1 / 0.5)
    fit = Partial(logistic_regression.fit, l2=0.5, tolerance=0.0)  # to the last digit
    _, train, test = model_selection.learning_curve(peer, X, y, train_sizes=SIZES[1:], **given)
    found = curves.learning_curve(KEY, fit, log_likelihood, X, y, folds, SIZES[1:])
    np.testing.assert_allclose(found.train_scores, train.T, rtol=1e-8)
    np.testing.assert_allclose(found.test_scores, test.T, rtol=1e-8)
    train, test = model_selection.validation_curve(
        peer, X, y, param_name="C", param_range=1 / PENALTIES, **given
    )
    grid = {"l2": PENALTIES, "tolerance": np.zeros(len(PENALTIES))}
    found = curves.validation_curve(logistic_regression.fit, log_likelihood, X, y, folds, grid)
    np.testing.assert_allclose(found.train_scores, train.T, rtol=1e-8)
    np.testing.assert_allclose(found.test_scores, test.T, rtol=1e-8)


def test_validation_curve_of_ridge_is_that_of_scikit_learn(data, folds):
    train, test = model_selection.validation_curve(
        Ridge(), *data, param_name="alpha", param_range=PENALTIES, cv=splits(folds), scoring="r2"
    )
    found = curves.validation_curve(ridge.fit, r_squared, *data, folds, {"l2": PENALTIES})
    np.testing.assert_allclose(found.train_scores, train.T, rtol=1e-8)
    np.testing.assert_allclose(found.test_scores, test.T, rtol=1e-8)
    np.testing.assert_array_equal(found.numbers["l2"], PENALTIES)
    assert found.certificate.converged.shape == (3, 4)


def test_curves_are_their_definition_with_weights(data, folds, weight):
    """Eq. (1)–(4) in loops over rows that are there as often as their weight says."""
    X, y = data
    learnt = ridge_curve(data, folds, sample_weight=weight)
    swept = curves.validation_curve(
        ridge.fit, r_squared, X, y, folds, {"l2": PENALTIES}, sample_weight=weight
    )
    for k, (train, test) in enumerate(splits(folds)):
        copies = [i for i in train for _ in range(int(weight[i]))]
        held = [i for i in test for _ in range(int(weight[i]))]
        for t, size in enumerate(SIZES):
            rows = copies[:size]  # a row of weight 2 comes at once, the last one in part
            peer = Ridge(alpha=0.7).fit(X[rows], y[rows])
            np.testing.assert_allclose(learnt.train_scores[k, t], peer.score(X[rows], y[rows]))
            np.testing.assert_allclose(learnt.test_scores[k, t], peer.score(X[held], y[held]))
        for c, l2 in enumerate(PENALTIES):
            peer = Ridge(alpha=l2).fit(X[copies], y[copies])
            scores = swept.train_scores[k, c], swept.test_scores[k, c]
            expected = peer.score(X[copies], y[copies]), peer.score(X[held], y[held])
            np.testing.assert_allclose(scores, expected, rtol=1e-8)


def test_all_examples_give_the_fit_to_the_whole_fold(data, folds):
    last = ridge_curve(data, folds, l2=PENALTIES[1])
    swept = curves.validation_curve(ridge.fit, r_squared, *data, folds, {"l2": PENALTIES})
    np.testing.assert_allclose(last.train_scores[:, -1], swept.train_scores[:, 1], rtol=1e-12)
    np.testing.assert_allclose(last.test_scores[:, -1], swept.test_scores[:, 1], rtol=1e-12)


def test_the_error_falls_with_examples_as_theory_says():
    """Least squares on d Gaussian features: E (t − ŷ)² = σ² (1 + 1/t)(t − 2)/(t − d − 2)."""
    rng = np.random.default_rng(0)
    n, d, tables = 60, 3, 1500
    X = rng.normal(size=(tables, n, d))
    y = X @ [1.0, -1.0, 0.5] + 1 + 0.5 * rng.normal(size=(tables, n))
    held = (np.arange(n) >= 40)[None]

    def squared_error(params, X, y, *, sample_weight):
        residual = y - mlmath.rows(ridge.predict)(params, X)
        return sample_weight @ residual**2 / sample_weight.sum()

    def curve(key, X, y):
        fit, folds = Partial(ridge.fit, l2=0.0), Folds(~held, held)
        return curves.learning_curve(key, fit, squared_error, X, y, folds, SIZES).test_scores[0]

    found = np.asarray(jax.vmap(curve)(jax.random.split(KEY, tables), X, y))
    expected = 0.25 * (1 + 1 / SIZES) * (SIZES - 2) / (SIZES - d - 2)
    error = found.std(axis=0) / np.sqrt(tables)
    assert (error < expected / 15).all()
    assert (np.abs(found.mean(axis=0) - expected) < 4 * error).all()


def test_held_out_rows_do_not_reach_the_fit(data, folds):
    """The leak test: with other held-out rows the fits are the same to the last bit."""
    X, y = data
    moved = X.copy(), y.copy()
    moved[0][folds.test[0]], moved[1][folds.test[0]] = 7.0, 40.0
    for curve in (
        ridge_curve,
        lambda data, folds: curves.validation_curve(
            ridge.fit, r_squared, *data, folds, {"l2": PENALTIES}
        ),
    ):
        expected, found = curve(data, folds), curve(moved, folds)
        np.testing.assert_array_equal(found.train_scores[0], expected.train_scores[0])
        chex.assert_trees_all_equal(*(
            jax.tree.map(lambda a: a[0], c.certificate) for c in (found, expected)
        ))  # fmt: skip
        assert (found.test_scores[0] < expected.test_scores[0] - 1).all()


def test_a_row_of_weight_zero_is_absent_whatever_it_holds(data, folds, weight):
    X, y = data[0].copy(), data[1].copy()
    expected = ridge_curve(data, folds, sample_weight=weight, score=clean)
    X[weight == 0], y[np.flatnonzero(weight == 0)[0]] = np.nan, np.inf
    found = ridge_curve((X, y), folds, sample_weight=weight, score=clean)
    chex.assert_trees_all_close(found, expected, rtol=1e-12)
    y[folds.test[0]] = np.nan  # rows that count, absent from the fits of the first fold only
    found = ridge_curve((X, y), folds, sample_weight=weight, score=clean)
    np.testing.assert_allclose(found.train_scores[0], expected.train_scores[0], rtol=1e-12)
    assert np.isnan(found.test_scores[0]).all()
    assert np.isnan(found.train_scores[1:, -1]).all()


def clean(params, X, y, *, sample_weight):
    """A score that keeps the law of weights, as those of the house do."""
    return -ridge.objective(params, X, y, l2=0.0, sample_weight=sample_weight)


def test_a_fold_with_less_takes_all_it_has_and_no_examples_give_nan(data, folds):
    fit = Partial(ridge.fit, l2=0.7)
    found = curves.learning_curve(KEY, fit, r_squared, *data, folds, np.array([0, 8, 40, 1000]))
    np.testing.assert_array_equal(found.sizes, [0, 8, 40, 40])
    np.testing.assert_array_equal(found.test_scores[:, 3], found.test_scores[:, 2])
    assert np.isnan(found.test_scores[:, 0]).all()
    assert np.isfinite(found.test_scores[:, 1:]).all()


def test_batches_and_float32_give_the_same(data, folds):
    single = tuple(a.astype(np.float32) for a in data)
    found = ridge_curve(single, folds, l2=np.float32(0.7), batch_size=3)
    expected = ridge_curve(data, folds)
    assert found.sizes.dtype == found.test_scores.dtype == jnp.float32
    np.testing.assert_allclose(found.test_scores, expected.test_scores, rtol=1e-4, atol=1e-5)
    grid = {"l2": PENALTIES.astype(np.float32)}
    found = curves.validation_curve(ridge.fit, r_squared, *single, folds, grid, batch_size=3)
    expected = curves.validation_curve(ridge.fit, r_squared, *data, folds, {"l2": PENALTIES})
    np.testing.assert_allclose(found.test_scores, expected.test_scores, rtol=1e-4, atol=1e-5)


def test_new_numbers_compile_nothing_anew(data, folds):
    chex.clear_trace_counter()
    fit = chex.assert_max_traces(lambda *a, **k: ridge.fit(*a, **k), n=1)
    for seed in (0, 1):
        key, l2 = jax.random.key(seed), 1.0 + seed
        curves.learning_curve(key, Partial(fit, l2=l2), r_squared, *data, folds, SIZES + seed)


def test_derivative_in_the_values_is_right(data, folds):
    @jax.jit
    def total(values):
        found = curves.validation_curve(ridge.fit, r_squared, *data, folds, {"l2": values})
        return jnp.sum(found.test_scores - found.train_scores)

    values, h = jnp.array([0.5, 2.0, 10.0, 50.0]), 1e-4
    expected = [(total(values + h * e) - total(values - h * e)) / (2 * h) for e in np.eye(4)]
    np.testing.assert_allclose(jax.grad(total)(values), expected, rtol=1e-5)


def test_misuse_raises_one_sentence(data, folds):
    X, y = data

    def learn(folds=folds, sizes=SIZES, score=r_squared):
        curves.learning_curve(KEY, ridge.fit, score, X, y, folds, sizes)

    def sweep(grid, fit=ridge.fit):
        curves.validation_curve(fit, r_squared, X, y, folds, grid)

    with pytest.raises(ValueError, match=r"sizes must hold at least one number of examples"):
        learn(sizes=SIZES[:0])
    with pytest.raises(ValueError, match=r"folds must hold at least one fold, got none"):
        learn(Folds(folds.train[:0], folds.test[:0]))
    with pytest.raises(TypeError, match=r"folds .* does not fit the other arguments with n = 60"):
        learn(Folds(folds.train, folds.test[:, 1:]))
    with pytest.raises(ValueError, match=r"score must return one number, got .* \(60,\)"):
        learn(score=lambda params, X, y, *, sample_weight: y)
    with pytest.raises(ValueError, match=r"grid must hold at least one candidate, got none"):
        sweep({})
    with pytest.raises(ValueError, match=r"grid\['l2'\] must be an array of candidates"):
        sweep({"l2": 1.0})
    with pytest.raises(ValueError, match=r"must have one length, got l2 4, tolerance 3"):
        sweep({"l2": PENALTIES, "tolerance": PENALTIES[:3]})
    with pytest.raises(
        ValueError, match=r"the fit takes no 'tolerence'; did you mean 'tolerance'\?"
    ):
        sweep({"tolerence": PENALTIES})
    with pytest.raises(ValueError, match=r"the fit takes no 'depth'; it takes classes, l2"):
        sweep({"depth": PENALTIES}, softmax_regression.fit)
