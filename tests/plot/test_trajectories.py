"""Figures of methods at work show every step, over the ground that they stepped on."""

import io

import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.plot import trajectories

MINIMUM = (1.0, -0.5)
WAY = np.array([[3.0, 1.0], [2.0, 0.0], [1.5, -0.5], [1.0, -0.5]])
OTHER = np.array([[3.0, 1.0], [3.0, -1.0], [0.0, -1.0]])
WINDOW = ((-2.0, 4.0), (-3.0, 2.0))


def bowl(x):
    return (x[0] - MINIMUM[0]) ** 2 + 4 * (x[1] - MINIMUM[1]) ** 2 + 7


def height(points):
    return (points[:, 0] - MINIMUM[0]) ** 2 + 4 * (points[:, 1] - MINIMUM[1]) ** 2


def draw(ways, **options):
    options = {"minima": [MINIMUM], "window": WINDOW} | options
    return trajectories.paths(bowl, ways, **options)


def named(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def lines(axes):
    return [line.get_xydata() for line in axes.lines]


def beside(figure):
    (found,) = [axes for axes in figure.axes if axes.get_yscale() == "log"]
    return found


def test_levels_are_their_definition():
    heights = np.random.default_rng(0).uniform(0.01, 50, 4001)
    first, last = sorted(heights)[4], max(heights)  # of 4001 the thousandth part is below the fifth
    expected = [first * (last / first) ** (k / 15) for k in range(16)]
    np.testing.assert_allclose(trajectories.levels(heights), expected)


def test_levels_of_what_has_no_logarithm_are_those_of_the_rest():
    heights = np.geomspace(1, 100, 50)
    odd = np.append(heights, [0, -1, np.nan, np.inf])
    np.testing.assert_array_equal(trajectories.levels(odd), trajectories.levels(heights))
    assert len(trajectories.levels(np.zeros(3))) == 0


def test_each_step_is_drawn_at_its_place_and_at_its_height():
    figure = draw({"one": WAY, "other": OTHER})
    drawn = lines(figure.axes[0])
    for way in (WAY, OTHER):
        assert any(np.array_equal(way, line) for line in drawn)
        assert any(np.array_equal(way[-1:], line) for line in drawn)
    first, second = lines(beside(figure))
    np.testing.assert_allclose(first[:-1], np.c_[np.arange(3), height(WAY)[:-1]])
    assert np.isnan(first[-1, 1])  # at the minimum itself: no logarithm
    np.testing.assert_allclose(second, np.c_[np.arange(3), height(OTHER)])
    assert named(figure) == ["one: 0 after 3 steps", "other: 2 after 2 steps"]


def test_start_minimum_and_frame_are_marked():
    far = np.array([[3.0, 1.0], [9.0, -9.0]])
    axes = draw({"one": WAY, "far": far}).axes[0]
    marks = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_array_equal(marks["start"], WAY[:1])
    np.testing.assert_array_equal(marks["minimum"], [MINIMUM])
    assert axes.get_xlim() == WINDOW[0]
    assert axes.get_ylim() == WINDOW[1]


def test_the_ground_is_lined_where_the_function_has_the_height():
    figure = draw({"one": WAY})
    for contour in figure.axes[0].collections:
        for level, path in zip(contour.levels, contour.get_paths(), strict=False):
            if contour.filled is False and len(path.vertices):
                found = height(path.vertices)
                np.testing.assert_allclose(found, level, rtol=0.05, atol=0.02)
    u, v = (np.linspace(*side, 200) for side in WINDOW)
    ground = height(np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2))
    at = next(c.levels for c in figure.axes[0].collections if not c.filled)
    np.testing.assert_allclose(at, trajectories.levels(ground))


def test_each_method_has_a_colour_and_a_marker_of_its_own():
    ways = {str(k): WAY for k in range(7)}
    drawn = beside(draw(ways)).lines
    assert (
        len({line.get_color() for line in drawn}) == len({line.get_marker() for line in drawn}) == 7
    )
    assert len(draw(ways | {"8": WAY}).axes) == 3


def test_a_method_that_left_the_finite_numbers_ends_there():
    lost = WAY.copy()
    lost[2:] = np.nan
    figure = draw({"one": WAY, "lost": lost})
    assert named(figure)[1] == "lost: not finite from step 2 on"
    drawn = lines(figure.axes[0])
    assert any(np.array_equal(lost[:2], line) for line in drawn)
    assert any(np.array_equal(lost[1:2], line) for line in drawn)


def test_what_climbed_far_above_the_starts_does_not_flatten_the_rest():
    far = np.array([[3.0, 1.0], [30.0, 1.0], [1e6, 1.0]])
    figure = draw({"one": WAY, "far": far})
    height_there = lines(beside(figure))[1][:, 1]
    assert np.isnan(height_there).tolist() == [False, False, True]
    assert named(figure)[1] == "far: 1e12 after 2 steps"


def test_without_a_window_all_of_the_way_is_in_the_frame():
    axes = draw({"one": WAY, "other": OTHER}, window=None).axes[0]
    for points in (WAY, OTHER, np.array([MINIMUM])):
        assert (points.min(axis=0) > [axes.get_xlim()[0], axes.get_ylim()[0]]).all()
        assert (points.max(axis=0) < [axes.get_xlim()[1], axes.get_ylim()[1]]).all()


def test_f_star_is_the_value_at_a_minimum_beyond_the_frame_and_the_ways():
    figure = draw({"one": WAY[:2]}, window=((2, 4), (0, 2)))
    np.testing.assert_allclose(lines(beside(figure))[0][:, 1], height(WAY)[:2])


def test_without_minima_the_lowest_value_in_the_figure_is_f_star():
    figure = draw({"one": WAY}, minima=())
    assert named(figure) == ["one: 0 after 3 steps"]
    figure = draw({"one": WAY[:3]}, minima=(), window=((2.0, 4.0), (0.0, 2.0)))
    np.testing.assert_allclose(lines(beside(figure))[0][0, 1], height(WAY)[0] - height(WAY)[2])


def test_a_descent_shows_what_falls_and_what_was_promised():
    t = np.arange(6)
    values, bound = {"slow": jnp.array(0.9**t), "fast": 0.5**t}, 0.95**t
    figure = trajectories.descent(values, bounds={"theorem": bound}, quantity="distance")
    (axes,) = figure.axes
    for line, expected in zip(lines(axes), (0.9**t, 0.5**t, bound), strict=True):
        np.testing.assert_allclose(line, np.c_[t, expected])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "distance")
    assert axes.get_yscale() == "log"
    assert named(figure) == ["slow: 0.59 after 5 steps", "fast: 0.0312 after 5 steps", "theorem"]


@pytest.mark.parametrize("length", [1, 4, 12])
def test_the_legend_stays_inside_the_figure(length):
    figure = trajectories.descent(
        {"nose " * length + str(k): 0.5 ** np.arange(4) for k in range(5)}
    )
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


@pytest.mark.parametrize(
    "figure",
    [
        lambda: draw({"still": WAY[:1]}, window=None),
        lambda: trajectories.paths(lambda x: 0 * x[0], {"flat": WAY}),
        lambda: trajectories.paths(lambda x: jnp.log(x[0]), {"edge": WAY}, window=WINDOW),
        lambda: trajectories.descent({"zero": np.zeros(3)}),
        lambda: trajectories.descent({"lost": np.full(3, np.nan)}),
    ],
)
def test_edges_are_drawn(figure):
    figure().savefig(io.BytesIO())
