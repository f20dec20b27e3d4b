"""Expectation–maximisation over a stream of blocks: eq. (1)–(3), against fits in memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.data import datasets
from mlmath.latent import (
    diagonal_mixture,
    full_mixture,
    mixture_stream,
    spherical_mixture,
    tied_mixture,
)

FAMILIES = [full_mixture, tied_mixture, diagonal_mixture, spherical_mixture]
each = pytest.mark.parametrize("module", FAMILIES, ids=lambda m: m.__name__.rsplit(".")[-1])


@pytest.fixture(scope="module")
def data():
    X = np.stack([datasets.load("old_faithful")[name] for name in ("eruptions", "waiting")], axis=1)
    return X, np.random.default_rng(0).uniform(0.5, 2.0, len(X))


def start(module, X, k=2):
    return module.init(jax.random.key(1), X, k=k)


def streamed(module, params, X, s, cuts=(40, 100)):
    blocks = zip(np.split(X, cuts), np.split(s, cuts), strict=True)
    sums = [mixture_stream.summarize(module.FAMILY, params, x, sample_weight=w) for x, w in blocks]
    total = sums[0]
    for more in sums[1:]:
        total = mixture_stream.merge(total, more)
    return total


def close(a, b, rtol=1e-9):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-10), a, b)


def test_the_sums_are_equation_1(data):
    X, s = data
    params = start(full_mixture, X)
    sums = streamed(full_mixture, params, X, s)
    r = np.stack([full_mixture.predict(params, x) for x in X])
    for j in range(2):
        mean, covariance = np.asarray(params.means[j]), np.asarray(params.covariances[j])
        z = np.linalg.solve(np.linalg.cholesky(covariance), (X - mean).T)
        np.testing.assert_allclose(sums.totals[j], s @ r[:, j])
        np.testing.assert_allclose(sums.shifts[j], z @ (s * r[:, j]), atol=1e-10)
        np.testing.assert_allclose(sums.squares[j], (z * (s * r[:, j])) @ z.T, atol=1e-10)
    densities = [full_mixture.log_prob(params, x) for x in X]
    np.testing.assert_allclose(sums.likelihood, s @ np.array(densities))


@each
@pytest.mark.parametrize(
    "prior", [{}, {"prior_rows": 3.0}, {"prior_rows": 2.0, "prior_scale": 0.1}]
)
def test_a_step_and_its_certificate_are_those_of_the_fit(module, prior, data):
    X, s = data
    params = start(module, X)
    step = mixture_stream.solve(module.FAMILY, params, streamed(module, params, X, s), **prior)
    close(step.ahead, module.fit(params, X, sample_weight=s, max_steps=1, **prior).params)
    before = module.fit(params, X, sample_weight=s, max_steps=0, **prior).certificate
    np.testing.assert_allclose(step.certificate.gap, before.gap, rtol=1e-9)
    right = module.objective(params, X, sample_weight=s, **prior)
    np.testing.assert_allclose(step.certificate.objective, right, rtol=1e-12)
    close(step.params, params)


@each
def test_a_stream_ends_where_the_fit_does(module, data):
    X, s = data
    params, steps = start(module, X), 0
    while True:
        step = mixture_stream.solve(
            module.FAMILY, params, streamed(module, params, X, s), prior_rows=1.0, tolerance=1e-12
        )
        if step.certificate.converged:
            break
        params, steps = step.ahead, steps + 1
    fitted = module.fit(start(module, X), X, sample_weight=s, prior_rows=1.0, tolerance=1e-12)
    assert steps == fitted.certificate.steps
    close(params, fitted.params, rtol=1e-6)


@each
@pytest.mark.parametrize("held", [np.nan, 1e200])
def test_a_weight_is_as_many_rows_and_0_is_none(module, held, data):
    X, _ = data
    params = start(module, X)
    whole = streamed(module, params, np.concatenate([X, X[:9]]), np.ones(len(X) + 9))
    close(streamed(module, params, X, np.where(np.arange(len(X)) < 9, 2.0, 1.0)), whole)
    spoilt = np.concatenate([X, np.full((3, X.shape[1]), held)])
    absent = streamed(module, params, spoilt, np.append(np.ones(len(X)), np.zeros(3)))
    close(absent, streamed(module, params, X, np.ones(len(X))))


def test_where_the_origin_lies_does_not_matter_in_single_precision(data):
    X, s = (a.astype(np.float32) for a in data)
    X = np.round(8 * X) / 8  # so that the shift is exact
    params = start(full_mixture, X)
    moved = params._replace(means=params.means + 4096)
    near, far = (
        mixture_stream.solve(full_mixture.FAMILY, p, streamed(full_mixture, p, x, s))
        for p, x in ((params, X), (moved, X + 4096))
    )
    close(far.ahead.covariances, near.ahead.covariances, rtol=1e-2)
    np.testing.assert_allclose(far.certificate.gap, near.certificate.gap, rtol=1e-2)


def test_a_small_component_far_from_the_others_keeps_its_digits():
    rng = np.random.default_rng(0)
    small = 1e-5 * rng.normal(size=(50, 2))
    X = np.concatenate([small, 100 + rng.normal(size=(50, 2))]).astype(np.float32)
    params = full_mixture.Params(
        jnp.full(2, 0.5, jnp.float32), jnp.float32([[0, 0], [100, 100]]),
        jnp.float32([1e-10 * np.eye(2), np.eye(2)]),
    )  # fmt: skip
    ones = np.ones(100, np.float32)
    sums = streamed(full_mixture, params, X, ones, cuts=(40,))
    step = mixture_stream.solve(full_mixture.FAMILY, params, sums)
    right = np.cov(X[:50].astype(float).T, bias=True)
    np.testing.assert_allclose(step.ahead.covariances[0], right, rtol=1e-4, atol=1e-14)


@pytest.mark.parametrize("prior", [{}, {"prior_rows": 1.0, "prior_scale": 0.2}])
def test_an_absent_component_stays_away(prior, data):
    X, s = data
    two, three = start(full_mixture, X), start(full_mixture, X, k=3)
    padded = three._replace(
        weights=jnp.append(two.weights, 0),
        means=three.means.at[:2].set(two.means),
        covariances=three.covariances.at[:2].set(two.covariances),
    )
    alone, beside = (
        mixture_stream.solve(full_mixture.FAMILY, p, streamed(full_mixture, p, X, s), **prior)
        for p in (two, padded)
    )
    close(jax.tree.map(lambda a: a[:2], beside.ahead), alone.ahead)
    assert beside.ahead.weights[2] == 0
    np.testing.assert_allclose(beside.certificate.gap, alone.certificate.gap, rtol=1e-9)


def test_a_negative_weight_proves_nothing(data):
    X, s = data
    params = start(full_mixture, X)
    spoilt = np.where(np.arange(len(X)) == 3, -1.0, s)
    step = mixture_stream.solve(
        full_mixture.FAMILY, params, streamed(full_mixture, params, X, spoilt)
    )
    assert jnp.isnan(step.certificate.gap)
    assert not step.certificate.converged


def test_rows_that_determine_no_covariance_prove_nothing():
    """The rows of one component lie on a line, those of the other do not."""
    t, cloud = np.arange(8) / 7, 50 + np.random.default_rng(0).normal(size=(8, 2))
    means, identity = jnp.array([[0.0, 0], [50, 50]]), jnp.tile(jnp.eye(2), (2, 1, 1))
    params = full_mixture.Params(jnp.ones(2), means, identity)
    for slope in np.linspace(0, 3, 41):
        X = np.concatenate([np.stack([t, slope * t + 0.1], axis=1), cloud])
        sums = streamed(full_mixture, params, X, np.ones(16), cuts=(3,))
        step = mixture_stream.solve(full_mixture.FAMILY, params, sums)
        assert jnp.isnan(step.certificate.gap), slope


@each
def test_a_step_has_the_derivatives_of_differences(module, data):
    X, s = data[0][:40], data[1][:40]
    params, along = start(module, data[0]), np.random.default_rng(3).normal(size=(40, X.shape[1]))

    def stepped(t):
        sums = mixture_stream.summarize(
            module.FAMILY, params, X + t * along, sample_weight=s * (1 + t)
        )
        ahead = mixture_stream.solve(module.FAMILY, params, sums, prior_rows=2.0).ahead
        return jax.flatten_util.ravel_pytree(ahead)[0]

    found = jax.jvp(stepped, (0.0,), (1.0,))[1]
    h = 1e-6
    np.testing.assert_allclose(found, (stepped(h) - stepped(-h)) / (2 * h), rtol=1e-5, atol=1e-6)
