"""k-means by small samples: eq. (1) and (2), the law of its draws, and its certificate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from mlmath.data import datasets
from mlmath.latent import kmeans, minibatch


@pytest.fixture(scope="module")
def iris():
    X, _ = datasets.arrays("iris")
    return X, X[[3, 60, 130]], np.random.default_rng(0).uniform(0.5, 2.0, len(X))


def test_a_run_is_rows_shown_one_after_the_other(iris):
    X, C, s = iris
    key, b, steps = jax.random.key(5), 16, 6
    run = minibatch.fit_minibatch(key, C, X, batch_size=b, steps=steps, sample_weight=s)
    c, v = C.copy(), np.zeros(3)
    for t in range(steps):
        drawn = minibatch._drawn(jax.random.fold_in(key, t), minibatch._table(jnp.asarray(s)), b)
        labels = [((x - c) ** 2).sum(1).argmin() for x in X[drawn]]
        for j, x in zip(labels, X[drawn], strict=True):
            v[j] += 1
            c[j] += (x - c[j]) / v[j]  # (1)
    np.testing.assert_allclose(run.params.centroids, c, rtol=1e-10)
    np.testing.assert_array_equal(run.counts, v)


def test_the_certificate_is_measured_on_all_rows(iris):
    X, C, s = iris
    run = kmeans.fit_minibatch(jax.random.key(5), C, X, batch_size=16, steps=6, sample_weight=s)
    exact = kmeans.fit(run.params.centroids, X, sample_weight=s, max_steps=0).certificate
    np.testing.assert_allclose(run.certificate.objective, exact.objective, rtol=1e-10)
    np.testing.assert_allclose(run.certificate.gap, exact.gap, rtol=1e-8)
    assert not run.certificate.converged
    assert run.certificate.steps == 6


def test_many_rows_come_near_lloyds_answer(iris):
    X, C, s = iris
    best = kmeans.fit(C, X, sample_weight=s).certificate.objective
    run = kmeans.fit_minibatch(jax.random.key(1), C, X, batch_size=256, steps=60, sample_weight=s)
    assert best <= run.certificate.objective * (1 + 1e-12) < 1.01 * best


def test_a_run_goes_on_with_its_counts(iris):
    X, C, _ = iris
    run = kmeans.fit_minibatch(jax.random.key(1), C, X, batch_size=64, steps=9)
    more = kmeans.fit_minibatch(
        jax.random.key(2), run.params.centroids, X, batch_size=64, steps=1, counts=run.counts
    )
    assert more.counts.sum() == run.counts.sum() + 64
    moved = jnp.abs(more.params.centroids - run.params.centroids).max()
    assert 0 < moved < 0.2  # rate 64/640 and not 1
    fresh = kmeans.fit_minibatch(jax.random.key(2), run.params.centroids, X, batch_size=64, steps=1)
    assert jnp.abs(fresh.params.centroids - run.params.centroids).max() > 1.5 * moved


def test_rows_are_drawn_in_proportion_and_absent_ones_never():
    chance = np.array([0.0, 3.0, 0.0, 1.0, 2.0, 0.0, 4.0, 0.0, 0.0])
    table = minibatch._table(jnp.asarray(chance))
    counts = np.bincount(minibatch._drawn(jax.random.key(0), table, 20_000), minlength=9)
    assert counts[chance == 0].sum() == 0
    expected = chance[chance > 0] / chance.sum() * 20_000
    assert chisquare(counts[chance > 0], expected).pvalue > 1e-3


def test_float32_draws_from_a_million_rows_in_proportion():
    chance = (jnp.arange(1_000_000) % 2).astype(jnp.float32)
    found = np.asarray(minibatch._drawn(jax.random.key(3), minibatch._table(chance), 50_000))
    assert (found % 2 == 1).all()
    assert chisquare(np.bincount(found // 20_000, minlength=50)).pvalue > 1e-3
    assert len(np.unique(found)) > 47_000  # of 50,000 draws among 500,000


def test_weights_are_the_chances_of_repetition(iris):
    """The mean centroid over many keys, with weights and with rows repeated."""
    X, C, _ = iris
    X, C = X[:60:2], C[:2]
    counts = np.random.default_rng(1).integers(0, 4, len(X))
    keys = jax.random.split(jax.random.key(0), 400)

    def mean(X, s):
        runs = jax.vmap(
            lambda key: (
                minibatch.fit_minibatch(
                    key, C, X, batch_size=8, steps=3, sample_weight=s
                ).params.centroids
            )
        )(keys)
        return runs.mean(0), runs.std(0) / 20

    a, error = mean(np.where(counts[:, None] == 0, np.nan, X), counts.astype(float))
    b, _ = mean(np.repeat(X, counts, axis=0), None)
    assert (jnp.abs(a - b) < 5 * np.sqrt(2) * error + 1e-12).all()


def test_the_derivative_in_the_rows_is_that_of_running_again(iris):
    X, C, s = iris
    V = np.random.default_rng(3).normal(size=X.shape)

    def run(t):
        params = minibatch.fit_minibatch(
            jax.random.key(5), C, X + t * V, batch_size=16, steps=4, sample_weight=s
        ).params
        return jnp.sum(jnp.sin(params.centroids))

    h = 1e-4
    found = jax.grad(run)(0.0)
    np.testing.assert_allclose(found, (run(h) - run(-h)) / (2 * h), rtol=1e-6)
    np.testing.assert_allclose(jax.jvp(run, (0.0,), (1.0,))[1], found, rtol=1e-10)
    in_weight = jax.grad(
        lambda s: minibatch.fit_minibatch(
            jax.random.key(5), C, X, batch_size=16, steps=4, sample_weight=s
        ).params.centroids.sum()
    )(s)
    assert not in_weight.any()


def test_misuse_is_refused_and_what_counts_shows(iris):
    X, C, s = iris
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="batch_size and steps must be at least 1, got 0 and 100"):
        kmeans.fit_minibatch(key, C, X, batch_size=0)
    with pytest.raises(ValueError, match="got 8 and -1"):
        kmeans.fit_minibatch(key, C, X, batch_size=8, steps=-1)
    with pytest.raises(ValueError, match="from 1 to 2 centroids, as many as rows; got 3"):
        kmeans.fit_minibatch(key, C, X[:2])
    with pytest.raises(ValueError, match="at least one row"):
        kmeans.fit_minibatch(key, C, X[:0])
    holes = np.where(np.arange(len(X))[:, None] == 4, np.nan, X)
    for rows, weight in ((holes, None), (holes, s), (X, 0 * s)):
        run = kmeans.fit_minibatch(key, C, rows, batch_size=8, steps=2, sample_weight=weight)
        assert np.isnan(run.params.centroids).all()
        assert np.isnan(run.certificate.gap)
        assert not run.certificate.converged
    run = kmeans.fit_minibatch(
        key, C, holes, batch_size=8, steps=2, sample_weight=s * (np.arange(len(X)) != 4)
    )
    assert np.isfinite(run.params.centroids).all()
