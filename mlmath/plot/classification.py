"""Figures of a model of classes.

matplotlib is imported when a figure is drawn.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float

from mlmath.arrays import Labels, Real
from mlmath.plot import ranking

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["confusion_matrix", "probabilities", "receiver_operating_characteristic"]


def confusion_matrix(
    probability: Float[Real, "n k"], label: Labels, names: Sequence[str]
) -> "Figure":
    """Draw how many examples of each class (row) were taken for each class (column)."""
    import numpy as np
    from matplotlib.figure import Figure

    taken, k = np.asarray(probability).argmax(axis=1), len(names)
    counts = np.zeros((k, k), int)
    np.add.at(counts, (np.asarray(label).astype(int), taken), 1)
    figure = Figure(figsize=(1.8 + 0.42 * k, 1.6 + 0.42 * k), layout="constrained")
    axes = figure.subplots()
    axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmax=1.3)
    for i, j in np.ndindex(k, k):
        if counts[i, j]:
            axes.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=9)
    if max(map(len, names)) > 3:
        axes.set_xticks(range(k), list(names), rotation=45, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(range(k), list(names))
    axes.set_yticks(range(k), list(names))
    axes.set(xlabel="predicted class", ylabel="observed class")
    return figure


def probabilities(
    probability: Float[Real, " n"], label: Labels, *, negative: str = "0", positive: str = "1"
) -> "Figure":
    """Draw how the predicted probability of the positive class is spread within each class."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    axes = figure.subplots()
    p, y = np.asarray(probability), np.asarray(label).astype(bool)
    bins = np.linspace(0, 1, 26).tolist()
    axes.hist(p[~y], bins, alpha=0.7, label=negative)
    axes.hist(p[y], bins, alpha=0.7, label=positive)
    axes.axvline(0.5, color="0.4", linestyle=":")
    axes.set(
        xlabel=f"predicted probability of {positive}", ylabel="held-out examples", yscale="symlog"
    )
    axes.set_yticks([0, 1, 3, 10, 30, 100], ["0", "1", "3", "10", "30", "100"])
    axes.legend(frameon=False)
    return figure


def receiver_operating_characteristic(probability: Float[Real, " n"], label: Labels) -> "Figure":
    """Draw the true positive rate against the false positive rate over all thresholds.

    Tied probabilities are crossed in one step, so the area under the curve is exact.
    """
    import numpy as np

    everyone = np.ones((1, len(probability)), bool)
    return ranking.receiver_operating_characteristic(probability[None], label, everyone)
