"""Cases of ``mlmath.evaluate``: many refits in one call; the peer is a loop of scikit-learn's."""

from functools import cache
from importlib import import_module

import numpy as np

from benchmarks.case import Case

L2 = np.logspace(-4, 4, 100)
_RESAMPLES = 1000


def _breast_cancer():
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    return ((X - X.mean(0)) / X.std(0)).astype(np.float32), y.astype(np.float32)


def _folds(n, k):
    fold = np.random.default_rng(0).permutation(np.arange(n) % k)
    return fold[None] == np.arange(k)[:, None]


def _labelled():
    X, y = _breast_cancer()
    return X, y, _folds(len(y), 5)


def _measured(n=20_000, d=100):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    y = X @ rng.normal(size=d) + 3 * rng.normal(size=n)
    return X.astype(np.float32), y.astype(np.float32), _folds(n, 10)


def _resampled():
    X, y = _breast_cancer()
    counts = np.random.default_rng(0).multinomial(len(y), np.ones(len(y)) / len(y), _RESAMPLES)
    return X, y, counts.astype(np.float32)


def _search(method, predict, metric):
    """Our search over all penalties."""

    def run(selection, X, y, test):
        from mlmath.evaluate import folds, metrics

        model = import_module(f"mlmath.linear.{method}")
        score = selection.scorer(predict, getattr(metrics, metric))
        grid = {"l2": L2.astype(np.float32)}
        return selection.search(model.fit, score, X, y, folds.Folds(~test, test), grid)

    return run


def _number(params, x):
    from mlmath.linear import ridge

    return ridge.predict(params, x)


def _class(params, x):
    from mlmath.evaluate.probabilities import decided
    from mlmath.linear import logistic_regression

    return decided(logistic_regression.predict(params, x))


def _scores(found):
    return (np.asarray(found.scores, float),)


def _grid_search(estimator, parameter, values, **settings):
    """scikit-learn's search with two processes."""

    def run(X, y, test):
        import sklearn.linear_model
        from sklearn.model_selection import GridSearchCV

        cv = [(np.flatnonzero(~held), np.flatnonzero(held)) for held in test]
        model = getattr(sklearn.linear_model, estimator)(**settings)
        found = GridSearchCV(model, {parameter: values}, cv=cv, n_jobs=2).fit(X, y).cv_results_
        return (np.stack([found[f"split{k}_test_score"] for k in range(len(cv))]),)

    return run


@cache
def _exact_ridge():
    """R² in float64 by one eigendecomposition per fold."""
    X, y, test = _measured()
    X, y = X.astype(float), y.astype(float)
    scores = np.zeros((len(test), len(L2)))
    for k, held in enumerate(test):
        Z, target, mean, level = X[~held], y[~held], X[~held].mean(0), y[~held].mean()
        values, vectors = np.linalg.eigh((Z - mean).T @ (Z - mean))
        along = vectors.T @ ((Z - mean).T @ (target - level))
        w = vectors @ (along[:, None] / (values[:, None] + L2[None]))
        residual = y[held, None] - level - (X[held] - mean) @ w
        scores[k] = 1 - (residual**2).sum(0) / ((y[held] - y[held].mean()) ** 2).sum()
    return scores


@cache
def _exact_logistic():
    X, y, test = _labelled()
    tight = {"solver": "newton-cholesky", "tol": 1e-10, "max_iter": 1000}
    run = _grid_search("LogisticRegression", "C", 1 / L2, **tight)
    return run(X.astype(float), y, test)[0]


def _against(exact):
    return lambda arrays, answer: float(np.abs(answer[0] - exact()).max())


def _bootstrap(module, X, y, counts):
    """Refits started at the fit to the sample itself."""
    return _refits(module)(X, y, counts)


@cache
def _refits(module):
    import jax

    def all_of_them(X, y, counts):
        start = module.fit(X, y).params
        return jax.vmap(lambda s: module.fit(X, y, sample_weight=s, start=start).params)(counts)

    return jax.jit(all_of_them)


def _planes(params):
    return np.asarray(params.weights, float), np.asarray(params.bias, float)


def _loop(**settings):
    def run(X, y, counts):
        from sklearn.linear_model import LogisticRegression

        found = [LogisticRegression(**settings).fit(X, y, sample_weight=s) for s in counts]
        return np.stack([m.coef_[0] for m in found]), np.stack([m.intercept_[0] for m in found])

    return run


def _largest_gradient(arrays, answer):
    """Largest ‖∇L‖ / ‖∇L(0)‖ over the resamples, λ = 1."""
    X, y, counts = (np.asarray(a, float) for a in arrays)
    W, b = answer

    def norms(W, b):
        r = counts * (1 / (1 + np.exp(-(W @ X.T + b[:, None]))) - y[None])
        return np.linalg.norm(np.column_stack([r @ X + W, r.sum(1)]), axis=1)

    return float(np.max(norms(W, b) / norms(0 * W, 0 * b)))


_LOGISTIC = {
    f"{solver} {tol:g}": {"solver": solver, "tol": tol, "max_iter": 1000}
    for solver in ("lbfgs", "newton-cholesky")
    for tol in (1e-4, 1e-6)
}

CASES = (
    Case(
        "search_ridge", "20,000 × 100 f32, 10 folds × 100 penalties", "mlmath.evaluate.selection",
        _measured, _search("ridge", _number, "r_squared"), _scores,
        {"GridSearchCV(Ridge)": _grid_search("Ridge", "alpha", L2, solver="cholesky")},
        "largest error of a score", _against(_exact_ridge), 1e-5, 100.0, 100.0,
    ),
    Case(
        "search_logistic", "breast cancer, 5 folds × 100 penalties", "mlmath.evaluate.selection",
        _labelled, _search("logistic_regression", _class, "accuracy"), _scores,
        {name: _grid_search("LogisticRegression", "C", 1 / L2, **settings)
         for name, settings in _LOGISTIC.items()},
        "largest error of a score; one row is 8.8e-3", _against(_exact_logistic), 9e-3, 12.0, 12.0,
    ),
    Case(
        "bootstrap_logistic", "breast cancer, 1,000 resamples", "mlmath.linear.logistic_regression",
        _resampled, _bootstrap, _planes,
        {name: _loop(**settings) for name, settings in _LOGISTIC.items()},
        "‖∇L‖ / ‖∇L(0)‖", _largest_gradient, 1e-3, 20.0, 20.0,
    ),
)  # fmt: skip
