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


def _slopes(n, d):
    """Rows whose variances fall, in a rotation of the axes."""

    def data():
        rng = np.random.default_rng(0)
        mixing = rng.normal(size=(d, d)) * np.geomspace(1, 0.05, d) / np.sqrt(d)
        return ((rng.normal(size=(n, d)) @ mixing + 1).astype(np.float32),)

    return data


def _axes(fit):
    """Mean and components of a fit."""
    return np.asarray(fit.params.mean, float), np.asarray(fit.params.components, float)


def _pca(k, solver, iterated_power="auto"):
    def run(X):
        from sklearn.decomposition import PCA

        peer = PCA(k, svd_solver=solver, random_state=0, iterated_power=iterated_power).fit(X)
        return peer.mean_, peer.components_

    return run


def _applied(name):
    """Apply a function of one row to many."""

    def run(module, X, *params):
        import mlmath

        return mlmath.rows(getattr(module, name))(module.Params(*params), X)

    return run


def _clouds_first():
    return _clouds()[::-1]


def _fitted_clouds(X, C):
    from sklearn.cluster import KMeans

    peer = KMeans(len(C), init=C, n_init=1, max_iter=1).fit(X[: len(C)])
    peer.cluster_centers_ = C
    return peer


def _peer_labels(X, C):
    return (_fitted_clouds(X, C).predict(X),)


def _peer_distances(X, C):
    return (_fitted_clouds(X, C).transform(X),)


def _farther(arrays, answer):
    """Inertia with the given labels over the least one, less 1."""
    X, C = (np.asarray(a, float) for a in arrays)
    return float(((X - C[np.asarray(answer[0])]) ** 2).sum() / _inertia(C, X) - 1)


def _of_distances(arrays, answer):
    """Largest error of a distance to the first ten centroids, over the largest distance."""
    X, C = (np.asarray(a, float) for a in arrays)
    right = np.linalg.norm(X[:, None] - C[None, :10], axis=2)
    return float(np.abs(answer[0][:, :10] - right).max() / right.max())


def _axes_of_slopes():
    """Rows, and a mean and components for them."""
    (X,) = _slopes(50_000, 256)()
    _, vectors = np.linalg.eigh(np.cov(X.T))
    return X, X.mean(0), np.ascontiguousarray(vectors[:, :-21:-1].T.astype(np.float32))


def _peer_scores(X, mean, components):
    from sklearn.decomposition import PCA

    peer = PCA(len(components)).fit(X[:1000])
    peer.mean_, peer.components_ = mean, components
    return (peer.transform(X),)


def _of_scores(arrays, answer):
    """Largest error of a score, over the largest score."""
    X, mean, V = (np.asarray(a, float) for a in arrays)
    right = (X - mean) @ V.T
    return float(np.abs(answer[0] - right).max() / np.abs(right).max())


def _missed(arrays, answer):
    """Reconstruction error over the least one of as many components, in float64, less 1."""
    X = np.asarray(arrays[0], float)
    mean, V = answer
    C = (X - X.mean(0)).T @ (X - X.mean(0))
    least = np.linalg.eigvalsh(C)[: len(C) - len(V)].sum()
    shift = len(X) * ((np.eye(len(C)) - V.T @ V) @ (X.mean(0) - mean)) ** 2
    found = np.trace(C) - np.trace(V @ C @ V.T) + shift.sum()
    return float(abs(found / least - 1))


def _key():
    import jax

    return jax.random.key(0)


def _best_of_each_size(sweep):
    """Least inertia of each size."""
    return (np.asarray(sweep.certificate.objective, float).min(axis=1),)


_SIZES = tuple(range(2, 12))


def _few(n=10_000, d=8, k=6):
    rng = np.random.default_rng(0)
    return ((3 * rng.normal(size=(k, d))[rng.integers(k, size=n)] + rng.normal(size=(n, d)))
            .astype(np.float32),)  # fmt: skip


def _one_by_one(X):
    """The same fits by a loop of calls."""
    import jax

    from mlmath.latent import kmeans

    keys = jax.random.split(jax.random.key(0), 10)
    return (
        np.array([
            min(
                float(kmeans.fit(kmeans.init_plus_plus(key, X, k=k), X).certificate.objective)
                for key in keys
            )
            for k in _SIZES
        ]),
    )  # fmt: skip


def _above(arrays, answer):
    """How far the worst size lies above the loop's inertia."""
    return float((answer[0] / _one_by_one(*arrays)[0]).max() - 1)


CASES = (
    Case(
        "kmeans", "100,000 × 32 f32, k = 64, 20 steps", "mlmath.latent.kmeans", _clouds,
        lambda module, C, X: module.fit(C, X, max_steps=_STEPS, tolerance=0.0),
        lambda fit: (np.asarray(fit.params.centroids, float),), {"KMeans lloyd": _lloyd},
        "relative excess of the inertia", _excess, 1e-3, 1.2, 1.2,
    ),
    Case(
        "pca", "50,000 × 256 → 20 f32", "mlmath.latent.pca", _slopes(50_000, 256),
        lambda module, X: module.fit(X, k=20), _axes,
        {solver: _pca(20, solver) for solver in ("covariance_eigh", "full", "randomized")},
        "error / least error − 1", _missed, 1e-3, 0.7, 1.0,
    ),
    Case(
        "pca_tall", "195,000 × 128 → 32 f32", "mlmath.latent.pca", _slopes(195_000, 128),
        lambda module, X: module.fit(X, k=32), _axes,
        {solver: _pca(32, solver) for solver in ("covariance_eigh", "full", "randomized")},
        "error / least error − 1", _missed, 1e-3, 0.7, 1.0,
    ),
    Case(
        "pca_randomised", "20,000 × 1,000 → 20 f32", "mlmath.latent.pca", _slopes(20_000, 1_000),
        lambda module, X: module.fit_randomised(_key(), X, k=20), _axes,
        {f"randomized, {power}": _pca(20, "randomized", power) for power in ("auto", 7, 12, 20)},
        "error / least error − 1", _missed, 1e-2, 1.5, 1.5,
    ),
    Case(
        "pca_transform", "50,000 × 256 → 20 f32", "mlmath.latent.pca", _axes_of_slopes,
        lambda module, X, mean, V: _applied("transform")(module, X, mean, V, np.ones(len(V), "f4")),
        lambda scores: (np.asarray(scores, float),), {"PCA": _peer_scores},
        "largest error of a score, of the largest", _of_scores, 1e-5, 1.0, 1.0,
    ),
    Case(
        "kmeans_predict", "100,000 × 32 f32, k = 64", "mlmath.latent.kmeans", _clouds_first,
        _applied("predict"), lambda labels: (np.asarray(labels),), {"KMeans": _peer_labels},
        "relative excess of the inertia", _farther, 1e-6, 1.0, 1.0,
    ),
    Case(
        "kmeans_transform", "100,000 × 32 f32, k = 64", "mlmath.latent.kmeans", _clouds_first,
        _applied("transform"), lambda far: (np.asarray(far, float),), {"KMeans": _peer_distances},
        "largest error of a distance, of the largest", _of_distances, 1e-5, 1.0, 1.0,
    ),
    Case(
        "kmeans_sweep", "10,000 × 8 f32, ten k × ten seeds", "mlmath.latent.kmeans", _few,
        lambda module, X: module.sweep(_key(), X, sizes=_SIZES, seeds=10), _best_of_each_size,
        {"loop": _one_by_one}, "worst inertia / the loop's − 1", _above, 1e-3, 2.0, 2.0,
    ),
)  # fmt: skip
