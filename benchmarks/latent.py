"""Cases of ``mlmath.latent``; the peer is scikit-learn."""

import numpy as np

from benchmarks.case import Case

_STEPS = 20


def _clouds(n=100_000, d=32, k=64):
    """Rows of k clouds that overlap, and the first k of them, where both begin."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(k, d))[rng.integers(k, size=n)] + rng.normal(size=(n, d))
    return X[:k].astype(np.float32), X.astype(np.float32)


def _lloyd(C, X):
    from sklearn.cluster import KMeans

    peer = KMeans(len(C), algorithm="lloyd", init=C, n_init=1, max_iter=_STEPS, tol=0).fit(X)
    return (peer.cluster_centers_,)


def _excess(arrays, answer):
    """Inertia over that of 20 steps in float64, less 1."""
    C, X = (np.asarray(a, float) for a in arrays)
    for _ in range(_STEPS):
        labels = _labels(C, X)
        C = np.stack([X[labels == j].mean(0) for j in range(len(C))])
    return abs(_inertia(np.asarray(answer[0], float), X) / _inertia(C, X) - 1)


def _labels(C, X):
    return ((C**2).sum(1) - 2 * X @ C.T).argmin(1)


def _inertia(C, X):
    return float(((X - C[_labels(C, X)]) ** 2).sum())


CASES = (
    Case(
        "kmeans", "100,000 × 32 f32, k = 64, 20 steps", "mlmath.latent.kmeans", _clouds,
        lambda module, C, X: module.fit(C, X, max_steps=_STEPS, tolerance=0.0),
        lambda fit: (np.asarray(fit.params.centroids, float),), {"KMeans lloyd": _lloyd},
        "relative excess of the inertia", _excess, 1e-3, 1.2, 1.2,
    ),
)  # fmt: skip
