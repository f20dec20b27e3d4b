"""Least squares regression against its definition, certified values, a book, and other libraries."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import statsmodels.api as sm
from jax.test_util import check_grads
from sklearn.linear_model import LinearRegression

from mlmath.linear import least_squares

# Digits correct (LRE) that are asked of each data set of NIST StRD: coefficients, standard
# errors, R² (exact fits have standard error 0, of which only an absolute error can be asked).
DIGITS = {
    "Norris": (12, 12, 14),
    "Pontius": (12, 12, 14),
    "Longley": (10, 10, 14),
    "Wampler1": (9, None, 14),
    "Wampler2": (9, None, 14),
    "Wampler3": (9, 10, 14),
    "Wampler4": (7, 10, 14),
}


def digits(value, certified):
    value, certified = np.asarray(value, float), np.asarray(certified, float)
    error = np.abs(value - certified) / np.abs(certified)
    return float(np.min(-np.log10(np.maximum(error, 1e-16))))


def nist(shared, name):
    entry = json.loads((shared / "oracles" / "nist_strd.json").read_text())["linear_regression"][
        name
    ]
    x, y = np.array(entry["x"], float), np.array(entry["y"], float)
    if entry["terms"] == "polynomial":
        x = x ** np.arange(1, len(entry["certified"]["beta"]))
    return x, y, entry


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3)) * [1.0, 5.0, 0.2] + [0.0, 30.0, -2.0]
    return X, X @ [1.0, -0.5, 2.0] + 3 + rng.normal(size=40), rng.uniform(0.2, 2.0, size=40)


def test_objective_is_its_definition(data):
    X, y, s = data
    params = least_squares.Params(jnp.array([0.3, -0.1, 0.7]), jnp.array(1.5))
    w, b = np.asarray(params.weights), float(params.bias)
    naive = 0.5 * sum(si * (yi - w @ xi - b) ** 2 for xi, yi, si in zip(X, y, s, strict=True))
    assert np.isclose(least_squares.objective(params, X, y, sample_weight=s), naive, rtol=1e-12)
    assert np.isclose(least_squares.predict(params, X[0]), w @ X[0] + b)


def test_fit_is_the_formula(data):
    X, y, s = data
    center, mean = s @ X / s.sum(), s @ y / s.sum()
    Xc = X - center
    w = np.linalg.pinv(Xc.T @ np.diag(s) @ Xc) @ Xc.T @ (s * (y - mean))
    fitted = least_squares.fit(X, y, sample_weight=s)
    np.testing.assert_allclose(fitted.params.weights, w, rtol=1e-12)
    np.testing.assert_allclose(fitted.params.bias, mean - w @ center, rtol=1e-12)
    at_fit = least_squares.objective(fitted.params, X, y, sample_weight=s)
    np.testing.assert_allclose(fitted.certificate.objective, at_fit, rtol=1e-12)
    assert fitted.rank == 3
    assert fitted.certificate.converged


def test_summary_is_its_formulas(data):
    X, y, s = data
    fitted = least_squares.fit(X, y, sample_weight=s)
    w, b = np.asarray(fitted.params.weights), float(fitted.params.bias)
    N, center = s.sum(), s @ X / s.sum()
    V = np.linalg.inv((X - center).T @ np.diag(s) @ (X - center))
    rss = sum(si * (yi - w @ xi - b) ** 2 for xi, yi, si in zip(X, y, s, strict=True))
    variance, r_squared = rss / (N - 4), 1 - rss / (s @ (y - s @ y / N) ** 2)
    errors_w = np.sqrt(variance * np.diag(V))
    error_b = np.sqrt(variance * (1 / N + center @ V @ center))
    summary = least_squares.summarize(fitted, X, y, sample_weight=s)
    np.testing.assert_allclose(summary.standard_errors.weights, errors_w, rtol=1e-11)
    np.testing.assert_allclose(summary.standard_errors.bias, error_b, rtol=1e-11)
    np.testing.assert_allclose(summary.t_values.weights, w / errors_w, rtol=1e-11)
    np.testing.assert_allclose(summary.t_values.bias, b / error_b, rtol=1e-11)
    np.testing.assert_allclose(summary.residual_deviation, np.sqrt(variance), rtol=1e-11)
    np.testing.assert_allclose(summary.degrees_of_freedom, N - 4, rtol=1e-14)
    np.testing.assert_allclose(summary.r_squared, r_squared, rtol=1e-13)
    F = (r_squared / 3) / ((1 - r_squared) / (N - 4))
    np.testing.assert_allclose(summary.f_statistic, F, rtol=1e-10)


def test_a_weight_counts_as_repetition(data):
    X, y, _ = data
    X, s = X.copy(), np.arange(40) % 3
    X[s == 0, 1] = np.nan
    weighted = least_squares.fit(X, y, sample_weight=s.astype(float))
    repeated = least_squares.fit(X.repeat(s, axis=0), y.repeat(s))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11),
        least_squares.summarize(weighted, X, y, sample_weight=s.astype(float)),
        least_squares.summarize(repeated, X.repeat(s, axis=0), y.repeat(s)),
    )


def test_summary_equals_statsmodels(data):
    X, y, _ = data
    summary = least_squares.summarize(least_squares.fit(X, y), X, y)
    other = sm.OLS(y, sm.add_constant(X)).fit()
    np.testing.assert_allclose(summary.standard_errors.weights, other.bse[1:], rtol=1e-9)
    np.testing.assert_allclose(summary.standard_errors.bias, other.bse[0], rtol=1e-9)
    np.testing.assert_allclose(summary.t_values.weights, other.tvalues[1:], rtol=1e-9)
    np.testing.assert_allclose(summary.r_squared, other.rsquared, rtol=1e-12)
    np.testing.assert_allclose(summary.f_statistic, other.fvalue, rtol=1e-9)


@pytest.mark.parametrize("name", DIGITS)
def test_digits_on_nist(shared, name):
    X, y, entry = nist(shared, name)
    exact, certified = entry["exact_rational_recomputed"], entry["certified"]
    fitted = least_squares.fit(X, y)
    summary = least_squares.summarize(fitted, X, y)
    coefficients = np.r_[fitted.params.bias, fitted.params.weights]
    errors = np.r_[summary.standard_errors.bias, summary.standard_errors.weights]
    of_coefficients, of_errors, of_r_squared = DIGITS[name]
    found = (
        digits(coefficients, exact["beta"]),
        digits(errors, exact["se"]) if of_errors else None,
        digits(summary.r_squared, certified["r_squared"]),
        digits(summary.f_statistic, certified["F"]) if of_errors else None,
    )
    assert found[0] >= of_coefficients
    assert found[2] >= of_r_squared
    if of_errors:
        assert found[1] >= of_errors
    else:
        assert np.all(errors <= 1e-9 * np.abs(coefficients))
    assert fitted.certificate.converged
