"""Figures of how well a score ranks the examples of two classes, with a band over folds.

At the threshold t the examples with a score ≥ t are taken for positive. With row weights s, over
the held-out rows of one fold,

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

import numpy as np
from jaxtyping import Bool, Float

from mlmath.arrays import Labels, Real
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
    curves = []
    for true, false in _folds(scores, y, test, sample_weight):
        if true[-1] > 0 and false[-1] > 0:  # also false for NaN
            curves.append((false / false[-1], true / true[-1]))
    figure, axes = _square()
    if curves:
        x = np.unique(np.concatenate([false for false, _ in curves]))
        # Just before and just after each jump; interp takes the last of equal abscissae.
        before = [np.interp(-x, -false[::-1], true[::-1]) for false, true in curves]
        after = [np.interp(x, false, true) for false, true in curves]
        mean = np.stack([before, after], axis=2).reshape(len(curves), -1)
        areas = np.array([[np.trapezoid(true, false)] for false, true in curves])
        bands.draw(axes, np.repeat(x, 2), mean, label=_summary("area", areas), color="tab:blue")
        _thin(axes, curves, "default")
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
    for true, false in _folds(scores, y, test, sample_weight):
        if true[-1] > 0 and not np.isnan(false[-1]):
            recall, first = np.unique(true[1:] / true[-1], return_index=True)
            precision = (true[1:] / (true[1:] + false[1:]))[first]
            risen = recall > 0
            curves.append((recall[risen], precision[risen]))
            shares.append(true[-1] / (true[-1] + false[-1]))
    figure, axes = _square()
    if curves:
        x = np.unique(np.concatenate([recall for recall, _ in curves]))
        mean = np.array([p[np.searchsorted(recall, x)] for recall, p in curves])
        areas = np.array([[np.diff(recall, prepend=0) @ p] for recall, p in curves])
        label = _summary("average precision", areas)
        start = np.concatenate([mean[:, :1], mean], axis=1)
        bands.draw(axes, np.append(0, x), start, label=label, color="tab:blue", step="pre")
        _thin(axes, [(np.append(0, r), np.append(p[0], p)) for r, p in curves], "steps-pre")
        share = float(np.mean(shares))
        chance = f"chance (share of positives {share:.3g})"
        axes.axhline(share, color="0.6", linewidth=1, linestyle="--", label=chance)
    axes.set(xlabel="recall", ylabel="precision")
    _legend(figure, axes, len(scores), len(curves))
    return figure


def _folds(scores, y, test, sample_weight):
    """For each fold the weights of positives and of negatives above each threshold, from 0."""
    y = np.asarray(y, float)
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, float)
    for score, held in zip(np.asarray(scores), np.asarray(test), strict=True):
        counted = held & (weight != 0)
        score, label, s = score[counted], y[counted], weight[counted]
        if not np.isin(label, (0, 1)).all():
            raise ValueError("y must hold the labels 0 and 1 and nothing else where rows count.")
        if np.isnan(score).any() or not len(score):
            yield np.array([np.nan]), np.array([np.nan])
            continue
        order = np.argsort(-score, kind="stable")
        score, label, s = score[order], label[order], s[order]
        crossed = np.append(score[1:] != score[:-1], True)
        yield tuple(np.append(0, np.cumsum(part)[crossed]) for part in (s * label, s * (1 - label)))


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


def _thin(axes, curves, style):
    if len(curves) > 1:
        for number, (x, curve) in enumerate(curves):
            label = "_" if number else "each fold"
            axes.plot(x, curve, color="0.6", linewidth=0.6, drawstyle=style, label=label, zorder=1)


def _legend(figure, axes, folds, drawn):
    if drawn < folds:
        label = f"{folds - drawn} of {folds} folds left out: a class or a score is missing"
        axes.plot([], [], " ", label=label)
    figure.legend(loc="outside lower center", frameon=False, fontsize=9)
