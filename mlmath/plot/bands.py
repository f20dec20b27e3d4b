"""A curve per fold as one curve: the mean, and a band of its standard error.

With the values a_k of f folds at one point, k = 1…f, mean and standard error are

    ā = Σₖ aₖ / f,        e = √[Σₖ (aₖ − ā)² / (f (f − 1))]                      (1)

Folds share training rows, so that e says less than it would of independent samples. It is NaN for
one fold, and where a fold has no finite value ā and e are NaN, which is drawn as a gap: a mean
over other folds than its neighbour's would be another quantity.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from mlmath.arrays import Real, Scalar

__all__ = ["draw", "mean_and_error"]


def mean_and_error(
    curves: Float[Real, "f m"],
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Mean ā and standard error e over the folds at each point, eq. (1)."""
    a = np.asarray(curves, float)
    a = np.where(np.isfinite(a), a, np.nan)
    mean, f = a.mean(axis=0), len(a)
    deviation = ((a - mean) ** 2).sum(axis=0)
    return mean, np.sqrt(deviation / (f * (f - 1))) if f > 1 else np.full_like(mean, np.nan)


def draw(
    axes: Any,
    x: Float[Real, " m"],
    curves: Float[Real, "f m"],
    *,
    label: str,
    color: str,
    step: str | None = None,
    marker_size: Scalar = 0,
) -> None:
    """Draw the mean curve ā, and between ā − e and ā + e a band.

    Args:
        axes: of matplotlib.
        x: where the curves are known, ascending.
        curves: aₖ, one row per fold.
        label: of the mean in the legend.
        color: of line and band.
        step: "pre" where a value holds back to the point before; straight lines if None.
        marker_size: of each point of the mean, in points.
    """
    mean, error = mean_and_error(curves)
    style = "default" if step is None else f"steps-{step}"
    axes.plot(
        x, mean, color=color, linewidth=1.8, label=label, drawstyle=style, marker="o",
        markersize=marker_size, zorder=3,
    )  # fmt: skip
    if len(curves) > 1:
        named = "± one standard error of the mean"
        axes.fill_between(
            x, mean - error, mean + error, color=color, alpha=0.25, linewidth=0.8, step=step,
            label="_" if named in axes.get_legend_handles_labels()[1] else named, zorder=2,
        )  # fmt: skip
