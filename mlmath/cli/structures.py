"""What describes rows without a target, as the shell fits, tells, draws and applies it.

Each structure is a part of a model like any other (``pipeline``), so that one-hot columns,
standardising, padding and saved runs are the same; its fit is given a y and does not look.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from mlmath.cli import pictures, report
from mlmath.latent import pca

__all__ = ["STRUCTURES", "Found", "Structure"]


class Found(NamedTuple):
    """A fitted structure and the rows it describes."""

    fitted: Any  # Fit of the method
    applied: np.ndarray  # what its part makes of the rows
    rows: np.ndarray  # in the units of the file, one-hot
    names: list[str]  # of their columns
    weight: np.ndarray
    groups: list[Any] | None  # entry of the target column in each row
    center: np.ndarray  # of the standard units; zeros if raw
    scale: np.ndarray  # ones if raw
    texts: bool  # whether a column was text


class Structure(NamedTuple):
    """How a method without a target is fitted, applied and shown."""

    fit: Callable[..., Any]  # (X, y, *, sample_weight, …) -> Fit
    predict: Callable[..., Any]  # of ONE example
    most: Callable[[int, int], int]  # (rows, columns) -> the largest k
    columns: Callable[[np.ndarray], Mapping[str, np.ndarray]]  # what predict writes
    facts: Callable[[Found], Mapping[str, str]]
    figures: Callable[[Found], Mapping[str, bytes]]


def _pca(X, y, *, sample_weight=None, **values):
    return pca.fit(X, sample_weight=sample_weight, **values)


def _scores(applied):
    return {f"component {j}": z for j, z in enumerate(applied.T, 1)}


def _loadings(found):
    """Shares of the variance, and of each component the columns it is made of."""
    explained = np.asarray(found.fitted.explained)
    total = np.cumsum(explained)
    facts = {"explained": f"{total[-1]:.1%} of the variance by {len(total)} components"}
    for j, v in enumerate(_model(found).components[:6]):
        v = np.asarray(v)
        largest = np.argsort(-np.abs(v))[:4]
        made = " ".join(f"{v[i]:+.2f} {found.names[i]}" for i in largest)
        more = " …" if len(v) > 4 else ""
        facts[f"component {j + 1}"] = f"{explained[j]:.1%}: {made}{more}"
    return facts


def _components(found):
    """Scree, biplot, and where the columns are pixels what few components make of the images."""
    from mlmath.plot import components

    model, explained = _model(found), np.asarray(found.fitted.explained)
    variances = np.asarray(model.variances)
    scree = components.scree(variances, total=float(variances[0] / explained[0]))
    drawn = {"Variance of each component, and share of the first of them": report.png(scree)}
    if len(explained) > 1:
        label, labels = _groups(found)
        biplot = components.biplot(
            found.applied[:, :2], np.asarray(model.components[:2]), found.names,
            explained=explained[:2], label=label, labels=labels, sample_weight=found.weight,
        )  # fmt: skip
        drawn["Rows and columns along the first two components"] = report.png(biplot)
    places = None if found.texts else pictures.pixels(found.names)
    if places is not None:
        drawn["Images and what the first components keep of them"] = report.png(
            components.reconstructions(*_images(found, places))
        )
    return drawn


def _images(found, places, most=64):
    """Images of the first rows, and their reconstructions by numbers of components."""
    shape = (int(places[:, 0].max()) + 1, int(places[:, 1].max()) + 1)
    model, z = _model(found), found.applied[:most]
    V, mean = np.asarray(model.components), np.asarray(model.mean)

    def back(k):
        return (z[:, :k] @ V[:k] + mean) * found.scale + found.center

    numbers = sorted({*(k for k in (1, 5, 20, 64) if k < len(V)), len(V)})
    return pictures.placed(found.rows[:most], places, shape), {
        k: pictures.placed(back(k), places, shape) for k in numbers
    }


def _groups(found, most=20):
    """Position and names of the groups of the rows, if they are few."""
    if found.groups is None:
        return None, None
    texts = ["missing" if g is None else str(g) for g in found.groups]
    names, codes = np.unique(texts, return_inverse=True)
    return (codes, names.tolist()) if 1 < len(names) <= most else (None, None)


def _model(found):
    return found.fitted.params


STRUCTURES = {
    "pca": Structure(_pca, pca.transform, min, _scores, _loadings, _components),
}
