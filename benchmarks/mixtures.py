"""Cases of ``mlmath.latent``; the peer is scikit-learn."""

import numpy as np

from benchmarks.case import Case


def _groups(n=50_000, d=16, k=16):
    """Rows of k Gaussian groups, and where both start: k rows and the covariance of all."""
    rng = np.random.default_rng(0)
    centers, mixing = 3 * rng.normal(size=(k, d)), rng.normal(size=(k, d, d)) / 4 + np.eye(d)
    group = rng.integers(k, size=n)
    X = centers[group] + np.einsum("nij,nj->ni", mixing[group], rng.normal(size=(n, d)))
    X = X.astype(np.float32)
    covariances = np.tile(np.cov(X.T).astype(np.float32), (k, 1, 1))
    return X, np.full(k, 1 / k, np.float32), X[:k].copy(), covariances


def _mixture(module, X, weights, means, covariances):
    start = module.Params(weights, means, covariances)
    return module.fit(start, X, tolerance=0.0, max_steps=10)


def _sklearn_mixture(X, weights, means, covariances):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture
    from sklearn.utils._testing import ignore_warnings

    model = GaussianMixture(
        len(means), reg_covar=0, tol=0, max_iter=10, weights_init=weights.astype(float),
        means_init=means, precisions_init=np.linalg.inv(covariances),
    )  # fmt: skip
    ignore_warnings(category=ConvergenceWarning)(model.fit)(X)
    return model.weights_, model.means_, model.covariances_


def _lost(arrays, answer):
    """Log-likelihood per row below that of ten steps in float64."""
    X, *start = (np.asarray(a, float) for a in arrays)
    best = start
    for _ in range(10):
        r, _ = _responsibilities(X, *best)
        mass = r.sum(0)
        means = r.T @ X / mass[:, None]
        scatter = [(r[:, j, None] * (X - m)).T @ (X - m) / mass[j] for j, m in enumerate(means)]
        best = mass / mass.sum(), means, np.stack(scatter)
    return float(_responsibilities(X, *best)[1] - _responsibilities(X, *answer)[1])


def _responsibilities(X, weights, means, covariances):
    """Responsibilities and the mean log density, by the definition."""
    logs = np.empty((len(X), len(means)))
    for j, (w, m, C) in enumerate(zip(weights, means, covariances, strict=True)):
        L = np.linalg.cholesky(C)
        z = np.linalg.solve(L, (X - m).T)
        logs[:, j] = np.log(w) - (z**2).sum(0) / 2 - np.log(np.diag(L)).sum()
    top = logs.max(1, keepdims=True)
    parts = np.exp(logs - top)
    whole = parts.sum(1, keepdims=True)
    density = top + np.log(whole) - X.shape[1] / 2 * np.log(2 * np.pi)
    return parts / whole, density.mean()


CASES = (
    Case(
        name="full_mixture",
        size="50,000 × 16, 16 components, 10 steps",
        module="mlmath.latent.full_mixture",
        data=_groups,
        ours=_mixture,
        answer=lambda fitted: tuple(np.asarray(a, float) for a in fitted.params),
        peers={"scikit-learn": _sklearn_mixture},
        measure="log-likelihood per row below float64's after ten steps",
        error=_lost,
        limit=1e-4,
        target_numpy=12.0,
        target_device=12.0,
    ),
)
