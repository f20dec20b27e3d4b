"""Metrics of numbers against their definitions, scikit-learn, and at their edges."""

import jax
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mlmath.evaluate.residuals import mean_absolute_error, mean_squared_error, r_squared
from tests.evaluate import derivatives

N = 12
weights = st.lists(st.sampled_from([0.0, 1.0, 2.0, 0.3]), min_size=N, max_size=N).map(np.array)
number = st.floats(-1e3, 1e3, allow_subnormal=False)
TINY = float(np.finfo(float).tiny)  # a square below this is 0 to XLA and not to NumPy
numbers = st.lists(number, min_size=N, max_size=N).map(np.array)
examined = settings(deadline=None, max_examples=60)
METRICS = (mean_squared_error, mean_absolute_error, r_squared)


@examined
@given(numbers, numbers, weights)
def test_metrics_are_their_definitions(predicted, y, s):
    assume(s.sum() > 0)
    r, S = predicted - y, s.sum()
    np.testing.assert_allclose(
        mean_squared_error(predicted, y, sample_weight=s), sum(s * r**2) / S, rtol=1e-12, atol=TINY
    )
    np.testing.assert_allclose(
        mean_absolute_error(predicted, y, sample_weight=s), sum(s * abs(r)) / S, rtol=1e-12
    )
    center = sum(s * y) / S
    spread = sum(s * (y - center) ** 2)
    assume(np.ptp(y[s > 0]) > 1e-6)
    np.testing.assert_allclose(
        r_squared(predicted, y, sample_weight=s), 1 - sum(s * r**2) / spread, rtol=1e-8, atol=1e-12
    )


@examined
@given(numbers, numbers, weights)
def test_metrics_equal_scikit_learn(predicted, y, s):
    assume(s.sum() > 0)
    assume(np.ptp(y[s > 0]) > 1e-6)
    for ours, theirs in (
        (mean_squared_error, sklearn.metrics.mean_squared_error),
        (mean_absolute_error, sklearn.metrics.mean_absolute_error),
        (r_squared, sklearn.metrics.r2_score),
    ):
        found, expected = ours(predicted, y, sample_weight=s), theirs(y, predicted, sample_weight=s)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)


def test_r_squared_of_the_mean_is_0_and_of_the_truth_1():
    y, s = np.random.default_rng(0).uniform(size=(2, N))
    assert r_squared(y, y, sample_weight=s) == 1
    mean = np.full(N, s @ y / s.sum())
    np.testing.assert_allclose(r_squared(mean, y, sample_weight=s), 0, atol=1e-14)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e10, -3e-9])
def test_r_squared_of_a_constant_is_not_a_number(constant):
    y, s = np.full(N, constant), np.random.default_rng(0).uniform(size=N)
    assert np.isnan(r_squared(y, y))
    assert np.isnan(r_squared(y + 1, y))
    assert np.isnan(r_squared(y + 1, y, sample_weight=s))
    y[3], s[3] = 5.0, 0.0  # a row that is absent does not vary
    assert np.isnan(r_squared(y, y, sample_weight=s))


def test_one_row_has_no_r_squared_and_two_have():
    y, s = np.arange(N, dtype=float), np.zeros(N)
    s[4] = 1
    assert np.isnan(r_squared(y, y, sample_weight=s))
    s[5] = 1
    assert r_squared(y, y, sample_weight=s) == 1
    assert r_squared(y + 1, y, sample_weight=s) == -3


@pytest.mark.parametrize("dtype", [np.float32, float])
@pytest.mark.parametrize("scale", [1e-25, 1e-8, 1e8, 1e18])
def test_the_units_of_y_do_not_matter_to_r_squared(dtype, scale):
    rng = np.random.default_rng(0)
    y = rng.normal(size=N)
    predicted = y + rng.normal(size=N)
    found = r_squared((scale * predicted).astype(dtype), (scale * y).astype(dtype))
    np.testing.assert_allclose(found, r_squared(predicted, y), rtol=30 * np.finfo(dtype).eps)


def test_a_large_offset_costs_no_digits():
    y = np.arange(N, dtype=np.float32)
    predicted = y + np.float32(0.5)
    expected = r_squared(predicted, y)
    offset = np.float32(2**22)  # all sums of these are exact, their squares are not
    np.testing.assert_allclose(r_squared(predicted + offset, y + offset), expected, rtol=1e-6)


@pytest.mark.parametrize("predict", ["well", "badly"])
def test_a_million_rows_keep_the_digits_of_float32(predict):
    rng = np.random.default_rng(0)
    y = (rng.normal(size=10**6) + 100).astype(np.float32)
    predicted = y + rng.normal(size=10**6).astype(np.float32) * (0.1 if predict == "well" else 3)
    s = rng.uniform(size=10**6).astype(np.float32)
    for ours, theirs in (
        (mean_squared_error, sklearn.metrics.mean_squared_error),
        (mean_absolute_error, sklearn.metrics.mean_absolute_error),
        (r_squared, sklearn.metrics.r2_score),
    ):
        wide = (a.astype(float) for a in (y, predicted))
        np.testing.assert_allclose(
            ours(predicted, y, sample_weight=s), theirs(*wide, sample_weight=s), rtol=1e-6
        )


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e200])
@pytest.mark.parametrize("which", [0, 1], ids=["predicted", "y"])
def test_what_is_no_number_shows_where_it_counts(wrong, which):
    pair, s = np.random.default_rng(0).normal(size=(2, N)), np.ones(N)
    spoilt = pair.copy()
    spoilt[which, 3], s[3] = wrong, 0
    for metric in METRICS:
        if wrong != 1e200 or metric is mean_squared_error:
            assert np.isnan(metric(*spoilt))
            assert np.isnan(metric(*spoilt, sample_weight=1 - s))
        kept = metric(*spoilt, sample_weight=s)
        assert kept == metric(*pair, sample_weight=s)
        slope = jax.grad(lambda p, y, s, metric=metric: metric(p, y, sample_weight=s), (0, 1))
        for a, b in zip(slope(*spoilt, s), slope(*pair, s), strict=True):
            np.testing.assert_array_equal(a, b)


def test_no_weight_at_all_is_no_answer():
    y = np.arange(N, dtype=float)
    for metric in METRICS:
        assert np.isnan(metric(y, y, sample_weight=0 * y))


@pytest.mark.parametrize("metric", METRICS)
def test_derivatives_are_right(metric):
    predicted, y, s, *direction = np.random.default_rng(0).uniform(size=(6, N))
    s[2] = 0

    def along(t):
        predicted_, y_, s_ = (a + t * v for a, v in zip((predicted, y, s), direction, strict=True))
        return metric(predicted_, y_, sample_weight=s_)

    derivatives.check(along)


def test_the_derivative_of_the_absolute_value_of_0_is_0():
    y = np.arange(N, dtype=float)
    slope = jax.grad(mean_absolute_error)(y, y)
    np.testing.assert_array_equal(slope, 0 * y)


def test_integers_are_refused_as_measurements():
    with pytest.raises(TypeError, match="measurements are floats"):
        mean_squared_error(np.arange(N), np.arange(N))
