"""Scores of probabilities against their definitions, scikit-learn, and at their edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

import mlmath
from mlmath.evaluate import probabilities
from tests.evaluate import derivatives

N, K = 12, 3
weights = st.lists(st.sampled_from([0.0, 1.0, 2.0, 0.3]), min_size=N, max_size=N).map(np.array)
binary = st.lists(st.integers(0, 1), min_size=N, max_size=N).map(np.array)
many = st.lists(st.integers(0, K - 1), min_size=N, max_size=N).map(np.array)
chances = st.lists(
    st.one_of(
        st.sampled_from([0.0, 1.0, 0.5, 1e-17, 1 - 1e-16, 1e-300]),
        st.floats(0, 1, allow_subnormal=False),
    ),
    min_size=N,
    max_size=N,
).map(np.array)
seeds = st.integers(0, 2**32 - 1)
examined = settings(deadline=None, max_examples=60)


def distributions(seed, dtype=float):
    """Rows that sum to one; a third of them certain, a third with a class of probability 0."""
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(K), size=N)
    P[::3] = np.eye(K)[rng.integers(0, K, N // 3)]
    P[1::3, 1] = 0
    return (P / P.sum(axis=1, keepdims=True)).astype(dtype)


def average(losses, s):
    return sum(s * losses) / sum(s) if sum(s) else np.nan


def clipped(p):
    eps = np.finfo(p.dtype).eps
    return np.clip(p, eps, 1 - eps)


@examined
@given(chances, binary, weights)
def test_binary_scores_are_their_definitions(p, y, s):
    losses = [
        -np.log(clipped(pi)) if yi else -np.log(clipped(1 - pi))
        for pi, yi in zip(p, y, strict=True)
    ]
    found = probabilities.binary_log_loss(p, y, sample_weight=s)
    np.testing.assert_allclose(found, average(np.array(losses), s), rtol=1e-12)
    found = probabilities.brier(p, y, sample_weight=s)
    np.testing.assert_allclose(found, average((p - y) ** 2, s), rtol=1e-12, atol=1e-15)


@examined
@given(seeds, many, weights)
def test_scores_of_many_classes_are_their_definitions(seed, y, s):
    P = distributions(seed)
    found = probabilities.log_loss(P, y, sample_weight=s)
    expected = average(-np.log(clipped(P[np.arange(N), y])), s)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    found = probabilities.multiclass_brier(P, y, sample_weight=s)
    expected = average(((P - np.eye(K)[y]) ** 2).sum(axis=1), s)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


@examined
@given(chances, binary, weights)
def test_binary_scores_equal_scikit_learn(p, y, s):
    if s.sum() == 0:
        return
    kwargs = {"sample_weight": s}
    theirs = sklearn.metrics.log_loss(y, p, labels=[0, 1], **kwargs)
    np.testing.assert_allclose(probabilities.binary_log_loss(p, y, **kwargs), theirs, rtol=1e-12)
    theirs = sklearn.metrics.brier_score_loss(y, p, labels=[0, 1], **kwargs)
    np.testing.assert_allclose(probabilities.brier(p, y, **kwargs), theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("dtype", "digits"), [(np.float32, 1e-6), (float, 1e-12)])
@examined
@given(seed=seeds, y=many, s=weights)
def test_scores_of_many_classes_equal_scikit_learn(dtype, digits, seed, y, s):
    if s.sum() == 0:
        return
    P, s, labels = distributions(seed, dtype), s.astype(dtype), list(range(K))
    ours = probabilities.log_loss(P, y, sample_weight=s)
    theirs = sklearn.metrics.log_loss(y, P, labels=labels, sample_weight=s)
    np.testing.assert_allclose(ours, theirs, rtol=digits)
    ours = probabilities.multiclass_brier(P, y, sample_weight=s)
    theirs = sklearn.metrics.brier_score_loss(y, P, labels=labels, sample_weight=s)
    np.testing.assert_allclose(ours, theirs, rtol=digits, atol=digits)


def test_two_classes_are_the_binary_case():
    p, y = np.random.default_rng(0).uniform(size=N), np.arange(N) % 2
    P = np.stack([1 - p, p], axis=1)
    np.testing.assert_allclose(
        probabilities.log_loss(P, y), probabilities.binary_log_loss(p, y), rtol=1e-13
    )
    np.testing.assert_allclose(
        probabilities.multiclass_brier(P, y), 2 * probabilities.brier(p, y), rtol=1e-13
    )


def test_a_share_is_the_mixture_of_a_row_of_each_class():
    p, share = np.random.default_rng(0).uniform(size=(2, N))
    both, s = np.r_[p, p], np.r_[share, 1 - share]
    for metric in (probabilities.binary_log_loss, probabilities.brier):
        mixture = metric(both, np.r_[np.ones(N), np.zeros(N)], sample_weight=s)
        np.testing.assert_allclose(metric(p, share), mixture, rtol=1e-13)


@pytest.mark.parametrize("truth", [0.1, 0.5, 0.8])
def test_the_true_probability_scores_best(truth):
    share = np.full(N, truth)
    for metric in (probabilities.binary_log_loss, probabilities.brier):
        slope = jax.grad(lambda p, metric=metric: metric(p, share))
        np.testing.assert_allclose(slope(share), np.zeros(N), atol=1e-15)
        assert metric(share, share) < metric(share + 0.05, share)
        assert metric(share, share) < metric(share - 0.05, share)


@pytest.mark.parametrize("dtype", [np.float32, float])
def test_one_sure_mistake_costs_what_the_dtype_can_tell_from_0(dtype):
    p, y = np.zeros(N, dtype), np.r_[1, np.zeros(N - 1, int)]
    worst = -np.log(np.finfo(dtype).eps)
    np.testing.assert_allclose(probabilities.binary_log_loss(p, y), worst / N, rtol=1e-6)
    P = np.eye(K, dtype=dtype)[np.zeros(N, int)]
    np.testing.assert_allclose(probabilities.log_loss(P, y), worst / N, rtol=1e-6)
    assert probabilities.brier(p, y) == pytest.approx(1 / N)
    slope = jax.grad(lambda p: probabilities.binary_log_loss(p, y))(jnp.asarray(p))
    np.testing.assert_array_equal(slope, 0 * p)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.02, 1.02, 3.0])
def test_what_is_no_probability_shows_where_it_counts(wrong):
    y, s = np.arange(N) % 2, np.ones(N)
    s[3] = 0
    p, P = np.full(N, 0.7), distributions(0)
    q, Q = p.copy(), P.copy()
    q[3], Q[3, 2] = wrong, wrong
    for metric, good, bad in (
        (probabilities.binary_log_loss, p, q),
        (probabilities.brier, p, q),
        (probabilities.log_loss, P, Q),
        (probabilities.multiclass_brier, P, Q),
    ):
        assert np.isnan(metric(bad, y))
        assert np.isnan(metric(bad, y, sample_weight=1 - s))
        assert metric(bad, y, sample_weight=s) == metric(good, y, sample_weight=s)


def test_rows_that_do_not_add_to_one_show_and_rounded_ones_do_not():
    y = np.arange(N) % K
    P = np.random.default_rng(0).dirichlet(np.ones(K) * 5, size=N)
    for metric in (probabilities.log_loss, probabilities.multiclass_brier):
        assert np.isnan(metric(P * 1.05, y))
        assert np.isnan(metric(P * 0.95, y))
        assert np.isfinite(metric(P.round(3), y))
    many = np.full((N, 1000), 1e-3, np.float32)
    np.testing.assert_allclose(probabilities.log_loss(many, y), np.log(1000), rtol=1e-6)


@pytest.mark.parametrize("wrong", [-1.0, 3.0, np.nan])
def test_a_label_that_is_no_class_shows_where_it_counts(wrong):
    y, s = (np.arange(N) % 2).astype(float), np.ones(N)
    spoilt = y.copy()
    spoilt[3], s[3] = wrong, 0
    p, P = np.full(N, 0.7), distributions(0)
    for metric, probability in (
        (probabilities.binary_log_loss, p),
        (probabilities.brier, p),
        (probabilities.log_loss, P),
        (probabilities.multiclass_brier, P),
    ):
        assert np.isnan(metric(probability, spoilt))
        assert metric(probability, spoilt, sample_weight=s) == metric(
            probability, y, sample_weight=s
        )
    assert np.isnan(probabilities.log_loss(P, y + 0.5))


@pytest.mark.parametrize("metric", ["binary_log_loss", "brier", "log_loss", "multiclass_brier"])
def test_derivatives_are_right(metric):
    rng = np.random.default_rng(0)
    y, s, v = np.arange(N) % 2, rng.uniform(size=N), rng.uniform(size=N)
    probability = rng.dirichlet(np.ones(K) * 5, size=N)
    turn = np.array([[0.1, 0.1, -0.2]])  # adds nothing to a row
    if metric in ("binary_log_loss", "brier"):
        probability, turn = probability[:, 0], 0.1
    s[2] = 0

    def along(t):
        judge = getattr(probabilities, metric)
        return judge(probability + t * turn, y, sample_weight=s + t * v)

    derivatives.check(along)


@pytest.mark.parametrize("dtype", [np.float32, float])
def test_decisions_are_eq_1(dtype):
    for p, expected in ((0.0, 0), (0.5, 0), (0.5000001, 1), (1.0, 1), (1.0000001, 1)):
        found = probabilities.decided(dtype(p))
        assert found == expected
        assert found.dtype == dtype
    for p, expected in (
        ([0.2, 0.5, 0.3], 1), ([0.4, 0.2, 0.4], 0), ([0.0, 0.0, 1.0], 2), ([0.5, 0.5, 0.0], 0),
    ):  # fmt: skip
        found = probabilities.most_probable(np.array(p, dtype))
        assert found == expected
        assert found.dtype == dtype


def test_what_is_no_probability_decides_nothing():
    for p in (np.nan, np.inf, -np.inf, 1.5, -3.0):
        assert np.isnan(probabilities.decided(p))
    assert np.isnan(probabilities.most_probable(np.array([0.5, np.nan, 0.1])))


def test_decisions_are_batched():
    p, P = np.random.default_rng(0).uniform(size=N), distributions(1)
    batched = jax.jit(jax.vmap(probabilities.decided))(p)
    np.testing.assert_array_equal(batched, p > 0.5)
    batched = mlmath.rows(lambda _, p: probabilities.most_probable(p))(None, P)
    np.testing.assert_array_equal(batched, P.argmax(axis=1))
