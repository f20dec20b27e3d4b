"""Many runs of k-means in one call: each lane is the fit of its size and seed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mlmath
from mlmath.data import datasets
from mlmath.latent import kmeans, sweeps

SIZES, SEEDS = (1, 2, 3, 5, 9), 4


@pytest.fixture(scope="module")
def iris():
    X, _ = datasets.arrays("iris")
    return X, np.random.default_rng(0).uniform(0.5, 2.0, len(X))


@pytest.fixture(scope="module")
def swept(iris):
    X, s = iris
    return kmeans.sweep(jax.random.key(3), X, sizes=SIZES, seeds=SEEDS, sample_weight=s)


def test_a_lane_is_the_fit_of_its_size_and_seed(iris, swept):
    X, s = iris
    keys = jax.random.split(jax.random.key(3), SEEDS)  # (1)
    for i, k in enumerate(SIZES):
        for t in range(0, SEEDS, 3):
            start = kmeans.init_plus_plus(keys[t], X, k=k, sample_weight=s)
            alone = kmeans.fit(start, X, sample_weight=s)
            lane = jax.tree.map(lambda a, i=i, t=t: a[i, t], swept.certificate)
            np.testing.assert_allclose(swept.centroids[i, t, :k], alone.params.centroids)
            assert np.isinf(swept.centroids[i, t, k:]).all()
            np.testing.assert_allclose(lane.objective, alone.certificate.objective, rtol=1e-12)
            assert lane.steps == alone.certificate.steps
            assert lane.converged == alone.certificate.converged
            np.testing.assert_allclose(lane.gap, alone.certificate.gap, atol=1e-15)


def test_the_best_seed_has_the_least_inertia(swept):
    np.testing.assert_array_equal(swept.best, np.argmin(swept.certificate.objective, axis=1))
    assert (np.diff(np.min(swept.certificate.objective, axis=1)) < 0).all()
    np.testing.assert_array_equal(swept.sizes, SIZES)


def test_padding_and_the_number_of_slots_change_nothing(iris, swept, monkeypatch):
    X, s = iris
    monkeypatch.setattr(sweeps, "_COLUMNS", 15)
    few = sweeps.sweep(jax.random.key(3), X, sizes=(5, 3), seeds=SEEDS, sample_weight=s)
    for i, j in ((0, 3), (1, 2)):
        np.testing.assert_allclose(few.centroids[i, :, :3], swept.centroids[j, :, :3], rtol=1e-9)
        np.testing.assert_array_equal(few.certificate.steps[i], swept.certificate.steps[j])


def test_padded_centroids_serve_as_parameters(iris, swept):
    X, s = iris
    params = kmeans.Params(swept.centroids[2, 0])
    fewer = kmeans.Params(swept.centroids[2, 0, :3])
    np.testing.assert_array_equal(
        mlmath.rows(kmeans.predict)(params, X), mlmath.rows(kmeans.predict)(fewer, X)
    )
    np.testing.assert_allclose(
        kmeans.objective(params, X, sample_weight=s),
        kmeans.objective(fewer, X, sample_weight=s),
        rtol=1e-12,
    )


def test_lanes_that_are_stopped_say_so(iris):
    X, s = iris
    early = sweeps.sweep(jax.random.key(3), X, sizes=(3, 5), seeds=3, sample_weight=s, max_steps=1)
    assert (early.certificate.steps == 1).all()
    assert not early.certificate.converged.any()
    keys = jax.random.split(jax.random.key(3), 3)
    start = kmeans.init_plus_plus(keys[1], X, k=5, sample_weight=s)
    once = kmeans.fit(start, X, sample_weight=s, max_steps=1)
    np.testing.assert_allclose(early.centroids[1, 1], once.params.centroids, rtol=1e-10)


def test_fewer_distinct_rows_than_clusters_end(iris):
    X = np.repeat(iris[0][[0, 60, 120]], 3, axis=0)
    found = sweeps.sweep(jax.random.key(0), X, sizes=(2, 5), seeds=3)
    assert found.certificate.converged.all()
    np.testing.assert_allclose(found.certificate.objective[1], 0, atol=1e-25)
    assert np.isfinite(found.centroids[1]).all()


def test_misuse_is_refused_and_what_counts_shows(iris):
    X, s = iris
    key = jax.random.key(0)
    for sizes in ((0, 2), (2, 151), (-1,)):
        with pytest.raises(ValueError, match="sizes must be from 1 to the 150 rows of X, got"):
            sweeps.sweep(key, X, sizes=sizes)
    with pytest.raises(ValueError, match="a size and a seed"):
        sweeps.sweep(key, X, sizes=())
    with pytest.raises(ValueError, match="and 0 seeds"):
        sweeps.sweep(key, X, seeds=0)
    holes = jnp.where(jnp.arange(len(X))[:, None] == 4, jnp.nan, X)
    for rows, weight in ((holes, s), (X, 0 * s)):
        found = sweeps.sweep(key, rows, sizes=(3, 5), seeds=3, sample_weight=weight)
        assert np.isnan(found.certificate.objective).all()
        assert np.isnan(found.centroids[1]).all()
        assert not found.certificate.converged.any()
    absent = sweeps.sweep(
        key, holes, sizes=(3, 5), seeds=3, sample_weight=s * (np.arange(len(X)) != 4)
    )
    assert absent.certificate.converged.all()


@pytest.mark.parametrize("unit", [1e-25, 1e25])
def test_the_best_seed_is_found_where_squares_leave_the_dtype(iris, unit):
    X = iris[0].astype(np.float32)
    key = jax.random.key(3)
    plain, far = (kmeans.sweep(key, X * np.float32(u), sizes=(3, 5), seeds=4) for u in (1, unit))
    assert len(set(np.round(plain.certificate.objective[1], 3).tolist())) > 1
    np.testing.assert_array_equal(plain.best, far.best)
