"""Figures of a model of classes.

matplotlib is imported when a figure is drawn.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float, Int

from mlmath.arrays import Labels, Real
from mlmath.plot import ranking

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["confusion_matrix", "probabilities", "receiver_operating_characteristic"]


def confusion_matrix(
    matrix: Float[Real, "k k"] | Int[Real, "k k"], names: Sequence[str]
) -> "Figure":
    """Draw how much of each class (row) was taken for each class (column).

    Args:
        matrix: C of :func:`mlmath.evaluate.metrics.confusion_matrix`, whatever decided the classes
            and with whatever weights; a row is the darker where more of it is.
        names: of the classes.

    Raises:
        ValueError: if there are not as many names as classes.
    """
    import numpy as np
    from matplotlib.figure import Figure

    C, k = np.asarray(matrix, float), len(names)
    if len(C) != k:
        raise ValueError(f"names must be as many as the classes of the matrix, {len(C)}, got {k}.")
    total = C.sum(axis=1, keepdims=True)
    figure = Figure(figsize=(1.8 + 0.42 * k, 1.6 + 0.42 * k), layout="constrained")
    axes = figure.subplots()
    axes.imshow(C / np.where(total == 0, 1, total), cmap="Blues", vmin=0, vmax=1.3)
    for i, j in np.argwhere(C != 0).tolist():
        shown = f"{C[i, j]:.0f}" if C[i, j] == C[i, j].round() else f"{C[i, j]:.3g}"
        axes.text(j, i, shown, ha="center", va="center", fontsize=9)
    if max(map(len, names)) > 3:
        axes.set_xticks(range(k), list(names), rotation=45, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(range(k), list(names))
    axes.set_yticks(range(k), list(names))
    axes.set(xlabel="predicted class", ylabel="observed class")
    return figure


def probabilities(
    probability: Float[Real, " n"],
    label: Labels,
    *,
    sample_weight: Float[Real, " n"] | None = None,
    negative: str = "0",
    positive: str = "1",
) -> "Figure":
    """Draw how the predicted probability of the positive class is spread within each class.

    Args:
        probability: predicted for class 1.
        label: 0 and 1.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        negative: name of class 0.
        positive: name of class 1.
    """
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    axes = figure.subplots()
    p, y = np.asarray(probability, float), np.asarray(label) == 1
    s = np.ones(len(p)) if sample_weight is None else np.asarray(sample_weight, float)
    bins = np.linspace(0, 1, 26).tolist()
    for name, one in ((negative, ~y), (positive, y)):
        kept = one & (s != 0) & np.isfinite(p)
        axes.hist(p[kept], bins, weights=s[kept], alpha=0.7, label=name)
    lost = (s != 0) & ~np.isfinite(p)
    if lost.any():
        named = f"{lost.sum()} of {(s != 0).sum()} rows without a finite value"
        axes.plot([], [], " ", label=named)
    axes.axvline(0.5, color="0.4", linestyle=":")
    axes.set(
        xlabel=f"predicted probability of {positive}", ylabel="held-out examples", yscale="symlog"
    )
    axes.set_yticks([0, 1, 3, 10, 30, 100], ["0", "1", "3", "10", "30", "100"])
    axes.legend(frameon=False)
    return figure


def receiver_operating_characteristic(
    probability: Float[Real, " n"], label: Labels, *, sample_weight: Float[Real, " n"] | None = None
) -> "Figure":
    """Draw the true positive rate against the false positive rate over all thresholds.

    Tied probabilities are crossed in one step, so the area under the curve is exact.
    """
    import numpy as np

    everyone = np.ones((1, len(probability)), bool)
    return ranking.receiver_operating_characteristic(
        probability[None], label, everyone, sample_weight=sample_weight
    )
