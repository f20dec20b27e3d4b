"""The figure of the chain rule: what passes through a network forwards, and what comes back.

Layer l computes aₗ = Wₗ hₗ₋₁ + bₗ and hₗ = φ(aₗ), and δₗ = ∂ℓ/∂aₗ comes back. The gradient of a
weight is the product of what stands at its two ends,

    ∂ℓ/∂Wₗ[j, i] = δₗ[j] hₗ₋₁[i]                                               (1)

and is drawn between them: a column per layer, a circle per unit with its h, below it a square with
its δ, and from unit i to unit j a line with the colour of (1), the thicker the larger.
"""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["chain_rule"]


def chain_rule(layers: Sequence[tuple[Any, ...]]) -> "Figure":
    """Draw activations, deltas and gradients of a small network for one example.

    Args:
        layers: of ``neural.backprop``, or tuples like them: hₗ₋₁, aₗ, hₗ, δₗ, and the gradient
            as a tuple that begins with ∂ℓ/∂Wₗ.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    outputs = [np.asarray(h, float) for h in (layers[0][0], *(layer[2] for layer in layers))]
    deltas = [np.asarray(layer[3], float) for layer in layers]
    gradients = [np.asarray(layer[4][0], float) for layer in layers]
    tallest = max(map(len, outputs))
    places = [_column(k, len(h), tallest) for k, h in enumerate(outputs)]
    figure = Figure(figsize=(2.6 + 2 * len(outputs), 1.8 + 0.9 * tallest), layout="constrained")
    axes = figure.subplots()
    segments = [line for pair in itertools.pairwise(places) for line in _between(*pair)]
    slopes = np.concatenate([g.ravel() for g in gradients])
    axes.add_collection(LineCollection(segments, colors="0.85", linewidths=0.6, zorder=0))
    edges = LineCollection(segments, cmap="RdBu_r", zorder=1)
    edges.set(array=slopes, clim=_around_0(slopes))
    edges.set_linewidth(4 * np.abs(slopes) / edges.get_clim()[1])
    axes.add_collection(edges)
    circles = _units(axes, np.concatenate(places), np.concatenate(outputs), "PuOr_r", "o", 1000)
    below = np.concatenate(places[1:]) - [0, 0.44]
    _units(axes, below, np.concatenate(deltas), "RdBu_r", "s", 520)
    for k, (x, top) in enumerate((column[0, 0], column[:, 1].max()) for column in places):
        name = "input" if k == 0 else "output" if k == len(layers) else f"layer {k}"
        axes.text(x, top + 0.55, name, ha="center", va="bottom", fontsize=10)
    axes.set(xlim=(-0.4, len(layers) + 0.4), ylim=(-0.75, tallest - 0.1))
    axes.set_axis_off()
    figure.colorbar(edges, label="line: gradient of the weight", shrink=0.8)
    figure.colorbar(circles, label="circle: activation h", shrink=0.8)
    figure.supxlabel("square: δ, derivative of the loss in what the unit receives", fontsize=9)
    return figure


def _column(k, units, tallest):
    """Places of the units of layer k, the first on top."""
    return np.stack([np.full(units, k), np.arange(units)[::-1] + (tallest - units) / 2], axis=1)


def _between(left, right):
    """Segments from each unit of a layer to each of the next, in the order of Wₗ[j, i]."""
    j, i = np.indices((len(right), len(left))).reshape(2, -1)
    return np.stack([left[i], right[j]], axis=1)


def _units(axes, places, values, cmap, marker, size):
    """Marks with their values in them."""
    low, high = _around_0(values)
    drawn = axes.scatter(
        *places.T, s=size, c=values, cmap=cmap, vmin=low, vmax=high, marker=marker,
        edgecolors="0.3", linewidths=0.8, zorder=2,
    )  # fmt: skip
    for place, value in zip(places, values, strict=True):
        color = "white" if abs(value) > 0.6 * high else "black"
        text = {"ha": "center", "va": "center", "fontsize": 7.5, "color": color, "zorder": 3}
        axes.text(*place, f"{value + 0.0:.2g}", **text)
    return drawn


def _around_0(values):
    most = np.abs(values).max(initial=0) or 1.0
    return -most, most
