"""Standard errors against their definition, the law of repetition, and statsmodels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import statsmodels.api as sm
from jax.test_util import check_grads

from mlmath.linear import least_squares, logistic_regression
from mlmath.statistics import standard_errors


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)) * [1.0, 3.0, 0.1]
    y = (rng.uniform(size=200) < 1 / (1 + np.exp(-X @ [1.0, -0.3, 4.0] - 0.5))).astype(float)
    return X, y


model_based = jax.jit(standard_errors.model_based, static_argnums=0)
sandwich = jax.jit(standard_errors.sandwich, static_argnums=0)


def flat(params):
    return np.r_[params.weights, params.bias]


def test_model_based_is_the_inverse_hessian(data):
    X, y = data
    params = logistic_regression.fit(X, y, l2=0.7).params
    p = 1 / (1 + np.exp(-X @ np.asarray(params.weights) - float(params.bias)))
    A = np.c_[X, np.ones(len(X))]
    H = sum(pi * (1 - pi) * np.outer(a, a) for pi, a in zip(p, A, strict=True))
    H = H + np.diag([0.7, 0.7, 0.7, 0.0])

    def objective(params, l2):
        return logistic_regression.objective(params, X, y, l2=l2)

    C = model_based(objective, params, 0.7, dispersion=2.0)
    np.testing.assert_allclose(C, 2 * np.linalg.inv(H), rtol=1e-10)
    found = flat(standard_errors.deviations(C, params))
    np.testing.assert_allclose(found, np.sqrt(2 * np.diag(np.linalg.inv(H))), rtol=1e-10)


def test_sandwich_is_its_definition(data):
    X, y = data
    s = np.random.default_rng(1).uniform(size=len(y))
    params = logistic_regression.fit(X, y, l2=0.0, sample_weight=s).params
    p = 1 / (1 + np.exp(-X @ np.asarray(params.weights) - float(params.bias)))
    A = np.c_[X, np.ones(len(X))]
    H = sum(si * pi * (1 - pi) * np.outer(a, a) for si, pi, a in zip(s, p, A, strict=True))
    meat = sum(
        si * (pi - yi) ** 2 * np.outer(a, a) for si, pi, yi, a in zip(s, p, y, A, strict=True)
    )
    C = sandwich(logistic_regression.loss, params, X, y, sample_weight=s)
    np.testing.assert_allclose(C, np.linalg.inv(H) @ meat @ np.linalg.inv(H), rtol=1e-9)


def test_logistic_regression_equals_statsmodels(data):
    X, y = data
    params = logistic_regression.fit(X, y, l2=0.0).params
    A = np.c_[X, np.ones(len(X))]
    plain, robust = (
        sm.Logit(y, A).fit(disp=0, tol=1e-12),
        sm.Logit(y, A).fit(disp=0, tol=1e-12, cov_type="HC0"),
    )
    C = standard_errors.model_based(
        lambda params: logistic_regression.objective(params, X, y, l2=0.0), params
    )
    found = flat(standard_errors.deviations(C, params))
    np.testing.assert_allclose(found, plain.bse, rtol=1e-6)
    C = sandwich(logistic_regression.loss, params, X, y)
    found = flat(standard_errors.deviations(C, params))
    np.testing.assert_allclose(found, robust.bse, rtol=1e-6)


def test_least_squares_equals_statsmodels_and_its_own_summary(data):
    X, y = data
    fitted = least_squares.fit(X, y)
    params, A = fitted.params, np.c_[X, np.ones(len(X))]
    summary = least_squares.summarize(fitted, X, y)
    C = standard_errors.model_based(
        lambda params: least_squares.objective(params, X, y),
        params,
        dispersion=summary.residual_deviation**2,
    )
    found = flat(standard_errors.deviations(C, params))
    np.testing.assert_allclose(found, sm.OLS(y, A).fit().bse, rtol=1e-9)
    np.testing.assert_allclose(found, flat(summary.standard_errors), rtol=1e-9)
    C = sandwich(least_squares.loss, params, X, y)
    found = flat(standard_errors.deviations(C, params))
    np.testing.assert_allclose(found, sm.OLS(y, A).fit(cov_type="HC0").bse, rtol=1e-9)


def test_a_weight_counts_as_repetition(data):
    X, y = data[0].copy(), data[1]
    s = np.arange(200) % 3
    X[s == 0, 1] = np.nan
    params = logistic_regression.fit(X, y, l2=0.0, sample_weight=s.astype(float)).params
    loss = logistic_regression.loss
    weighted = sandwich(loss, params, X, y, sample_weight=s.astype(float))
    repeated = sandwich(loss, params, X.repeat(s, axis=0), y.repeat(s))
    np.testing.assert_allclose(weighted, repeated, rtol=1e-10)


def test_derivatives_are_right(data):
    X, y = data[0][:20], data[1][:20]
    s = np.random.default_rng(1).uniform(size=20)

    def errors(X, s):
        params = logistic_regression.fit(X, y, l2=0.0, sample_weight=s).params
        C = sandwich(logistic_regression.loss, params, X, y, sample_weight=s)
        return standard_errors.deviations(C, params)

    check_grads(jax.jit(errors), (X[:, :2], s), 1, eps=1e-5, atol=1e-4, rtol=1e-4)


def test_no_strict_minimum_gives_nan(data):
    X, y = data
    X = np.c_[X, 0 * y]
    params = logistic_regression.fit(X, y, l2=0.0).params
    C = sandwich(logistic_regression.loss, params, X, y)
    assert jnp.isnan(C).all()


def test_jit_and_vmap_equal_eager(data):
    X, y = data
    params = logistic_regression.fit(X, y, l2=0.0).params

    def errors(s):
        return standard_errors.sandwich(logistic_regression.loss, params, X, y, sample_weight=s)

    s = np.random.default_rng(2).uniform(size=(2, 200))
    batched = jax.jit(jax.vmap(errors))(s)
    np.testing.assert_allclose(batched, [errors(s[0]), errors(s[1])], rtol=1e-10)
