"""Curves and areas against their definitions, all pairs, scikit-learn, and at their edges."""

import warnings

import jax
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from mlmath.evaluate import ranking
from tests.evaluate import derivatives

N = 12
weights = st.lists(st.sampled_from([0.0, 1.0, 2.0, 0.3]), min_size=N, max_size=N).map(np.array)
binary = st.lists(st.integers(0, 1), min_size=N, max_size=N).map(np.array)
scores = st.lists(
    st.one_of(
        st.sampled_from([0.0, -0.0, 1.0, -1.0, 1 + 2**-52, 1e300, -1e300, 1e-300, -1e-300]),
        st.floats(-2, 2, allow_subnormal=False),
    ),
    min_size=N,
    max_size=N,
).map(np.array)
examined = settings(deadline=None, max_examples=100)


def silent(metric, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return metric(*args, **kwargs)


def rates(f, y, s, t):
    """T, F and P at the threshold t, eq. (1) and (2)."""
    right = sum(si * yi * (fi >= t) for fi, yi, si in zip(f, y, s, strict=True))
    wrong = sum(si * (1 - yi) * (fi >= t) for fi, yi, si in zip(f, y, s, strict=True))
    S1, S0 = sum(s * y), sum(s * (1 - y))
    with np.errstate(invalid="ignore", divide="ignore"):
        T, F = np.divide(right, S1), np.divide(wrong, S0)
        if S1 + S0 == 0:
            return T, F, np.nan
        return T, F, right / (right + wrong) if right + wrong else 1.0


def close(ours, theirs, **kwargs):
    np.testing.assert_allclose(ours, theirs, **{"rtol": 1e-12, "atol": 1e-14, **kwargs})


@examined
@given(scores, binary, weights)
def test_curves_are_their_definitions(f, y, s):
    thresholds = -np.sort(-f)
    T, F, P = np.array([rates(f, y, s, t) for t in thresholds]).T
    roc = ranking.roc_curve(f, y, sample_weight=s)
    close(roc.true_positive_rate, T)
    close(roc.false_positive_rate, F)
    np.testing.assert_array_equal(roc.threshold, thresholds)
    found = ranking.precision_recall_curve(f, y, sample_weight=s)
    close(found.recall, T)
    close(found.precision, P)
    np.testing.assert_array_equal(found.threshold, thresholds)
    T0, F0 = np.r_[0, T[:-1]], np.r_[0, F[:-1]]
    close(ranking.roc_auc(f, y, sample_weight=s), sum((F - F0) * (T + T0) / 2))
    close(ranking.average_precision(f, y, sample_weight=s), sum((T - T0) * P))


@examined
@given(scores, binary, weights)
def test_the_area_is_the_chance_to_rank_a_pair_rightly(f, y, s):
    wins = (f[:, None] > f[None]) + 0.5 * (f[:, None] == f[None])
    one, zero = s * y, s * (1 - y)
    with np.errstate(invalid="ignore"):
        expected = one @ wins @ zero / (one.sum() * zero.sum())
    close(ranking.roc_auc(f, y, sample_weight=s), expected)


@examined
@given(scores, binary, weights)
def test_areas_equal_scikit_learn(f, y, s):
    here = s > 0
    if not here.any():
        return
    args = (y[here], f[here])
    ours = ranking.roc_auc(f, y, sample_weight=s)
    close(ours, silent(sklearn.metrics.roc_auc_score, *args, sample_weight=s[here]))
    ours = ranking.average_precision(f, y, sample_weight=s)
    theirs = silent(sklearn.metrics.average_precision_score, *args, sample_weight=s[here])
    if y[here].any():
        close(ours, theirs)
    else:
        assert np.isnan(ours)
        assert theirs == 0


@examined
@given(scores, binary, weights)
def test_curves_pass_through_the_points_of_scikit_learn(f, y, s):
    here = s > 0
    if len(set(y[here])) < 2:
        return
    args, kwargs = (y[here], f[here]), {"sample_weight": s[here]}
    F, T, thresholds = sklearn.metrics.roc_curve(*args, drop_intermediate=False, **kwargs)
    roc = ranking.roc_curve(f, y, sample_weight=s)
    place = [np.flatnonzero(roc.threshold == t)[0] for t in thresholds[1:]]
    close(np.asarray(roc.false_positive_rate)[place], F[1:])
    close(np.asarray(roc.true_positive_rate)[place], T[1:])
    P, R, thresholds = sklearn.metrics.precision_recall_curve(*args, **kwargs)
    found = ranking.precision_recall_curve(f, y, sample_weight=s)
    place = [np.flatnonzero(found.threshold == t)[0] for t in thresholds]
    close(np.asarray(found.precision)[place], P[:-1])
    close(np.asarray(found.recall)[place], R[:-1])


@pytest.mark.parametrize("levels", [2, 7, 1000, 10**6])
@pytest.mark.parametrize(("dtype", "digits"), [(np.float32, 1e-6), (float, 1e-12)])
def test_many_rows_equal_scikit_learn(levels, dtype, digits):
    rng = np.random.default_rng(levels)
    f = rng.integers(-levels, levels, 3000).astype(dtype)
    y, s = rng.integers(0, 2, 3000), rng.uniform(size=3000).astype(dtype)
    for ours, theirs in (
        (ranking.roc_auc, sklearn.metrics.roc_auc_score),
        (ranking.average_precision, sklearn.metrics.average_precision_score),
    ):
        found = ours(f, y, sample_weight=s)
        assert found.dtype == dtype
        close(found, theirs(y, f, sample_weight=s.astype(float)), rtol=digits)


@pytest.mark.parametrize("levels", [2, 50, 10**9])
def test_a_million_rows_keep_the_digits_of_float32(levels):
    rng = np.random.default_rng(levels)
    f = rng.integers(0, levels, 10**6).astype(np.float32)
    y = rng.uniform(size=10**6) < (f + 1) / (levels + 1)
    s = np.full(10**6, 0.1, np.float32)  # added one after another they would drift by 1e-4
    found = ranking.roc_auc(f, y, sample_weight=s)
    np.testing.assert_allclose(found, sklearn.metrics.roc_auc_score(y, f), rtol=1e-6)


def test_the_order_of_ties_does_not_matter():
    rng = np.random.default_rng(0)
    f, y, s = rng.integers(0, 4, N).astype(float), rng.integers(0, 2, N), rng.uniform(size=N)
    for metric in (ranking.roc_auc, ranking.average_precision):
        expected = metric(f, y, sample_weight=s)
        for _ in range(5):
            order = rng.permutation(N)
            close(metric(f[order], y[order], sample_weight=s[order]), expected)


def test_only_the_order_of_the_scores_matters():
    rng = np.random.default_rng(0)
    f, y = rng.normal(size=N), rng.integers(0, 2, N)
    y[:2] = 0, 1
    for metric in (ranking.roc_auc, ranking.average_precision):
        close(metric(np.exp(3 * f), y), metric(f, y), rtol=1e-15)
    close(ranking.roc_auc(-f, y), 1 - ranking.roc_auc(f, y))
    close(ranking.roc_auc(f, 1 - y), 1 - ranking.roc_auc(f, y))


def test_a_perfect_and_a_constant_score():
    y = np.r_[np.zeros(8), np.ones(4)]
    for f, area, precision in ((y, 1, 1), (0 * y, 0.5, 4 / 12), (-y, 0, 4 / 12)):
        close(ranking.roc_auc(f, y), area)
        close(ranking.average_precision(f, y), precision)


def test_one_class_alone():
    f, none, all_ = np.arange(N, dtype=float), np.zeros(N, int), np.ones(N, int)
    for y in (none, all_):
        assert np.isnan(ranking.roc_auc(f, y))
    assert np.isnan(ranking.average_precision(f, none))
    close(ranking.average_precision(f, all_), 1)
    roc = ranking.roc_curve(f, all_)
    assert np.isnan(roc.false_positive_rate).all()
    close(roc.true_positive_rate, np.arange(1, N + 1) / N)
    assert (ranking.precision_recall_curve(f, none).precision == 0).all()


def test_no_weight_at_all_is_no_answer():
    f, y, zero = np.arange(N, dtype=float), np.arange(N) % 2, np.zeros(N)
    for metric in (ranking.roc_auc, ranking.average_precision):
        assert np.isnan(metric(f, y, sample_weight=zero))
    for curve in (ranking.roc_curve, ranking.precision_recall_curve):
        assert np.isnan(curve(f, y, sample_weight=zero)[0]).all()
        assert np.isnan(curve(f, y, sample_weight=zero)[1]).all()


@pytest.mark.parametrize("score", [-1.0, 2.0, 5.0])
@pytest.mark.parametrize("wrong", [(np.nan, 1.0), (5.0, -1.0), (5.0, 0.5), (5.0, np.nan)])
def test_what_cannot_be_ranked_shows_where_it_counts(wrong, score):
    f, y, s = np.arange(N, dtype=float), np.arange(N) % 3 % 2 + 0.0, np.ones(N)
    s[3] = 0
    f[3] = score
    g, z = f.copy(), y.copy()
    g[3], z[3] = wrong
    for metric in (ranking.roc_auc, ranking.average_precision):
        assert np.isnan(metric(g, z))
        assert np.isnan(metric(g, z, sample_weight=1 - s))
        close(metric(g, z, sample_weight=s), metric(f, y, sample_weight=s))
    for curve in (ranking.roc_curve, ranking.precision_recall_curve):
        assert np.isnan(curve(g, z)[0]).all()
        assert np.isnan(curve(g, z)[1]).all()


@pytest.mark.parametrize("dtype", [np.float32, float])
def test_infinite_scores_and_both_zeros_have_their_place(dtype):
    f = np.array([np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, 3.0, -3.0, 2.0, -2.0])
    y, s = np.arange(N) % 3 % 2, np.random.default_rng(0).uniform(size=N)
    finite = np.clip(f, -1e30, 1e30)
    for metric in (ranking.roc_auc, ranking.average_precision):
        args = (y, None)[:1]
        found = metric(f.astype(dtype), *args, sample_weight=s)
        close(found, metric(finite.astype(dtype), *args, sample_weight=s))
        theirs = {
            ranking.roc_auc: sklearn.metrics.roc_auc_score,
            ranking.average_precision: sklearn.metrics.average_precision_score,
        }[metric](y, finite, sample_weight=s)
        close(found, theirs, rtol=4 * np.finfo(dtype).eps)
    threshold = ranking.roc_curve(f.astype(dtype), y).threshold
    np.testing.assert_array_equal(threshold, -np.sort(-f))


@pytest.mark.parametrize("metric", [ranking.roc_auc, ranking.average_precision])
def test_derivatives_in_the_weights_are_right_and_those_in_the_scores_are_0(metric):
    rng = np.random.default_rng(0)
    f, y, (s, v) = rng.integers(0, 6, N) + 0.0, rng.integers(0, 2, N), rng.uniform(size=(2, N))
    s[4] = 0

    def along(t):
        return metric(f, y, sample_weight=s + t * v)

    derivatives.check(along)
    slope = jax.grad(metric)(f, y, sample_weight=s)
    np.testing.assert_array_equal(slope, 0 * f)
