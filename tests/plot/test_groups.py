"""Groups of points are told apart, and many points are drawn in part, by the stated rule."""

import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from mlmath.plot import groups

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(40, 2))
GROUP = RNG.integers(0, 3, 40)


def axes_of(*arguments, **options):
    axes = Figure().subplots()
    groups.scatter(axes, *arguments, **options)
    return axes


def drawn(axes):
    """Points of each group, in the order of the groups."""
    return [np.asarray(c.get_offsets()) for c in axes.collections[::2]]  # each has a key beside it


def named(axes):
    return axes.get_legend_handles_labels()[1]


def test_49_groups_differ_in_colour_or_marker_and_neighbours_in_both():
    styles = [groups.style(g) for g in range(49)]
    assert len({(s["color"], s["marker"]) for s in styles}) == 49
    for one, other in itertools.pairwise(styles):
        assert one["color"] != other["color"]
    assert [s["color"] for s in styles[:7]] == [s["color"] for s in styles[7:14]]
    assert groups.style(jnp.asarray(8)) == styles[8]


def test_thinning_is_its_definition():
    golden = (1 + math.sqrt(5)) / 2
    expected = sorted({math.floor(1000 * ((j / golden) % 1)) for j in range(300)})
    rows = np.arange(1000) * 2
    np.testing.assert_array_equal(groups.thin(rows, most=300), 2 * np.array(expected))
    np.testing.assert_array_equal(groups.thin(rows, most=1000), rows)


@pytest.mark.parametrize("period", [2, 7, 10, 64])
def test_thinning_keeps_the_share_of_rows_that_come_in_turns(period):
    kept = groups.thin(np.arange(64000), most=6400)
    shares = np.bincount(kept % period, minlength=period) / len(kept)
    np.testing.assert_allclose(shares, 1 / period, atol=0.02)


def test_a_row_counts_unless_its_weight_is_0():
    points, weight = POINTS.copy(), np.ones(40)
    points[[1, 2, 3]], weight[[3, 4]] = np.nan, 0
    rows, lost = groups.counted(points, sample_weight=weight)
    assert rows.tolist() == [i for i in range(40) if i not in (1, 2, 3, 4)]
    assert lost == 2


@pytest.mark.parametrize("width", [0, 1, 3])
def test_points_of_another_dimension_are_refused(width):
    with pytest.raises(ValueError, match=rf"two coordinates in each row, got .*\(5, {width}\)"):
        groups.counted(np.ones((5, width)))


def test_each_group_is_drawn_where_it_is_with_its_weight_in_the_legend():
    weight = RNG.uniform(size=40).round(2)
    axes = axes_of(POINTS, GROUP, ["a", "b", "c"], sample_weight=weight)
    for g, found in enumerate(drawn(axes)):
        np.testing.assert_array_equal(found, POINTS[g == GROUP])
    totals = [weight[g == GROUP].sum() for g in range(3)]
    assert named(axes) == [f"{n} ({t:.6g})" for n, t in zip("abc", totals, strict=True)]


def test_what_is_not_drawn_is_said():
    points, weight = np.tile(POINTS, (10, 1)), np.ones(400)
    points[0], points[1], weight[1] = np.nan, np.nan, 0
    group = np.where(weight == 0, np.nan, np.tile(GROUP, 10))
    axes = axes_of(points, group, ["a", "b", "c"], sample_weight=weight, most=50)
    shown = sum(map(len, drawn(axes)))
    assert shown <= 50
    assert named(axes)[3:] == [
        f"{shown} of 398 rows drawn", "1 of 399 rows without finite coordinates",
    ]  # fmt: skip
    assert sum(int(label.split("(")[1][:-1]) for label in named(axes)[:3]) == 398


def test_more_than_twenty_groups_are_not_listed():
    axes = axes_of(POINTS, np.arange(40) % 21, [str(g) for g in range(21)])
    assert named(axes) == []


@pytest.mark.parametrize("label", [-1, 3])
def test_a_group_that_has_no_name_is_refused(label):
    group = GROUP.copy()
    group[5] = label
    with pytest.raises(ValueError, match="from 0 to 2"):
        axes_of(POINTS, group, ["a", "b", "c"])


def test_axes_have_one_scale_unless_the_ranges_differ_by_more_than_4():
    for stretch, aspect in ((3.9, 1.0), (4.1, "auto")):
        figure = Figure(figsize=(6, 4))
        axes = figure.subplots()
        groups.spread(figure, axes, np.array([[0, 0], [1, stretch]]))
        assert axes.get_aspect() == aspect
    groups.spread(figure, axes, np.zeros((0, 2)))
    groups.spread(figure, axes, np.zeros((2, 2)))
    assert axes.get_aspect() == "auto"


def test_a_text_stands_at_its_place():
    axes = Figure().subplots()
    groups.write(axes, np.array([0.25, 0.5]), "seven")
    assert [(t.get_text(), t.get_position()) for t in axes.texts] == [("seven", (0.25, 0.5))]
