"""Probabilistic PCA: its density, its maximum, and the PCA that it becomes without noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA

import mlmath
from mlmath.latent import incomplete_pca, pca, probabilistic_pca

IRIS = load_iris().data


def weights(n=150, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 2, n)


def some(k=2, d=4, seed=0):
    rng = np.random.default_rng(seed)
    return probabilistic_pca.Params(rng.normal(size=d), rng.normal(size=(k, d)), np.asarray(0.7))


def covariance(params):
    W = np.asarray(params.loadings)
    return W.T @ W + float(params.noise) * np.eye(W.shape[1])


def test_the_density_is_the_gaussian_of_equation_2_for_any_loadings():
    params = some()
    right = multivariate_normal(params.mean, covariance(params))
    for x in IRIS[:5]:
        np.testing.assert_allclose(probabilistic_pca.log_prob(params, x), right.logpdf(x))


def test_the_mean_of_t_is_that_of_the_joint_gaussian():
    params, x = some(), IRIS[3]
    W = params.loadings
    right = W @ np.linalg.solve(covariance(params), x - params.mean)
    np.testing.assert_allclose(probabilistic_pca.transform(params, x), right)
    t = np.array([0.5, -1.0])
    np.testing.assert_allclose(probabilistic_pca.inverse(params, t), params.mean + W.T @ t)


def test_draws_have_mean_and_covariance_of_equation_2():
    params = some()
    draws = jax.vmap(probabilistic_pca.sample, (0, None))(
        jax.random.split(jax.random.key(0), 100_000), params
    )
    np.testing.assert_allclose(draws.mean(0), params.mean, atol=0.03)
    np.testing.assert_allclose(np.cov(draws.T), covariance(params), atol=0.06)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_answer_is_equation_6(k):
    s = weights()
    fitted = probabilistic_pca.fit(IRIS, k=k, sample_weight=s)
    mean = s @ IRIS / s.sum()
    values, vectors = np.linalg.eigh((IRIS - mean).T @ np.diag(s) @ (IRIS - mean) / s.sum())
    values, vectors = values[::-1], vectors[:, ::-1]
    noise = values[k:].mean()
    W = np.asarray(fitted.params.loadings)
    np.testing.assert_allclose(fitted.params.noise, noise)
    np.testing.assert_allclose(np.diag(W @ W.T), values[:k] - noise)
    np.testing.assert_allclose(covariance(fitted.params), (
        vectors[:, :k] * values[:k] @ vectors[:, :k].T
        + noise * vectors[:, k:] @ vectors[:, k:].T
    ), atol=1e-12)  # fmt: skip
    logs = np.log(values[:k]).sum() + (4 - k) * np.log(noise)
    least = s.sum() / 2 * (4 * np.log(2 * np.pi) + 4 + logs)
    np.testing.assert_allclose(fitted.certificate.objective, least)
    np.testing.assert_allclose(
        probabilistic_pca.objective(fitted.params, IRIS, sample_weight=s), least
    )
    assert fitted.certificate.converged


def test_scikit_learn_has_the_same_noise_and_density_but_for_n_minus_1():
    ours, theirs = probabilistic_pca.fit(IRIS, k=2).params, PCA(2).fit(IRIS)
    np.testing.assert_allclose(ours.noise, theirs.noise_variance_ * 149 / 150)
    scaled = ours._replace(
        loadings=ours.loadings * np.sqrt(150 / 149), noise=ours.noise * 150 / 149
    )
    np.testing.assert_allclose(
        mlmath.rows(probabilistic_pca.log_prob)(scaled, IRIS), theirs.score_samples(IRIS)
    )


def test_no_other_gaussian_of_this_kind_is_likelier():
    fitted = probabilistic_pca.fit(IRIS, k=2)
    rng = np.random.default_rng(0)
    for size in (1e-3, 0.1, 1.0):
        for leaf in range(3):
            moved = list(fitted.params)
            moved[leaf] = moved[leaf] * np.exp(size * rng.normal(size=np.shape(moved[leaf])))
            other = probabilistic_pca.Params(*moved)
            assert probabilistic_pca.objective(other, IRIS) > fitted.certificate.objective


def test_without_noise_the_mean_of_t_is_the_whitened_score_of_pca():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 5)) + 1e-5 * rng.normal(size=(40, 5))
    ours, plain = probabilistic_pca.fit(X, k=2).params, pca.fit(X, k=2).params
    np.testing.assert_allclose(
        mlmath.rows(probabilistic_pca.transform)(ours, X),
        mlmath.rows(pca.whiten)(plain, X),
        atol=1e-6,
    )


def test_wide_rows_have_the_answer_of_tall_ones_with_absent_rows():
    X, s = np.random.default_rng(2).normal(size=(7, 10)), weights(7)
    tall, t = np.concatenate([X, np.full((8, 10), np.nan)]), np.append(s, np.zeros(8))
    wide = probabilistic_pca.fit(X, k=3, sample_weight=s)
    narrow = probabilistic_pca.fit(tall, k=3, sample_weight=t)
    for ours, theirs in zip(jax.tree.leaves(wide[0]), jax.tree.leaves(narrow[0]), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-10)


def streamed(X, s, cuts=(7, 8, 90)):
    blocks = zip(np.split(X, cuts), np.split(s, cuts), strict=True)
    moments = [probabilistic_pca.summarize(x, sample_weight=w) for x, w in blocks]
    total = moments[0]
    for block in moments[1:]:
        total = probabilistic_pca.merge(total, block)
    return total


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_stream_of_uneven_blocks_equals_one_array(k):
    s = weights()
    whole = probabilistic_pca.fit(IRIS, k=k, sample_weight=s)
    found = probabilistic_pca.solve(streamed(IRIS, s), k=k)
    for a, b in zip(found.params, whole.params, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(found.certificate.objective, whole.certificate.objective, rtol=1e-12)
    assert found.certificate.converged
    assert found.certificate.gap < 1e-12
    loose = probabilistic_pca.solve(streamed(IRIS, s), k=k, tolerance=0.0)
    assert not loose.certificate.converged


def test_in_a_stream_weights_are_repetition_and_absence_whatever_a_row_holds():
    twice = np.where(np.arange(150) < 9, 2.0, 1.0)
    again = np.concatenate([IRIS, IRIS[:9]])
    right = probabilistic_pca.solve(streamed(again, np.ones(159))).params
    spoilt = np.concatenate([IRIS, np.full((60, 4), np.nan)])
    absent = streamed(spoilt, np.append(twice, np.zeros(60)), cuts=(7, 100, 150))
    for found in (probabilistic_pca.solve(streamed(IRIS, twice)).params,
                  probabilistic_pca.solve(absent).params):  # fmt: skip
        for a, b in zip(found, right, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_a_stream_that_proves_nothing_is_not_converged():
    s = np.ones(150)
    plane = IRIS[:, :2] @ np.random.default_rng(0).normal(size=(2, 4))
    shown = np.where(np.arange(150)[:, None] == 3, np.nan, IRIS)
    for total in (streamed(IRIS, np.where(np.arange(150) == 3, -200.0, s)), streamed(IRIS, 0 * s),
                  streamed(plane, s), streamed(shown, s)):  # fmt: skip
        assert not probabilistic_pca.solve(total).certificate.converged
    assert np.isnan(probabilistic_pca.solve(streamed(IRIS, 0 * s)).certificate.gap)


def test_a_stream_far_from_zero_keeps_its_digits_in_single_precision():
    X = (IRIS + 1000).astype(np.float32)
    found = probabilistic_pca.solve(streamed(X, np.ones(150, np.float32))).params
    right = probabilistic_pca.fit(np.asarray(X, float)).params
    np.testing.assert_allclose(found.noise, right.noise, rtol=1e-3)
    np.testing.assert_allclose(found.loadings, right.loadings, atol=1e-3)


def test_a_stream_has_the_derivatives_of_the_fit_and_of_differences():
    rng, s = np.random.default_rng(3), jnp.asarray(weights())
    along, more = rng.normal(size=IRIS.shape), rng.normal(size=150)

    def numbers(fitted):
        every = *fitted.params, fitted.certificate.objective / 100
        return jax.flatten_util.ravel_pytree(every)[0]

    def in_parts(X, s):
        return numbers(probabilistic_pca.solve(streamed(X, s)))

    def at_once(X, s):
        return numbers(probabilistic_pca.fit(X, sample_weight=s))

    primals, tangents = (jnp.asarray(IRIS), s), (jnp.asarray(along), jnp.asarray(more))
    found, right = (jax.jvp(f, primals, tangents)[1] for f in (in_parts, at_once))
    np.testing.assert_allclose(found, right, rtol=1e-8, atol=1e-10)
    h = 1e-5
    after, before = (in_parts(IRIS + t * along, s + t * more) for t in (h, -h))
    np.testing.assert_allclose(found, (after - before) / (2 * h), rtol=1e-6, atol=1e-7)
    onto = jnp.asarray(rng.normal(size=len(found)))
    X_bar, s_bar = jax.vjp(in_parts, *primals)[1](onto)
    np.testing.assert_allclose((X_bar * along).sum() + s_bar @ more, onto @ found, rtol=1e-9)


@pytest.mark.parametrize("k", [0, 4])
def test_a_number_of_directions_that_leaves_no_noise_is_refused(k):
    with pytest.raises(ValueError, match="k must be from 1 to 3, below d"):
        probabilistic_pca.fit(IRIS, k=k)
    with pytest.raises(ValueError, match=f"k must be from 1 to 3, below d, got {k}"):
        probabilistic_pca.solve(probabilistic_pca.summarize(IRIS), k=k)
    with pytest.raises(ValueError, match="k must be from 1 to 2"):
        probabilistic_pca.fit(IRIS[:2], k=3)


def test_rows_in_a_plane_and_equal_rows_prove_nothing():
    plane = IRIS[:, :2] @ np.random.default_rng(0).normal(size=(2, 4))
    for X in (plane, np.ones((5, 4))):
        certificate = probabilistic_pca.fit(X, k=2).certificate
        assert not certificate.converged


def test_round_rows_prove_nothing_for_every_plane_is_as_good():
    corners = np.concatenate([np.eye(4), -np.eye(4)])
    certificate = probabilistic_pca.fit(corners, k=2).certificate
    assert not certificate.converged
    assert jnp.isnan(certificate.gap) or certificate.gap > 0.1


def test_densities_and_means_are_at_full_precision_of_products():
    params, x = some(), jnp.asarray(IRIS[0])
    X, seen = jnp.asarray(IRIS), jnp.ones(4, bool)
    programs = (
        jax.make_jaxpr(probabilistic_pca.objective)(params, X),
        *(
            jax.make_jaxpr(f)(params, x)
            for f in (probabilistic_pca.log_prob, probabilistic_pca.transform)
        ),
        jax.make_jaxpr(probabilistic_pca.inverse)(params, x[:2]),
        jax.make_jaxpr(incomplete_pca.objective)(params, X),
        *(
            jax.make_jaxpr(f)(params, x, seen)
            for f in (incomplete_pca.log_prob, incomplete_pca.transform, incomplete_pca.impute)
        ),
    )
    for program in map(str, programs):
        products = program.count("dot_general[")
        assert 0 < products == program.count("precision=(Precision.HIGHEST, Precision.HIGHEST)")


@pytest.mark.parametrize(("dtype", "far"), [(np.float32, 1e20), (float, 1e200)])
def test_a_row_of_weight_0_may_be_so_far_that_its_square_overflows(dtype, far):
    params = probabilistic_pca.Params(*(np.asarray(a, dtype) for a in some()))
    X = np.concatenate([IRIS.astype(dtype), np.full((1, 4), far, dtype)])
    s = np.append(weights().astype(dtype), dtype(0))
    found, slope = jax.value_and_grad(
        lambda params: probabilistic_pca.objective(params, X, sample_weight=s)
    )(params)
    right, right_slope = jax.value_and_grad(
        lambda params: probabilistic_pca.objective(params, X[:-1], sample_weight=s[:-1])
    )(params)
    for a, b in zip((found, *slope), (right, *right_slope), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    ours = probabilistic_pca.fit(X, k=1, sample_weight=s).params
    theirs = probabilistic_pca.fit(X[:-1], k=1, sample_weight=s[:-1]).params
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3)
