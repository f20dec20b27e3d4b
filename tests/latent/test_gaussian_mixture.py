import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.mixture import GaussianMixture

from mlmath import rows
from mlmath.latent import (
    diagonal_mixture,
    full_mixture,
    gaussian_mixture,
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
    np.testing.assert_allclose(rows(module.log_prob)(params, X), np.log(p.sum(1)), rtol=1e-10)
    np.testing.assert_allclose(
        rows(module.predict)(params, X), p / p.sum(1, keepdims=True), rtol=1e-8, atol=1e-12
    )


@every
@pytest.mark.parametrize("prior_rows", [0.0, 7.0])
def test_the_objective_is_its_definition(kind, prior_rows, data):
    X, s = data
    params = start_of(kind, X)
    T = np.cov(X.T, aweights=s, ddof=0)
    C = whole(kind, params.covariances, 3, 3)
    if kind == "tied":
        C = C[:1]
    value = -s @ np.log(np.exp(joint(kind, params, X)).sum(1))
    for c in C:
        value += (
            prior_rows / 2 * (math.log(np.linalg.det(c)) + 0.3 * np.trace(np.linalg.solve(c, T)))
        )
    found = MODULES[kind].objective(
        params, X, prior_rows=prior_rows, prior_scale=0.3, sample_weight=s
    )
    np.testing.assert_allclose(found, value, rtol=1e-10)


@every
@pytest.mark.parametrize("prior_rows", [0.0, 7.0])
def test_a_step_is_its_definition(kind, prior_rows, data):
    X, s = data
    start = start_of(kind, X)
    fitted = MODULES[kind].fit(
        start, X, prior_rows=prior_rows, prior_scale=0.3, sample_weight=s, max_steps=1
    )
    for ours, right in zip(
        fitted.params, naive_step(kind, start, X, s, prior_rows, 0.3), strict=True
    ):
        np.testing.assert_allclose(ours, right, rtol=1e-9, atol=1e-11)


@every
def test_the_prior_scale_fills_the_volume_of_all_rows_by_default(kind, data):
    X, _ = data
    start = start_of(kind, X)
    given = MODULES[kind].fit(start, X, prior_rows=3.0, prior_scale=3 ** (-2 / 3))
    default = MODULES[kind].fit(start, X, prior_rows=3.0)
    np.testing.assert_allclose(default.params.means, given.params.means, rtol=1e-12)


@every
@pytest.mark.parametrize("prior_rows", [0.0, 2.0])
def test_no_step_raises_the_objective_and_each_gains_what_was_promised(kind, prior_rows, data):
    X, s = data
    module, start = MODULES[kind], start_of(kind, X)
    n = jnp.arange(25)
    path = jax.vmap(
        lambda m: (
            module.fit(
                start, X, prior_rows=prior_rows, sample_weight=s, max_steps=m, tolerance=0.0
            ).certificate
        )
    )(n)
    assert path.steps[-1] == 25 - 1
    drop = -np.diff(path.objective)
    assert (drop >= -1e-12).all()
    null = module.objective(
        module.Params(
            np.ones(1), np.average(X, axis=0, weights=s)[None],
            shaped(kind, np.cov(X.T, aweights=s, ddof=0)[None], np.ones(1)),
        ),
        X, prior_rows=prior_rows * (1 if kind == "tied" else 3),
        prior_scale=3 ** (-2 / 3), sample_weight=s,
    )  # fmt: skip
    above = np.maximum(float(null) - np.asarray(path.objective), 0)
    promised = np.asarray(path.gap) * above / (1 - np.asarray(path.gap))
    assert (promised[:-1][above[:-1] > 0] <= drop[above[:-1] > 0] + 1e-10).all()
    assert promised[above > 0].max() > 1e-3


@every
def test_one_component_is_the_mean_and_the_covariance_of_the_rows(kind, data):
    X, s = data
    start = start_of(kind, X, k=1)
    fitted = MODULES[kind].fit(start, X, sample_weight=s)
    T = np.cov(X.T, aweights=s, ddof=0)
    np.testing.assert_allclose(fitted.params.means[0], np.average(X, axis=0, weights=s))
    np.testing.assert_allclose(
        fitted.params.covariances, shaped(kind, T[None], np.ones(1)), rtol=1e-10
    )
    assert fitted.certificate.steps == 1
    assert fitted.certificate.gap == 0


@every
def test_matches_scikit_learn_from_the_same_start_on_iris(kind):
    X = load_iris().data
    X = X + 0.02 * np.random.default_rng(0).normal(size=X.shape)  # no row twice
    module = MODULES[kind]
    T = np.cov(X.T)
    means = X[[10, 70, 130]]
    S = np.tile(T, (3, 1, 1))
    start = module.Params(np.ones(3) / 3, means, shaped(kind, S, np.ones(3)))
    theirs = GaussianMixture(
        3, covariance_type=kind, reg_covar=0, tol=1e-13, max_iter=2000,
        weights_init=np.ones(3) / 3, means_init=means,
        precisions_init=_inverse(kind, start.covariances),
    ).fit(X)  # fmt: skip
    fitted = module.fit(start, X)
    assert fitted.certificate.converged
    np.testing.assert_allclose(fitted.params.weights, theirs.weights_, atol=1e-5)
    np.testing.assert_allclose(fitted.params.means, theirs.means_, atol=1e-5)
    np.testing.assert_allclose(fitted.params.covariances, theirs.covariances_, atol=1e-5)
    np.testing.assert_allclose(-fitted.certificate.objective, 150 * theirs.score(X), rtol=1e-10)


def _inverse(kind, covariances):
    return np.linalg.inv(covariances) if kind in ("full", "tied") else 1 / covariances


def test_the_eruptions_of_old_faithful_are_two_groups(shared):
    X = np.genfromtxt(shared / "datasets/old_faithful/faithful.csv", delimiter=",", skip_header=1)
    X = X[:, -2:]
    start = full_mixture.init(jax.random.key(1), X, k=2)
    params, certificate = full_mixture.fit(start, X)
    assert certificate.converged
    theirs = GaussianMixture(2, reg_covar=0, tol=1e-12, max_iter=500, random_state=0).fit(X)
    np.testing.assert_allclose(-certificate.objective, len(X) * theirs.score(X), rtol=1e-9)
    order = np.argsort(params.means[:, 0])
    np.testing.assert_allclose(
        params.means[order], [[2.0364, 54.4785], [4.2897, 79.9681]], rtol=1e-4
    )


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_an_affine_map_of_the_rows_maps_the_answer(kind, data):
    X, s = data
    rng = np.random.default_rng(1)
    A, b = rng.normal(size=(3, 3)), rng.normal(size=3)
    module, start = MODULES[kind], start_of(kind, X)
    moved = module.Params(start.weights, start.means @ A.T + b, A @ start.covariances @ A.T)
    plain = module.fit(start, X, prior_rows=2.0, sample_weight=s)
    image = module.fit(moved, X @ A.T + b, prior_rows=2.0, sample_weight=s)
    np.testing.assert_allclose(image.params.means, plain.params.means @ A.T + b, rtol=1e-7)
    np.testing.assert_allclose(
        image.params.covariances, A @ plain.params.covariances @ A.T, rtol=1e-7, atol=1e-9
    )
    np.testing.assert_allclose(image.certificate.gap, plain.certificate.gap, rtol=0.1, atol=1e-22)


def test_k_means_is_the_limit_of_small_variances(data):
    """Bishop §9.3.2: with v → 0 responsibilities are assignments and the means move as Lloyd's."""
    X, s = data
    means = X[:3]
    square = ((X[:, None] - means[None]) ** 2).sum(2)
    nearest = square.argmin(1)
    lloyd = np.stack(
        [np.average(X[nearest == j], axis=0, weights=s[nearest == j]) for j in range(3)]
    )
    error = []
    for v in (1e-1, 1e-2, 1e-3):
        params = spherical_mixture.Params(np.ones(3) / 3, means, np.full(3, v))
        r = np.asarray(rows(spherical_mixture.predict)(params, X))
        step = spherical_mixture.fit(params, X, sample_weight=s, max_steps=1)
        error.append(
            (np.abs(r - np.eye(3)[nearest]).max(), np.abs(step.params.means - lloyd).max())
        )
    error = np.array(error)
    assert (error[1:] <= error[:-1]).all()
    assert (error[-1] < 1e-6).all()


@every
def test_draws_have_the_moments_of_the_mixture(kind, data):
    X, _ = data
    params = start_of(kind, X)
    n = 40_000
    draws = jax.vmap(MODULES[kind].sample, (0, None))(
        jax.random.split(jax.random.key(0), n), params
    )
    C, w = whole(kind, params.covariances, 3, 3), params.weights
    mean = w @ params.means
    away = params.means - mean
    total = np.einsum("k,kij->ij", w, C) + (w[:, None] * away).T @ away
    deviation = np.sqrt(np.diag(total))
    assert (np.abs(draws.mean(0) - mean) <= 4 * deviation / math.sqrt(n)).all()
    ratio = np.cov(np.asarray(draws).T) - total
    assert (np.abs(ratio) <= 8 * np.outer(deviation, deviation) / math.sqrt(n)).all()


def test_a_density_integrates_to_one():
    params = full_mixture.Params(
        np.array([0.3, 0.7]), np.array([[0.0], [2.0]]), np.array([[[0.5]], [[2.0]]])
    )
    x = np.linspace(-15, 20, 4001)[:, None]
    density = np.exp(rows(full_mixture.log_prob)(params, x))
    np.testing.assert_allclose(np.trapezoid(density, x[:, 0]), 1, rtol=1e-9)


@every
def test_a_component_of_weight_zero_is_absent(kind, data):
    X, s = data
    module, start = MODULES[kind], start_of(kind, X)
    spare = {
        "full": lambda C: np.concatenate([C, np.eye(3)[None]]), "tied": lambda C: C,
        "diag": lambda C: np.concatenate([C, np.ones((1, 3))]),
        "spherical": lambda C: np.append(C, 1.0),
    }[kind]  # fmt: skip
    padded = module.Params(
        np.append(start.weights, 0), np.concatenate([start.means, np.zeros((1, 3))]),
        spare(start.covariances),
    )  # fmt: skip
    numbers = {"prior_rows": 2.0, "prior_scale": 0.4, "sample_weight": s}

    def answer(start, s):
        fitted = module.fit(start, X, **(numbers | {"sample_weight": s}))
        return fitted.params.means[:3].sum() + fitted.params.weights @ jnp.arange(
            len(start.weights)
        ).astype(float), fitted

    (_, fitted), slope = jax.value_and_grad(answer, 1, has_aux=True)(start, s)
    (_, more), more_slope = jax.value_and_grad(answer, 1, has_aux=True)(padded, s)
    np.testing.assert_allclose(more.params.means[:3], fitted.params.means, rtol=1e-9)
    np.testing.assert_allclose(more.params.weights[:3], fitted.params.weights, rtol=1e-9)
    assert more.params.weights[3] == 0
    np.testing.assert_allclose(more.certificate.objective, fitted.certificate.objective, rtol=1e-12)
    np.testing.assert_allclose(more_slope, slope, rtol=1e-6, atol=1e-9)


@every
def test_the_scale_of_the_prior_can_be_learnt(kind, data):
    X, s = data
    module, start = MODULES[kind], start_of(kind, X)

    def held_out(scale):
        params = module.fit(
            start, X, prior_rows=9.0, prior_scale=scale, sample_weight=s, tolerance=0.0
        ).params
        return jnp.sum(jnp.sin(params.means)) + jnp.sum(params.covariances**2)

    h = 1e-4
    difference = (held_out(0.5 + h) - held_out(0.5 - h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(held_out)(0.5), difference, rtol=1e-5)


@pytest.mark.parametrize("k", [0, 6])
def test_a_number_of_components_that_the_rows_cannot_have_is_refused(k):
    X = np.random.default_rng(0).normal(size=(5, 2))
    params = full_mixture.Params(
        np.ones(k) / max(k, 1), np.zeros((k, 2)), np.tile(np.eye(2), (k, 1, 1))
    )
    with pytest.raises(ValueError, match=f"from 1 to the 5 rows of X, got {k}"):
        full_mixture.fit(params, X)


def test_rows_without_columns_and_no_rows_are_refused():
    with pytest.raises(ValueError, match="at least one column"):
        diagonal_mixture.fit(
            diagonal_mixture.Params(np.ones(1), np.zeros((1, 0)), np.zeros((1, 0))),
            np.zeros((3, 0)),
        )
    with pytest.raises(ValueError, match="rows"):
        spherical_mixture.fit(
            spherical_mixture.Params(np.ones(1), np.zeros((1, 2)), np.ones(1)), np.zeros((0, 2))
        )


def nothing_is_proved(fitted):
    return bool(np.isnan(fitted.certificate.gap)) and not bool(fitted.certificate.converged)


@every
def test_an_answer_that_does_not_exist_is_no_plausible_number(kind, data):
    X, s = data
    module, start = MODULES[kind], start_of(kind, X)
    constant = X.copy()
    constant[:, 1] = 2.0
    if kind != "spherical":  # whose one variance a constant column leaves positive
        assert nothing_is_proved(module.fit(start, constant))
    one = module.Params(
        np.ones(1),
        X[:1],
        np.asarray(start.covariances)[:1] if kind != "tied" else start.covariances,
    )
    assert nothing_is_proved(module.fit(one, X[:1]))
    assert nothing_is_proved(module.fit(start, X, sample_weight=-s))
    assert nothing_is_proved(module.fit(start, X, prior_rows=-1.0))
    two = np.repeat(X[:2], 20, axis=0)
    assert nothing_is_proved(module.fit(start, two))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["full", "tied"])
def test_columns_that_others_determine_have_no_answer(kind, dtype, data):
    X, _ = data
    X = np.concatenate([X, X @ [[1.0], [2.0], [0.5]]], axis=1).astype(dtype)
    start = start_of(kind, np.random.default_rng(0).normal(size=X.shape))
    start = jax.tree.map(lambda a: np.asarray(a, dtype), start)
    assert nothing_is_proved(MODULES[kind].fit(start, X))


@every
def test_a_start_that_is_no_covariance_shows(kind, data):
    X, _ = data
    start = start_of(kind, X)
    flipped = start._replace(covariances=-np.asarray(start.covariances))
    assert nothing_is_proved(MODULES[kind].fit(flipped, X))
    assert np.isnan(MODULES[kind].log_prob(flipped, X[0]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_component_that_shrinks_onto_one_row_does_not_converge(dtype, data):
    X, _ = data
    X = np.concatenate([X, [[40.0, 0.0, 0.0]]]).astype(dtype)
    covariances = np.tile(np.eye(3, dtype=dtype), (2, 1, 1))
    start = full_mixture.Params(np.full(2, 0.5, dtype), X[[0, -1]], covariances)
    alone = full_mixture.fit(start, X)
    assert nothing_is_proved(alone)
    assert np.isfinite(alone.params.means).all()
    held = full_mixture.fit(start, X, prior_rows=2.0)
    assert held.certificate.converged
    np.testing.assert_allclose(held.params.means[1], X[-1], atol=1e-4)


def test_weights_of_a_start_need_not_sum_to_one(data):
    X, _ = data
    start = start_of("full", X)
    twice = start._replace(weights=2 * start.weights)
    a, b = (full_mixture.fit(p, X, max_steps=3).params.means for p in (start, twice))
    np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(
        full_mixture.log_prob(start, X[0]), full_mixture.log_prob(twice, X[0]), rtol=1e-12
    )


@pytest.mark.parametrize("mean", [0.0, 1e2, 1e4])
def test_float32_keeps_its_digits_far_from_zero(mean, data):
    X, _ = data
    X = (X + mean).astype(np.float32)
    start = jax.tree.map(lambda a: np.asarray(a, np.float32), start_of("full", X.astype(float)))
    single, double = (
        full_mixture.fit(start, X),
        full_mixture.fit(jax.tree.map(lambda a: a.astype(float), start), X.astype(float)),
    )
    assert single.certificate.converged
    assert double.certificate.converged
    np.testing.assert_allclose(
        single.params.means - np.float32(mean), double.params.means - mean, atol=1e-3 + mean * 2e-7
    )
    np.testing.assert_allclose(single.params.covariances, double.params.covariances, atol=2e-3)


def test_many_rows_go_block_by_block(data):
    """More rows than one block holds, with a remainder."""
    X, s = data
    many, weight = np.tile(X, (2000, 1))[:-7], np.tile(s, 2000)[:-7]
    start = start_of("full", X)
    fitted = full_mixture.fit(start, many, sample_weight=weight, max_steps=1)
    for ours, right in zip(fitted.params, naive_step_fast(start, many, weight), strict=True):
        np.testing.assert_allclose(ours, right, rtol=1e-8, atol=1e-10)


def naive_step_fast(params, X, s):
    z = X[:, None] - params.means[None]
    square = np.einsum("nki,kij,nkj->nk", z, np.linalg.inv(params.covariances), z)
    p = params.weights * np.exp(-square / 2) / np.sqrt(np.linalg.det(params.covariances))
    r = s[:, None] * p / p.sum(1, keepdims=True)
    N, means = r.sum(0), r.T @ X / r.sum(0)[:, None]
    z = X[:, None] - means[None]
    return N / N.sum(), means, np.einsum("nk,nki,nkj->kij", r, z, z) / N[:, None, None]


def test_the_shared_functions_take_what_the_modules_have(data):
    X, _ = data
    params = start_of("tied", X)
    family = tied_mixture.FAMILY
    np.testing.assert_allclose(
        gaussian_mixture.log_prob(family, params, X[0]), tied_mixture.log_prob(params, X[0])
    )
    Z = gaussian_mixture.standardised(family, X, np.ones(90))
    np.testing.assert_allclose(np.cov(Z.T, ddof=0), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(Z.mean(0), 0, atol=1e-12)
