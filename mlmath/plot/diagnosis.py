"""Figures that look for what is wrong with a fit: calibration, residuals, influence.

Calibration compares probabilities with what happened. Over the examples i whose predicted
probability p falls in one bin (a, b], with row weights s and N = Σ sᵢ,

    p̄ = Σ sᵢ pᵢ / N,        ȳ = Σ sᵢ yᵢ / N                                     (1)

and the interval around ȳ is Wilson's at 95 %, z = 1.96:

    [ȳ + z²/2N ± z √(ȳ(1 − ȳ)/N + z²/4N²)] / (1 + z²/N)                        (2)

The normal quantile plot sets the residuals r in ascending order against quantiles of the normal
distribution; a row stands at the middle of the weight that it covers,

    Pᵢ = (s₁ + … + sᵢ₋₁ + sᵢ/2) / N,        qᵢ = Φ⁻¹(Pᵢ)                        (3)

The line m + σq runs through the quartiles. Were it known and the residuals normal, each would lie
with 95 % within (4); as it is fitted to them, more do:

    m + σqᵢ ± z σ √(Pᵢ(1 − Pᵢ)/N) / φ(qᵢ)                                       (4)

A row of weight 0 is absent; a row that counts but is not finite is left out and counted in the
legend.

References:
    Wilson (1927), Probable inference, the law of succession, and statistical inference.
    Fox (2016), Applied Regression Analysis and Generalized Linear Models, §3.1.3.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mlmath.arrays import Count, Labels, Real

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["calibration", "equal_counts", "equal_widths", "influence", "residuals"]

_Z = 1.96


def equal_widths(bins: Count) -> Float[np.ndarray, " b"]:
    """Edges of so many bins of equal width from 0 to 1, for :func:`calibration`."""
    return np.linspace(0, 1, int(bins) + 1)


def equal_counts(
    probability: Float[Real, " n"],
    bins: Count,
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[np.ndarray, " b"]:
    """Edges of at most so many bins that hold equally many examples; ties stay together."""
    (p,), weight, _ = _counted(sample_weight, probability)
    return np.unique(np.concatenate([[0], _quantiles(p, weight, int(bins)), [1]]))


def calibration(
    probability: Float[Real, " n"],
    y: Labels,
    *,
    edges: Float[Real, " b"] | None = None,
    sample_weight: Float[Real, " n"] | None = None,
    positive: str = "1",
) -> "Figure":
    """Draw how often the positive class came where it was predicted with probability p.

    Args:
        probability: predicted for class 1.
        y: labels 0 and 1.
        edges: of the bins, ascending, by :func:`equal_counts` or :func:`equal_widths`; ten bins
            of equal counts if None.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        positive: name of class 1.
    """
    from matplotlib.figure import Figure

    if edges is None:
        edges = equal_counts(probability, 10, sample_weight=sample_weight)
    edges = np.asarray(edges, float)
    (p, label), weight, lost = _counted(sample_weight, probability, y)
    if not np.isin(label, (0, 1)).all() or ((p < 0) | (p > 1)).any():
        raise ValueError("probability must lie between 0 and 1, and y must hold 0 and 1 only.")
    total, mean, share = _binned(p, label, weight, edges[1:-1])
    figure = Figure(figsize=(5.2, 6), layout="constrained")
    axes, below = figure.subplots(2, height_ratios=(3, 1), sharex=True)
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--", label="calibrated")
    reach = np.abs(_wilson(share, total) - share)
    named = "observed in each bin, 95 % interval"
    axes.errorbar(mean, share, reach, marker="o", capsize=2, linewidth=1, label=named)
    below.stairs(total, edges, fill=True, color="tab:blue", alpha=0.35)
    below.vlines(edges, 0, np.maximum(np.append(0, total), np.append(total, 0)), linewidth=0.8)
    axes.set(ylabel=f"observed share of {positive}", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    below.set(xlabel=f"predicted probability of {positive}", ylabel="examples\nin each bin")
    _legend(figure, axes, lost, len(p), 1)
    return figure


def residuals(
    predicted: Float[Real, " n"],
    y: Float[Real, " n"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
    unit: str = "target",
) -> "Figure":
    """Draw the residuals against the prediction, and against normal quantiles.

    Args:
        predicted: by the model.
        y: observed.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        unit: name of the target, with its unit.
    """
    from matplotlib.figure import Figure

    (p, observed), weight, lost = _counted(sample_weight, predicted, y)
    r = observed - p
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    axes, normal = figure.subplots(1, 2, sharey=True)
    axes.scatter(p, r, s=14, alpha=0.6, linewidths=0, label="examples")
    axes.axhline(0, color="0.4", linewidth=0.8)
    if len(r) >= 20:
        inner = _quantiles(p, weight, 10)
        total, mean, average = _binned(p, r, weight, inner)
        spread = _binned(p, (r - average[np.searchsorted(inner, p)]) ** 2, weight, inner)[2]
        error = np.sqrt(spread / np.where(total > 1, total - 1, np.nan))
        axes.errorbar(
            mean, average, _Z * error, color="tab:orange", marker="o", capsize=2,
            label="mean of each tenth, 95 % interval",
        )  # fmt: skip
    axes.set(xlabel=f"predicted {unit}", ylabel=f"residual: observed − predicted\n{unit}")
    if not r.any():
        axes.set_ylim(-1, 1)
    _normal(normal, r, weight)
    _legend(figure, axes, lost, len(p), 2)
    return figure


def influence(
    effects: Float[Real, " n"],
    *,
    names: Sequence[str] | None = None,
    shown: Count = 5,
    effect: str = "influence",
) -> "Figure":
    """Draw the influence of each row as a stem; the largest are numbered, and named beside.

    Where none is negative, as of a distance, the axis begins at 0 and no sign is written.

    Args:
        effects: of each row, such as the change of a prediction when the row is left out.
        names: of the rows; their numbers, from 0, if None.
        shown: how many to name.
        effect: what the influence is on, with its unit.
    """
    from matplotlib.figure import Figure

    effects = np.asarray(effects, float)
    rows, finite = np.arange(len(effects)), np.isfinite(effects)
    ranked = [int(i) for i in np.argsort(-np.abs(effects), kind="stable") if finite[i]]
    figure = Figure(figsize=(7.6, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.vlines(rows[finite], 0, effects[finite], color="tab:blue", linewidth=1)
    axes.axhline(0, color="0.4", linewidth=0.8)
    below = bool((effects[finite] < 0).any())
    for rank, i in enumerate(ranked[: int(shown)], 1):
        name = f"row {i}" if names is None else names[i]
        label = f"{rank}  {name}: {effects[i]:{'+' * below}.3g}"
        axes.plot(i, effects[i], "o", color="tab:red", markersize=4, label=label)
        beyond = 4 if effects[i] >= 0 else -4
        axes.annotate(
            str(rank), (i, effects[i]), (0, beyond), textcoords="offset points", ha="center",
            va="bottom" if beyond > 0 else "top", color="tab:red", fontsize=9,
            bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
        )  # fmt: skip
    if not finite.all():
        label = f"{(~finite).sum()} of {len(rows)} rows without a finite value"
        axes.plot([], [], " ", label=label)
    axes.margins(y=0.12)
    if not below:
        axes.set_ylim(0, None if effects[finite].any() else 1)
    axes.set(xlabel="row, from 0", ylabel=effect)
    if axes.get_legend_handles_labels()[1]:
        figure.legend(loc="outside right upper", frameon=False, fontsize=9, title="largest")
    return figure


def _counted(sample_weight, *columns):
    """Finite rows that count, their weights, and how many that count are not finite."""
    table = np.array([np.asarray(column, float) for column in columns])
    weight = np.ones_like(table[0]) if sample_weight is None else np.asarray(sample_weight, float)
    finite = np.isfinite(table).all(axis=0)
    kept = finite & (weight != 0)
    return table[:, kept], weight[kept], int((~finite & (weight != 0)).sum())


def _quantiles(p, weight, bins):
    """Distinct inner edges of bins (a, b] of equal weight."""
    if not len(p):
        return p
    order = np.argsort(p)
    reached = bins * np.cumsum(weight[order])  # whole numbers if weights are: no level is missed
    return np.unique(p[order][np.searchsorted(reached, np.arange(1, bins) * weight.sum())])


def _binned(p, y, weight, inner):
    """Weight of each bin and its means of p and y, eq. (1); NaN where it is empty."""
    place = np.searchsorted(inner, p)
    total, *sums = (
        np.bincount(place, part, minlength=len(inner) + 1)
        for part in (weight, weight * p, weight * y)
    )
    some = np.where(total > 0, total, np.nan)
    return total, sums[0] / some, sums[1] / some


def _wilson(share, total):
    """Both ends of the interval (2); NaN where the bin is empty."""
    total = np.where(total > 0, total, np.nan)
    half = _Z * np.sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2))
    middle = share + _Z**2 / (2 * total)
    return np.stack([middle - half, middle + half]) / (1 + _Z**2 / total)


def _normal(axes, r, weight):
    """Normal quantile plot, eq. (3), with the line through the quartiles and the band (4)."""
    order, normal = np.argsort(r, kind="stable"), NormalDist()
    r, weight, total = r[order], weight[order], weight.sum()
    level = np.clip((np.cumsum(weight) - weight / 2) / total, 1e-300, 1 - 2**-53)
    q = np.array([normal.inv_cdf(p) for p in level])
    axes.scatter(q, r, s=14, alpha=0.6, linewidths=0)
    if len(r) > 1:
        low, high = np.interp([0.25, 0.75], level, r)
        deviation = (high - low) / (2 * normal.inv_cdf(0.75))
        line = (low + high) / 2 + deviation * q
        density = np.array([normal.pdf(z) for z in q])
        reach = _Z * deviation * np.sqrt(level * (1 - level) / total) / density
        axes.plot(q, line, color="0.4", linewidth=1, label="normal, through the quartiles")
        axes.fill_between(
            q, line - reach, line + reach, color="0.6", alpha=0.3, linewidth=0,
            label="95 % of normal residuals, point by point",
        )  # fmt: skip
    axes.set(xlabel="standard normal quantile")


def _legend(figure, axes, lost, kept, columns):
    if lost:
        axes.plot([], [], " ", label=f"{lost} of {lost + kept} rows without a finite value")
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
