"""Moments of weighted rows: their definition, whole and in parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_iris

from mlmath.statistics import moments

IRIS = load_iris().data


def weights(n, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 2, n)


def test_moments_are_equation_1():
    s = weights(150)
    found = moments.summarize(IRIS, sample_weight=s)
    mean = s @ IRIS / s.sum()
    np.testing.assert_allclose(found.weight, s.sum())
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.scatter, (IRIS - mean).T @ np.diag(s) @ (IRIS - mean))


def test_parts_add_up_by_equation_3_in_any_order():
    s = weights(150)
    parts = [moments.summarize(IRIS[i::3], sample_weight=s[i::3]) for i in range(3)]
    whole = moments.summarize(IRIS, sample_weight=s)
    a, b, c = parts
    for merged in (
        moments.merge(moments.merge(a, b), c),
        moments.merge(c, moments.merge(b, a)),
    ):
        for found, right in zip(merged, whole, strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-12)


def test_a_block_of_weight_zero_adds_nothing():
    some = moments.summarize(IRIS)
    empty = moments.summarize(np.full((5, 4), np.nan), sample_weight=np.zeros(5))
    for merged in (moments.merge(some, empty), moments.merge(empty, some)):
        for a, b in zip(merged, some, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mean_far_from_zero_costs_no_more_than_the_rows_have_lost(dtype):
    X = (IRIS + 1e4).astype(dtype)
    exact = np.asarray(X, float)
    apart = exact - exact.mean(0)
    found = moments.summarize(X)
    size = np.abs(apart).T @ np.abs(apart)
    assert (np.abs(found.scatter - apart.T @ apart) <= 200 * np.finfo(dtype).eps * size).all()


def test_the_deviation_of_rows_whose_squares_underflow_is_not_zero():
    X = np.array([[1e-30], [3e-30]], np.float32)
    found, deviation = moments.of_rows(X, np.ones(2, np.float32))
    assert found.scatter == 0
    assert deviation > 0
    assert moments.of_rows(np.full((3, 1), 0.5), np.ones(3))[1] == 0


def test_derivatives_are_differences():
    rng = np.random.default_rng(0)
    dX, ds, s = rng.normal(size=IRIS.shape), rng.normal(size=150), weights(150)

    def scatter(t):
        return moments.summarize(IRIS + t * dX, sample_weight=s + t * ds).scatter

    h = 1e-5
    slope = (scatter(h) - scatter(-h)) / (2 * h)
    np.testing.assert_allclose(jax.jvp(scatter, (0.0,), (1.0,))[1], slope, rtol=1e-7, atol=1e-6)


def test_many_weightings_about_one_point_have_the_moments_of_each():
    many = np.stack([weights(150), np.r_[np.ones(50), np.zeros(100)]])
    lanes = jax.vmap(lambda s: moments.summarize(IRIS, sample_weight=s))(many)
    for lane, s in enumerate(many):
        alone = moments.summarize(IRIS, sample_weight=s)
        np.testing.assert_allclose(lanes.scatter[lane], alone.scatter, rtol=1e-9, atol=1e-9)


def test_two_blocks_of_weight_zero_make_one():
    empty = moments.summarize(IRIS, sample_weight=np.zeros(150))
    for leaf in moments.merge(empty, empty):
        np.testing.assert_array_equal(leaf, 0)


def test_a_block_of_weight_zero_has_the_derivative_zero_both_ways():
    def value(s):
        found = moments.merge(moments.summarize(IRIS), moments.summarize(IRIS[:3], sample_weight=s))
        return sum(jnp.sum(leaf) for leaf in found)

    s = jnp.zeros(3)
    np.testing.assert_array_equal(jax.grad(value)(s), 0)
    assert jax.jvp(value, (s,), (jnp.ones(3),))[1] == 0


def test_a_negative_weight_shows():
    found = moments.summarize(np.eye(3), sample_weight=np.array([1.0, -0.5, 1.0]))
    assert all(np.isnan(a).all() for a in found)
