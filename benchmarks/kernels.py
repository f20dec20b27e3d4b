"""Cases of ``mlmath.kernels``; the peer is scikit-learn."""

from functools import cache, partial

import numpy as np

from benchmarks.case import Case


def _points(n=50_000, queries=2000, d=32):
    rng = np.random.default_rng(0)
    X, Q = rng.normal(size=(n, d)), rng.normal(size=(queries, d))
    return X.astype(np.float32), rng.normal(size=n).astype(np.float32), Q.astype(np.float32)


def _neighbours(module, X, y, Q):
    import mlmath

    return mlmath.rows(partial(module.predict, k=10))(module.init(X, y), Q)


def _peer(X, y, Q):
    from sklearn.neighbors import KNeighborsRegressor

    return (KNeighborsRegressor(10, algorithm="brute").fit(X, y).predict(Q),)


def _largest_error(arrays, answer):
    """Largest |ŷ − right| over the standard deviation of y, neighbours chosen in float64."""
    return float(np.abs(answer[0] - _right()).max() / np.std(arrays[1]))


@cache
def _right():
    from sklearn.neighbors import KNeighborsRegressor

    X, y, Q = (a.astype(float) for a in _points())
    return KNeighborsRegressor(10, algorithm="brute").fit(X, y).predict(Q)


CASES = (
    Case(
        "neighbours", "50,000 × 32 f32, 2,000 queries, k = 10",
        "mlmath.kernels.nearest_neighbors", _points, _neighbours,
        lambda predicted: (np.asarray(predicted, float),), {"KNeighborsRegressor": _peer},
        "largest error of a prediction, in deviations of y", _largest_error, 1e-5, 2.5, 2.5,
    ),
)  # fmt: skip
