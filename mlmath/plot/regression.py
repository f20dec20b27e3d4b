"""Figures of a model of a number.

matplotlib is imported when a figure is drawn.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float

from mlmath.arrays import Real

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["coefficient_path", "predicted_against_observed"]


def predicted_against_observed(
    predicted: Float[Real, " n"], observed: Float[Real, " n"], *, unit: str = "target"
) -> "Figure":
    """Draw each example as a point; a perfect model puts them on the diagonal."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4.4), layout="constrained")
    axes = figure.subplots()
    low = min(float(predicted.min()), float(observed.min()))
    high = max(float(predicted.max()), float(observed.max()))
    axes.plot([low, high], [low, high], color="0.6", linewidth=1, label="perfect")
    axes.axhline(float(observed.mean()), color="tab:orange", linewidth=1, label="mean of held-out")
    axes.scatter(observed, predicted, s=14, alpha=0.7)
    axes.set(xlabel=f"observed {unit}", ylabel=f"predicted {unit}")
    axes.legend(frameon=False)
    return figure


def coefficient_path(
    penalties: Float[Real, " m"],
    weights: Float[Real, "m d"],
    names: Sequence[str],
    *,
    chosen: float | None = None,
    shown: int = 8,
) -> "Figure":
    """Draw each weight against the penalty; the ``shown`` largest are named at the right."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    weights = np.asarray(weights)
    order = np.argsort(-np.abs(weights).max(axis=0))
    for rank, j in enumerate(order):
        style = {"label": names[j]} if rank < shown else {"color": "0.8", "zorder": 0}
        axes.plot(penalties, weights[:, j], linewidth=1.4, **style)
    if chosen is not None:
        axes.axvline(chosen, color="0.4", linestyle=":", label="the fit above")
    axes.axhline(0, color="0.4", linewidth=0.6)
    axes.set(xscale="log", xlabel="penalty λ", ylabel="weight (per standard deviation)")
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure
