"""Scales of axes and colours that suit the values they show.

Positive values v₁ < … < v_m are taken for geometric, and their axis is logarithmic, where their
logarithms are spaced more evenly than they are, by the variation of the m − 1 gaps:

    sd(Δ log v) / mean(Δ log v) < sd(Δv) / mean(Δv)                            (1)

Two values are geometric if they differ by a factor of ten at least. With 0 beside them the axis
is linear from 0 to v₁. Of 20 values or more those far out are outside the fences (Tukey)

    q₁ − 3 (q₃ − q₁)  and  q₃ + 3 (q₃ − q₁)                                    (2)

with the quartiles q₁ and q₃, so that a few hopeless ones do not hide the others.

References:
    Tukey (1977), Exploratory Data Analysis, §2D (outer fences).
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from mlmath.arrays import Real, Scalar

__all__ = ["adapt", "fences", "kind", "short"]


def kind(values: Float[Real, " m"]) -> str:
    """Return what an axis of these values should be: "log", "symlog" (with 0) or "linear"."""
    distinct = np.unique(np.asarray(values, float))
    positive = distinct[distinct > 0]
    if len(positive) < 2 or distinct[0] < 0:
        return "linear"
    gaps, ratios = np.diff(positive), np.diff(np.log(positive))
    if len(positive) == 2:
        geometric = ratios[0] > np.log(10) - 1e-6
    else:
        geometric = ratios.std() / ratios.mean() < gaps.std() / gaps.mean()
    if not geometric:
        return "linear"
    return "log" if len(positive) == len(distinct) else "symlog"


def adapt(axes: Any, name: str, values: Float[Real, " m"]) -> None:
    """Give the axis ``name`` ("x" or "y") the scale of these values, and ticks to read it by."""
    from matplotlib.ticker import LogLocator, NullFormatter

    values, scale = np.asarray(values, float), kind(values)
    axis = axes.xaxis if name == "x" else axes.yaxis
    set_scale, set_limits = (getattr(axes, f"set_{name}{what}") for what in ("scale", "lim"))
    if scale == "symlog":
        first = values[values > 0].min()
        set_scale("symlog", linthresh=first)
        set_limits(-0.3 * first, 2 * values.max())
    elif scale == "log":
        set_scale("log")
        if values.max() < 100 * values.min():
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
    elif len(np.unique(values)) == 1:
        axis.set_ticks(values[:1], [short(values[0])])


def fences(values: Float[Real, " m"]) -> tuple[float, float]:
    """Range of the finite values without those far out, eq. (2); of none (0, 1)."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    if not len(known):
        return 0.0, 1.0
    low, q1, q3, high = np.quantile(known, [0, 0.25, 0.75, 1]).tolist()
    if len(known) < 20 or q1 == q3:
        return low, high
    return max(low, q1 - 3 * (q3 - q1)), min(high, q3 + 3 * (q3 - q1))


def short(value: Scalar) -> str:
    """Write a number in three digits."""
    return f"{value:.3g}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
