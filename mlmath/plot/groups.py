"""Points of a plane in groups: which of them are drawn, and how groups are told apart.

A row of weight 0 is absent, and one that counts without a finite coordinate is counted beside. Of
n rows, more than m, those are drawn that the golden ratio picks, at most m and evenly spread,

    iⱼ = ⌊n {j/φ}⌋,        j = 0, …, m − 1,        φ = (1 + √5) / 2             (1)

with {·} the part behind the point: unlike those at equal strides they do not fall in step with
rows that come in turns. Group g has the colour g mod 7 of Okabe and Ito, which the colour-blind
tell apart, and the marker (g + ⌊g/7⌋) mod 7: no two of 49 groups share both.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mlmath.arrays import Count, Labels, Real

__all__ = ["counted", "scatter", "spread", "style", "thin", "write"]

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "<", ">")  # all solid: a small cross vanishes
_LISTED = 20  # groups up to which a legend lists them
_ALIKE = 4  # ratio of two ranges up to which both axes have one scale


def style(group: Count) -> dict[str, Any]:
    """Colour and marker of a group."""
    g = int(group)
    return {"color": _COLORS[g % 7], "marker": _MARKERS[(g + g // 7) % 7]}


def counted(
    points: Float[Real, "n d"], *, sample_weight: Float[Real, " n"] | None = None
) -> tuple[Int[np.ndarray, " _"], int]:
    """Finite rows of a weight other than 0, and how many that count are not finite.

    Raises:
        ValueError: if the points do not have two coordinates.
    """
    shape = np.shape(points)
    if shape[1:] != (2,):
        raise ValueError(f"points must have two coordinates in each row, got the shape {shape}.")
    present = _weights(shape[0], sample_weight) != 0
    finite = np.isfinite(np.asarray(points, float)).all(axis=1)
    return np.flatnonzero(finite & present), int((~finite & present).sum())


def thin(rows: Int[Real, " n"], *, most: Count = 5000) -> Int[np.ndarray, " _"]:
    """Those of the rows to draw, eq. (1): at most so many."""
    rows, n, m = np.asarray(rows), len(rows), int(most)
    if n <= m:
        return rows
    golden = (1 + np.sqrt(5)) / 2
    return rows[np.unique(np.floor(n * (np.arange(m) / golden % 1)).astype(int))]


def scatter(
    axes: Any,
    points: Float[Real, "n d"],
    group: Labels,
    names: Sequence[str],
    *,
    sample_weight: Float[Real, " n"] | None = None,
    most: Count = 5000,
) -> None:
    """Draw the points of each group; up to 20 groups are in the legend, with their weight.

    Args:
        axes: of matplotlib.
        points: in two coordinates.
        group: of each row, from 0.
        names: of the groups.
        sample_weight: 0 leaves the row out.
        most: how many points to draw.
    """
    x = np.asarray(points, float)
    kept, lost = counted(x, sample_weight=sample_weight)
    drawn, weight = thin(kept, most=most), _weights(len(x), sample_weight)
    label = np.where(weight != 0, np.asarray(group), 0).astype(int)
    if len(kept) and not 0 <= label[kept].min() <= label[kept].max() < len(names):
        raise ValueError(f"groups must be numbered from 0 to {len(names) - 1}.")
    size = 16 if len(drawn) <= 1000 else 6
    for g, name in enumerate(names):
        mine = x[drawn[label[drawn] == g]]
        total = weight[kept[label[kept] == g]].sum()
        listed = f"{name} ({total:.6g})" if len(names) <= _LISTED else "_"
        many = len(drawn) > 1000
        axes.scatter(*mine.T, s=size, alpha=0.7, linewidths=0, rasterized=many, **style(g))
        axes.scatter([], [], s=20, linewidths=0, label=listed, **style(g))
    if len(drawn) < len(kept):
        axes.plot([], [], " ", label=f"{len(drawn)} of {len(kept)} rows drawn")
    if lost:
        whole = len(kept) + lost
        axes.plot([], [], " ", label=f"{lost} of {whole} rows without finite coordinates")


def spread(figure: Any, axes: Any, points: Float[Real, "n d"]) -> None:
    """Give both axes one scale where the ranges of the points differ by a factor of 4 at most.

    The figure becomes as high as its width asks for, so that there is no empty ground.
    """
    x = np.asarray(points, float)
    sides = np.ptp(x, axis=0) if len(x) else np.zeros(2)
    if 0 < sides.max() <= _ALIKE * sides.min():
        ratio = np.clip(sides[1] / sides[0], 0.4, 1.3)
        figure.set_figheight(0.7 + 0.63 * figure.get_figwidth() * ratio)  # 0.63: beside a legend
        axes.set_aspect("equal", anchor="NW")


def write(axes: Any, place: Float[Real, " 2"], text: str, *, color: str = "black") -> None:
    """Write a text at a point, on a ground that lets what is behind shine through."""
    ground = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.8}
    x, y = np.asarray(place, float)
    axes.text(
        x, y, text, ha="center", va="center", fontsize=8, color=color, bbox=ground, zorder=6,
    )  # fmt: skip


def _weights(n, sample_weight):
    return np.ones(n) if sample_weight is None else np.asarray(sample_weight, float)
