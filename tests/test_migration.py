"""Every line of ``docs/migration.md`` is true: both sides are evaluated and agree."""

import re
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
import sklearn.metrics
import sklearn.model_selection
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, PCA, IncrementalPCA
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import KFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlmath import evaluate, rows
from mlmath.evaluate import clusters, curves, grids, metrics, probabilities, selection
from mlmath.evaluate.folds import Folds
from mlmath.kernels import nearest_neighbors
from mlmath.latent import (
    diagonal_mixture,
    full_mixture,
    kmeans,
    mixture_sweep,
    nmf,
    pca,
    probabilistic_pca,
    tied_mixture,
)
from mlmath.linear import (
    least_squares,
    logistic_regression,
    perceptron,
    ridge,
    softmax_regression,
)
from mlmath.statistics import standardise
from mlmath.statistics.compose import compose

PAGE = Path(__file__).parent.parent / "docs" / "migration.md"
LINES = re.findall(r"^\| `(.+?)` \| `(.+?)` \| .*\|$", PAGE.read_text(encoding="utf-8"), re.M)


def masks(pairs, n=60):
    """Masks of the rows in the pairs of indices of a splitter."""
    return Folds(
        *(np.stack([np.isin(np.arange(n), i) for i in part]) for part in zip(*pairs, strict=True))
    )


def _data(n=60):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3)) * [1.0, 2.0, 0.5] + 1
    z = X @ [1.0, -0.5, 2.0]
    P = rng.dirichlet(np.ones(3), size=n)
    cv = list(KFold(4, shuffle=True, random_state=0).split(X))
    return {
        "X": X, "y": z + rng.normal(size=n), "c": (z + rng.logistic(size=n) > z.mean()).astype(int),
        "k": np.digitize(z + rng.normal(size=n), np.quantile(z, [0.3, 0.6])),
        "s": rng.uniform(0.5, 2, size=n), "p": rng.uniform(0.01, 0.99, size=n), "P": P,
        "v": X[:, 2].round(1), "cv": cv, "folds": masks(cv), "g": rng.integers(0, 9, n) ** 2,
    }  # fmt: skip


NAMES = {
    **vars(sklearn.model_selection), "KMeans": KMeans, "kmeans": kmeans, "clusters": clusters,
    "LinearRegression": LinearRegression, "LogisticRegression": LogisticRegression, "Ridge": Ridge,
    "GaussianMixture": GaussianMixture, "full_mixture": full_mixture,
    "diagonal_mixture": diagonal_mixture, "tied_mixture": tied_mixture,
    "mixture_sweep": mixture_sweep,
    "Perceptron": Perceptron, "StandardScaler": StandardScaler, "np": np, "jax": jax,
    "NMF": NMF, "nmf": nmf, "PCA": PCA, "IncrementalPCA": IncrementalPCA, "pca": pca,
    "probabilistic_pca": probabilistic_pca,
    "sklearn": sklearn, "masks": masks, "evaluate": evaluate, "curves": curves,
    "KNeighborsClassifier": KNeighborsClassifier, "KNeighborsRegressor": KNeighborsRegressor,
    "nearest_neighbors": nearest_neighbors, "partial": partial,
    "make_pipeline": make_pipeline, "compose": compose, "grids": grids, "metrics": metrics,
    "least_squares": least_squares, "logistic_regression": logistic_regression, "ridge": ridge,
    "probabilities": probabilities, "rows": rows, "selection": selection, "perceptron": perceptron,
    "softmax_regression": softmax_regression, "standardise": standardise, **_data(),
}  # fmt: skip


def test_the_page_holds_the_lines_that_are_tested():
    table = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    assert len(LINES) == len(table) >= 55


@pytest.mark.parametrize(("theirs", "ours"), LINES, ids=[ours[:60] for _, ours in LINES])
def test_both_sides_agree(theirs, ours):
    right, found = (np.asarray(eval(code, dict(NAMES)), float) for code in (theirs, ours))
    assert right.shape == found.shape
    assert np.isfinite(right).all()
    np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-5)
