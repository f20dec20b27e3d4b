"""Grids of candidates against their definition."""

import itertools

import jax
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy import stats

from mlmath.evaluate import grids


def test_a_product_is_every_combination_the_last_name_fastest():
    a, b, c = np.array([1.0, 2.0]), np.array([3, 4, 5]), np.array([True, False])
    grid = grids.product(a=a, b=b, c=c)
    found = list(zip(*(grid[k].tolist() for k in "abc"), strict=True))
    assert found == list(itertools.product(a.tolist(), b.tolist(), c.tolist()))
    assert [grid[k].dtype for k in "abc"] == [a.dtype, b.dtype, c.dtype]


def test_values_may_have_axes_of_their_own():
    rows = np.arange(6.0).reshape(2, 3)
    grid = grids.product(penalties=rows, scale=np.array([1.0, 2.0]))
    np.testing.assert_array_equal(grid["penalties"], rows[[0, 0, 1, 1]])


def test_random_draws_are_independent_and_have_their_law():
    grid = grids.random(
        jax.random.key(0), 2000,
        l2=Partial(grids.log_uniform, low=1e-3, high=1e2), share=jax.random.uniform,
    )  # fmt: skip
    logs = (np.log10(grid["l2"]) + 3) / 5
    for u in (logs, grid["share"]):
        assert stats.kstest(np.asarray(u), "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(logs, grid["share"])[0, 1]) < 4 / np.sqrt(2000)


def test_a_seed_decides_the_draw():
    draw = Partial(grids.log_uniform, low=1.0, high=10.0)
    a, b, c = (grids.random(jax.random.key(k), 5, l2=draw)["l2"] for k in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_nothing_to_combine_or_draw_is_no_grid():
    assert grids.product() == {}
    assert grids.random(jax.random.key(0), 5) == {}


@pytest.mark.parametrize("low", [1e-30, 1e-8])
def test_wide_ranges_stay_inside(low):
    x = grids.log_uniform(jax.random.key(2), (1000,), low=low, high=1e8)
    assert float(x.min()) >= low * (1 - 1e-6)
    assert float(x.max()) <= 1e8 * (1 + 1e-6)
