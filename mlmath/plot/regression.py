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
    predicted: Float[Real, " n"],
    observed: Float[Real, " n"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
    unit: str = "target",
) -> "Figure":
    """Draw each example as a point; a perfect model puts them on the diagonal.

    Args:
        predicted: by the model.
        observed: y.
        sample_weight: sᵢ, of the mean; 0 leaves the row out.
        unit: name of the target, with its unit.
    """
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4.4), layout="constrained")
    axes = figure.subplots()
    weight = np.ones(len(observed)) if sample_weight is None else np.asarray(sample_weight)
    predicted, observed = (np.asarray(a)[weight != 0] for a in (predicted, observed))
    low, high = min(predicted.min(), observed.min()), max(predicted.max(), observed.max())
    axes.plot([low, high], [low, high], color="0.6", linewidth=1, label="perfect")
    mean = float(np.average(observed, weights=weight[weight != 0]))
    axes.axhline(mean, color="tab:orange", linewidth=1, label="mean of held-out")
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
