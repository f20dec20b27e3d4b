"""The common centre against its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from mlmath.arrays import parts
from mlmath.statistics import center


def sample(n=30, d=3, lanes=5):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)) + 7, rng.random((lanes, n))


def test_one_weighting_gives_its_mean():
    X, W = sample()
    np.testing.assert_allclose(center.near_mean(X, W[0]), W[0] @ X / W[0].sum(), rtol=1e-12)


def test_lanes_share_the_median_of_their_means_and_one_far_lane_moves_none():
    X, W = sample()
    X[4] = 1e30
    W[1:, 4] = 0
    means = (W @ X) / W.sum(axis=1, keepdims=True)
    shared = jax.vmap(lambda s: center.near_mean(X, s))(W)
    for lane in shared:
        np.testing.assert_allclose(lane, np.median(means, axis=0), rtol=1e-12)
    assert np.abs(shared).max() < 10


def test_a_lane_without_weight_is_not_counted():
    X, W = sample(lanes=4)
    W[2] = 0
    means = (W @ X)[[0, 1, 3]] / W.sum(axis=1)[[0, 1, 3], None]
    shared = jax.vmap(lambda s: center.near_mean(X, s))(W)
    np.testing.assert_allclose(shared[0], np.median(means, axis=0), rtol=1e-12)


def test_rows_that_differ_by_lane_have_their_own_means():
    X, W = sample()
    Xs = np.stack([X, X + 1, X * 2])
    found = jax.vmap(center.near_mean)(Xs, W[:3])
    np.testing.assert_allclose(
        found, [s @ x / s.sum() for x, s in zip(Xs, W, strict=False)], rtol=1e-12
    )
    found = jax.vmap(lambda x: center.near_mean(x, W[0]))(Xs)
    np.testing.assert_allclose(found, [W[0] @ x / W[0].sum() for x in Xs], rtol=1e-12)


def test_lanes_make_no_copy_of_the_rows():
    X, W = sample(n=31)

    def away(s):
        return X - center.near_mean(X, s)[None]

    program = str(jax.make_jaxpr(jax.vmap(lambda s: jnp.sum(away(s)) * s[0]))(W))
    assert "f64[31,3]" in program
    assert "f64[5,31,3]" not in program


def test_it_carries_no_derivative():
    X, W = sample()
    assert not np.any(jax.jacobian(lambda s: center.near_mean(X, s))(W[0]))
    lanes = jax.grad(lambda W: jnp.sum(jax.vmap(lambda s: center.near_mean(X, s))(W)))(W)
    assert not np.any(lanes)


@pytest.mark.parametrize("period", [1, 61])
def test_some_of_many_rows_stand_for_all_within_their_share(period, monkeypatch):
    monkeypatch.setattr(center, "_MANY", 640)
    rng = np.random.default_rng(1)
    X = rng.normal(size=(8 * 640, 3)) + 1e3
    looked_at = np.arange(len(X)) % (8 * 640 // parts(8 * 640)) % 61 == 0  # in each shard
    X[looked_at if period == 61 else slice(None)] += 50
    s = rng.random(len(X))
    mean = s @ X / s.sum()
    f = s[looked_at].sum() / s.sum()
    found = center.sampled_mean(X, s)
    spread = s @ (X - mean) ** 2 / s.sum()
    assert (f * (found - mean) ** 2 <= spread).all()  # (3)
    assert not np.allclose(found, mean, rtol=1e-12)
    s[looked_at] *= 1e-3  # little of the weight: all rows are looked at
    np.testing.assert_allclose(center.sampled_mean(X, s), s @ X / s.sum(), rtol=1e-12)
    lanes = np.stack([s, s])
    shared = jax.vmap(lambda s: center.sampled_mean(X, s))(lanes)
    np.testing.assert_allclose(shared[1], s @ X / s.sum(), rtol=1e-12)
    s[looked_at] = np.nan
    assert np.isnan(center.sampled_mean(X, s)).all()


def test_many_rows_stay_on_their_devices(monkeypatch):
    monkeypatch.setattr(center, "_MANY", 640)
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
    X, s = np.random.default_rng(2).normal(size=(8 * 640, 3)), np.ones(8 * 640)
    rows, weight = (jax.device_put(a, NamedSharding(mesh, P("rows"))) for a in (X, s))
    program = jax.jit(center.sampled_mean).lower(rows, weight).compile().as_text()
    assert not any(word in program for word in ("all-gather", "all-to-all", "permute"))
    np.testing.assert_allclose(
        center.sampled_mean(rows, weight), center.sampled_mean(X, s), rtol=1e-12
    )


@pytest.mark.parametrize("n", [500, 200_000])
def test_rows_far_from_0_keep_their_digits(n):
    rng = np.random.default_rng(3)
    X = (1e6 + rng.normal(size=(n, 3))).astype(np.float32)
    for s in (np.ones(n, np.float32), (np.arange(n) % 61 != 0).astype(np.float32)):
        mean = np.average(X.astype(float), axis=0, weights=s)
        assert np.abs(center.sampled_mean(X, s) - mean).max() < 0.2  # ulps are 0.06
        lanes = jax.vmap(lambda s: center.sampled_mean(X, s))(np.stack([s, s]))
        assert np.abs(np.asarray(lanes) - mean).max() < 0.2


@pytest.mark.parametrize("n", [100, 9000])
def test_of_rows_that_are_all_the_same_it_is_that_row(n):
    X, s = np.full((n, 3), 0.1, np.float32), np.random.default_rng(4).random(n).astype(np.float32)
    np.testing.assert_array_equal(center.sampled_mean(X, s), X[0])
