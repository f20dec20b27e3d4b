"""A curve per fold as one curve: the mean, and a band of its standard error.

With the values a_k of f folds at one point, k = 1…f, mean and standard error are

    ā = Σₖ aₖ / f,        e = √[Σₖ (aₖ − ā)² / (f (f − 1))]                      (1)

Folds share training rows, so that e says less than it would of independent samples. It is NaN for
one fold, and where a fold has no finite value ā and e are NaN, which is drawn as a gap: a mean
over other folds than its neighbour's would be another quantity. They are ``selection.choose``'s of
``evaluate``, in NumPy, which compiles nothing for a curve of another length.

The folds themselves are thin lines, the fainter the more there are, so that the band stays in
sight: of opacity min(1, 8/f), and none of more than 30 folds.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from mlmath.arrays import Real, Scalar

__all__ = ["draw", "mean_and_error", "thin"]

_MOST_FOLDS = 30
_FULL = 8  # folds up to which a thin line is opaque


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


def thin(
    axes: Any,
    curves: Sequence[tuple[Float[Real, " _"], Float[Real, " _"]]],
    *,
    label: str,
    step: str | None = None,
    marker_size: Scalar = 0,
) -> None:
    """Draw the curve of each fold behind the band, where there are 2 to 30 of them.

    Args:
        axes: of matplotlib.
        curves: abscissae and values of each fold.
        label: of all of them in the legend.
        step: "pre" where a value holds back to the point before; straight lines if None.
        marker_size: of each point, in points.
    """
    if not 1 < len(curves) <= _MOST_FOLDS:
        return
    style = "default" if step is None else f"steps-{step}"
    for number, (x, values) in enumerate(curves):
        axes.plot(
            x, values, color="0.6", linewidth=0.6, alpha=min(1, _FULL / len(curves)), marker="o",
            markersize=marker_size, drawstyle=style, label="_" if number else label, zorder=1,
        )  # fmt: skip
