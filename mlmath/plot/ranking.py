"""Figures of how well a score ranks the examples of two classes, with a band over folds.

At the threshold t the examples with a score ≥ t are taken for positive. With row weights s, over
the held-out rows of one fold, ``evaluate.ranking`` computes

    TPR(t) = Σ s [score ≥ t, y = 1] / Σ s [y = 1]                               (1)
    FPR(t) = Σ s [score ≥ t, y = 0] / Σ s [y = 0]                               (2)
    precision(t) = Σ s [score ≥ t, y = 1] / Σ s [score ≥ t],   recall(t) = TPR(t)   (3)

Tied scores are crossed in one step. The first figure joins the points (FPR, TPR) by straight
lines and averages the folds at equal FPR, from the left and from the right of each jump; the
second holds the precision of a recall back to the recall before, as a straight line would promise
precision that no threshold gives. So the area under the mean curve is the mean of the areas, and
of the average precisions,

    AUC = ∫ TPR d FPR,        AP = Σᵢ (recallᵢ − recallᵢ₋₁) precisionᵢ          (4)

A fold whose curve is not defined (a score that counts is NaN, or a class is missing; precision
needs positives only) is left out and counted in the legend. A row of weight 0 is absent.

References:
    Fawcett (2006), An introduction to ROC analysis, §§5, 8.1 (vertical averaging).
    Davis & Goadrich (2006), The relationship between precision-recall and ROC curves, §4.
"""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from mlmath.arrays import Labels, Real
from mlmath.evaluate import metrics
from mlmath.plot import bands

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["precision_recall", "receiver_operating_characteristic"]


def receiver_operating_characteristic(
    scores: Float[Real, "f n"],
    y: Labels,
    test: Bool[Real, "f n"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> "Figure":
    """Draw the true positive rate against the false positive rate of each fold and their mean.

    Args:
        scores: of each row by the fit of each fold, greater for class 1; read where ``test``.
        y: labels 0 and 1.
        test: rows that each fold held out.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
    """
    folds = _folds(metrics.roc_curve, scores, y, test, sample_weight)
    curves = [(np.append(0, false), np.append(0, true)) for false, true in folds]
    figure, axes = _square()
    if curves:
        x = np.unique(np.concatenate([false for false, _ in curves]))
        # Just before and just after each jump; interp takes the last of equal abscissae.
        before = [np.interp(-x, -false[::-1], true[::-1]) for false, true in curves]
        after = [np.interp(x, false, true) for false, true in curves]
        mean = np.stack([before, after], axis=2).reshape(len(curves), -1)
        areas = np.array([[np.trapezoid(true, false)] for false, true in curves])
        bands.draw(axes, np.repeat(x, 2), mean, label=_summary("area", areas), color="tab:blue")
        bands.thin(axes, curves, label="each fold")
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--", label="chance")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    _legend(figure, axes, len(scores), len(curves))
    return figure


def precision_recall(
    scores: Float[Real, "f n"],
    y: Labels,
    test: Bool[Real, "f n"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> "Figure":
    """Draw the precision against the recall of each fold and their mean.

    Args:
        scores: of each row by the fit of each fold, greater for class 1; read where ``test``.
        y: labels 0 and 1.
        test: rows that each fold held out.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
    """
    curves, shares = [], []
    folds = _folds(metrics.precision_recall_curve, scores, y, test, sample_weight)
    for precision, recall in folds:
        shares.append(precision[-1])  # at the lowest threshold all rows are taken for positive
        recall, first = np.unique(recall, return_index=True)
        risen = recall > 0
        curves.append((recall[risen], precision[first][risen]))
    figure, axes = _square()
    if curves:
        x = np.unique(np.concatenate([recall for recall, _ in curves]))
        mean = np.array([p[np.searchsorted(recall, x)] for recall, p in curves])
        areas = np.array([[np.diff(recall, prepend=0) @ p] for recall, p in curves])
        label = _summary("average precision", areas)
        start = np.concatenate([mean[:, :1], mean], axis=1)
        bands.draw(axes, np.append(0, x), start, label=label, color="tab:blue", step="pre")
        steps = [(np.append(0, r), np.append(p[0], p)) for r, p in curves]
        bands.thin(axes, steps, label="each fold", step="pre")
        share = float(np.mean(shares))
        chance = f"chance (share of positives {share:.3g})"
        axes.axhline(share, color="0.6", linewidth=1, linestyle="--", label=chance)
    axes.set(xlabel="recall", ylabel="precision")
    _legend(figure, axes, len(scores), len(curves))
    return figure


def _folds(curve, scores, y, test, sample_weight):
    """Rates of each fold that has a curve, at its own thresholds from the greatest down."""
    weight = np.where(test, 1.0 if sample_weight is None else np.asarray(sample_weight, float), 0)
    if not np.isin(np.asarray(y)[weight.any(axis=0)], (0, 1)).all():
        raise ValueError("y must hold the labels 0 and 1 and nothing else where rows count.")
    scores = jnp.asarray(scores)
    found = jax.vmap(lambda score, s: curve(score, y, sample_weight=s))(scores, weight)
    for score, s, *rates, threshold in zip(*map(np.asarray, (scores, weight, *found)), strict=True):
        if not np.isnan(rates).any():
            at = np.searchsorted(-threshold, -np.unique(score[s != 0])[::-1])
            yield [rate[at] for rate in rates]


def _summary(name, areas):
    mean, error = bands.mean_and_error(areas)
    if len(areas) == 1:
        return f"{name} {mean[0]:.4f}"
    return f"mean of {len(areas)} folds, {name} {mean[0]:.4f} ± {error[0]:.4f}"


def _square():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 5.6), layout="constrained")
    axes = figure.subplots()
    axes.set(aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure, axes


def _legend(figure, axes, folds, drawn):
    if drawn < folds:
        label = f"{folds - drawn} of {folds} folds left out: a class or a score is missing"
        axes.plot([], [], " ", label=label)
    figure.legend(loc="outside lower center", frameon=False, fontsize=9)
