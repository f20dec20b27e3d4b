"""The figure of a training run: the loss of every step, its running mean, the validation score.

The loss ℓₜ of a batch is noise around what the run has reached; the mean of the last w steps, at
the beginning of those there are, shows it. With the weight aₜ = 0 where ℓₜ is not finite, else 1,

    ℓ̄ₜ = Σ aᵤ ℓᵤ / Σ aᵤ   over u = max(0, t − w + 1), …, t,        t = 0, 1, …        (1)

The axis of the loss is logarithmic where every loss is positive and ℓ̄ spans a factor of ten. The
frame holds all of ℓ̄ and leaves out losses beyond it that are far out (``plot.scales``); the
legend counts them, and those that are not finite.
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from mlmath.arrays import Count, Real
from mlmath.plot import scales

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["curve", "running_mean"]


def running_mean(losses: Float[Real, " t"], window: Count) -> Float[np.ndarray, " t"]:
    """Mean (1) of the last w = ``window`` losses at each step; NaN where none is finite."""
    a, ones = np.asarray(losses, float), np.ones(int(window))
    known = np.isfinite(a)
    total, kept = (np.convolve(v, ones)[: len(a)] for v in (np.where(known, a, 0), known))
    return np.where(kept > 0, total / np.maximum(kept, 1), np.nan)


def curve(
    losses: Float[Real, " t"],
    *,
    window: Count | None = None,
    validation: tuple[Int[Real, " m"], Float[Real, " m"]] | None = None,
    best: Count | None = None,
    learning_rates: Float[Real, " t"] | None = None,
    loss: str = "loss of the batch",
    score: str = "validation score",
) -> "Figure":
    """Draw the loss against the step; below it the validation score and the learning rate.

    Args:
        losses: ℓ₀, ℓ₁, ….
        window: w of the running mean; a fiftieth of the steps if None.
        validation: after how many steps a score was taken, and the scores.
        best: which of these scores is the best.
        learning_rates: of each step.
        loss: name of the loss, with its unit.
        score: name of the score, with its unit and which way is better.
    """
    from matplotlib.figure import Figure

    a = np.asarray(losses, float)
    if not len(a):
        raise ValueError("losses must hold at least one step.")
    w = max(1, len(a) // 50) if window is None else int(window)
    ratios = [3] + [1.5] * (validation is not None) + [1] * (learning_rates is not None)
    figure = Figure(figsize=(6.4, 2.2 + 0.9 * sum(ratios)), layout="constrained")
    panels = figure.subplots(len(ratios), height_ratios=ratios, sharex=True, squeeze=False)
    axes, *below = panels[:, 0]
    _losses(axes, a, w)
    axes.set(ylabel=loss)
    if validation is not None:
        _scores(below[0], *validation, best)
        below[0].set(ylabel=score)
    if learning_rates is not None:
        below[-1].plot(learning_rates, color="tab:green", linewidth=1.4)
        below[-1].set(ylabel="learning rate")
    panels[-1, 0].set(xlabel="step")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _losses(axes, a, w):
    mean, known = running_mean(a, w), np.isfinite(a)
    level, far = mean[np.isfinite(mean)], np.zeros(len(a), bool)
    axes.plot(
        np.where(known, a, np.nan), color="tab:blue", linewidth=0.6, alpha=0.5, label="each step"
    )
    axes.plot(mean, color="tab:blue", linewidth=1.8, label=f"mean of {w} steps")
    if len(level) and a[known].min() > 0 and level.max() >= 10 * level.min():
        axes.set(yscale="log")
        far = _beyond(axes, np.log, np.exp, a, level)
    elif len(level):
        far = _beyond(axes, np.positive, np.positive, a, level)
    for some, what in ((far, "beyond the frame"), (~known, "not finite")):
        if some.any():
            axes.plot([], [], " ", label=f"{some.sum()} of {len(a)} losses {what}")


def _beyond(axes, scale, inverse, a, level):
    """Losses far out on the scale, left out of the frame unless the mean goes there."""
    low, high = scales.fences(scale(a[np.isfinite(a)]))
    low, high = min(low, scale(level.min())), max(high, scale(level.max()))
    margin = 0.05 * (high - low)
    far = np.isfinite(a) & ((a < inverse(low - margin)) | (a > inverse(high + margin)))
    if far.any():
        axes.set_ylim(inverse(low - margin), inverse(high + margin))
    return far


def _scores(axes, steps, scores, best):
    axes.plot(steps, scores, color="tab:orange", linewidth=1.4, marker="o", markersize=3)
    if best is not None:
        steps, scores = np.asarray(steps), np.asarray(scores)
        step, value = steps[int(best)], scores[int(best)]
        label = f"best: {value:.4g} after {step} steps"
        axes.plot(step, value, "*", color="tab:red", markersize=12, label=label)
