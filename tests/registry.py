"""Every fit of mlmath with what the contract needs to examine it: one line each.

A case names the module, data on which the law holds, its hyperparameters, and the null model that
scales its gap. A module with a public ``fit`` is here or in ``EXEMPT`` with a reason that its
docstring repeats.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from mlmath.latent import (
    diagonal_mixture,
    full_mixture,
    incomplete_pca,
    kmeans,
    nmf,
    pca,
    probabilistic_pca,
    spherical_mixture,
    tied_mixture,
)
from mlmath.linear import (
    adaline,
    least_squares,
    logistic_regression,
    perceptron,
    ridge,
    softmax_regression,
)

__all__ = ["CASES", "EXEMPT", "Case"]


class Case(NamedTuple):
    """A fit under examination."""

    name: str
    module: ModuleType
    data: Callable[
        [int], tuple[np.ndarray, np.ndarray | None]
    ]  # rows -> X, y in float64; y or None
    numbers: dict[str, Any]  # hyperparameters, traced: swept, learnt
    null: Callable[[np.ndarray, Any, np.ndarray], Any]  # X, y, weight -> null params
    penalties: tuple[str, ...] = ()  # hyperparameters that scale with the weights
    measured: bool = False  # y, or X without one, is measured: its units change no gap
    observed: Callable[[int], np.ndarray] | None = None  # rows -> which entries of X are known
    learnt: str = ""  # first argument of the fit, where that is where it starts
    begin: Callable[[np.ndarray], Any] | None = None  # X -> that argument
    resume: Callable[[Any], Any] = lambda params: params  # params -> that argument
    local: bool = False  # L has other minima: the gap is what one more step is sure to gain
    log_density: bool = False  # L has no zero: the gap is over L(null) − L(x) plus the excess
    limit: str = "max_steps"  # what limits an iteration, which takes start too; "" in closed form
    static: dict[str, Any] = {}  # noqa: RUF012  what fixes a shape or the length of the program
    frozen: tuple[str, ...] = ()  # arguments without a derivative: labels that are compared
    interpolates: bool = False  # no error is left, so no row has influence
    in_place: bool = False  # weights count presentations one after another
    discrete: str = ""  # why there is no derivative, as the docstring says
    shards: bool = True  # rows may lie on several devices
    rows: int = 23


def _features(n, d, seed=0):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(d, d)) / np.sqrt(d) + np.eye(d)
    return rng.normal(size=(n, d)) @ mixing + rng.normal(size=d), rng


def _regression(d, seed=0):
    def data(n):
        X, rng = _features(n, d, seed)
        return X, X @ rng.normal(size=d) + 3 + 0.5 * rng.normal(size=n)

    return data


def _labels(d, seed=1):
    def data(n):
        X, rng = _features(n, d, seed)
        z = X @ rng.normal(size=d) + 0.3
        return X, (z - z.mean() + rng.logistic(size=n) > 0).astype(float)

    return data


def _noiseless(d, seed=0):
    def data(n):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n, d))
        return X, X @ rng.normal(size=d) + 3

    return data


def _separable(d, seed=2):
    def data(n):
        X, rng = _features(n, d, seed)
        z = X @ rng.normal(size=d)
        y = (z > np.median(z)).astype(float)
        return X + 0.3 * (2 * y - 1)[:, None] * rng.normal(size=d), y

    return data


def _classes(d, k, seed=1):
    def data(n):
        X, rng = _features(n, d, seed)
        return X, (X @ rng.normal(size=(d, k)) + rng.gumbel(size=(n, k))).argmax(1).astype(float)

    return data


def _cloud(d, seed=3):
    """Rows whose variances differ in every direction."""

    def data(n):
        rng = np.random.default_rng(seed)
        rotation, _ = np.linalg.qr(rng.normal(size=(d, d)))
        return rng.normal(size=(n, d)) * np.geomspace(3, 0.3, d) @ rotation + 2, None

    return data


def _blobs(d, k, seed=4):
    """Rows of k clouds that overlap."""

    def data(n):
        X, rng = _features(n, d, seed)
        return X + 1.5 * rng.normal(size=(k, d))[rng.integers(k, size=n)], None

    return data


def _mixed_parts(seed=5):
    """Rows > 0 of two parts that share a column, some of one part alone; where a part has a 0 the
    rows go against it, so that no zero is on the verge of growing."""

    def data(n):
        rng = np.random.default_rng(seed)
        parts = np.array([[1.0, 0.8, -0.3, -0.25, 0.5], [-0.25, -0.25, 1.0, 0.9, 0.6]])
        X = rng.uniform(0.7, 1.6, size=(n, 2)) @ parts
        alone = [[1.0, 0.8, 0.05, 0.05, 0.05], [0.05, 0.05, 1.0, 0.9, 0.05]]
        for j in range(2):
            rows = np.arange(n) % 6 == 3 * j
            X[rows] = rng.uniform(0.7, 1.6, size=(rows.sum(), 1)) * alone[j]
        return X + 0.05 * rng.random(X.shape), None

    return data


def _mean_alone(k):
    """Components that explain nothing."""
    return lambda X, y, s: pca.Params(s @ X / s.sum(), np.zeros((k, X.shape[1])), np.zeros(k))


def _round(X, y, s):
    """A Gaussian that is alike in all directions."""
    mean = s @ X / s.sum()
    noise = s @ ((X - mean) ** 2).mean(axis=1) / s.sum()
    return probabilistic_pca.Params(mean, np.zeros((2, X.shape[1])), np.asarray(noise))


def _gaps(n):
    """A fifth of the entries of four columns is missing, of the rows tried by themselves none."""
    observed = np.random.default_rng(6).random((n, 4)) > 0.2
    observed[[0, 1, 2, 3, 4, 5, -1]] = True
    return observed


def _round_observed(X, y, s):
    """A Gaussian that is alike in all directions, of the observed entries."""
    m = s[:, None] * _gaps(len(X))
    mean = (m * X).sum(0) / m.sum(0)
    noise = (m * (X - mean) ** 2).sum() / m.sum()
    return incomplete_pca.Params(mean, np.zeros((2, 4)), np.asarray(noise))


def _two_rows(X):
    """Directions to two rows, and the noise that all entries have."""
    mean = X.mean(0, dtype=np.float64)
    with np.errstate(over="ignore"):
        return incomplete_pca.Params(
            mean.astype(X.dtype), (X[:2] - mean).astype(X.dtype),
            (X.astype(float) - mean).var().astype(X.dtype),
        )  # fmt: skip


def _zero_planes(X, y, s):
    return softmax_regression.Params(np.zeros((3, X.shape[1])), np.zeros(3))


def _mean_only(module):
    return lambda X, y, s: module.Params(np.zeros(X.shape[1]), np.asarray(s @ y / s.sum()))


def _zeros(module):
    return lambda X, y, s: module.Params(np.zeros(X.shape[1]), np.zeros(()))


def _groups(d, k, seed=3):
    """Rows of k Gaussian groups in turn."""

    def data(n):
        rng = np.random.default_rng(seed)
        centers = 4 * np.eye(max(k, d))[:k, :d] + rng.normal(size=(k, d))
        mixing = rng.normal(size=(k, d, d)) / np.sqrt(4 * d) + np.eye(d)
        turn = np.arange(n) % k
        return centers[turn] + np.einsum("nij,nj->ni", mixing[turn], rng.normal(size=(n, d))), None

    return data


def _by_turns(module, shape, k):
    """Groups of every k-th row, each with a part of the covariance of all rows."""

    def begin(X):
        d = X.shape[1]
        means = np.stack([X[j::k].mean(0, dtype=np.float64) for j in range(k)])
        with np.errstate(over="ignore"):
            total = (np.cov(X.T.astype(float)).reshape(d, d) / 8).astype(X.dtype)
        return module.Params(np.full(k, 1 / k, X.dtype), means.astype(X.dtype), shape(total, k))

    return begin


def _one_gaussian(module, shape, k):
    def null(X, y, s):
        mean = s @ X / s.sum()
        total = (s[:, None] * (X - mean)).T @ (X - mean) / s.sum()
        return module.Params(np.full(k, 1 / k), np.tile(mean, (k, 1)), shape(total, k))

    return null


def _mixture(name, module, shape, k, numbers, **more):
    return Case(
        name, module, _groups(2, k), numbers, _one_gaussian(module, shape, k),
        ("prior_rows",) if numbers else (), measured=True, learnt="params",
        begin=_by_turns(module, shape, k), local=True, log_density=True, **more,
    )  # fmt: skip


def _full(total, k):
    return np.tile(total, (k, 1, 1))


def _tied(total, k):
    return total


def _diagonal(total, k):
    return np.tile(np.diag(total), (k, 1))


def _spherical(total, k):
    return np.full(k, np.diag(total).mean(), total.dtype)


_PENALTIES = np.array([0.5, 1.0, 2.0])

CASES = [
    Case(
        "ridge", ridge, _regression(3), {"l2": 1.3}, _mean_only(ridge), ("l2",),
        measured=True, limit="",
    ),
    Case(
        "ridge, one penalty per column", ridge, _regression(3), {"l2": _PENALTIES},
        _mean_only(ridge), ("l2",), measured=True, limit="",
    ),
    Case(
        "ridge, more columns than rows", ridge, _regression(40), {"l2": 1.3},
        _mean_only(ridge), ("l2",), measured=True, limit="", shards=False,
    ),
    Case(
        "least_squares", least_squares, _regression(3), {}, _mean_only(least_squares),
        measured=True, limit="",
    ),
    Case(
        "logistic_regression", logistic_regression, _labels(3), {"l2": 0.7},
        _zeros(logistic_regression), ("l2",),
    ),
    Case(
        "logistic_regression, hardly penalised", logistic_regression, _labels(3), {"l2": 0.03},
        _zeros(logistic_regression), ("l2",),
    ),
]  # fmt: skip

CASES += [
    Case(
        "softmax_regression", softmax_regression, _classes(3, 3), {"l2": 0.7}, _zero_planes,
        ("l2",), static={"classes": 3}, frozen=("y",),
    ),
    Case(
        "perceptron", perceptron, _separable(3), {}, _zeros(perceptron), in_place=True,
        discrete="The counts mᵢ are discrete, so the answer is piecewise smooth", shards=False,
    ),
    Case(
        "adaline", adaline, _noiseless(3), {"learning_rate": 0.21, "decay": 0.01},
        _mean_only(adaline), measured=True, in_place=True,
        limit="epochs", static={"epochs": 20}, interpolates=True, shards=False,
    ),
]  # fmt: skip

CASES += [
    Case("pca", pca, _cloud(4), {}, _mean_alone(2), measured=True, limit="", static={"k": 2}),
    Case(
        "pca, more columns than rows", pca, _cloud(40), {}, _mean_alone(3),
        measured=True, limit="", static={"k": 3}, shards=False,
    ),
    Case(
        "probabilistic_pca", probabilistic_pca, _cloud(4), {}, _round, measured=True, limit="",
        static={"k": 2}, log_density=True,
    ),
    Case(
        "incomplete_pca", incomplete_pca, _cloud(4), {}, _round_observed, measured=True,
        observed=_gaps, frozen=("observed",), learnt="params", begin=_two_rows, local=True,
        log_density=True,
    ),
    Case(
        "kmeans", kmeans, _blobs(3, 3), {},
        lambda X, y, s: kmeans.Params((s @ X / s.sum())[None].repeat(3, axis=0)),
        measured=True, learnt="centroids", begin=lambda X: X[[6, 1, 10]],
        resume=lambda params: params.centroids, local=True,
    ),
    Case(
        "nmf", nmf, _mixed_parts(), {}, lambda X, y, s: nmf.Params(np.zeros((2, X.shape[1]))),
        measured=True, learnt="components", begin=lambda X: X[[5, 1]],
        resume=lambda params: params.components, local=True,
    ),
]  # fmt: skip

CASES += [
    _mixture("full_mixture", full_mixture, _full, 3, {"prior_rows": 2.5}),
    _mixture("tied_mixture", tied_mixture, _tied, 2, {"prior_rows": 2.5}),
    _mixture("diagonal_mixture", diagonal_mixture, _diagonal, 2, {"prior_rows": 2.5}),
    _mixture("spherical_mixture", spherical_mixture, _spherical, 2, {}),
]

EXEMPT = {
    "mlmath.statistics.standardise": "There is no target y here",
    "mlmath.latent.implicit_feedback": "There is no X of features",
    "mlmath.latent.matrix_factorization": "there is no X of features",
    "mlmath.neural.mlp": "Each step draws its rows, so the law of the weights is *in distribution*",
}  # what of the contract holds there is examined in their own tests
