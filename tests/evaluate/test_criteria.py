"""Criteria against their definitions, statsmodels, and the laws of weights."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import statsmodels.api as sm
from jax.test_util import check_grads
from jax.tree_util import Partial
from statsmodels.tools.eval_measures import aicc

import mlmath
from mlmath.evaluate import criteria
from mlmath.linear import least_squares, logistic_regression, ridge, softmax_regression
from mlmath.statistics import standardise
from mlmath.statistics.compose import compose

N = 40


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3)) * [1.0, 3.0, 0.3] + 1
    return X, X @ [1.0, -1.0, 2.0] + rng.normal(size=N)


@pytest.fixture
def labels(data):
    X, y = data
    return X, (y > np.median(y) + np.random.default_rng(1).normal(size=N)).astype(float)


@pytest.fixture
def weight():
    s = np.random.default_rng(2).integers(0, 4, size=N).astype(float)
    assert (s == 0).any()
    return s


def affine(X):
    return np.c_[X, np.ones(len(X))]


def hat(X, s, l2):
    """ŷ = Ay of ridge regression by its normal equations."""
    Z = affine(X)
    penalty = np.diag(np.append(np.broadcast_to(l2, X.shape[1:]), 0))
    return Z @ np.linalg.solve(Z.T @ (s[:, None] * Z) + penalty, Z.T * s)


def freedom(method, X, y, s=None, **numbers):
    fit, s = Partial(method.fit, **numbers), np.ones(len(X)) if s is None else s
    return criteria.degrees_of_freedom(fit, method.predict, X, y, sample_weight=s)


def predicted(method, X, y, s=None, **numbers):
    s = np.ones(len(X)) if s is None else s
    fitted = method.fit(X, y, sample_weight=s, **numbers)
    return np.asarray(mlmath.rows(method.predict)(fitted.params, X))


def test_freedom_is_the_trace_of_the_hat_matrix_of_ridge(data, weight):
    X, y = data
    for l2 in (0.3, np.array([0.1, 100.0, 1.0])):
        expected = np.trace(hat(X, np.ones(N), l2))
        np.testing.assert_allclose(freedom(ridge, X, y, l2=l2), expected, rtol=1e-10)
        expected = np.trace(hat(X, weight, l2))
        np.testing.assert_allclose(freedom(ridge, X, y, weight, l2=l2), expected, rtol=1e-10)


def test_freedom_of_ridge_is_that_of_its_singular_values(data):
    X, y = data
    d = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)
    found = freedom(ridge, X, y, l2=7.0)
    np.testing.assert_allclose(found, 1 + (d**2 / (d**2 + 7.0)).sum(), rtol=1e-10)


@pytest.mark.parametrize("method", [ridge, logistic_regression], ids=["ridge", "logistic"])
def test_freedom_is_its_definition_by_refits(method, labels, weight):
    """Eq. (1), every target moved by hand; labels may be shares, so that both methods take them."""
    X, y = labels
    y = 0.1 + 0.8 * y
    h = 1e-4
    fitted = jax.jit(
        jax.vmap(lambda y: mlmath.rows(method.predict)(
            method.fit(X, y, l2=0.8, sample_weight=weight, tolerance=0.0).params, X
        ))
    )  # fmt: skip
    moved = np.asarray(fitted(y + h * np.eye(N)) - fitted(y - h * np.eye(N))) / (2 * h)
    found = freedom(method, X, y, weight, l2=0.8, tolerance=0.0)
    np.testing.assert_allclose(found, np.trace(moved), rtol=1e-6)


def test_freedom_of_a_likelihood_with_canonical_link(labels):
    """tr((XᵀWX + Λ)⁻¹ XᵀWX), W = diag(p(1 − p)): the hat matrix of the last reweighting."""
    X, y = labels
    p = predicted(logistic_regression, X, y, l2=0.8)
    Z = affine(X)
    information = Z.T @ ((p * (1 - p))[:, None] * Z)
    penalty = np.diag([0.8, 0.8, 0.8, 0.0])
    expected = np.trace(np.linalg.solve(information + penalty, information))
    found = freedom(logistic_regression, X, y, l2=0.8, tolerance=0.0)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_freedom_of_least_squares_is_the_number_of_coefficients(data, weight):
    X, y = data
    np.testing.assert_allclose(freedom(least_squares, X, y, weight), 4, rtol=1e-10)


def test_a_penalty_takes_freedom_away(data):
    X, y = data
    found = jax.vmap(lambda l2: freedom(ridge, X, y, l2=l2))(np.logspace(-6, 12, 10))
    assert (np.diff(found) < 0).all()
    np.testing.assert_allclose(found[0], 4, atol=1e-5)
    np.testing.assert_allclose(found[-1], 1, atol=1e-8)


def test_freedom_through_a_composed_model(data):
    X, y = data
    model = compose(standardise, ridge)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    expected = np.trace(hat(Z, np.ones(N), 2.0))
    np.testing.assert_allclose(freedom(model, X, y, l2=2.0), expected, rtol=1e-9)


def test_effective_parameters_are_their_definition(labels, weight):
    X, y = labels
    fit = logistic_regression.fit(X, y, l2=0.8, sample_weight=weight)
    p, Z = np.asarray(mlmath.rows(logistic_regression.predict)(fit.params, X)), affine(X)
    H = np.diag([0.8, 0.8, 0.8, 0.0])
    J = np.zeros((4, 4))
    for si, pi, yi, z in zip(weight, p, y, Z, strict=True):
        H += si * pi * (1 - pi) * np.outer(z, z)
        J += si * (pi - yi) ** 2 * np.outer(z, z)
    found = criteria.effective_parameters(
        Partial(logistic_regression.objective, l2=0.8), logistic_regression.loss,
        fit.params, X, y, sample_weight=weight,
    )  # fmt: skip
    np.testing.assert_allclose(found, np.trace(np.linalg.solve(H, J)), rtol=1e-9)


def test_effective_parameters_by_the_covariances_of_statsmodels(labels):
    """tr(H⁻¹J) is the trace of the sandwich H⁻¹JH⁻¹ times H."""
    X, y = labels
    model = sm.Logit(y, affine(X))
    plain, robust = (model.fit(disp=0, tol=1e-12, **k) for k in ({}, {"cov_type": "HC0"}))
    expected = np.trace(np.linalg.solve(plain.cov_params(), robust.cov_params()))
    params = logistic_regression.fit(X, y, l2=0.0).params
    objective = Partial(logistic_regression.objective, l2=0.0)
    found = criteria.effective_parameters(objective, logistic_regression.loss, params, X, y)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_effective_parameters_of_a_flat_objective_are_nan(labels):
    X, y = labels[0].copy(), labels[1]
    X[:, 1] = 0
    params = logistic_regression.fit(X, y, l2=0.0).params
    objective = Partial(logistic_regression.objective, l2=0.0)
    found = criteria.effective_parameters(objective, logistic_regression.loss, params, X, y)
    assert jnp.isnan(found)


def test_criteria_of_a_gaussian_model_are_those_of_statsmodels(data, weight):
    X, y = data
    for s in (None, weight):
        times = np.ones(N, int) if s is None else s.astype(int)
        peer = sm.OLS(y.repeat(times), affine(X).repeat(times, axis=0)).fit()
        p = predicted(ridge, X, y, s, l2=0.0)
        D = criteria.gaussian_deviance(p, y, sample_weight=s)
        k, total = freedom(ridge, X, y, s, l2=0.0), times.sum()
        np.testing.assert_allclose(D, -2 * peer.llf, rtol=1e-12)
        np.testing.assert_allclose(criteria.aic(D, k), peer.aic, rtol=1e-12)
        np.testing.assert_allclose(criteria.bic(D, k, total), peer.bic, rtol=1e-12)
        np.testing.assert_allclose(criteria.aicc(D, k, total), aicc(peer.llf, total, 4), rtol=1e-12)


def test_criteria_of_a_likelihood_are_those_of_statsmodels(labels, weight):
    X, y = labels
    peer = sm.GLM(y, affine(X), family=sm.families.Binomial(), freq_weights=weight).fit(tol=1e-12)
    params = logistic_regression.fit(X, y, l2=0.0, sample_weight=weight).params
    D = criteria.deviance(logistic_regression.loss, params, X, y, sample_weight=weight)
    k = freedom(logistic_regression, X, y, weight, l2=0.0, tolerance=0.0)
    np.testing.assert_allclose(D, peer.deviance, rtol=1e-9)  # of 0 and 1 the saturated model has 0
    np.testing.assert_allclose(k, 4, rtol=1e-9)
    np.testing.assert_allclose(criteria.aic(D, k), peer.aic, rtol=1e-9)
    np.testing.assert_allclose(
        criteria.bic(D, k, weight.sum()), -2 * peer.llf + 4 * np.log(weight.sum()), rtol=1e-9
    )


def test_formulas_are_their_definitions(data, weight):
    y = data[1]
    p = y + np.random.default_rng(3).normal(size=N)
    R, total = sum(s * (a - b) ** 2 for s, a, b in zip(weight, y, p, strict=True)), weight.sum()
    D = criteria.gaussian_deviance(p, y, sample_weight=weight)
    np.testing.assert_allclose(D, total * np.log(2 * np.pi * R / total) + total, rtol=1e-12)
    np.testing.assert_allclose(criteria.aic(D, 2.5), D + 5, rtol=1e-12)
    np.testing.assert_allclose(
        criteria.aicc(D, 2.5, total), D + 5 + 2 * 2.5 * 3.5 / (total - 3.5), rtol=1e-12
    )
    np.testing.assert_allclose(criteria.bic(D, 2.5, total), D + 2.5 * np.log(total), rtol=1e-12)
    gcv = criteria.generalised_cross_validation(p, y, 2.5, sample_weight=weight)
    np.testing.assert_allclose(gcv, total * R / (total - 2.5) ** 2, rtol=1e-12)
    cp = criteria.mallows_cp(p, y, 2.5, 1.7, sample_weight=weight)
    np.testing.assert_allclose(cp, R / 1.7 - total + 5, rtol=1e-12)


def test_generalised_cross_validation_is_leave_one_out_where_leverages_are_equal():
    """A column of ±1, half of each, and the mean: every row has the leverage 2/n."""
    rng = np.random.default_rng(0)
    x = np.repeat([1.0, -1.0], 10)
    y = 2 * x + rng.normal(size=20)
    Z, errors = affine(x[:, None]), []
    for i in range(20):
        rest = np.arange(20) != i
        errors.append((y[i] - Z[i] @ np.linalg.lstsq(Z[rest], y[rest])[0]) ** 2)
    p = predicted(least_squares, x[:, None], y)
    found = criteria.generalised_cross_validation(p, y, 2.0)
    np.testing.assert_allclose(found, np.mean(errors), rtol=1e-12)


def test_cp_of_the_largest_model_is_its_number_of_parameters(data):
    X, y = data
    variance = sm.OLS(y, affine(X)).fit().scale
    found = criteria.mallows_cp(predicted(least_squares, X, y), y, 4.0, variance)
    np.testing.assert_allclose(found, 4, rtol=1e-9)


def test_cp_estimates_the_error_of_a_true_mean():
    """E Cp = E Σᵢ (ŷᵢ − E yᵢ)² / σ², over new draws of y: what the criterion is for."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3))
    mean, sigma, draws = X @ [1.0, -1.0, 2.0], 0.7, 4000
    Y = mean + sigma * rng.normal(size=(draws, N))
    A = hat(X, np.ones(N), 10.0)
    k = freedom(ridge, X, Y[0], l2=10.0)
    cp = jax.vmap(lambda p, y: criteria.mallows_cp(p, y, k, sigma**2))(Y @ A.T, Y)
    difference = np.asarray(cp) - ((Y @ A.T - mean) ** 2).sum(axis=1) / sigma**2
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(draws)


def test_a_weight_counts_as_repetition_and_zero_as_absence(labels, weight):
    X, y, s = labels[0].copy(), labels[1].copy(), weight
    times = s.astype(int)
    X[s == 0], y[np.flatnonzero(s == 0)[0]] = np.nan, np.inf
    Xr, yr = X.repeat(times, axis=0), y.repeat(times)
    method = logistic_regression
    found, expected = (
        freedom(method, *rows, l2=0.8, tolerance=0.0) for rows in ((X, y, s), (Xr, yr))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    params = method.fit(Xr, yr, l2=0.8).params
    for function in (
        functools.partial(criteria.deviance, method.loss),
        functools.partial(criteria.effective_parameters, method.objective, method.loss),
    ):
        found, expected = function(params, X, y, sample_weight=s), function(params, Xr, yr)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    p, pr = (np.asarray(mlmath.rows(method.predict)(params, Z)) for Z in (X, Xr))
    for function in (
        criteria.gaussian_deviance,
        lambda *a, **k: criteria.generalised_cross_validation(*a, 3.0, **k),
        lambda *a, **k: criteria.mallows_cp(*a, 3.0, 0.1, **k),
    ):
        np.testing.assert_allclose(function(p, y, sample_weight=s), function(pr, yr), rtol=1e-10)


def test_edges(data):
    X, y = data
    assert jnp.isnan(jax.vmap(lambda k: criteria.aicc(1.0, k, 10.0))(jnp.array([9.0, 9.5]))).all()
    assert jnp.isfinite(criteria.aicc(1.0, 8.9, 10.0))
    assert jnp.isnan(criteria.generalised_cross_validation(y, y + 1, float(N)))
    assert criteria.gaussian_deviance(y, y) == -jnp.inf
    X = X.copy()
    X[0, 0] = np.nan  # a row that counts
    assert jnp.isnan(freedom(ridge, X, y, np.ones(N), l2=1.0))


def test_misuse_raises_one_sentence(data):
    X, y = data
    with pytest.raises(ValueError, match=r"predict must return one number of ONE example, got"):
        criteria.degrees_of_freedom(
            functools.partial(softmax_regression.fit, classes=2), softmax_regression.predict,
            X, (y > 0).astype(float),
        )  # fmt: skip


def test_derivative_in_a_penalty_is_right(data):
    X, y = data

    def score(l2):
        fitted = ridge.fit(X, y, l2=l2)
        p = mlmath.rows(ridge.predict)(fitted.params, X)
        k = freedom(ridge, X, y, l2=l2)
        return criteria.generalised_cross_validation(p, jnp.asarray(y), k)

    check_grads(jax.jit(score), (3.0,), 1, eps=1e-3, atol=1e-5, rtol=1e-4)


def test_numbers_compile_nothing_anew_and_float32_stays(data):
    X, y = (a.astype(np.float32) for a in data)
    chex.clear_trace_counter()
    fit = chex.assert_max_traces(
        lambda *a, **k: ridge.fit(*a, **k), n=3
    )  # its shape, ∂ŷ/∂y, along y
    for l2 in (1.0, 2.0):
        k = criteria.degrees_of_freedom(Partial(fit, l2=np.float32(l2)), ridge.predict, X, y)
        assert k.dtype == jnp.float32
        expected = np.trace(hat(*(a.astype(float) for a in (X, np.ones(N))), l2))
        np.testing.assert_allclose(k, expected, rtol=1e-4)
