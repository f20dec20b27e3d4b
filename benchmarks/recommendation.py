"""Cases of ``mlmath.latent`` that factor a matrix.

The peer of what takes entries is the loop people write in NumPy, that of what takes rows is
scikit-learn.
"""

import os
from pathlib import Path

import numpy as np

from benchmarks.case import Case

_CONFIDENCE, _L2, _SWEEPS = 10.0, 50.0, 10


def _cora(rank=32):
    """Papers and their words, which every paper holds once, and where the factors start."""
    folder = Path(os.environ.get("MLMATH_SHARED", Path(__file__).parents[2] / "shared"))
    data = np.load(folder / "datasets" / "cora" / "cora_planetoid.npz")
    m, n = int(data["n"]), int(data["d"])
    paper = np.repeat(np.arange(m), np.diff(data["feat_indptr"])).astype(np.int32)
    start = np.random.default_rng(0).normal(size=(m + n, rank)) / np.sqrt(rank)
    start = start.astype(np.float32)
    return paper, data["feat_indices"].astype(np.int32), start[:m], start[m:]


def _ours(module, paper, word, X, Y):
    return module.fit(
        module.Params(X, Y), paper, word, np.ones(len(paper), np.float32),
        confidence=_CONFIDENCE, l2=_L2, tolerance=0.0, max_steps=_SWEEPS,
    )  # fmt: skip


def _factors(fit):
    return tuple(np.asarray(a, float) for a in fit.params)


def _loop(paper, word, X, Y):
    """Hu, Koren & Volinsky's sweeps: a small system for each paper and each word."""
    sides = [(_grouped(paper, word, len(X))), (_grouped(word, paper, len(Y)))]
    for _ in range(_SWEEPS):
        X = _solved(sides[0], Y)
        Y = _solved(sides[1], X)
    return X, Y


def _grouped(places, others, size):
    order = np.argsort(places, kind="stable")
    return np.split(others[order], np.cumsum(np.bincount(places, minlength=size))[:-1])


def _solved(groups, factors):
    r = factors.shape[1]
    everywhere = factors.T @ factors + _L2 * np.eye(r, dtype=factors.dtype)
    solved = np.empty((len(groups), r), factors.dtype)
    for u, others in enumerate(groups):
        f = factors[others]
        A = everywhere + _CONFIDENCE * f.T @ f
        solved[u] = np.linalg.solve(A, (1 + _CONFIDENCE) * f.sum(0))
    return solved


def _objective(arrays, answer):
    """L / L(0) of Hu's objective, in float64."""
    paper, word = arrays[:2]
    X, Y = (np.asarray(a, float) for a in answer)
    p = np.sum(X[paper] * Y[word], axis=1)
    seen = np.sum((1 + _CONFIDENCE) * (1 - p) ** 2 - p**2)
    total = np.sum((X.T @ X) * (Y.T @ Y)) + seen + _L2 * (np.sum(X**2) + np.sum(Y**2))
    return float(total / ((1 + _CONFIDENCE) * len(paper)))


_PARTS_STEPS, _PEER_SWEEPS = 80, 120  # to equal objective: 5.751e-5 and 5.754e-5


def _parts(n=20_000, d=128, k=16):
    """Rows of k parts and noise, and where the factors start."""
    rng = np.random.default_rng(0)
    X = rng.gamma(0.5, size=(n, k)) @ rng.gamma(0.3, size=(k, d)) + 0.1 * rng.random((n, d))
    return X.astype(np.float32), (X[:k] + X.mean(axis=0)).astype(np.float32)


def _factored(module, X, start):
    return module.fit(start, X, tolerance=0.0, max_steps=_PARTS_STEPS)


def _components(fit):
    return (np.asarray(fit.params.components, float),)


def _scikit_learn(X, start):
    from sklearn.decomposition import NMF

    peer = NMF(len(start), init="custom", tol=0.0, max_iter=_PEER_SWEEPS)
    codes = np.maximum(X @ np.linalg.pinv(start), 1e-3).astype(X.dtype)
    return (peer.fit(X, W=codes, H=start.copy()).components_,)


def _left(arrays, answer):
    """L(H) / L(0) with exact codes of every tenth row, in float64."""
    from scipy.optimize import nnls

    X = np.asarray(arrays[0][::10], float)
    H = np.asarray(answer[0], float)
    return float(sum(nnls(H.T, x)[1] ** 2 for x in X) / np.sum(X**2))


CASES = (
    Case(
        "implicit_feedback", "Cora, 2,708 × 1,433, 49,216 entries f32, rank 32, 10 sweeps",
        "mlmath.latent.implicit_feedback", _cora, _ours, _factors, {"NumPy loop": _loop},
        "L / L(0)", _objective, 0.8, 1.0, 1.0,
    ),
    Case(
        "nmf", "20,000 × 128 f32, 16 parts, to equal objective",
        "mlmath.latent.nmf", _parts, _factored, _components, {"scikit-learn": _scikit_learn},
        "L / L(0)", _left, 5.8e-5, 1.0, 1.0,
    ),
)  # fmt: skip
