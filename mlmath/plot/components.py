"""Figures of principal components: how much each explains, what it is made of, what it keeps.

With the variances λ₁ ≥ λ₂ ≥ … of the components and the total variance T, the first k explain

    c_k = (λ₁ + … + λ_k) / T                                                   (1)

A biplot shows rows and columns at once: row i at its scores zᵢ in two components, and column j as
the arrow from the origin to α(v₁ⱼ, v₂ⱼ), the entries of the two directions. The component of zᵢ
along the arrow, times its length, is in units of α what the plane knows of the centred column,

    zᵢᵀ (v₁ⱼ, v₂ⱼ) ≈ xᵢⱼ − μⱼ                                                   (2)

with the largest α for which no arrow leaves the cloud: α maxⱼ ‖(v₁ⱼ, v₂ⱼ)‖ = maxᵢ ‖zᵢ‖. Both
axes have one scale, without which no angle could be read.

References:
    Gabriel (1971), The biplot graphic display of matrices, §2 (α = 1 in its symbols).
    Jolliffe (2002), Principal Component Analysis, 2nd ed., §5.3, §6.1.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mlmath.arrays import Count, Labels, Real, Scalar
from mlmath.plot import groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["biplot", "reconstructions", "scree"]

_WIDTH = 5  # of the frame of a biplot, in inches


def scree(
    variances: Float[Real, " k"],
    *,
    total: Scalar | None = None,
    shares: Sequence[float] = (0.5, 0.9, 0.99),
    chosen: Count | None = None,
) -> "Figure":
    """Draw the variance of each component, and below the share (1) that the first k explain.

    Args:
        variances: λ, descending.
        total: T, where not all components are given; their sum if None.
        shares: where (1) first reaches one of these is marked, and said in the legend.
        chosen: how many components were kept.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    values = np.asarray(variances, float)
    if not values.size:
        raise ValueError("variances must hold one component at least.")
    whole = values.sum() if total is None else float(total)
    k, share = np.arange(1, len(values) + 1), np.cumsum(values) / (whole or np.nan)
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    above.bar(k, values, color="tab:blue", width=0.8)
    below.plot(k, share, color="tab:blue", marker="o", markersize=4 if len(k) <= 40 else 2)
    for part, color in zip(shares, ("#009e73", "#d55e00", "#cc79a7", "#e69f00"), strict=False):
        reached = np.flatnonzero(share >= part - 1e-12)
        if len(reached):
            first = k[reached[0]]
            label = f"{100 * part:.4g} % of the variance: the first {first}"
            below.plot([0.5, first, first], [part, part, 0], ":", color=color, label=label)
    if chosen is not None:
        for axes in (above, below):
            axes.axvline(int(chosen) + 0.5, color="0.3", linewidth=1, linestyle="--")
        below.plot([], [], "--", color="0.3", label=f"kept: the first {int(chosen)}")
    above.set(ylabel="variance", xlim=(0.4, len(k) + 0.6))
    below.set(xlabel="component", ylabel="share explained\nby the first k", ylim=(0, 1.04))
    below.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if below.get_legend_handles_labels()[1]:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def biplot(
    scores: Float[Real, "n m"],
    components: Float[Real, "m d"],
    names: Sequence[str],
    *,
    explained: Float[Real, " 2"] | None = None,
    label: Labels | None = None,
    labels: Sequence[str] | None = None,
    sample_weight: Float[Real, " n"] | None = None,
    numbers: Sequence[Count] = (1, 2),
    shown: Count = 10,
) -> "Figure":
    """Draw rows as points and columns as arrows in the plane of two components.

    Args:
        scores: z in the two.
        components: directions of the two, in rows.
        names: of the columns.
        explained: share of the total variance of the two, for the axes.
        label: class or cluster of each row, from 0, for the colour.
        labels: names of these; their numbers if None.
        sample_weight: 0 leaves the row out.
        numbers: of the two components, from 1.
        shown: how many arrows to draw, the longest first.
    """
    from matplotlib.figure import Figure

    z, arrows = np.asarray(scores, float), np.asarray(components, float).T
    if len(arrows) != len(names):
        raise ValueError(
            f"names must be as many as the columns of components, {len(arrows)}, got {len(names)}."
        )
    kept, _ = groups.counted(z, sample_weight=sample_weight)
    figure = Figure(figsize=(7.6, 6), layout="constrained")
    axes = figure.subplots()
    group = np.zeros(len(z)) if label is None else np.asarray(label)
    if label is None:
        named = ["rows"]
    elif labels is None:
        named = [str(g) for g in range(int(group[kept].max(initial=0)) + 1)]
    else:
        named = list(labels)
    groups.scatter(axes, z, group, named, sample_weight=sample_weight)
    far = np.linalg.norm(z[kept], axis=1).max(initial=0) if len(kept) else 1.0
    length = np.linalg.norm(arrows, axis=1)
    order = np.argsort(-length, kind="stable")[: int(shown)]
    tips = (far or 1.0) / (length.max(initial=0) or 1.0) * arrows[order]
    groups.spread(figure, axes, _arrows(axes, z[kept], tips, [names[j] for j in order]))
    told = [f"component {number}" for number in numbers]
    if explained is not None:
        told = [
            f"{t}, {100 * s:.3g} % of the variance" for t, s in zip(told, explained, strict=True)
        ]
    axes.set(xlabel=told[0], ylabel=told[1])
    if len(order) < len(names):
        axes.plot([], [], " ", label=f"{len(order)} longest of {len(names)} columns")
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


def reconstructions(
    images: Float[Real, "n h w"],
    reconstructed: Mapping[int, Float[Real, "_ _ _"]],
    *,
    shown: Count = 6,
) -> "Figure":
    """Draw images, one a row, and beside each what so many components keep of it.

    All have the greys of the originals; above each column stands the root mean squared error of a
    pixel, over all images given.

    Args:
        images: dark where the value is large.
        reconstructed: the images from their scores, by the number of components.
        shown: how many images, the first ones.
    """
    from matplotlib.figure import Figure

    original = np.asarray(images, float)
    columns = {"original": original}
    for k, found in reconstructed.items():
        found = np.asarray(found, float)
        if found.shape != original.shape:
            raise ValueError(
                f"reconstructed must have the shape of images, {original.shape}, got "
                f"{found.shape} for {k} components."
            )
        error = np.sqrt(np.mean((found - original) ** 2)) if original.size else 0.0
        columns[f"{k} component{'s' * (k != 1)}\nrms error {error:.3g}"] = found
    n = min(int(shown), len(original))
    if not n:
        raise ValueError("images must hold one image at least.")
    figure = Figure(figsize=(1.25 * len(columns), 0.5 + 1.1 * n), layout="constrained")
    cells = figure.subplots(n, len(columns), squeeze=False)
    greys = {"cmap": "gray_r", "vmin": original[:n].min(), "vmax": original[:n].max()}
    for j, (title, pictures) in enumerate(columns.items()):
        for i, axes in enumerate(cells[:, j]):
            axes.imshow(pictures[i], **greys)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(color="0.8")
        cells[0, j].set_title(title, fontsize=8)
    return figure


def _arrows(axes, z, tips, names):
    """Draw arrows, and beyond each its name where there is room; return the corners."""
    around = np.concatenate([z, tips, np.zeros((1, 2))])
    inch = 1.3 * (np.ptp(around, axis=0).max() or 1.0) / _WIDTH
    turns = np.deg2rad([0, 25, -25, 50, -50, 75, -75])
    taken: list[tuple[np.ndarray, np.ndarray]] = []
    for tip, name in zip(tips, names, strict=True):
        axes.annotate(
            "", tip, (0, 0), zorder=5, arrowprops={"arrowstyle": "->", "color": "0.15"},
        )  # fmt: skip
        half = inch * np.array([0.033 * len(name) + 0.05, 0.09])  # of a text of 8 points
        along = np.arctan2(tip[1], tip[0]) + turns
        ways = np.stack([np.cos(along), np.sin(along)], axis=1)
        out = (half / np.maximum(np.abs(ways), 1e-9)).min(axis=1) + 0.04 * inch
        places = (
            tip + (out[i] + 0.1 * inch * step) * ways[i]
            for step in range(200)
            for i in range(len(turns))
        )
        place = next((at for at in places if _free(at, half, taken)), tip)
        taken.append((place, half))
        axes.plot(*np.stack([tip, place]).T, color="0.5", linewidth=0.6, zorder=4)
        groups.write(axes, place, name)
    covered = [corner for at, half in taken for corner in (at - half, at + half)]
    whole = np.concatenate([around, np.reshape(covered, (-1, 2))])
    low, high = whole.min(axis=0), whole.max(axis=0)
    corners = np.stack([low, high])
    least = 0.4 * (high - low).max()  # so that the frame is no strip
    corners += np.outer([-0.5, 0.5], np.maximum(0, least - (high - low)))
    axes.update_datalim(corners)
    return corners


def _free(place, half, taken):
    return not any((np.abs(place - other) < half + size).all() for other, size in taken)
