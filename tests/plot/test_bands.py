"""The band over folds is the mean and its standard error."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import sem

from mlmath.evaluate import selection
from mlmath.plot import bands

CURVES = np.random.default_rng(0).normal(size=(4, 6))


def test_mean_and_error_are_their_definition():
    mean, error = bands.mean_and_error(CURVES)
    f = len(CURVES)
    for j, a in enumerate(CURVES.T):
        average = sum(a) / f
        spread = sum((value - average) ** 2 for value in a)
        np.testing.assert_allclose(mean[j], average)
        np.testing.assert_allclose(error[j], (spread / (f * (f - 1))) ** 0.5)


def test_mean_and_error_are_those_that_selection_chooses_by():
    curves = CURVES.copy()
    curves[1, 2] = np.nan
    choice = selection.choose(curves)
    mean, error = bands.mean_and_error(curves)
    np.testing.assert_allclose(mean, choice.mean)
    np.testing.assert_allclose(error, choice.standard_error)


@pytest.mark.parametrize("folds", [1, 2, 8, 15, 30, 31])
def test_each_fold_is_fainter_the_more_there_are_and_behind_the_band(folds):
    axes, x = Figure().subplots(), np.arange(6.0)
    curves = np.random.default_rng(0).normal(size=(folds, 6))
    bands.draw(axes, x, curves, label="mean", color="tab:blue")
    bands.thin(axes, [(x, curve) for curve in curves], label="each fold")
    mean, *thin = axes.lines
    assert len(thin) == (folds if 2 <= folds <= 30 else 0)
    for line, curve in zip(thin, curves, strict=False):
        np.testing.assert_array_equal(line.get_ydata(), curve)
        assert line.get_alpha() == pytest.approx(min(1, 8 / folds))
        assert line.get_zorder() < axes.collections[0].get_zorder() < mean.get_zorder()
    named = axes.get_legend_handles_labels()[1]
    assert named.count("each fold") == bool(thin)


def test_the_error_is_that_of_scipy():
    np.testing.assert_allclose(bands.mean_and_error(CURVES)[1], sem(CURVES))


def test_the_mean_is_drawn_and_the_band_is_one_error_wide():
    axes = Figure().subplots()
    x = np.arange(6.0)
    bands.draw(axes, x, CURVES, label="mean", color="tab:blue")
    mean, error = bands.mean_and_error(CURVES)
    np.testing.assert_allclose(axes.lines[0].get_xydata(), np.stack([x, mean], axis=1))
    outline = axes.collections[0].get_paths()[0].vertices
    for j in range(6):
        ends = outline[outline[:, 0] == x[j], 1]
        np.testing.assert_allclose([ends.min(), ends.max()], mean[j] + [-error[j], error[j]])


def test_one_fold_has_a_mean_and_no_band():
    axes = Figure().subplots()
    bands.draw(axes, np.arange(6.0), CURVES[:1], label="mean", color="tab:blue")
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), CURVES[0])
    assert not axes.collections
    assert np.isnan(bands.mean_and_error(CURVES[:1])[1]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_fold_without_a_finite_value_is_a_gap(bad):
    curves = CURVES.copy()
    curves[1, 2] = bad
    mean, error = bands.mean_and_error(curves)
    assert np.isnan(mean).tolist() == np.isnan(error).tolist() == [False, False, True] + 3 * [False]


def test_two_bands_are_explained_once():
    axes = Figure().subplots()
    for label in ("held-out", "training"):
        bands.draw(axes, np.arange(6.0), CURVES, label=label, color="tab:blue")
    named = axes.get_legend_handles_labels()[1]
    assert sorted(named) == ["held-out", "training", "± one standard error of the mean"]
