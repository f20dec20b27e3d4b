"""Principal axes: their definition by both routes, and what is proved of them."""

import numpy as np
import pytest

from mlmath.latent import principal_axes
from mlmath.statistics import moments


def sample(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 2, rng.uniform(0.5, 2, shape[0])


@pytest.mark.parametrize("shape", [(12, 4), (4, 9)])
def test_axes_are_equation_1(shape):
    X, s = sample(shape)
    found = principal_axes.of_rows(X, s)
    mean = s @ X / s.sum()
    C = (X - mean).T @ np.diag(s) @ (X - mean)
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.spread, np.trace(C))
    m = min(shape)
    np.testing.assert_allclose(
        found.spectrum.values, np.linalg.eigvalsh(C)[::-1][:m], rtol=1e-9, atol=1e-12
    )
    assert found.weight == pytest.approx(s.sum())
    assert found.least == s.min()
    assert not found.constant


def test_axes_of_moments_are_those_of_the_rows():
    X, s = sample((12, 4))
    ours = principal_axes.of_moments(moments.summarize(X, sample_weight=s))
    right = principal_axes.of_rows(X, s)
    np.testing.assert_allclose(ours.spectrum.values, right.spectrum.values, rtol=1e-12)
    np.testing.assert_allclose(ours.mean, right.mean)


@pytest.mark.parametrize("shape", [(12, 4), (4, 9)])
def test_what_is_missed_is_equation_2(shape):
    X, s = sample(shape)
    axes = principal_axes.of_rows(X, s)
    rounding = s.sum() * 2.0**-104 * axes.mean @ axes.mean
    for k in (1, 2):
        right = principal_axes.scatter.excess(axes.spectrum, k) + rounding
        np.testing.assert_allclose(principal_axes.missed(axes, k), right)
    np.testing.assert_allclose(principal_axes.proved(3.0, axes), 3 + rounding)


@pytest.mark.parametrize("shape", [(12, 4), (4, 9)])
def test_nothing_is_proved_with_a_negative_weight_or_squares_out_of_range(shape):
    X, s = sample(shape)
    some = np.append(s[:-1], -1e-3)
    assert np.isnan(principal_axes.missed(principal_axes.of_rows(X, some), 1))
    tiny = (X * 1e-25).astype(np.float32)
    assert np.isnan(principal_axes.missed(principal_axes.of_rows(tiny, s.astype(np.float32)), 1))


@pytest.mark.parametrize("shape", [(12, 4), (4, 9)])
def test_equal_rows_miss_nothing(shape):
    axes = principal_axes.of_rows(np.full(shape, 0.5), np.ones(shape[0]))
    assert axes.constant
    assert principal_axes.missed(axes, 1) == 0
