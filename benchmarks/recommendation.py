"""Cases of ``mlmath.latent`` on entries of a matrix; the peer is the loop people write in NumPy."""

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


CASES = (
    Case(
        "implicit_feedback", "Cora, 2,708 × 1,433, 49,216 entries f32, rank 32, 10 sweeps",
        "mlmath.latent.implicit_feedback", _cora, _ours, _factors, {"NumPy loop": _loop},
        "L / L(0)", _objective, 0.8, 1.0, 1.0,
    ),
)  # fmt: skip
