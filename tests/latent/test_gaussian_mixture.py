import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from mlmath import rows
from mlmath.latent import (
    diagonal_mixture,
    full_mixture,
    spherical_mixture,
    tied_mixture,
)

MODULES = {
    "full": full_mixture,
    "tied": tied_mixture,
    "diag": diagonal_mixture,
    "spherical": spherical_mixture,
}
every = pytest.mark.parametrize("kind", MODULES)


def whole(kind, covariances, k, d):
    """Covariances of any kind as k matrices."""
    C = np.asarray(covariances, float)
    if kind == "tied":
        return np.tile(C, (k, 1, 1))
    if kind == "spherical":
        return C[:, None, None] * np.eye(d)
    return np.stack([np.diag(c) for c in C]) if kind == "diag" else C


def shaped(kind, S, N):
    """Covariances of a kind from scatter matrices and masses."""
    d = S.shape[1]
    if kind == "tied":
        return S.sum(0) / N.sum()
    if kind == "spherical":
        return np.trace(S, axis1=1, axis2=2) / (d * N)
    full = S / N[:, None, None]
    return np.einsum("kii->ki", full) if kind == "diag" else full


def joint(kind, params, X):
    """log πⱼ N(xᵢ; μⱼ, Σⱼ) by the definition."""
    w, m = (np.asarray(a, float) for a in params[:2])
    C = whole(kind, params[2], *m.shape)
    out = np.empty((len(X), len(m)))
    for i, x in enumerate(X):
        for j in range(len(m)):
            z = x - m[j]
            square = z @ np.linalg.inv(C[j]) @ z
            volume = math.log(np.linalg.det(2 * np.pi * C[j]))
            out[i, j] = math.log(w[j]) - square / 2 - volume / 2
    return out


def naive_step(kind, params, X, s, prior_rows, prior_scale):
    """Eq. (4)."""
    p = np.exp(joint(kind, params, X))
    r = s[:, None] * p / p.sum(1, keepdims=True)
    N = r.sum(0)
    means = r.T @ X / N[:, None]
    S = np.stack([(r[:, j, None] * (X - means[j])).T @ (X - means[j]) for j in range(len(N))])
    T = np.cov(X.T, aweights=s, ddof=0)
    if kind == "tied":
        covariances = (S.sum(0) + prior_rows * prior_scale * T) / (N.sum() + prior_rows)
    else:
        covariances = shaped(kind, S + prior_rows * prior_scale * T, N + prior_rows)
    return N / N.sum(), means, covariances


def naive_loss(kind, params, X, s, prior_rows, prior_scale):
    """Eq. (3)."""
    T = np.cov(X.T, aweights=s, ddof=0)
    C = whole(kind, params[2], 3, 3)[: 1 if kind == "tied" else 3]
    penalty = [np.linalg.slogdet(c)[1] + prior_scale * np.trace(np.linalg.solve(c, T)) for c in C]
    return -s @ np.log(np.exp(joint(kind, params, X)).sum(1)) + prior_rows / 2 * sum(penalty)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    centers = np.array([[0.0, 0.0, 0.0], [4.0, 1.0, -1.0], [-2.0, 3.0, 2.0]])
    X = centers[np.arange(90) % 3] + rng.normal(size=(90, 3)) * [1.0, 0.5, 1.5]
    return X, rng.uniform(0.5, 1.5, size=90)


def start_of(kind, X, k=3):
    means = X[:k]
    T = np.cov(X.T)
    S = np.tile(T, (k, 1, 1)) * np.arange(1.0, k + 1)[:, None, None]
    weights = np.arange(1.0, k + 1) / np.arange(1.0, k + 1).sum()
    return MODULES[kind].Params(weights, means, shaped(kind, S, np.ones(k)))


def fit(kind, start, X, s=None, *, prior_rows=0.0, prior_scale=0.3, tolerance=0.0, max_steps=3000):
    """One program for each kind, shape and dtype."""
    dtype = X.dtype
    return MODULES[kind].fit(
        jax.tree.map(lambda a: np.asarray(a, dtype), start), X,
        prior_rows=np.asarray(prior_rows, dtype), prior_scale=np.asarray(prior_scale, dtype),
        sample_weight=np.ones(len(X), dtype) if s is None else np.asarray(s, dtype),
        tolerance=np.asarray(tolerance, dtype), max_steps=np.asarray(max_steps),
    )  # fmt: skip


@every
def test_densities_and_responsibilities_are_their_definitions(kind, data):
    X, _ = data
    module, params = MODULES[kind], start_of(kind, X)
    p = np.exp(joint(kind, params, X))
    both = jax.jit(lambda p, X: (rows(module.log_prob)(p, X), rows(module.predict)(p, X)))
    density, responsible = both(params, X)
    np.testing.assert_allclose(density, np.log(p.sum(1)), rtol=1e-10)
    np.testing.assert_allclose(responsible, p / p.sum(1, keepdims=True), rtol=1e-8, atol=1e-12)


@every
def test_the_objective_is_its_definition(kind, data):
    X, s = data
    params = start_of(kind, X)
    for prior_rows in (0.0, 7.0):
        found = MODULES[kind].objective(
            params, X, prior_rows=np.asarray(prior_rows), prior_scale=0.3, sample_weight=s
        )
        np.testing.assert_allclose(
            found, naive_loss(kind, params, X, s, prior_rows, 0.3), rtol=1e-10
        )


@every
@pytest.mark.parametrize("prior_rows", [0.0, 7.0])
def test_a_step_is_its_definition(kind, prior_rows, data):
    X, s = data
    start = start_of(kind, X)
    fitted = fit(kind, start, X, s, prior_rows=prior_rows, max_steps=1)
    naive = naive_step(kind, start, X, s, prior_rows, 0.3)
    for ours, right in zip(fitted.params, naive, strict=True):
        np.testing.assert_allclose(ours, right, rtol=1e-9, atol=1e-11)


def test_the_prior_scale_fills_the_volume_of_all_rows_by_default(data):
    X, _ = data
    start = start_of("spherical", X)
    given = fit("spherical", start, X, prior_rows=3.0, prior_scale=3 ** (-2 / 3))
    default = spherical_mixture.fit(start, X, prior_rows=3.0)
    np.testing.assert_allclose(default.params.means, given.params.means, rtol=1e-8)


@every
@pytest.mark.parametrize("prior_rows", [0.0, 2.0])
def test_no_step_raises_the_objective_and_each_gains_what_was_promised(kind, prior_rows, data):
    X, s = data
    start = start_of(kind, X)
    path = [
        fit(kind, start, X, s, prior_rows=prior_rows, max_steps=m).certificate for m in range(20)
    ]
    value, gap = (np.array([float(c[f]) for c in path]) for f in (0, 1))
    drop = -np.diff(value)
    assert (drop >= -1e-12).all()
    T = np.cov(X.T, aweights=s, ddof=0)
    C = shaped(kind, np.tile(T, (3, 1, 1)), np.ones(3))
    center = np.tile(np.average(X, axis=0, weights=s), (3, 1))
    one = MODULES[kind].Params(np.ones(3) / 3, center, C)
    null = MODULES[kind].objective(
        one, X, prior_rows=np.asarray(prior_rows), prior_scale=0.3, sample_weight=s
    )
    above = np.maximum(float(null) - value, 0)
    below = above[:-1] > 0
    promised = (gap[:-1] * above[:-1] / (1 - np.where(gap[:-1] < 1, gap[:-1], 0)))[below]
    assert (promised <= drop[below] + 1e-10).all()
    assert promised.max() > 1e-3


@every
@pytest.mark.parametrize("prior_rows", [0.0, 7.0])
def test_the_gap_is_its_definition(kind, prior_rows, data):
    """Eq. (2) of ``expectation_maximisation`` over L(one Gaussian) − L plus (2)."""
    X, s = data
    start = start_of(kind, X)
    assert fit(kind, start, X, s, prior_rows=prior_rows, max_steps=0).certificate.gap == 1
    found = fit(kind, start, X, s, prior_rows=prior_rows, max_steps=6)
    point, kappa = tuple(np.asarray(a) for a in found.params), prior_rows
    weights, means, C = naive_step(kind, point, X, s, kappa, 0.3)
    N, step = s.sum() * weights, means - point[1]
    before, after = (whole(kind, c, 3, 3) for c in (point[2], C))
    ratio, masses = np.linalg.solve(before, after), N + kappa
    D = np.trace(ratio, axis1=1, axis2=2) - 3 - np.log(np.linalg.det(ratio))
    if kind == "tied":
        D, masses = D[:1], N.sum(keepdims=True) + kappa
    far = np.einsum("ki,kij,kj->k", step, np.linalg.inv(before), step)
    gain = N @ np.log(weights / point[0]) + masses @ D / 2 + N @ far / 2
    center = np.tile(np.average(X, axis=0, weights=s), (3, 1))
    one = shaped(kind, np.tile(np.cov(X.T, aweights=s, ddof=0), (3, 1, 1)), np.ones(3))
    null = naive_loss(kind, (np.ones(3) / 3, center, one), X, s, kappa, 0.3)
    above = null - naive_loss(kind, point, X, s, kappa, 0.3)
    assert above > 0
    np.testing.assert_allclose(found.certificate.gap, gain / (above + gain), rtol=1e-6)


@every
def test_one_component_is_the_mean_and_the_covariance_of_the_rows(kind, data):
    """The two others have weight 0."""
    X, s = data
    start = start_of(kind, X)._replace(weights=np.array([1.0, 0, 0]))
    fitted = fit(kind, start, X, s)
    T = np.cov(X.T, aweights=s, ddof=0)
    found = whole(kind, fitted.params.covariances, 3, 3)[0]
    right = whole(kind, shaped(kind, T[None], np.ones(1)), 1, 3)[0]
    np.testing.assert_allclose(fitted.params.means[0], np.average(X, axis=0, weights=s))
    np.testing.assert_allclose(found, right, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(fitted.params.means[1:], start.means[1:], rtol=1e-12)
    np.testing.assert_array_equal(fitted.params.weights, [1, 0, 0])
    assert fitted.certificate.steps == 1
    assert fitted.certificate.gap == 0


@every
def test_absent_components_have_no_share_in_the_gap(kind, data):
    """One component a T, between T and the best, a* T, beside two of weight 0."""
    X, s = data
    N, kappa, tau = s.sum(), 7.0, 0.3
    best = (N + kappa * tau) / (N + kappa)
    a = (1 + best) / 2
    T = np.cov(X.T, aweights=s, ddof=0)
    center = np.tile(np.average(X, axis=0, weights=s), (3, 1))
    C = shaped(kind, a * np.tile(T, (3, 1, 1)), np.ones(3))
    start = MODULES[kind].Params(np.array([1.0, 0, 0]), center, C)
    loss = [3 / 2 * ((N + kappa) * np.log(b) + (N + kappa * tau) / b) for b in (1, a)]
    gain = 3 / 2 * (N + kappa) * (best / a - 1 - np.log(best / a))
    found = fit(kind, start, X, s, prior_rows=kappa, max_steps=0).certificate.gap
    np.testing.assert_allclose(found, gain / (loss[0] - loss[1] + gain), rtol=1e-6)


@every
def test_matches_scikit_learn_from_the_same_start(kind, data):
    X, _ = data
    start = start_of(kind, X)
    C = np.asarray(start.covariances)
    theirs = GaussianMixture(
        3, covariance_type=kind, reg_covar=0, tol=1e-14, max_iter=5000,
        weights_init=start.weights, means_init=start.means,
        precisions_init=np.linalg.inv(C) if kind in ("full", "tied") else 1 / C,
    ).fit(X)  # fmt: skip
    fitted = fit(kind, start, X)
    assert fitted.certificate.gap == 0
    np.testing.assert_allclose(fitted.params.weights, theirs.weights_, atol=1e-5)
    np.testing.assert_allclose(fitted.params.means, theirs.means_, atol=1e-5)
    np.testing.assert_allclose(fitted.params.covariances, theirs.covariances_, atol=1e-5)
    np.testing.assert_allclose(-fitted.certificate.objective, 90 * theirs.score(X), rtol=1e-10)


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_an_affine_map_of_the_rows_maps_the_answer(kind, data):
    X, s = data
    rng = np.random.default_rng(1)
    A, b = rng.normal(size=(3, 3)), rng.normal(size=3)
    start = start_of(kind, X)
    moved = start._replace(means=start.means @ A.T + b, covariances=A @ start.covariances @ A.T)
    plain = fit(kind, start, X, s, prior_rows=2.0, max_steps=5)
    image = fit(kind, moved, X @ A.T + b, s, prior_rows=2.0, max_steps=5)
    means, covariances = (np.asarray(a) for a in plain.params[1:])
    np.testing.assert_allclose(image.params.means, means @ A.T + b, rtol=1e-7)
    np.testing.assert_allclose(
        image.params.covariances, A @ covariances @ A.T, rtol=1e-7, atol=1e-9
    )
    np.testing.assert_allclose(image.certificate.gap, plain.certificate.gap, rtol=1e-6)


def test_k_means_is_the_limit_of_small_variances(data):
    """Bishop §9.3.2: with v → 0 responsibilities are assignments and the means move as Lloyd's."""
    X, s = data
    means = X[:3]
    nearest = ((X[:, None] - means[None]) ** 2).sum(2).argmin(1)
    groups = [nearest == j for j in range(3)]
    lloyd = np.stack([np.average(X[g], axis=0, weights=s[g]) for g in groups])
    error = []
    for v in (1e-1, 1e-2, 1e-4):
        params = spherical_mixture.Params(np.ones(3) / 3, means, np.full(3, v))
        r = np.exp(joint("spherical", params, X) - joint("spherical", params, X).max(1)[:, None])
        ours = np.asarray(rows(spherical_mixture.predict)(params, X))
        np.testing.assert_allclose(ours, r / r.sum(1, keepdims=True), rtol=1e-6, atol=1e-12)
        step = fit("spherical", params, X, s, max_steps=1)
        error.append((abs(ours - np.eye(3)[nearest]).max(), abs(step.params.means - lloyd).max()))
    error = np.array(error)
    assert (error[1:] <= error[:-1]).all()
    assert (error[-1] < 1e-6).all()


@every
def test_draws_have_the_moments_of_the_mixture(kind, data):
    X, _ = data
    params, n = start_of(kind, X), 40_000
    draw = jax.jit(jax.vmap(MODULES[kind].sample, (0, None)))
    draws = np.asarray(draw(jax.random.split(jax.random.key(0), n), params))
    C, w = whole(kind, params.covariances, 3, 3), params.weights
    mean = w @ params.means
    away = params.means - mean
    total = np.einsum("k,kij->ij", w, C) + (w[:, None] * away).T @ away
    deviation = np.sqrt(np.diag(total))
    assert (abs(draws.mean(0) - mean) <= 4 * deviation / math.sqrt(n)).all()
    assert (abs(np.cov(draws.T) - total) <= 8 * np.outer(deviation, deviation) / math.sqrt(n)).all()


def test_a_density_integrates_to_one():
    params = full_mixture.Params(
        np.array([0.3, 0.7]), np.array([[0.0], [2.0]]), np.array([[[0.5]], [[2.0]]])
    )
    x = np.linspace(-15, 20, 4001)[:, None]
    density = np.exp(rows(full_mixture.log_prob)(params, x))
    np.testing.assert_allclose(np.trapezoid(density, x[:, 0]), 1, rtol=1e-9)


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_an_absent_component_changes_no_answer_and_no_derivative(kind, data):
    X, s = data
    start = start_of(kind, X)
    C = np.asarray(start.covariances)
    padded = MODULES[kind].Params(
        np.append(start.weights, 0), np.concatenate([start.means, np.zeros((1, 3))]),
        np.concatenate([C, np.eye(3)[None]]) if kind == "full" else C,
    )  # fmt: skip

    def answer(s, start):
        fitted = MODULES[kind].fit(
            start, X, prior_rows=2.0, prior_scale=0.4, sample_weight=s, tolerance=0.0
        )
        return jnp.sum(jnp.sin(fitted.params.means[:3])), fitted

    slopes = jax.jit(jax.grad(answer, has_aux=True))
    (slope, fitted), (more_slope, more) = slopes(s, start), slopes(s, padded)
    np.testing.assert_allclose(more.params.means[:3], fitted.params.means, rtol=1e-8)
    np.testing.assert_allclose(more.params.weights[:3], fitted.params.weights, rtol=1e-8)
    assert more.params.weights[3] == 0
    np.testing.assert_allclose(more.certificate.objective, fitted.certificate.objective, rtol=1e-12)
    np.testing.assert_allclose(more_slope, slope, rtol=1e-6, atol=1e-9)


def test_the_scale_of_the_prior_can_be_learnt(data):
    X, s = data
    start = start_of("diag", X)

    def value(scale):
        params = diagonal_mixture.fit(
            start, X, prior_rows=9.0, prior_scale=scale, sample_weight=s, tolerance=0.0
        ).params
        return jnp.sum(jnp.sin(params.means)) + jnp.sum(params.covariances**2)

    slope = jax.jit(jax.grad(value))(0.5)
    difference = (value(0.5001) - value(0.4999)) / 2e-4
    np.testing.assert_allclose(slope, difference, rtol=1e-5)


@pytest.mark.parametrize("k", [0, 6])
def test_a_number_of_components_that_the_rows_cannot_have_is_refused(k):
    X = np.random.default_rng(0).normal(size=(5, 2))
    params = full_mixture.Params(np.ones(k), np.zeros((k, 2)), np.tile(np.eye(2), (k, 1, 1)))
    with pytest.raises(ValueError, match=f"from 1 to the 5 rows of X, got {k}"):
        full_mixture.fit(params, X)


def test_rows_without_columns_and_no_rows_are_refused():
    none = diagonal_mixture.Params(np.ones(1), np.zeros((1, 0)), np.zeros((1, 0)))
    with pytest.raises(ValueError, match="at least one column"):
        diagonal_mixture.fit(none, np.zeros((3, 0)))
    one = spherical_mixture.Params(np.ones(1), np.zeros((1, 2)), np.ones(1))
    with pytest.raises(ValueError, match="rows"):
        spherical_mixture.fit(one, np.zeros((0, 2)))


def nothing_is_proved(fitted):
    return bool(np.isnan(fitted.certificate.gap)) and not bool(fitted.certificate.converged)


@every
def test_an_answer_that_does_not_exist_is_no_plausible_number(kind, data):
    X, s = data
    start = start_of(kind, X)
    constant = np.where(np.arange(3) == 1, 2.0, X)
    if kind != "spherical":  # whose one variance a constant column leaves positive
        assert nothing_is_proved(fit(kind, start, constant))
    assert nothing_is_proved(fit(kind, start, X, (np.arange(90) == 4) * 1.0))  # one row
    assert nothing_is_proved(fit(kind, start, X, -s))
    assert nothing_is_proved(fit(kind, start, X, prior_rows=-1.0))
    assert nothing_is_proved(fit(kind, start, np.repeat(X[:2], 45, axis=0)))
    flipped = start._replace(covariances=-np.asarray(start.covariances))
    assert nothing_is_proved(fit(kind, flipped, X))
    assert np.isnan(MODULES[kind].log_prob(flipped, X[0]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_that_others_determine_have_no_answer(dtype, data):
    X = np.array(data[0])
    start = start_of("full", X)
    X[:, 2] = X[:, 0] + 2 * X[:, 1]
    assert nothing_is_proved(fit("full", start, X.astype(dtype)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_component_that_shrinks_onto_one_row_does_not_converge(dtype, data):
    X = np.array(data[0], dtype)
    X[-1] = [40, 0, 0]
    start = full_mixture.Params(np.ones(3) / 3, X[[0, 1, -1]], np.tile(np.eye(3), (3, 1, 1)))
    alone = fit("full", start, X)
    assert nothing_is_proved(alone)
    assert np.isfinite(alone.params.means).all()
    held = fit("full", start, X, prior_rows=2.0, tolerance=1e-6)
    assert held.certificate.converged
    np.testing.assert_allclose(held.params.means[2], X[-1], atol=1e-3)


def test_weights_of_a_start_need_not_sum_to_one(data):
    X, _ = data
    start = start_of("full", X)
    twice = start._replace(weights=2 * start.weights)
    a, b = (fit("full", p, X, max_steps=3).params.means for p in (start, twice))
    np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("mean", [1e2, 1e4])
def test_float32_keeps_its_digits_far_from_zero(mean, data):
    X = (data[0] + mean).astype(np.float32)
    start = start_of("full", X.astype(float))
    start = start._replace(covariances=start.covariances / 8)
    single = fit("full", start, X, prior_rows=1.0, tolerance=1e-9)
    double = fit("full", start, X.astype(float), prior_rows=1.0)
    assert single.certificate.converged
    error = np.asarray(single.params.means, float) - double.params.means
    assert abs(error).max() <= 2e-3 + mean * 1e-7
    np.testing.assert_allclose(single.params.covariances, double.params.covariances, atol=5e-3)


def test_many_rows_go_block_by_block(data):
    """More rows than one block holds, with a remainder."""
    X, s = data
    many, weight = np.tile(X, (1500, 1))[:-7], np.tile(s, 1500)[:-7]
    start = start_of("full", X)
    fitted = fit("full", start, many, weight, max_steps=1)
    z = many[:, None] - start.means[None]
    square = np.einsum("nki,kij,nkj->nk", z, np.linalg.inv(start.covariances), z)
    p = start.weights * np.exp(-square / 2) / np.sqrt(np.linalg.det(start.covariances))
    r = weight[:, None] * p / p.sum(1, keepdims=True)
    means = r.T @ many / r.sum(0)[:, None]
    z = many[:, None] - means[None]
    covariances = np.einsum("nk,nki,nkj->kij", r, z, z) / r.sum(0)[:, None, None]
    np.testing.assert_allclose(fitted.params.means, means, rtol=1e-8)
    np.testing.assert_allclose(fitted.params.covariances, covariances, rtol=1e-7, atol=1e-9)
