"""Cases of ``mlmath.linear``; the peer is scikit-learn."""

from functools import cache

import numpy as np

from benchmarks.case import Case, coefficients


def _regression(n=100_000, d=100):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) + rng.normal(size=(n, 1)) + rng.normal(size=d)
    y = X @ rng.normal(size=d) + 3 + 5 * rng.normal(size=n)
    return X.astype(np.float32), y.astype(np.float32)


def _correlated(n=50_000, d=50):
    """Classes from features of which neighbours are correlated, 0.9^|i − j|."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    for j in range(1, d):
        X[:, j] = 0.9 * X[:, j - 1] + np.sqrt(1 - 0.81) * X[:, j]
    return _labelled(rng, X)


def _independent(n=50_000, d=50):
    rng = np.random.default_rng(0)
    return _labelled(rng, rng.normal(size=(n, d)))


def _labelled(rng, X):
    z = X @ rng.normal(size=X.shape[1])
    y = rng.random(len(z)) < 1 / (1 + np.exp(-2 * z / z.std() - 0.3))
    return X.astype(np.float32), y.astype(np.float32)


def _digits():
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X.astype(np.float32), y.astype(np.int32)


def _plane_error(l2):
    """Relative error of weights and bias against the closed form in float64."""

    def error(arrays, answer):
        X, y = (np.asarray(a, float) for a in arrays)
        Xc = X - X.mean(0)
        exact = np.linalg.solve(Xc.T @ Xc + l2 * np.eye(X.shape[1]), Xc.T @ (y - y.mean()))
        exact = np.append(exact, y.mean() - X.mean(0) @ exact)
        ours = np.append(np.ravel(answer[0]), np.ravel(answer[1]))
        return float(np.linalg.norm(ours - exact) / np.linalg.norm(exact))

    return error


def _log_odds_gradient(arrays, answer):
    """‖∇L‖ / ‖∇L(0)‖ of logistic regression with λ = 1."""
    X, y = (np.asarray(a, float) for a in arrays)
    w, b = np.ravel(answer[0]), np.ravel(answer[1])[0]

    def norm(w, b):
        r = 1 / (1 + np.exp(-(X @ w + b))) - y
        return np.linalg.norm(np.append(r @ X + w, r.sum()))

    return float(norm(w, b) / norm(0 * w, 0.0))


def _softmax_excess(arrays, answer):
    """(L − L*) / L(0) of softmax regression with λ = 1, L* from a float64 minimiser."""
    value, (best, null) = _softmax_objective(*arrays), _softmax_range()
    at = np.append(np.ravel(answer[0]), np.ravel(answer[1]))
    return float((value(at)[0] - best) / null)


@cache
def _softmax_range():
    """L* and L(0) on the digits."""
    from scipy.optimize import minimize

    value = _softmax_objective(*_digits())
    null = np.zeros(650)
    tight = {"maxiter": 5000, "maxfun": 9000, "ftol": 1e-16, "gtol": 1e-7, "maxcor": 50}
    best = minimize(value, null, jac=True, method="L-BFGS-B", options=tight)
    return best.fun, value(null)[0]


def _softmax_objective(X, y):
    """L of softmax regression with λ = 1 and its gradient, in float64."""
    X = np.asarray(X, float)
    k, d = y.max() + 1, X.shape[1]
    onehot = np.eye(k)[y]

    def value_and_gradient(v):
        W, b = v[: k * d].reshape(k, d), v[k * d :]
        z = X @ W.T + b
        log_sum = np.logaddexp.reduce(z, axis=1)
        r = np.exp(z - log_sum[:, None]) - onehot
        value = (log_sum - (z * onehot).sum(1)).sum() + (W**2).sum() / 2
        return value, np.append((r.T @ X + W).ravel(), r.sum(0))

    return value_and_gradient


def _ridge(X, y):
    from sklearn.linear_model import Ridge

    peer = Ridge(alpha=1.0).fit(X, y)
    return peer.coef_, peer.intercept_


def _least_squares(X, y):
    from sklearn.linear_model import LinearRegression

    peer = LinearRegression().fit(X, y)
    return peer.coef_, peer.intercept_


def _logistic(solver, tol):
    """scikit-learn's logistic regression, binary or multinomial by the labels."""

    def run(X, y):
        from sklearn.linear_model import LogisticRegression

        peer = LogisticRegression(solver=solver, tol=tol, max_iter=1000).fit(X, y)
        return peer.coef_, peer.intercept_

    return run


_LOGISTIC_PEERS = {
    f"{solver} {tol:g}": _logistic(solver, tol)
    for solver in ("lbfgs", "newton-cholesky")
    for tol in (1e-2, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6)
}
_SOFTMAX_PEERS = {
    f"{solver} {tol:g}": _logistic(solver, tol)
    for solver in ("lbfgs", "newton-cholesky")
    for tol in (1e-2, 1e-3, 1e-4, 1e-5)
}

CASES = (
    Case(
        "ridge", "100,000 × 100 f32", "mlmath.linear.ridge", _regression,
        lambda module, X, y: module.fit(X, y, l2=1.0), coefficients, {"Ridge": _ridge},
        "relative error of the weights", _plane_error(1.0), 1e-4, 0.9, 1.0,
    ),
    Case(
        "least_squares", "100,000 × 100 f32", "mlmath.linear.least_squares", _regression,
        lambda module, X, y: module.fit(X, y), coefficients,
        {"LinearRegression": _least_squares},
        "relative error of the weights", _plane_error(0.0), 1e-4, 2.0, 2.0,
    ),
    Case(
        "logistic", "50,000 × 50 f32, correlated", "mlmath.linear.logistic_regression",
        _correlated, lambda module, X, y: module.fit(X, y, l2=1.0), coefficients,
        _LOGISTIC_PEERS, "‖∇L‖ / ‖∇L(0)‖", _log_odds_gradient, 1e-3, 2.0, 2.0,
    ),
    Case(
        "logistic_iid", "50,000 × 50 f32, independent", "mlmath.linear.logistic_regression",
        _independent, lambda module, X, y: module.fit(X, y, l2=1.0), coefficients,
        _LOGISTIC_PEERS, "‖∇L‖ / ‖∇L(0)‖", _log_odds_gradient, 1e-3, 2.0, 2.0,
    ),
    Case(
        "softmax", "digits, 1,797 × 64, 10 classes f32", "mlmath.linear.softmax_regression",
        _digits, lambda module, X, y: module.fit(X, y, classes=10, l2=1.0), coefficients,
        _SOFTMAX_PEERS, "(L − L*) / L(0)", _softmax_excess, 1e-5, 1.5, 1.5,
    ),
)  # fmt: skip
