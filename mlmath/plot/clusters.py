"""Figures of clusters: where they lie, how well rows fit in, how many there are, how they came.

An ellipse at r standard deviations of a cluster with mean μ and covariance Σ = V diag(λ) Vᵀ is

    μ + r V diag(λ)^½ (cos t, sin t),        0 ≤ t ≤ 2π                         (1)

and holds 1 − exp(−r²/2) of a normal distribution, 39 % for r = 1 and 86 % for r = 2. A bar of a
silhouette is as high as the row's weight, and the mean over rows is

    s̄ = Σᵢ wᵢ sᵢ / Σᵢ wᵢ                                                        (2)

Each panel of a strip of Lloyd's steps colours the rows by the nearest of its centroids cⱼ, the
first of several, and says the inertia

    Σᵢ wᵢ minⱼ ‖xᵢ − cⱼ‖²                                                       (3)

What is drawn of many rows, and how clusters are told apart, is in ``plot.groups``.

References:
    Rousseeuw (1987), Silhouettes: a graphical aid to the interpretation and validation of cluster
        analysis, §2.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from mlmath.arrays import Count, Labels, Real, Scalar
from mlmath.plot import groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["criterion", "ellipse", "partition", "silhouettes", "steps"]

_NUMBERED = 7  # clusters above which their numbers are written at their means


def ellipse(
    mean: Float[Real, " 2"], covariance: Float[Real, "2 2"], deviations: Scalar
) -> Float[np.ndarray, "181 2"]:
    """Points of the ellipse (1), of which the last is the first.

    Raises:
        ValueError: if the covariance has an eigenvalue below 0 by more than rounding.
    """
    values, vectors = np.linalg.eigh(np.asarray(covariance, float))
    if values[0] < -1e-5 * max(values[1], 0):
        raise ValueError(f"a covariance must have no eigenvalue below 0, got {values[0]:.3g}.")
    t = np.linspace(0, 2 * np.pi, 181)
    circle = np.stack([np.cos(t), np.sin(t)], axis=1)
    return np.asarray(mean, float) + deviations * (circle * np.sqrt(values.clip(0))) @ vectors.T


def partition(
    points: Float[Real, "n d"],
    label: Labels,
    *,
    means: Float[Real, "k 2"] | None = None,
    covariances: Float[Real, "k 2 2"] | None = None,
    sample_weight: Float[Real, " n"] | None = None,
    names: Sequence[str] = ("first coordinate", "second coordinate"),
    clusters: Sequence[str] | None = None,
) -> "Figure":
    """Draw rows coloured by cluster, with means and ellipses (1) of one and two deviations.

    Args:
        points: rows in two coordinates.
        label: cluster of each row, from 0.
        means: or centroids; k of them.
        covariances: in these two coordinates, one per mean.
        sample_weight: 0 leaves the row out.
        names: of the coordinates, with their units.
        clusters: their names; numbers if None.
    """
    from matplotlib.figure import Figure

    x, given = np.asarray(points, float), np.asarray(label)
    kept, _ = groups.counted(x, sample_weight=sample_weight)
    middle = None if means is None else np.asarray(means, float)
    k = int(given[kept].max(initial=0)) + 1 if middle is None else len(middle)
    named = [f"cluster {g}" for g in range(k)] if clusters is None else list(clusters)
    if middle is None and covariances is not None:
        raise ValueError("covariances must come with means, around which their ellipses lie.")
    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    axes = figure.subplots()
    groups.scatter(axes, x, given, named, sample_weight=sample_weight)
    if covariances is not None:
        _ellipses(axes, middle, covariances)
    if middle is not None:
        _centroids(axes, middle, label="mean")
    elif k > _NUMBERED:
        here = np.unique(given[kept].astype(int))
        _numbers(axes, [x[kept][given[kept] == g].mean(axis=0) for g in here], here)
    groups.spread(figure, axes, x[kept])
    axes.set(xlabel=names[0], ylabel=names[1])
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


def silhouettes(
    values: Float[Real, " n"],
    label: Labels,
    *,
    sample_weight: Float[Real, " n"] | None = None,
    clusters: Sequence[str] | None = None,
) -> "Figure":
    """Draw the silhouette of each row as a bar, sorted within each cluster, and the mean (2).

    Args:
        values: silhouettes, from −1 to 1.
        label: cluster of each row, from 0.
        sample_weight: wᵢ; 2 makes the bar twice as high, 0 leaves the row out.
        clusters: their names; numbers if None.
    """
    from matplotlib.figure import Figure

    s = np.asarray(values, float)
    weight = np.ones(len(s)) if sample_weight is None else np.asarray(sample_weight, float)
    known = np.isfinite(s) & (weight != 0)
    lost = int((~np.isfinite(s) & (weight != 0)).sum())
    s, weight, group = s[known], weight[known], np.asarray(label)[known].astype(int)
    k = int(group.max(initial=0)) + 1
    named = [str(g) for g in range(k)] if clusters is None else list(clusters)
    figure = Figure(figsize=(6.4, min(8.0, 3.2 + 0.25 * k)), layout="constrained")
    axes = figure.subplots()
    gap, base, marks = 0.02 * weight.sum(), 0.0, []
    for g in range(k):
        order = np.flatnonzero(group == g)
        order = order[np.argsort(-s[order], kind="stable")]
        edges = base + np.concatenate([[0], np.cumsum(weight[order])])
        axes.stairs(
            s[order], edges, orientation="horizontal", fill=True, color=groups.style(g)["color"],
            rasterized=len(s) > 1000,
        )  # fmt: skip
        mean = f": {np.average(s[order], weights=weight[order]):.2f}" if len(order) else ""
        marks.append(((edges[0] + edges[-1]) / 2, named[g] + mean))
        base = edges[-1] + gap
    if len(s):
        mean = np.average(s, weights=weight)
        axes.axvline(mean, color="white", linewidth=3)
        axes.axvline(mean, color="0.2", linestyle="--", label=f"mean of all rows: {mean:.3g}")
    axes.set_yticks(*zip(*marks[:: -(-k // 30)], strict=True))
    axes.set(xlabel="silhouette", ylabel="cluster: its mean", ylim=(base or 1, -gap))
    axes.set_xlim(min(-0.02, s.min(initial=0) - 0.02), 1)
    axes.axvline(0, color="0.2", linewidth=0.8)
    if lost:
        axes.plot([], [], " ", label=f"{lost} of {lost + len(s)} rows without a finite value")
    if axes.get_legend_handles_labels()[1]:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def criterion(
    k: Sequence[int] | Int[Real, " m"],
    values: Mapping[str, Float[Real, " m"]],
    *,
    errors: Mapping[str, Float[Real, " m"]] | None = None,
    chosen: Count | None = None,
    quantity: str = "criterion, lower is better",
) -> "Figure":
    """Draw what chooses the number of clusters against it: BIC and AIC, inertia, the gap.

    Args:
        k: numbers of clusters, all different.
        values: at each k, by the name of the criterion; one axis for all.
        errors: standard errors of those that have some, by the same names.
        chosen: the number of clusters chosen, one of ``k``.
        quantity: name of the axis, with its unit and which way is better.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    order = np.argsort(np.asarray(k))
    ks = np.asarray(k)[order]
    if len(np.unique(ks)) < len(ks) or not len(ks):
        raise ValueError("k must hold one number of clusters at least, all of them different.")
    at = ks == chosen
    if chosen is not None and not at.any():
        raise ValueError(f"chosen must be one of k, got {chosen}.")
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    curves = {name: np.asarray(v, float)[order] for name, v in values.items()}
    for g, (name, v) in enumerate(curves.items()):
        error = errors[name] if errors is not None and name in errors else None
        _curve(axes, ks, v, name, None if error is None else np.asarray(error)[order], g)
    if chosen is not None:
        found = [(name, v[at][0]) for name, v in curves.items()]
        told = ", ".join(f"{name} {value:.6g}" for name, value in found)
        axes.plot(
            np.repeat(ks[at], len(found)), [value for _, value in found], "*", color="tab:red",
            markersize=13, zorder=4, linestyle="", label=f"chosen: k = {ks[at][0]}, {told}",
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlabel="clusters k", ylabel=quantity)
    figure.legend(loc="outside lower center", frameon=False, fontsize=9)
    return figure


def steps(
    points: Float[Real, "n d"],
    centroids: Float[Real, "t k 2"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
    names: Sequence[str] = ("first coordinate", "second coordinate"),
    shown: Count = 6,
) -> "Figure":
    """Draw Lloyd's steps as a strip: rows by their nearest centroid, and the centroids' paths.

    Of more steps than panels the first ones are shown, and the last.

    Args:
        points: rows in two coordinates.
        centroids: where they were after 0, 1, … steps.
        sample_weight: wᵢ of the inertia (3); 0 leaves the row out.
        names: of the coordinates, with their units.
        shown: how many panels, two at least.
    """
    from matplotlib.figure import Figure

    x, c = np.asarray(points, float), np.asarray(centroids, float)
    if c.shape[2:] != (2,) or not c.size:
        raise ValueError(f"centroids must be one step at least of (k, 2), got the shape {c.shape}.")
    kept, _ = groups.counted(x, sample_weight=sample_weight)
    weight = np.ones(len(x)) if sample_weight is None else np.asarray(sample_weight, float)
    panels = range(len(c)) if len(c) <= int(shown) else [*range(int(shown) - 1), len(c) - 1]
    columns = 2 if len(panels) == 4 else min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure((0.6 + 3.1 * columns, 0.6 + 2.9 * lines), layout="constrained")
    cells = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, t in zip(cells, panels, strict=False):
        label, inertia = _nearest(x, c[t], kept, weight)
        named = [str(g) for g in range(c.shape[1])]
        groups.scatter(axes, x, label, named, sample_weight=sample_weight, most=1500)
        for path in c[: t + 1].transpose(1, 0, 2):
            axes.plot(*path.T, color="white", linewidth=2.6, zorder=3)
            axes.plot(*path.T, color="0.1", linewidth=1.1, marker=".", markersize=3, zorder=4)
        _centroids(axes, c[t])
        axes.set_title(f"after {t} step{'s' * (t != 1)}: inertia {inertia:.4g}", fontsize=9)
    for axes in cells[len(panels) :]:
        axes.set_axis_off()
    for axes in cells[max(0, len(panels) - columns) : len(panels)]:
        axes.tick_params(which="both", labelbottom=True)
    figure.supxlabel(names[0], fontsize=10)
    figure.supylabel(names[1], fontsize=10)
    return figure


def _ellipses(axes, means, covariances):
    """Draw the ellipses of one and of two deviations; of a cluster that is not finite none."""
    lines = {1: "-", 2: "--"}
    for g, (mean, covariance) in enumerate(zip(means, np.asarray(covariances), strict=True)):
        for r, line in lines.items() if np.isfinite(covariance).all() else ():
            way = ellipse(mean, covariance, r).T
            axes.plot(*way, color="white", linewidth=3, alpha=0.7)
            axes.plot(*way, line, color=groups.style(g)["color"], linewidth=1.4)
    for r, line in lines.items():
        axes.plot([], [], line, color="0.3", label=f"{r} standard deviation{'s' * (r > 1)}")


def _curve(axes, ks, v, name, error, g):
    """Draw one criterion, and on the axis mark where it is not finite."""
    lost, style = ~np.isfinite(v), groups.style(g)
    label = name if error is None else f"{name}, ± one standard error"
    if lost.any():
        label += f", {lost.sum()} of {len(v)} without a finite value"
    v = np.where(lost, np.nan, v)
    if error is not None:
        axes.errorbar(ks, v, error, linestyle="", capsize=3, color=style["color"])
    axes.plot(ks, v, markersize=5, linewidth=1.4, label=label, **style)
    low = np.full(lost.sum(), 0.02)
    axes.plot(ks[lost], low, "x", color=style["color"], transform=axes.get_xaxis_transform())


def _nearest(x, centroids, kept, weight):
    """Number of the nearest centroid of each row that counts, and the inertia (3)."""
    least, label = np.full(len(x), np.inf), np.zeros(len(x), int)
    for g, centroid in enumerate(centroids):
        square = ((x[kept] - centroid) ** 2).sum(axis=1)
        nearer = square < least[kept]
        label[kept[nearer]], least[kept[nearer]] = g, square[nearer]
    return label, (weight[kept] * least[kept]).sum()


def _centroids(axes, places, label="_"):
    """Mark the centroids, or write their numbers where there are many."""
    if len(places) > _NUMBERED:
        _numbers(axes, places, range(len(places)))
        return
    spot = {"linestyle": "", "markeredgecolor": "black", "zorder": 5}
    axes.plot(*places.T, "o", color="white", markersize=7, label=label, **spot)


def _numbers(axes, places, clusters):
    for place, g in zip(places, clusters, strict=True):
        if np.isfinite(place).all():
            groups.write(axes, place, str(g))
