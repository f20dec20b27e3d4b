"""Figures of a choice among candidates: a score against hyperparameters or examples.

``scores`` are as :func:`mlmath.evaluate.selection.search` returns them, one row per fold and one
column per candidate, but as people read them: a loss without its minus, and ``score`` says which
way is better ("log loss, lower is better"). Scores of several seeds are averaged before. The mean
over folds has a band of its standard error (``plot.bands``); each fold is a thin line, up to 30
of them. A candidate without a finite score in each fold is a gap. What is missing or far outside
the frame (``plot.scales``) is counted in the legend.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from mlmath.arrays import Count, Real
from mlmath.plot import bands, scales

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["learning_curve", "score_map", "validation_curve"]

_LOST = "without a finite score"


def validation_curve(
    values: Float[Real, " m"] | Int[Real, " m"],
    scores: Float[Real, "f m"],
    *,
    training: Float[Real, "f m"] | None = None,
    best: Count | None = None,
    simplest: Count | None = None,
    parameter: str = "hyperparameter",
    score: str = "score",
) -> "Figure":
    """Draw the score against one hyperparameter.

    The line one standard error from the best is on the side where the other candidates are.

    Args:
        values: of the hyperparameter, all different.
        scores: on the held-out rows of each fold.
        training: scores on the training rows.
        best: candidate with the best mean.
        simplest: candidate that the rule of one standard error chooses.
        parameter: name of the hyperparameter, with its unit.
        score: name of the score, with its unit and which way is better.
    """
    v, held = np.asarray(values, float), _finite(scores)
    if len(np.unique(v)) < len(v):
        raise ValueError("values must all be different; two hyperparameters are for score_map.")
    curves = [held] if training is None else [held, _finite(training)]
    figure, axes = _wide()
    _draw(axes, v, *curves)
    _mark(axes, v, held, best, simplest)
    _frame(axes, v, curves, "candidates")
    axes.set(xlabel=parameter, ylabel=score)
    _legend(figure, axes, 2)
    return figure


def learning_curve(
    sizes: Float[Real, " m"] | Int[Real, " m"],
    scores: Float[Real, "f m"],
    *,
    training: Float[Real, "f m"] | None = None,
    score: str = "score",
) -> "Figure":
    """Draw the score against how many examples were learnt from.

    Args:
        sizes: training examples, all different.
        scores: on the held-out rows of each fold or draw.
        training: scores on the training rows.
        score: name of the score, with its unit and which way is better.
    """
    v, held = np.asarray(sizes, float), _finite(scores)
    if len(np.unique(v)) < len(v):
        raise ValueError("sizes must all be different.")
    curves = [held] if training is None else [held, _finite(training)]
    figure, axes = _wide()
    _draw(axes, v, *curves)
    _frame(axes, v, curves, "sizes")
    axes.set(xlabel="training examples", ylabel=score)
    _legend(figure, axes, 2)
    return figure


def score_map(
    across: Float[Real, " m"] | Int[Real, " m"],
    up: Float[Real, " m"] | Int[Real, " m"],
    scores: Float[Real, "f m"],
    *,
    best: Count | None = None,
    simplest: Count | None = None,
    parameters: Sequence[str] = ("first hyperparameter", "second hyperparameter"),
    score: str = "score",
) -> "Figure":
    """Draw the mean score over two hyperparameters, as cells of a product or else as points.

    Args:
        across: values of the first hyperparameter, one per candidate.
        up: values of the second.
        scores: on the held-out rows of each fold.
        best: candidate with the best mean.
        simplest: candidate that the rule of one standard error chooses.
        parameters: names of the two, with their units.
        score: name of the score, with its unit and which way is better.
    """
    u, v, held = np.asarray(across, float), np.asarray(up, float), _finite(scores)
    mean, _ = bands.mean_and_error(held)
    low, high = scales.fences(mean)
    figure, axes = _wide()
    x, y, drawn = _painted(axes, u, v, mean, {"vmin": low, "vmax": high})
    lost, below, above = np.isnan(mean), (mean < low).any(), (mean > high).any()
    if lost.any():
        axes.plot(x[lost], y[lost], "x", color="0.4", label=_part(lost, "candidates", _LOST))
    if not lost.all():
        extend = ("both" if below else "max") if above else ("min" if below else "neither")
        label = f"{score}, mean of {len(held)} folds" if len(held) > 1 else score
        figure.colorbar(drawn, label=label, extend=extend)
    for c, label, style in _chosen(mean, best, simplest):
        place = f"{label}: {mean[c]:.4g} at ({scales.short(u[c])}, {scales.short(v[c])})"
        axes.plot(x[c], y[c], linestyle="", label=place, **style)
    axes.set(xlabel=parameters[0], ylabel=parameters[1])
    _legend(figure, axes, 1)
    return figure


def _wide():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    return figure, figure.subplots()


def _finite(scores):
    a = np.asarray(scores, float)
    return np.where(np.isfinite(a), a, np.nan)


def _draw(axes, v, held, *training):
    """Mean and band of both kinds of rows, and thin the held-out score of each fold."""
    order, size = np.argsort(v), 4 if len(v) <= 30 else 2
    label = "held-out rows" + (f", mean of {len(held)} folds" if len(held) > 1 else "")
    bands.draw(axes, v[order], held[:, order], label=label, color="tab:blue", marker_size=size)
    for seen in training:
        label, color = "training rows", "tab:orange"
        bands.draw(axes, v[order], seen[:, order], label=label, color=color, marker_size=size)
    folds = [(v[order], fold) for fold in held[:, order]]
    bands.thin(axes, folds, label="each fold, held-out rows", marker_size=1)


def _mark(axes, v, held, best, simplest):
    """Mark the chosen candidates and how far from the best is one standard error."""
    mean, error = bands.mean_and_error(held)
    for c, label, style in _chosen(mean, best, simplest):
        place = f"{label}: {mean[c]:.4g} at {v[c]:.4g}"
        axes.plot(v[c], mean[c], linestyle="", label=place, zorder=4, **style)
    if best is not None and np.isfinite(error[int(best)]):
        others = np.sign(np.nanmean(mean) - mean[int(best)])
        if others:
            axes.axhline(
                mean[int(best)] + others * error[int(best)], color="tab:red", linewidth=1,
                linestyle=":", label="one standard error from the best",
            )  # fmt: skip


def _chosen(mean, best, simplest):
    """Candidates to mark, those without a score left out."""
    star = {"marker": "*", "markersize": 12, "color": "tab:red"}
    ring = {"marker": "D", "markersize": 13, "color": "tab:red", "fillstyle": "none"}
    known = [(best, "best", star), (simplest, "one-standard-error choice", ring)]
    return [
        (int(c), label, style)
        for c, label, style in known
        if c is not None and np.isfinite(mean[int(c)])
    ]


def _frame(axes, v, curves, kind):
    """Mark on the axis the candidates without a mean, and count those outside the frame."""
    mean, _ = bands.mean_and_error(curves[0])
    lost, (low, high) = np.isnan(mean), scales.fences(mean)
    if lost.any():
        axes.plot(
            v[lost], np.full(lost.sum(), 0.02), "x", color="0.4", markersize=5,
            transform=axes.get_xaxis_transform(), label=_part(lost, kind, _LOST),
        )  # fmt: skip
    far = (mean < low) | (mean > high)
    if far.any():
        near = np.concatenate(curves)[:, ~far & ~lost]
        bottom, top = np.nanmin(near), np.nanmax(near)
        margin = 0.05 * (top - bottom)
        axes.set_ylim(bottom - margin, top + margin)
        axes.plot([], [], " ", label=_part(far, kind, "beyond the frame"))
    if lost.all():
        axes.set_yticks([])
    scales.adapt(axes, "x", v)


def _painted(axes, u, v, mean, colors):
    """Colour cells, at positions, or points, at values; return where each candidate is."""
    columns, i = np.unique(u, return_inverse=True)
    rows, j = np.unique(v, return_inverse=True)
    if len(u) == len(np.unique(np.stack([u, v]), axis=1).T) == len(columns) * len(rows):
        cells = np.full((len(rows), len(columns)), np.nan)
        cells[j, i] = mean
        axes.set_facecolor("0.85")
        for axis, values in ((axes.xaxis, columns), (axes.yaxis, rows)):
            shown = range(0, len(values), -(-len(values) // 7))
            axis.set_ticks(shown, [scales.short(values[k]) for k in shown])
        return i, j, axes.imshow(cells, origin="lower", aspect="auto", **colors)
    drawn = axes.scatter(u, v, c=mean, s=36, edgecolors="0.3", linewidths=0.4, **colors)
    scales.adapt(axes, "x", u)
    scales.adapt(axes, "y", v)
    return u, v, drawn


def _part(some, kind, what):
    return f"{some.sum()} of {len(some)} {kind} {what}"


def _legend(figure, axes, columns):
    if axes.get_legend_handles_labels()[1]:
        figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
