"""Principal components at the shell: shares, loadings, scree, biplot, images from few of them."""

from functools import partial

import numpy as np

from mlmath.cli import pictures, report
from mlmath.cli.found import Structure, groups
from mlmath.cli.pipeline import Part
from mlmath.latent import pca

__all__ = ["PCA"]


def _bind(given):
    return Part(partial(_fit, **given), pca.transform)


def _fit(X, y, *, sample_weight=None, **given):
    return pca.fit(X, sample_weight=sample_weight, **given)


def _scores(applied):
    return {f"component {j}": z for j, z in enumerate(applied.T, 1)}


def _loadings(found):
    """Shares of the variance, and of each component the columns it is made of."""
    explained = np.asarray(found.fitted.explained)
    total = np.cumsum(explained)
    facts = {"explained": f"{total[-1]:.1%} of the variance by {len(total)} components"}
    for j, v in enumerate(found.fitted.params.components[:6]):
        v = np.asarray(v)
        largest = np.argsort(-np.abs(v))[:4]
        made = " ".join(f"{v[i]:+.2f} {found.names[i]}" for i in largest)
        more = " …" if len(v) > 4 else ""
        facts[f"component {j + 1}"] = f"{explained[j]:.1%}: {made}{more}"
    return facts


def _components(found):
    """Scree, biplot, and where the columns are pixels what few components make of the images."""
    from mlmath.plot import components

    model, explained = found.fitted.params, np.asarray(found.fitted.explained)
    variances = np.asarray(model.variances)
    scree = components.scree(variances, total=float(variances[0] / explained[0]))
    drawn = {"Variance of each component, and share of the first of them": report.png(scree)}
    if len(explained) > 1:
        label, labels = groups(found)
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
    model, z = found.fitted.params, found.applied[:most]
    V, mean = np.asarray(model.components), np.asarray(model.mean)

    def back(k):
        return (z[:, :k] @ V[:k] + mean) * found.scale + found.center

    numbers = sorted({*(k for k in (1, 5, 20, 64) if k < len(V)), len(V)})
    return pictures.placed(found.rows[:most], places, shape), {
        k: pictures.placed(back(k), places, shape) for k in numbers
    }


PCA = Structure(_bind, min, _scores, _loadings, _components)
