"""Bias and variance against loops of refits, their identities, and what ridge must show."""

import functools
from collections import Counter

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from jax.tree_util import Partial
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier

import mlmath
from mlmath.arguments import ArgumentError
from mlmath.evaluate.bias_variance import decompose, squared, zero_one
from mlmath.linear import logistic_regression, ridge, softmax_regression
from mlmath.statistics import resampling

KEY = jax.random.key(7)
B = 30


def label(params, x):
    return logistic_regression.log_odds(params, x) > 0


def kind(params, x):
    return jnp.argmax(softmax_regression.predict(params, x))


judged = jax.jit(zero_one)
HELD = np.arange(60) >= 40


@pytest.fixture
def data():
    """Forty training rows and twenty test rows of one table."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    return X, np.sin(2 * X[:, 0]) + X @ [0.5, -1.0, 0.3] + 0.3 * rng.normal(size=60)


@pytest.fixture
def weight():
    """Of all rows; of the training rows whole, as numbers of copies."""
    rng = np.random.default_rng(1)
    return np.where(HELD, rng.uniform(size=60), rng.integers(0, 3, size=60))


def counts(weight):
    """The resamples of the training rows."""
    weight = np.asarray(weight)[~HELD]
    return np.asarray(resampling.bootstrap_weights(KEY, weight, resamples=B)).astype(int)


@functools.partial(jax.jit, static_argnames="batch_size")
def refits(X, y, l2=1.0, weight=1.0, noise=0.0, batch_size=None):
    """B refits of ridge regression, test rows held out by a mask: one program for most tests."""
    s = jnp.broadcast_to(weight, y.shape)
    return decompose(
        KEY, Partial(ridge.fit, l2=l2), ridge.predict, X, y, X, y,
        into=Partial(squared, noise=noise), resamples=B, batch_size=batch_size,
        sample_weight=s * ~HELD, test_weight=s * HELD,
    )  # fmt: skip


def naive_squared(predictions, y, s):
    """Eq. (1) and (2), row by row."""
    error = bias = variance = 0.0
    for p, t, si in zip(predictions.T, y, s, strict=True):
        main = sum(p) / len(p)
        error += si * sum((t - pr) ** 2 for pr in p) / len(p)
        bias += si * (t - main) ** 2
        variance += si * sum((pr - main) ** 2 for pr in p) / len(p)
    return np.array([error, bias, variance]) / s.sum()


def naive_zero_one(predictions, y, s):
    """Eq. (3) and (4), row by row: error, B, V, cV."""
    total = np.zeros(4)
    for p, t, si in zip(predictions.T.tolist(), y.tolist(), s, strict=True):
        votes = Counter(p)
        main = min(c for c in votes if votes[c] == max(votes.values()))
        V = sum(pr != main for pr in p) / len(p)
        others = [pr for pr in p if pr != main]
        c = 1 if main == t else -sum(pr == t for pr in others) / max(len(others), 1)
        total += si * np.array([sum(pr != t for pr in p) / len(p), main != t, V, c * V])
    return total / s.sum()


def test_squared_error_is_that_of_a_loop_of_refits(data, weight):
    """Rows repeated as the resample says, scikit-learn, and the definition."""
    X, y = data[0][~HELD], data[1][~HELD]
    predictions = np.array(
        [
            Ridge(alpha=0.7).fit(X.repeat(c, axis=0), y.repeat(c)).predict(data[0][HELD])
            for c in counts(weight)
        ]
    )
    found = refits(*data, 0.7, weight)
    np.testing.assert_allclose(found.predictions[:, HELD], predictions, rtol=1e-9, atol=1e-9)
    parts = found.parts
    expected = naive_squared(predictions, data[1][HELD], weight[HELD])
    np.testing.assert_allclose(parts[:1] + parts[2:4], expected, rtol=1e-9)
    np.testing.assert_allclose(parts.main[HELD], predictions.mean(axis=0), rtol=1e-9)
    assert found.certificate.converged.shape == (B,)
    assert found.certificate.converged.all()


def test_zero_one_loss_is_that_of_a_loop_of_refits(data, weight):
    """Rows elsewhere than in the table, and another way to draw."""
    X, y = data[0], (data[1] > 0.2).astype(int)
    train, test, s = (X[~HELD], y[~HELD]), (X[HELD], (data[1][HELD] > 0).astype(int)), weight[~HELD]
    draw = resampling.bayesian_bootstrap
    peer = LogisticRegression(C=1 / 0.5, tol=1e-10, max_iter=1000)
    predictions = np.array(
        [
            peer.fit(*train, sample_weight=np.asarray(c)).predict(test[0])
            for c in resampling.bootstrap_weights(KEY, s, resamples=B, draw=draw)
        ]
    )
    found = decompose(
        KEY, Partial(logistic_regression.fit, l2=0.5), label, *train, *test,
        into=zero_one, sample_weight=s, resamples=B, draw=draw,
    )  # fmt: skip
    np.testing.assert_array_equal(found.predictions, predictions)
    expected = naive_zero_one(predictions, test[1], np.ones(20))
    assert 0 < expected[1] < 1  # some rows are biased
    np.testing.assert_allclose(found.parts[:4], expected, atol=1e-14)


@pytest.mark.parametrize("classes", [2, 5])
def test_zero_one_parts_are_their_definition(classes):
    rng = np.random.default_rng(classes)
    predictions, y = rng.integers(classes, size=(7, 300)), rng.integers(classes, size=300)
    s = rng.uniform(size=300)
    parts = judged(predictions, y, sample_weight=s)
    np.testing.assert_allclose(parts[:4], naive_zero_one(predictions, y, s), atol=1e-14)
    net = parts.unbiased_variance - parts.biased_variance
    np.testing.assert_allclose(parts.net_variance, net, atol=1e-15)
    np.testing.assert_allclose(parts.error, parts.bias + parts.net_variance, atol=1e-14)
    both = parts.unbiased_variance + parts.biased_variance
    if classes == 2:  # c = ±1
        np.testing.assert_allclose(parts.variance, both, atol=1e-14)
    else:
        assert parts.variance > both + 0.01


def test_zero_one_parts_of_trees_of_many_classes():
    """An unstable learner from elsewhere, so that ties and all kinds of rows occur."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 2))
    y = (np.arctan2(*X.T) // 1.3 + rng.integers(2, size=120)).astype(int)
    peer = DecisionTreeClassifier(random_state=0)
    predictions = np.array(
        [
            peer.fit(X[:80], y[:80], sample_weight=c).predict(X[80:])
            for c in rng.multinomial(80, np.full(80, 1 / 80), size=9)
        ]
    )  # fmt: skip
    expected = naive_zero_one(predictions, y[80:], np.ones(40))
    np.testing.assert_allclose(judged(predictions, y[80:])[:4], expected, atol=1e-14)


def test_many_classes_in_one_call():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(60, 2))
    y = (X @ rng.normal(size=(2, 3)) + rng.gumbel(size=(60, 3))).argmax(axis=1)
    fit = functools.partial(softmax_regression.fit, classes=3)
    found = decompose(KEY, fit, kind, X[:40], y[:40], X[40:], y[40:], into=zero_one, resamples=9)
    expected = naive_zero_one(np.asarray(found.predictions), y[40:], np.ones(20))
    np.testing.assert_allclose(found.parts[:4], expected, atol=1e-14)


def test_ties_go_to_the_lowest_class():
    parts = judged(np.array([[2, -1, 3], [0, 5, 3], [0, 5, 1], [2, -1, 1]]), np.array([0, 5, 3]))
    np.testing.assert_array_equal(parts.main, [0, -1, 1])


def test_parts_of_squared_error_add_up(data, weight):
    noise = np.random.default_rng(0).uniform(size=60)
    parts = refits(*data, 1.0, weight, noise).parts
    np.testing.assert_allclose(parts.noise, np.average(noise[HELD], weights=weight[HELD]))
    total = parts.noise + parts.squared_bias + parts.variance
    np.testing.assert_allclose(parts.error, total, rtol=1e-13)


def test_parts_of_ridge_over_new_noise_are_the_analytic_ones():
    """y = f + σε drawn anew: ŷ = aᵀy has variance σ²‖a‖² and bias aᵀf − f(x); t brings σ²."""
    rng = np.random.default_rng(0)
    n, l2, sigma, draws = 30, 8.0, 0.5, 2000
    X, X_test = rng.normal(size=(n, 3)), rng.normal(size=(20, 3))
    f, f_test = X @ [1.0, -1.0, 2.0], X_test @ [1.0, -1.0, 2.0]
    Z, Z_test = (np.c_[a, np.ones(len(a))] for a in (X, X_test))
    A = Z_test @ np.linalg.solve(Z.T @ Z + np.diag([l2, l2, l2, 0]), Z.T)
    Y = f + sigma * rng.normal(size=(draws, n))
    fits = jax.vmap(lambda y: ridge.fit(X, y, l2=l2).params)(Y)
    predictions = jax.vmap(mlmath.rows(ridge.predict), (0, None))(fits, X_test)
    variance, bias = sigma**2 * (A**2).sum(axis=1), (A @ f - f_test) ** 2

    truth = squared(predictions, f_test)  # t without noise
    error = 4 * np.sqrt(2 / draws) * variance.mean()  # rows scatter together at worst
    np.testing.assert_allclose(truth.variance, variance.mean(), atol=error)
    error = 4 * 2 * np.sqrt(bias * variance / draws).mean() + 16 * variance.mean() / draws
    np.testing.assert_allclose(truth.squared_bias, bias.mean(), atol=error)
    assert error < bias.mean() / 5

    T = f_test + sigma * rng.normal(size=(500, 20))  # noise, told to the function
    some = predictions[:50]
    found = jax.jit(jax.vmap(lambda t: squared(some, t, noise=sigma**2).squared_bias))(T)
    error = 4 * np.std(found) / np.sqrt(500)
    assert error < sigma**2 / 2  # or leaving the noise out would pass
    np.testing.assert_allclose(np.mean(found), squared(some, f_test).squared_bias, atol=error)


def test_a_true_model_without_penalty_has_no_bias(data):
    X, _ = data
    parts = refits(X, X @ np.array([1.0, -1.0, 2.0]) + 3, 0.0).parts
    assert parts.error < 1e-20
    assert refits(X, X[:, 0] ** 2, 0.0).parts.squared_bias > 0.1  # a false one has


def test_an_infinite_penalty_leaves_the_variance_of_the_mean(data, weight):
    y, found = data[1], refits(*data, 1e14, weight)
    means = counts(weight) @ y[~HELD] / weight[~HELD].sum()
    np.testing.assert_allclose(found.parts.variance, means.var(), rtol=1e-8)
    bias = np.average((y[HELD] - means.mean()) ** 2, weights=weight[HELD])
    np.testing.assert_allclose(found.parts.squared_bias, bias, rtol=1e-8)


def test_a_moderate_penalty_takes_variance_away(data):
    found = [refits(*data, l2).parts.variance for l2 in (0.01, 10.0, 100.0)]
    assert (np.diff(found) < 0).all()


def test_held_out_rows_do_not_reach_the_refits(data, weight):
    """The leak test: other held-out targets, the same fits to the last bit."""
    X, y = data
    found, other = refits(X, y, 1.0, weight), refits(X, np.where(HELD, 17.0, y), 1.0, weight)
    assert other.parts.error > 2 * found.parts.error
    np.testing.assert_array_equal(other.predictions, found.predictions)
    chex.assert_trees_all_equal(other.certificate, found.certificate)


def test_a_training_row_of_weight_zero_is_absent_whatever_it_holds(data, weight):
    X, y = data
    gone = np.flatnonzero(weight == 0)
    assert len(gone) > 3
    expected = refits(X, y, 1.0, weight).parts
    X, y = X.copy(), y.copy()
    X[gone[0]], y[gone[1]] = np.nan, np.inf
    np.testing.assert_array_equal(refits(X, y, 1.0, weight).parts[:4], expected[:4])


def test_a_test_row_of_weight_zero_is_absent_whatever_it_holds():
    rng = np.random.default_rng(0)
    p, y, s = rng.normal(size=(5, 4)), rng.normal(size=4), np.array([1.0, 0.0, 2.0, 1.0])
    p[2, 1], y[1] = np.nan, np.inf
    twice = [0, 2, 2, 3]
    found, expected = squared(p, y, sample_weight=s), squared(p[:, twice], y[twice])
    np.testing.assert_allclose(found[:4], expected[:4], rtol=1e-13)
    classes, t = np.round(p), np.round(y)
    found, expected = judged(classes, t, sample_weight=s), judged(classes[:, twice], t[twice])
    np.testing.assert_allclose(found[:6], expected[:6], rtol=1e-13)


def test_a_prediction_that_is_not_finite_shows(data):
    p, y = np.ones((5, 4)), np.ones(4)
    p[1, 2] = np.nan
    for parts in (squared(p, y), zero_one(p, y)):
        assert jnp.isnan(jnp.stack(parts[2:-1])).all()
        np.testing.assert_array_equal(np.isnan(parts.main), [False, False, True, False])
        assert jnp.isnan(parts.error)
    X, y = data
    found = refits(X, np.where(np.arange(60) == 0, np.nan, y))
    assert jnp.isnan(found.parts.error)
    assert not found.certificate.converged.any()


def test_refits_in_batches_and_in_float32_are_the_same(data):
    X, y = (a.astype(np.float32) for a in data)
    found, exact = refits(X, y, np.float32(1.0), batch_size=8), refits(*data)
    assert {a.dtype for a in found.parts} == {jnp.dtype("float32")}
    chex.assert_trees_all_close(found.parts, exact.parts, rtol=1e-3, atol=1e-5)
    assert found.predictions.shape == exact.predictions.shape


def test_float_types():
    p = np.random.default_rng(0).normal(size=(5, 4))
    for predictions, expected in [(p.astype(np.float32), np.float32), (p > 0, np.float64)]:
        parts = zero_one(predictions, predictions[0])
        assert {a.dtype for a in parts} == {jnp.dtype(expected)}


def test_numbers_and_keys_compile_nothing_anew(data):
    chex.clear_trace_counter()
    fit = chex.assert_max_traces(lambda *a, **k: ridge.fit(*a, **k), n=1)
    given = [(0, 1.0), (1, 1.0), (1, 2.0)]
    errors = {
        float(
            decompose(
                jax.random.key(seed), Partial(fit, l2=l2), ridge.predict, *data, *data, resamples=2
            ).parts.error
        )
        for seed, l2 in given
    }
    assert len(errors) == 3


def test_derivative_in_a_penalty_and_in_the_targets_is_right(data):
    X, y = data

    @jax.jit
    def number(l2, y):
        parts = refits(X, y, l2).parts
        return parts.squared_bias - parts.variance

    check_grads(number, (2.0, y), 1, modes=["rev"], eps=1e-4, atol=1e-5, rtol=1e-5)


def test_misuse_raises_one_sentence(data):
    X, y = data[0], (data[1] > 0).astype(int)
    with pytest.raises(ArgumentError, match=r"y must be a float array of shape \(n,\) with n = 4"):
        squared(np.ones((3, 4)), np.ones(5))
    fit = functools.partial(softmax_regression.fit, classes=2)
    with pytest.raises(ArgumentError, match=r"predictions must be .* of shape \(b, n\)"):
        decompose(
            KEY, fit, softmax_regression.predict, X, y, X, y, into=zero_one, resamples=2
        )  # fmt: skip
