"""Least squares regression against its definition, certified values, a book, and libraries."""

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


@pytest.fixture
def prostate(shared):
    lines = (shared / "datasets" / "prostate" / "prostate.data").read_text().split("\n")[1:]
    fields = [line.split() for line in lines if line.strip()]
    table = np.array([[float(v) for v in f[1:-1]] for f in fields])
    train = np.array([f[-1] == "T" for f in fields])
    X = table[:, :-1]
    X = (X - X.mean(axis=0)) / X.std(axis=0, ddof=1)  # on all 97 rows, as the book does
    book = json.loads((shared / "oracles" / "esl_prostate.json").read_text())
    return X, table[:, -1], train, book


def test_correlations_are_those_of_the_book(prostate):
    X, _, train, book = prostate
    X = X[train] / X[train].std(axis=0)
    slopes = jax.vmap(
        lambda x: jax.vmap(lambda y: least_squares.fit(x[:, None], y).params.weights[0])(X.T)
    )(X.T)
    np.testing.assert_allclose(slopes, book["correlations_train_table_3_1"], atol=1e-12)


def test_prostate_is_that_of_the_book(prostate):
    X, y, train, book = prostate
    weight = train.astype(float)  # the test rows are there with weight 0
    fitted = least_squares.fit(X, y, sample_weight=weight)
    summary = least_squares.summarize(fitted, X, y, sample_weight=weight)
    table = book["table_3_2"]
    for params, name in [
        (fitted.params, "coef"), (summary.standard_errors, "se"), (summary.t_values, "z")
    ]:  # fmt: skip
        found = np.r_[params.bias, params.weights]
        np.testing.assert_allclose(found, table[name], rtol=1e-12)
        digit = 0.05 if name == "z" and abs(table[name][0]) > 20 else 0.005
        np.testing.assert_allclose(found[0], table["published_" + name][0], atol=1.001 * digit)
        np.testing.assert_allclose(found[1:], table["published_" + name][1:], atol=5.001e-3)
    printed = book["table_3_3"]["LS"]["published_3dp"]
    coefficients = np.r_[fitted.params.bias, fitted.params.weights]
    np.testing.assert_allclose(coefficients, printed[:9], atol=5.001e-4)
    errors = (y - jax.vmap(least_squares.predict, (None, 0))(fitted.params, X))[~train] ** 2
    np.testing.assert_allclose(np.mean(errors), printed[9], atol=5.001e-4)


def test_float32_is_as_accurate_as_scikit_learn():
    rng = np.random.default_rng(0)
    mixing = np.geomspace(1, 0.05, 20)[:, None] * np.linalg.qr(rng.normal(size=(20, 20)))[0]
    X = (rng.normal(size=(3000, 20)) @ mixing + 3).astype(np.float32)
    y = (X @ rng.normal(size=20) + rng.normal(size=3000)).astype(np.float32)
    exact = LinearRegression().fit(X.astype(float), y.astype(float)).coef_

    def error(w):
        return np.linalg.norm(np.asarray(w) - exact) / np.linalg.norm(exact)

    ours = error(least_squares.fit(X, y).params.weights)
    assert ours <= 2 * error(LinearRegression().fit(X, y).coef_)
    assert ours < 1e-5


def test_of_many_minimisers_the_weights_are_the_least(data):
    all_of_X, y, s = data
    wide = all_of_X[:3].repeat(2, axis=1) ** [1, 2, 1, 2, 1, 2]
    for X in (all_of_X[:, [0, 1, 1, 2, 2]], wide):
        n = len(X)
        root = np.sqrt(s[:n])
        Xc, yc = X - s[:n] @ X / s[:n].sum(), y[:n] - s[:n] @ y[:n] / s[:n].sum()
        expected = np.linalg.pinv(root[:, None] * Xc, rcond=1e-10) @ (root * yc)
        fitted = least_squares.fit(X, y[:n], sample_weight=s[:n])
        np.testing.assert_allclose(fitted.params.weights, expected, rtol=1e-9)
        assert fitted.rank == np.linalg.matrix_rank(Xc, tol=1e-9)
        assert fitted.certificate.converged


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_column_has_weight_zero(data, dtype):
    X, y, s = (a.astype(dtype) for a in data)
    near = np.nextafter(dtype(0.1), dtype(1))  # 0.1 computed otherwise
    X = np.c_[X, np.where(np.arange(40) % 2, dtype(0.1), near)]
    X[3, 3], s[3] = 7, 0  # absent
    fitted = least_squares.fit(X, y, sample_weight=s)
    without = least_squares.fit(X[:, :3], y, sample_weight=s)
    assert fitted.rank == 3
    assert fitted.params.weights[3] == 0
    np.testing.assert_allclose(
        fitted.params.weights[:3], without.params.weights, rtol=100 * np.finfo(dtype).eps
    )
    t = least_squares.summarize(fitted, X, y, sample_weight=s).t_values.weights
    assert np.isnan(t[3])
    assert not np.isnan(t[:3]).any()


def test_a_mean_far_from_zero_costs_no_digits_of_float32():
    rng = np.random.default_rng(0)
    X = rng.normal([3000.0, 0.0], size=(20_000, 2)).astype(np.float32)
    y = (X @ [1.0, 2.0] + 0.1 * rng.normal(size=20_000)).astype(np.float32)
    single, double = least_squares.fit(X, y), least_squares.fit(X.astype(float), y.astype(float))
    np.testing.assert_allclose(single.params.weights, double.params.weights, rtol=3e-7)
    w, b = np.asarray(single.params.weights, float), float(single.params.bias)
    at_mean = X.astype(float).mean(axis=0) @ w + b
    np.testing.assert_allclose(at_mean, y.astype(float).mean(), rtol=3e-7)


def test_one_row_gives_its_target_and_no_standard_error(data):
    X, y, _ = data
    fitted = least_squares.fit(X[:1], y[:1])
    np.testing.assert_array_equal(fitted.params.weights, 0)
    assert fitted.params.bias == y[0]
    assert fitted.rank == 0
    summary = least_squares.summarize(fitted, X[:1], y[:1])
    assert np.isnan(summary.residual_deviation)
    assert np.isnan(summary.standard_errors.bias)


def test_what_counts_and_is_not_a_number_shows(data):
    X, y, s = data
    broken = np.where(np.arange(40)[:, None] == 3, np.nan, X)
    for given, weight in [(broken, s), (X, 0 * s)]:
        fitted = least_squares.fit(given, y, sample_weight=weight)
        assert np.isnan(fitted.params.weights).all()
        assert np.isnan(fitted.params.bias)
        assert np.isnan(fitted.certificate.objective)
        assert not fitted.certificate.converged


def test_units_of_a_column_do_not_matter(data):
    X, y, s = data
    units = np.array([1e-8, 1e8, 1.0])
    plain = least_squares.fit(X, y, sample_weight=s)
    scaled = least_squares.fit(X * units, y, sample_weight=s)
    np.testing.assert_allclose(scaled.params.weights * units, plain.params.weights, rtol=1e-11)
    assert scaled.rank == 3


def test_summary_has_the_derivatives_of_its_definition(data):
    X, y, s = (a[:12] for a in data)

    def errors(X, y, s):
        summary = least_squares.summarize(
            least_squares.fit(X, y, sample_weight=s), X, y, sample_weight=s
        )
        return summary.standard_errors, summary.t_values, summary.r_squared, summary.f_statistic

    X = (X - X.mean(axis=0)) / X.std(axis=0)
    check_grads(jax.jit(errors), (X, y, s), 2, eps=1e-5, atol=1e-3, rtol=1e-3)


def test_no_columns_are_refused(data):
    _, y, s = data
    with pytest.raises(ValueError, match=r"^X must have at least one column, got none"):
        least_squares.fit(np.ones((len(y), 0)), y, sample_weight=s)
