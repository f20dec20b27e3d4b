"""Scales follow the spacing of the values, and few values far out do not set them."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import variation

from mlmath.plot import scales


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.logspace(-4, 4, 50), "log"),
        ([1, 2, 4, 8], "log"),
        ([1, 2, 5, 10, 20, 50], "log"),
        ([0.0, 0.01, 0.1, 1.0], "symlog"),
        (np.arange(1, 101), "linear"),
        ([1, 2, 3], "linear"),
        ([-1.0, 0.01, 0.1, 1.0], "linear"),
        ([0.1, 10.0], "log"),
        ([1.0, 10.0], "log"),
        ([1.0, 2.0], "linear"),
        ([0.0, 1.0], "linear"),
        ([3.0], "linear"),
        ([0.0], "linear"),
        (np.exp(np.random.default_rng(0).uniform(-9, 9, 40)), "log"),
        (np.random.default_rng(0).uniform(0, 9, 40), "linear"),
    ],
)
def test_values_are_geometric_or_not(values, expected):
    assert scales.kind(np.array(values, float)) == expected
    assert scales.kind(np.array(values, float)[::-1]) == expected


def test_geometric_is_its_definition():
    rng, kinds = np.random.default_rng(1), set()
    for power in np.linspace(0, 3, 20):
        v = np.unique(rng.uniform(0.1, 2, 8) ** (1 + power) * 10**power)
        geometric = variation(np.diff(np.log(v))) < variation(np.diff(v))
        kinds.add(scales.kind(v))
        assert scales.kind(v) == ("log" if geometric else "linear")
    assert kinds == {"log", "linear"}


def test_fences_are_their_definition():
    v = np.r_[np.arange(30.0), 1e6, -1e6, np.nan, np.inf]
    q1, q3 = np.percentile(v[:32], [25, 75])
    found = scales.fences(v)
    np.testing.assert_allclose(found, [q1 - 3 * (q3 - q1), q3 + 3 * (q3 - q1)])
    assert scales.fences(v[:30]) == (0, 29)


@pytest.mark.parametrize("values", [np.r_[np.arange(18.0), 1e6], np.r_[np.zeros(30), 5.0]])
def test_few_values_or_no_spread_have_no_fences(values):
    assert scales.fences(values) == (0, values.max())
    assert scales.fences(np.array([np.nan])) == (0, 1)


@pytest.mark.parametrize("name", ["x", "y"])
def test_an_axis_with_0_begins_there(name):
    axes = Figure().subplots()
    scales.adapt(axes, name, np.array([0.0, 0.01, 0.1, 1.0]))
    low, high = axes.get_xlim() if name == "x" else axes.get_ylim()
    assert -0.01 < low < 0 < 1 < high
    assert (axes.get_xscale(), axes.get_yscale()).count("symlog") == 1


def test_an_axis_of_two_decades_has_plain_ticks():
    figure = Figure()
    axes = figure.subplots()
    axes.plot([40, 400], [0, 1])
    scales.adapt(axes, "x", np.array([40.0, 126.0, 400.0]))
    figure.draw_without_rendering()
    assert {"50", "100", "200"} <= {text.get_text() for text in axes.get_xticklabels()}


def test_one_value_is_its_own_tick():
    axes = Figure().subplots()
    scales.adapt(axes, "x", np.array([1e-4]))
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.0001"]


def test_numbers_are_short():
    written = [scales.short(v) for v in (1e3, 3.1623e-5, 0.31623, 10.0, 2e20, 0.0)]
    assert written == ["1e3", "3.16e-5", "0.316", "10", "2e20", "0"]
