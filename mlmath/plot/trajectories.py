"""Figures of methods at work: where their steps went, and how fast the value fell.

The ground is the height f(x) − f* over the window, f* being the lowest value in the figure, those
at the marked minima among them, with level lines at heights in geometric progression,

    hₖ = h₀ (h_K / h₀)^(k/K),        k = 0, …, K,        K = 15                 (1)

from the height h₀ below which one point of the window in a thousand is, up to the highest. Beside
it f(xₜ) − f* is drawn against the step t on a logarithmic axis, where a linear rate is a straight
line. A step that arrived at f* itself has no logarithm and is a gap; so is a value that climbed a
hundred times as high as the highest start. A method that left the finite numbers ends there, and
the legend says at which step.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mlmath.arrays import Real, Scalar
from mlmath.plot import groups, scales

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["descent", "levels", "paths"]

_LEVELS = 15
_FAR = 100  # times the highest start: what climbs further is not drawn
_GRID = 200  # points of the window in each direction


def levels(heights: Float[Real, "..."]) -> Float[np.ndarray, " _"]:
    """Heights (1) of the level lines where these are the heights; none where none is positive."""
    h = np.asarray(heights, float)
    h = h[np.isfinite(h) & (h > 0)]
    return np.unique(np.geomspace(np.quantile(h, 1e-3), h.max(), _LEVELS + 1)) if len(h) else h


def paths(
    function: Callable[..., Any],
    positions: Mapping[str, Float[Real, "_ 2"]],
    *,
    minima: Sequence[Sequence[Scalar]] = (),
    window: Sequence[Sequence[Scalar]] | None = None,
    names: Sequence[str] = ("u", "v"),
) -> "Figure":
    """Draw the ways of methods over the level lines of a function, and the values on the way.

    Args:
        function: f of a point of the plane.
        positions: x₀, x₁, … of each method, by its name.
        minima: of f, to be marked.
        window: from and to in the first coordinate, then in the second; all that is to be
            marked, with a margin, if None.
        names: of the coordinates.
    """
    from matplotlib.figure import Figure

    ways = {name: np.asarray(x, float) for name, x in positions.items()}
    stars = np.asarray(minima, float).reshape(-1, 2)
    sides = _around([*ways.values(), stars]) if window is None else window
    u, v = (np.linspace(low, high, _GRID) for low, high in sides)
    ground = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
    _, on_ground, *on_ways = _heights(function, [stars, ground, *ways.values()])
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    axes, beside = figure.subplots(1, 2, width_ratios=(1.2, 1))
    _lines(figure, axes, u, v, on_ground.reshape(_GRID, _GRID))
    for x, style in zip(ways.values(), _styles(ways), strict=True):
        _way(axes, x, **style)
    spot = {"linestyle": "", "color": "white", "markeredgecolor": "black", "zorder": 5}
    starts = np.unique([x[0] for x in ways.values()], axis=0)
    axes.plot(*starts.T, "o", markersize=8, label="start", **spot)
    if len(stars):
        axes.plot(*stars.T, "*", markersize=9, label="minimum", **spot | {"zorder": 7})
    axes.set(xlim=sides[0], ylim=sides[1], xlabel=names[0], ylabel=names[1])
    axes.legend(fontsize=9)
    _fall(beside, dict(zip(ways, on_ways, strict=True)))
    beside.set(ylabel="f − minimum")
    _legend(figure, beside)
    return figure


def descent(
    values: Mapping[str, Float[Real, " _"]],
    *,
    bounds: Mapping[str, Float[Real, " _"]] | None = None,
    quantity: str = "f − minimum",
) -> "Figure":
    """Draw what falls from step to step on a logarithmic axis.

    Args:
        values: at the steps 0, 1, … of each method, by its name.
        bounds: what a theorem promises at these steps, by its name, as broken lines.
        quantity: what falls.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.subplots()
    _fall(axes, {name: np.asarray(v, float) for name, v in values.items()})
    dashes = itertools.cycle(("--", ":", "-."))
    for (name, bound), dash in zip((bounds or {}).items(), dashes, strict=False):
        axes.plot(np.asarray(bound, float), color="0.3", linewidth=1.2, linestyle=dash, label=name)
    axes.set(ylabel=quantity)
    _legend(figure, axes)
    return figure


def _around(points):
    """Sides of the box of all finite points, with a margin."""
    points = np.concatenate(points)
    points = points[np.isfinite(points).all(axis=1)]
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.where(high > low, 0.1 * (high - low), 1.0)
    return np.stack([low - margin, high + margin], axis=1)


def _heights(function, parts):
    """f − f* of the points of each part."""
    points = jnp.asarray(np.concatenate(parts))
    values = np.asarray(jax.jit(jax.vmap(function))(points), float)
    heights = values - values[np.isfinite(values)].min()
    return np.split(heights, np.cumsum([len(part) for part in parts])[:-1])


def _lines(figure, axes, u, v, heights):
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogLocator

    at = levels(heights)
    if len(at) > 1:
        heights = np.maximum(heights, at[0] / 2)  # 0 has no logarithm
        colors = {"norm": LogNorm(at[0], at[-1] ** 2 / at[0]), "cmap": "Greys"}  # the paler half
        ground = axes.contourf(u, v, heights, at, extend="min", **colors)
        axes.contour(u, v, heights, at, colors="0.55", linewidths=0.5)
        bar = {"location": "top", "aspect": 40, "ticks": LogLocator(), "format": "{x:g}"}
        figure.colorbar(ground, label="f − minimum", **bar)


def _styles(names):
    """Colour and marker of each name."""
    return [groups.style(k) for k in range(len(names))]


def _way(axes, x, color, marker):
    known = x[np.isfinite(x).all(axis=1)]
    axes.plot(*known.T, color="white", linewidth=3, zorder=3)
    axes.plot(*known.T, color=color, linewidth=1.2, marker=".", markersize=3.5, zorder=4)
    end = {"markersize": 11, "markeredgecolor": "white", "zorder": 6}
    axes.plot(*known[-1:].T, color=color, marker=marker, **end)


def _fall(axes, values):
    """Draw each height against the step, those far above all starts left out."""
    top = _FAR * max(v[0] for v in values.values())
    for (name, v), style in zip(values.items(), _styles(values), strict=True):
        lost = np.flatnonzero(~np.isfinite(v))
        last = f"{scales.short(v[-1])} after {len(v) - 1} steps"
        label = f"{name}: " + (f"not finite from step {lost[0]} on" if len(lost) else last)
        shown = np.where((v > 0) & (v <= top), v, np.nan)
        each = max(1, len(v) // 8)
        axes.plot(shown, linewidth=1.4, markersize=5, markevery=each, label=label, **style)
    axes.set(xlabel="step", yscale="log")


def _legend(figure, axes):
    """Below everything, in as many columns as the longest label leaves room for."""
    lines, labels = axes.get_legend_handles_labels()
    columns = figure.get_figwidth() / (0.6 + 0.068 * max(map(len, labels)))  # inches at this size
    place = {"loc": "outside lower center", "ncols": max(1, int(columns))}
    figure.legend(lines, labels, frameon=False, fontsize=9, **place)
