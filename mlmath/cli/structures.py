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
    drawn = {"Share of the variance of each component, and of the first of them together":
             report.png(components.scree(explained))}  # fmt: skip
    if len(explained) > 1:
        biplot = components.biplot(
            found.applied[:, :2], np.asarray(model.components[:2]).T, found.names,
            groups=found.groups, sample_weight=found.weight, explained=explained[:2],
        )  # fmt: skip
        drawn["Rows and columns along the first two components"] = report.png(biplot)
    places = None if found.texts else pictures.pixels(found.names)
    if places is not None:
        (height, width), shown = (int(p) + 1 for p in places.max(axis=0)), found.rows[:8]
        versions = {"original": shown}
        z = found.applied[:8]
        for k in [k for k in (1, 5, 20, 64) if k < z.shape[1]] + [z.shape[1]]:
            back = z[:, :k] @ np.asarray(model.components[:k]) + np.asarray(model.mean)
            versions[f"{k} component{'s' * (k > 1)}"] = back * found.scale + found.center
        versions = {
            name: pictures.placed(v, places, (height, width)) for name, v in versions.items()
        }
        drawn["Images and what the first components make of them"] = report.png(
            components.reconstructions(versions)
        )
    return drawn


def _model(found):
    return found.fitted.params


STRUCTURES = {
    "pca": Structure(_pca, pca.transform, min, _scores, _loadings, _components),
}
