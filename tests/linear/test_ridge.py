"""Ridge regression: eq. (1)–(4), its limits, and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from mlmath.data import datasets
from mlmath.linear import ridge


@pytest.fixture(scope="module")
def data():
    X, y = datasets.arrays("diabetes")
    return X, y, np.random.default_rng(0).uniform(0.5, 2.0, len(y))


@pytest.fixture(scope="module")
def wide():
    rng = np.random.default_rng(1)
    return rng.normal(size=(12, 30)) + 4, rng.normal(size=12), rng.uniform(0.5, 2.0, 12)


def closed_forms(X, y, s, l2):
    """Eq. (3) and eq. (4), each with its own centring, in naive NumPy."""
    center, mean = (s @ X) / s.sum(), (s @ y) / s.sum()
    Xc, yc, S, Lambda = X - center, y - mean, np.diag(s), np.diag(l2)
    primal = np.linalg.inv(Xc.T @ S @ Xc + Lambda) @ Xc.T @ S @ yc
    inverse = np.linalg.inv(Lambda)
    kernel = np.eye(len(y)) + S @ Xc @ inverse @ Xc.T
    dual = inverse @ Xc.T @ np.linalg.inv(kernel) @ S @ yc
    return primal, dual, mean - primal @ center


def test_prediction_loss_and_objective_are_their_definitions(data):
    X, y, s = data
    rng = np.random.default_rng(2)
    w, b, l2 = rng.normal(size=X.shape[1]), 3.0, rng.uniform(1, 5, X.shape[1])
    params = ridge.Params(jnp.asarray(w), jnp.asarray(b))
    total = 0.0
    for i in range(len(y)):
        z = sum(w[j] * X[i, j] for j in range(len(w))) + b  # (1)
        total += s[i] * (y[i] - z) ** 2 / 2
    total += sum(l2[j] * w[j] ** 2 for j in range(len(w))) / 2  # (2)
    np.testing.assert_allclose(ridge.predict(params, X[-1]), z, rtol=1e-12)
    np.testing.assert_allclose(
        ridge.loss(params, X[-1], jnp.asarray(y[-1])), (y[-1] - z) ** 2 / 2, rtol=1e-12
    )
    np.testing.assert_allclose(
        ridge.objective(params, X, y, l2=l2, sample_weight=s), total, rtol=1e-12
    )


@pytest.mark.parametrize("shape", ["data", "wide"])
@pytest.mark.parametrize("per_column", [1.0, 3.0])
def test_fit_is_the_closed_form_primal_and_dual(shape, per_column, request):
    X, y, s = request.getfixturevalue(shape)
    l2 = np.linspace(1.0, per_column, X.shape[1])
    primal, dual, bias = closed_forms(X, y, s, l2)
    np.testing.assert_allclose(primal, dual, rtol=1e-6, atol=1e-9)  # (3) = (4)
    fitted = ridge.fit(X, y, l2=l2, sample_weight=s)
    np.testing.assert_allclose(fitted.params.weights, primal, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(fitted.params.bias, bias, rtol=1e-7)
    assert bool(fitted.certificate.converged)
    same = ridge.objective(fitted.params, X, y, l2=l2, sample_weight=s)
    np.testing.assert_allclose(fitted.certificate.objective, same, rtol=1e-10)


@pytest.mark.parametrize("shape", ["data", "wide"])
def test_fit_is_stationary_and_the_bias_is_not_penalised(shape, request):
    X, y, s = request.getfixturevalue(shape)
    fitted = ridge.fit(X, y, l2=2.0, sample_weight=s)
    g = jax.grad(ridge.objective)(fitted.params, X, y, l2=2.0, sample_weight=s)
    size = jax.grad(ridge.objective)(
        jax.tree.map(jnp.zeros_like, fitted.params), X, y, l2=2.0, sample_weight=s
    )
    for part, whole in zip(g, size, strict=True):
        np.testing.assert_allclose(part, 0, atol=1e-9 * float(jnp.abs(whole).max()))
    shifted = ridge.fit(X, y + 1000, l2=2.0, sample_weight=s)
    np.testing.assert_allclose(shifted.params.weights, fitted.params.weights, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(shifted.params.bias, fitted.params.bias + 1000, rtol=1e-9)


@pytest.mark.parametrize("shape", ["data", "wide"])
def test_matches_scikit_learn(shape, request):
    X, y, s = request.getfixturevalue(shape)
    peer = Ridge(alpha=2.0, solver="svd").fit(X, y, sample_weight=s)
    fitted = ridge.fit(X, y, l2=2.0, sample_weight=s)
    np.testing.assert_allclose(fitted.params.weights, peer.coef_, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(fitted.params.bias, peer.intercept_, rtol=1e-8)


def test_the_limits_are_least_squares_and_the_mean(data):
    X, y, s = data
    A = np.sqrt(s)[:, None] * np.column_stack([X, np.ones(len(y))])
    exact = np.linalg.lstsq(A, np.sqrt(s) * y, rcond=None)[0]
    none = ridge.fit(X, y, l2=0.0, sample_weight=s).params
    np.testing.assert_allclose(np.append(none.weights, none.bias), exact, rtol=1e-6)
    all_of_it = ridge.fit(X, y, l2=1e14, sample_weight=s).params
    np.testing.assert_allclose(all_of_it.weights, 0, atol=1e-7)
    np.testing.assert_allclose(all_of_it.bias, s @ y / s.sum(), rtol=1e-6)


def test_norms_shrink_as_the_penalty_grows(data):
    X, y, _ = data
    path = jax.vmap(lambda l2: ridge.fit(X, y, l2=l2))(jnp.logspace(-3, 8, 30))
    norms = jnp.linalg.norm(path.params.weights, axis=1)
    assert bool((jnp.diff(norms) < 0).all())
    assert bool((jnp.diff(path.certificate.objective) > 0).all())


def test_a_duplicated_column_shares_the_weight(data):
    """With λ on each copy, two copies of a column weigh what one weighs with λ/2."""
    X, y, _ = data
    twice = ridge.fit(np.column_stack([X, X[:, 0]]), y, l2=1.0).params.weights
    l2 = np.ones(X.shape[1])
    l2[0] = 0.5
    once = ridge.fit(X, y, l2=l2).params.weights
    np.testing.assert_allclose(twice[0], twice[-1], rtol=1e-6)
    np.testing.assert_allclose(twice[0] + twice[-1], once[0], rtol=1e-6)


def test_a_singular_system_is_not_converged():
    X = np.column_stack([np.arange(4.0), np.ones(4)])
    fitted = ridge.fit(X, np.arange(4.0), l2=0.0)
    assert not bool(fitted.certificate.converged)


def test_a_missing_value_that_counts_shows(data):
    X, y, s = data
    holes = X.copy()
    holes[5, 2] = np.nan
    assert not bool(ridge.fit(holes, y).certificate.converged)
    assert not bool(ridge.fit(holes, y, sample_weight=s).certificate.converged)
    assert np.isnan(ridge.fit(holes, y).params.weights).all()
    s = s.copy()
    s[5] = 0
    np.testing.assert_allclose(
        ridge.fit(holes, y, sample_weight=s).params.weights,
        ridge.fit(
            np.delete(X, 5, 0), np.delete(y, 5), sample_weight=np.delete(s, 5)
        ).params.weights,
        rtol=1e-9,
    )


def test_float32_with_a_large_mean_is_within_a_thousandth(data):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(500, 4)) + 300
    y = X @ [1.0, -2.0, 0.5, 0.0] + rng.normal(size=500)
    X, y = X.astype(np.float32), y.astype(np.float32)
    single = ridge.fit(X, y).params.weights
    double = ridge.fit(X.astype(float), y.astype(float)).params.weights
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, double, atol=1e-3)


def test_column_vector_target_is_refused(data):
    X, y, _ = data
    with pytest.raises(TypeError, match=r"flatten the column with .ravel\(\)"):
        ridge.fit(X, y[:, None])


def test_both_systems_of_a_fit_share_one_factor():
    """Two batched factors that wait for nothing may run at once, and on two threads for ever."""
    rng = np.random.default_rng(2)
    X, y, W = map(jnp.asarray, (rng.normal(size=(12, 3)), rng.normal(size=12), rng.random((5, 12))))

    def many(l2):
        return jax.vmap(lambda s: ridge.fit(X, y, l2=l2, sample_weight=s))(W)

    program = jax.jit(lambda l2: jax.lax.map(many, l2)).lower(jnp.ones(2)).compile().as_text()
    assert program.count('custom_call_target="lapack_dpotrf') == 1


def test_a_row_of_weight_0_at_the_end_of_the_range_is_absent():
    rng = np.random.default_rng(8)
    X = rng.normal(size=(20, 3)).astype(np.float32)
    y = 9 * X[:, 0] + X[:, 1]
    far, s = np.array(X), np.ones(20, np.float32)
    far[4], s[4] = [3e38, -3e38, 3e38], 0
    keep = np.arange(20) != 4
    found, right = ridge.fit(far, y, sample_weight=s), ridge.fit(X[keep], y[keep])
    np.testing.assert_allclose(found.params.weights, right.params.weights, rtol=1e-4)
    np.testing.assert_allclose(found.certificate.objective, right.certificate.objective, rtol=1e-5)
    assert found.certificate.converged
