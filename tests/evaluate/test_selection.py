"""Selection against its definition, scikit-learn, and a loop in Python."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import linear_model
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold

from mlmath.data import datasets
from mlmath.evaluate import selection
from mlmath.evaluate.folds import Folds
from mlmath.linear import least_squares, logistic_regression, ridge, softmax_regression
from tests.evaluate.test_validation import drawn, identity, r_squared

L2 = np.logspace(-2, 3, 6)


def accuracy(predicted, y, *, sample_weight=None):
    return sample_weight @ (jnp.round(predicted) == y) / sample_weight.sum()


def share(predicted, y, *, sample_weight=None):
    return sample_weight @ (predicted.argmax(axis=1) == y) / sample_weight.sum()


def log_loss(predicted, y, *, sample_weight=None):
    losses = -jnp.log(jnp.where(y == 1, predicted, 1 - predicted))
    return sample_weight @ losses / sample_weight.sum()


def masks(splitter, X, y=None):
    test = np.stack([np.isin(np.arange(len(X)), held) for _, held in splitter.split(X, y)])
    return Folds(~test, test)


def standardised(name):
    X, y = datasets.arrays(name)
    X = np.asarray(X, np.float64)
    spread = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1), np.asarray(y)


def problem(name):
    """A method of ours, its counterpart, data, folds, and what the scores are."""
    if name in ("ridge", "least_squares"):
        X, y = standardised("diabetes")
        split = KFold(5, shuffle=True, random_state=0)
        if name == "ridge":
            theirs = (linear_model.Ridge(tol=1e-12), {"alpha": L2})
            return ridge.fit, ridge.predict, r_squared, theirs, X, y, split, "r2", {"l2": L2}
        theirs = (linear_model.LinearRegression(), {"fit_intercept": [True]})
        grid = {"tolerance": np.array([1e-12])}
        return (
            least_squares.fit, least_squares.predict, r_squared, theirs, X, y, split, "r2", grid,
        )  # fmt: skip
    split = StratifiedKFold(5, shuffle=True, random_state=0)
    logistic = linear_model.LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=500)
    theirs = (logistic, {"C": 1 / L2})
    if name == "softmax_regression":
        X, y = standardised("iris")
        fit = functools.partial(softmax_regression.fit, classes=3)
        return fit, softmax_regression.predict, share, theirs, X, y, split, "accuracy", {"l2": L2}
    X, y = standardised("breast_cancer")
    grid = {"l2": L2} | ({} if name == "accuracy" else {"tolerance": np.zeros(len(L2))})
    metric, scoring = (accuracy, "accuracy") if name == "accuracy" else (log_loss, "neg_log_loss")
    return (
        logistic_regression.fit, logistic_regression.predict, metric, theirs, X, y, split,
        scoring, grid,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "dtype", "error"),
    [(name, *kind) for kind in ((np.float64, 1e-8), (np.float32, 1e-5))
     for name in ("ridge", "least_squares", "accuracy", "softmax_regression")]
    + [("log loss", np.float64, 1e-8)],
)  # fmt: skip
def test_scores_are_those_of_scikit_learn(name, dtype, error):
    fit, predict, metric, (estimator, grid), X, y, split, scoring, ours = problem(name)
    make = selection.of_loss if metric is log_loss else selection.scorer
    folds = masks(split, X, y)
    target = y.astype(dtype) if metric is r_squared else y
    found = selection.search(
        fit, make(predict, metric), X.astype(dtype), target, folds,
        {k: np.asarray(v, dtype) for k, v in ours.items()},
    )  # fmt: skip
    peer = GridSearchCV(estimator, grid, cv=split, scoring=scoring).fit(X, y)
    scores = np.stack([peer.cv_results_[f"split{k}_test_score"] for k in range(5)])
    np.testing.assert_allclose(found.scores, scores, atol=error, rtol=0)
    np.testing.assert_allclose(found.choice.mean, peer.cv_results_["mean_test_score"], atol=error)
    if dtype == np.float64:
        assert found.choice.best == peer.best_index_
        weights = found.params.weights
        if name != "softmax_regression":
            np.testing.assert_allclose(weights, np.ravel(peer.best_estimator_.coef_), atol=1e-6)


def test_the_choice_is_equations_1_and_2():
    rng = np.random.default_rng(0)
    hump = -(((np.arange(30) - 15) / 8) ** 2)
    scores = hump[None] + rng.normal(size=(5, 30)) / 5 + rng.normal(size=(5, 1))
    found = selection.choose(scores)
    mean = scores.sum(axis=0) / 5
    error = np.sqrt(((scores - mean) ** 2).sum(axis=0) / (5 * 4))
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.standard_error, error)
    np.testing.assert_array_equal(found.ranking, np.argsort(-mean))
    best = mean.argmax()
    near = [c for c in range(30) if mean[c] >= mean[best] - error[best]]
    assert (found.best, found.simplest, found.failed) == (best, near[-1], 0)
    assert found.simplest != found.best
    simplicity = np.random.default_rng(1).normal(size=30)
    other = selection.choose(scores, simplicity=simplicity)
    assert other.simplest == max(near, key=lambda c: simplicity[c])


def test_seeds_are_averaged_before_the_error_is_taken():
    scores = np.random.default_rng(0).normal(size=(4, 3, 6))
    found = selection.choose(scores)
    right = selection.choose(scores.mean(axis=2))
    for a, b in zip(found, right, strict=True):
        np.testing.assert_allclose(a, b)


def test_nan_ranks_last_behind_minus_infinity_and_is_counted():
    scores = np.array([[1.0, np.nan, -np.inf, 2.0, 0.0], [1.0, 5.0, 0.0, 2.0, 0.0]])
    found = selection.choose(scores)
    np.testing.assert_array_equal(found.ranking, [3, 0, 4, 2, 1])
    assert found.failed == 1
    assert found.best == 3


def test_one_fold_has_no_standard_error_and_the_simplest_is_the_best():
    found = selection.choose(np.array([[1.0, 3.0, 2.0, 3.0]]))
    assert np.isnan(found.standard_error).all()
    assert (found.best, found.simplest) == (1, 3)  # equal in score, and later is simpler


def test_equal_candidates_are_ranked_as_they_stand():
    np.testing.assert_array_equal(selection.choose(np.zeros((3, 4))).ranking, np.arange(4))


@pytest.fixture(scope="module")
def diabetes():
    X, y = standardised("diabetes")
    return X, y, masks(KFold(4, shuffle=True, random_state=1), X)


SCORE = selection.scorer(ridge.predict, r_squared)


def test_the_winner_is_refitted_to_all_rows(diabetes):
    X, y, folds = diabetes
    s = np.random.default_rng(0).uniform(0.5, 2, size=len(y))
    found = selection.search(ridge.fit, SCORE, X, y, folds, {"l2": L2}, sample_weight=s)
    best = L2[int(found.choice.best)]
    assert found.numbers["l2"] == best
    right = ridge.fit(X, y, l2=best, sample_weight=s)
    for a, b in zip(jax.tree.leaves(found[:2]), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_nothing_is_chosen_where_all_scores_are_nan(diabetes):
    X, y, folds = diabetes
    nowhere = Folds(folds.train, np.zeros_like(folds.test))
    found = selection.search(ridge.fit, SCORE, X, y, nowhere, {"l2": L2})
    assert found.choice.failed == len(L2)
    assert np.isnan(found.numbers["l2"])
    assert np.isnan(found.params.weights).all()
    assert np.isnan(found.certificate.gap)
    assert not found.certificate.converged


@pytest.mark.parametrize("batch_size", [1, 4])
def test_chunks_change_nothing(diabetes, batch_size):
    X, y, folds = diabetes
    whole = selection.search(ridge.fit, SCORE, X, y, folds, {"l2": L2})
    parts = selection.search(ridge.fit, SCORE, X, y, folds, {"l2": L2}, batch_size=batch_size)
    np.testing.assert_allclose(whole.scores, parts.scores, rtol=1e-10)


def test_ten_thousand_candidates_take_the_memory_of_a_chunk(diabetes):
    X, y, folds = diabetes
    grid = {"l2": jnp.logspace(-3, 3, 10_000)}

    def room(batch_size):
        run = jax.jit(lambda X: selection.search(
            ridge.fit, SCORE, X, y, folds, grid, batch_size=batch_size))  # fmt: skip
        compiled = run.lower(X).compile()
        return compiled, compiled.memory_analysis().temp_size_in_bytes

    run, little = room(50)
    _, much = room(None)
    found = run(X)
    assert found.scores.shape == (4, 10_000)
    assert np.isfinite(found.scores).all()
    assert little < 10e6 < much
    coarse = selection.search(ridge.fit, SCORE, X, y, folds, {"l2": grid["l2"][::2500]})
    np.testing.assert_allclose(found.scores[:, ::2500], coarse.scores, rtol=1e-9)


def test_nested_selection_is_the_validation_of_a_search(diabetes):
    X, y, outer = diabetes
    inner = masks(KFold(3, shuffle=True, random_state=2), X)
    grid = {"l2": L2}

    def fit(X, y, *, sample_weight=None):
        return selection.search(ridge.fit, SCORE, X, y, inner, grid, sample_weight=sample_weight)

    found = selection.cross_validate(fit, SCORE, X, y, outer)
    for k, (train, test) in enumerate(zip(*outer, strict=True)):
        means = np.zeros(len(L2))
        for a, b in zip(*inner, strict=True):
            for c, l2 in enumerate(L2):
                p = ridge.fit(X[train & a], y[train & a], l2=l2).params
                Xb, yb = X[train & b], y[train & b]
                means[c] += r_squared(Xb @ p.weights + p.bias, yb, sample_weight=np.ones(len(yb)))
        p = ridge.fit(X[train], y[train], l2=L2[means.argmax()]).params
        right = r_squared(X[test] @ p.weights + p.bias, y[test], sample_weight=np.ones(test.sum()))
        np.testing.assert_allclose(found.scores[k], right, rtol=1e-9)


def test_a_fit_that_draws_is_searched_over_seeds(diabetes):
    X, y, folds = diabetes
    shift = np.array([0.0, 10.0, 5.0])
    found = selection.search_seeds(
        jax.random.key(0), drawn, identity, X, y, folds, {"shift": shift}, seeds=2
    )
    assert found.scores.shape == (4, 3, 2)
    noise = found.scores - shift[None, :, None]
    np.testing.assert_allclose(noise, np.broadcast_to(noise[:, :1], noise.shape), atol=1e-12)
    assert len(np.unique(np.round(noise, 9))) == 8
    assert found.choice.best == 1
    assert not np.isclose(found.params - 10, noise).any()  # the refit has a key of its own


def test_two_searches_trace_once(diabetes):
    X, y, folds = diabetes
    chex.clear_trace_counter()

    @chex.assert_max_traces(n=2)  # over the candidates, and of the winner
    def fit(X, y, *, l2=1.0, sample_weight=None):
        return ridge.fit(X, y, l2=l2, sample_weight=sample_weight)

    first = selection.search(fit, SCORE, X, y, folds, {"l2": L2})
    second = selection.search(fit, SCORE, X, 2 * y, folds, {"l2": 3 * L2})
    assert not np.allclose(first.scores, second.scores)


def test_a_fold_without_a_class_has_a_score():
    X, y = standardised("breast_cancer")
    test = np.stack([y == 0, np.arange(len(y)) % 2 == 0])
    found = selection.search(
        logistic_regression.fit, selection.scorer(logistic_regression.predict, accuracy), X, y,
        Folds(~test, test), {"l2": np.array([0.1, 1.0])},
    )  # fmt: skip
    np.testing.assert_allclose(found.scores[0], 0)  # trained on one class, tested on the other
    assert found.certificates.converged.all()  # within the tolerance of the infimum, which is 0
    assert (found.certificates.objective[0] < 1e-9).all()
    assert np.isfinite(found.scores).all()
