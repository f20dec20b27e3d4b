"""Figures of models that look at images: what they judged worst, and what they look for.

An image i with the observed class yᵢ, to which a model gives the probabilities pᵢ, has the loss

    ℓᵢ = −log pᵢ[yᵢ]                                                           (1)

and the images of the largest losses are where to look first: for mistakes of the model, and for
wrong labels. A unit of the first layer computes wᵀx + b of the pixels x, so that its weights w are
an image too: bright where a pixel of that sign raises it. The norm ‖w‖ says how much it listens.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mlmath.arrays import Count, Labels, Real

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["first_layer", "worst_judged"]


def worst_judged(
    images: Float[Real, "n h w"],
    y: Labels,
    probability: Float[Real, "n k"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
    names: Sequence[str] | None = None,
    shown: Count = 24,
) -> "Figure":
    """Draw the images of the largest loss (1), with their class → the predicted one.

    Above each stand the number of its row, and the probability of the predicted class; red is a
    mistake. A row without a finite probability is left out, and the title counts it.

    Args:
        images: dark where the value is large.
        y: observed classes, 0 to k − 1.
        probability: of each class.
        sample_weight: 0 leaves the row out.
        names: of the classes; their numbers if None.
        shown: how many images.
    """
    p, label = np.asarray(probability, float), np.asarray(y).astype(int)
    counted = np.ones(len(p)) if sample_weight is None else np.asarray(sample_weight)
    known = np.isfinite(p).all(axis=1)
    names = [str(k) for k in range(p.shape[1])] if names is None else names
    with np.errstate(divide="ignore"):
        loss = -np.log(p[np.arange(len(p)), label])
    rows = np.flatnonzero((counted != 0) & known)
    rows = rows[np.argsort(-loss[rows], kind="stable")][: int(shown)]
    figure, cells = _grid(len(rows), 1.5)
    for axes, i in zip(cells, rows, strict=True):
        found = p[i].argmax()
        judged = names[label[i]] if found == label[i] else f"{names[label[i]]} → {names[found]}"
        axes.imshow(images[i], cmap="gray_r")
        color = "black" if found == label[i] else "tab:red"
        axes.set_title(f"row {i}\n{judged}, {p[i, found]:.0%}", fontsize=8, color=color)
    lost = ((counted != 0) & ~known).sum()
    missing = f"; {lost} rows without a finite probability" if lost else ""
    title = f"largest loss first: observed → predicted, probability of the predicted{missing}"
    figure.suptitle(title, fontsize=9)
    return figure


def first_layer(
    weights: Float[Real, "units pixels"], shape: tuple[int, int], *, shown: Count = 24
) -> "Figure":
    """Draw the weights of each unit as an image, those of the largest norm first.

    Args:
        weights: w of each unit, one per row.
        shape: height and width of an image.
        shown: how many units.
    """
    w = np.asarray(weights, float)
    if w.shape[1] != np.prod(shape):
        raise ValueError(
            f"shape {shape} must have as many pixels as weights has columns, {w.shape[1]}."
        )
    order = np.argsort(-np.linalg.norm(w, axis=1), kind="stable")[: int(shown)]
    figure, cells = _grid(len(order), 1.3)
    most = np.abs(w[order]).max(initial=0) or 1.0
    for axes, unit in zip(cells, order, strict=True):
        drawn = axes.imshow(w[unit].reshape(shape), cmap="RdBu_r", vmin=-most, vmax=most)
        axes.set_title(f"unit {unit}", fontsize=8)
    if len(order):
        figure.colorbar(drawn, ax=cells, label="weight", shrink=0.8)
    figure.suptitle(f"{len(order)} of {len(w)} units, the largest norm first", fontsize=9)
    return figure


def _grid(number, height):
    """A figure and so many axes without ticks, in rows of up to eight."""
    from matplotlib.figure import Figure

    columns = max(1, min(8, number))
    rows = max(1, -(-number // columns))
    figure = Figure(figsize=(max(5.0, 1.15 * columns), 0.5 + height * rows), layout="constrained")
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color="0.8")
    for axes in cells[number:]:
        axes.set_axis_off()
    return figure, cells[:number]
