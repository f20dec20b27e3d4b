"""Lloyd's step over a stream of blocks: eq. (1)–(3)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.data import datasets
from mlmath.latent import kmeans, kmeans_stream


@pytest.fixture(scope="module")
def data():
    X, _ = datasets.arrays("iris")
    return X, np.random.default_rng(0).uniform(0.5, 2.0, len(X)), X[[0, 60, 120, 121]] + 0.01


def streamed(params, X, s, sizes=(10, 50, 90)):
    parts = np.split(np.arange(len(X)), np.cumsum(sizes)[:-1])
    sums = [kmeans_stream.summarize(params, X[i], sample_weight=s[i]) for i in parts]
    total = sums[0]
    for more in sums[1:]:
        total = kmeans_stream.merge(total, more)
    return total


def test_a_step_is_its_definition(data):
    X, s, C = data
    params = kmeans.Params(jnp.asarray(C))
    sums = streamed(params, X, s)
    labels = ((X[:, None] - C[None]) ** 2).sum(2).argmin(1)
    for j in range(4):
        own = labels == j
        np.testing.assert_allclose(sums.totals[j], s[own].sum())  # (1)
        np.testing.assert_allclose(sums.shifts[j], s[own] @ (X[own] - C[j]), atol=1e-12)
        np.testing.assert_allclose(sums.squares[j], s[own] @ ((X[own] - C[j]) ** 2).sum(1))
    step = kmeans_stream.solve(params, sums)
    means = np.stack([np.average(X[labels == j], axis=0, weights=s[labels == j]) for j in range(4)])
    np.testing.assert_allclose(step.ahead.centroids, means, rtol=1e-12)
    totals = np.array([s[labels == j].sum() for j in range(4)])
    null = s @ ((X - np.average(X, axis=0, weights=s)) ** 2).sum(1)  # (2)
    gain = totals @ ((C - means) ** 2).sum(1)  # (3)
    np.testing.assert_allclose(step.certificate.gap, gain / null, rtol=1e-10)
    np.testing.assert_allclose(
        step.certificate.objective, kmeans.objective(params, X, sample_weight=s), rtol=1e-12
    )
    after = kmeans.objective(step.ahead, X, sample_weight=s)
    assert step.certificate.objective - after >= gain * (1 - 1e-9)


def test_a_stream_ends_where_the_fit_does(data):
    X, s, C = data
    params, steps = kmeans.Params(jnp.asarray(C)), 0
    while not (step := kmeans_stream.solve(params, streamed(params, X, s))).certificate.converged:
        params, steps = step.ahead, steps + 1
    fitted = kmeans.fit(C, X, sample_weight=s)
    np.testing.assert_allclose(step.params.centroids, fitted.params.centroids, rtol=1e-12)
    assert steps == fitted.certificate.steps


def test_blocks_are_the_array(data):
    X, s, C = data
    params = kmeans.Params(jnp.asarray(C))
    whole = kmeans_stream.summarize(params, X, sample_weight=s)
    for a, b in zip(streamed(params, X, s), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    twice = kmeans_stream.summarize(params, np.concatenate([X, X[:9]]))
    s2 = np.where(np.arange(len(X)) < 9, 2.0, 1.0)
    for a, b in zip(kmeans_stream.summarize(params, X, sample_weight=s2), twice, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("held", [np.nan, np.inf, 1e200])
def test_a_row_of_weight_0_is_absent_whatever_it_holds(data, held):
    X, _, C = data
    params, s = kmeans.Params(jnp.asarray(C)), np.ones(len(X))
    s[3] = 0
    spoilt = np.array(X)
    spoilt[3] = held
    found = kmeans_stream.summarize(params, spoilt, sample_weight=s)
    without = kmeans_stream.summarize(params, np.delete(X, 3, axis=0))
    for a, b in zip(found, without, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_what_proves_nothing_is_not_converged(data):
    X, s, C = data
    params = kmeans.Params(jnp.asarray(C))
    s = np.where(np.arange(len(X)) == 5, -0.1, s)
    step = kmeans_stream.solve(params, streamed(params, X, s))
    assert not step.certificate.converged
    assert jnp.isnan(step.certificate.gap)
    nothing = kmeans_stream.summarize(params, X, sample_weight=np.zeros(len(X)))
    assert not kmeans_stream.solve(params, nothing).certificate.converged


def test_far_from_the_origin_float32_keeps_the_certificate():
    rng = np.random.default_rng(0)
    X = (1e4 + 0.1 * rng.normal(size=(500, 1))).astype(np.float32)
    params = kmeans.Params(jnp.zeros((1, 1), jnp.float32))
    step = kmeans_stream.solve(params, kmeans_stream.summarize(params, X))
    assert not step.certificate.converged
    step = kmeans_stream.solve(step.ahead, kmeans_stream.summarize(step.ahead, X))
    np.testing.assert_allclose(step.ahead.centroids[0], X.astype(float).mean(0), rtol=1e-7)


def test_an_empty_centroid_stays_and_sums_have_derivatives(data):
    X, s, C = data
    params = kmeans.Params(jnp.concatenate([jnp.asarray(C), jnp.full((1, 4), 1e3)]))
    step = kmeans_stream.solve(params, streamed(params, X, s))
    np.testing.assert_array_equal(step.ahead.centroids[-1], 1e3)

    def moved(s):
        return streamed(params, X, s).squares.sum()

    direction = np.random.default_rng(1).normal(size=len(X))
    slope = jax.jvp(moved, (jnp.asarray(s),), (jnp.asarray(direction),))[1]
    h = 1e-6
    centred = (moved(s + h * direction) - moved(s - h * direction)) / (2 * h)
    np.testing.assert_allclose(slope, centred, rtol=1e-7)


def test_a_centroid_that_is_no_number_shows(data):
    X, s, C = data
    params = kmeans.Params(jnp.asarray(C).at[1, 0].set(jnp.nan))
    step = kmeans_stream.solve(params, kmeans_stream.summarize(params, X, sample_weight=s))
    assert np.isnan(step.certificate.gap)
    assert np.isnan(step.ahead.centroids).all()
    assert np.isnan(kmeans.objective(params, X, sample_weight=s))
