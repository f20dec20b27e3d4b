"""Logistic regression: eq. (1), (2), its laws, statsmodels and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.linear_model import LogisticRegression

from mlmath.data import datasets
from mlmath.linear import logistic_regression
from mlmath.linear.logistic_regression import Params


@pytest.fixture(scope="module")
def data():
    X, y = datasets.arrays("breast_cancer")
    X = (X - X.mean(0)) / X.std(0)
    return X[:, :8], y, np.random.default_rng(0).uniform(0.5, 2.0, len(y))


@pytest.fixture(scope="module")
def large():
    """Large enough for the start on a sample."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(60_000, 10)) * 2 + 0.5
    y = rng.random(len(X)) < 1 / (1 + np.exp(-(X @ rng.normal(size=10) * 0.5 - 0.2)))
    return X, y.astype(float)


def test_prediction_and_objective_are_their_definitions(data):
    X, y, s = data
    rng = np.random.default_rng(1)
    w, b = rng.normal(size=8), 0.3
    params = Params(jnp.asarray(w), jnp.asarray(b))
    total = 0.7 / 2 * (w**2).sum()
    for x, label, weight in zip(X, y, s, strict=True):
        z = sum(w[j] * x[j] for j in range(8)) + b
        total += weight * (np.log(1 + np.exp(z)) - label * z)  # (2)
    np.testing.assert_allclose(logistic_regression.predict(params, x), 1 / (1 + np.exp(-z)))
    np.testing.assert_allclose(
        logistic_regression.objective(params, X, y, l2=0.7, sample_weight=s), total, rtol=1e-12
    )
    p = logistic_regression.predict(params, X[0])
    np.testing.assert_allclose(
        logistic_regression.loss(params, X[0], jnp.asarray(y[0])),
        -jnp.log(jnp.where(y[0] == 1, p, 1 - p)),
        rtol=1e-10,
    )


def test_fit_is_stationary_for_objective(data):
    X, y, s = data
    fitted = logistic_regression.fit(X, y, l2=0.7, sample_weight=s)
    g = jax.grad(logistic_regression.objective)(fitted.params, X, y, l2=0.7, sample_weight=s)
    np.testing.assert_allclose(np.append(g.weights, g.bias), 0, atol=1e-5)
    assert bool(fitted.certificate.converged)


def test_the_hessian_is_the_second_derivative(data):
    X, y, s = data
    params = Params(jnp.asarray(np.random.default_rng(1).normal(size=8)), jnp.asarray(0.3))
    args = (jnp.asarray(X), jnp.asarray(y), jnp.asarray(s), 0.7)
    blocks = jax.hessian(logistic_regression._objective)(params, *args)
    h = logistic_regression._hessian(params, *args)
    np.testing.assert_allclose(h[:8, :8], blocks.weights.weights, rtol=1e-10)
    np.testing.assert_allclose(h[:8, 8], blocks.weights.bias, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(h[8, 8], blocks.bias.bias, rtol=1e-10)


def test_matches_statsmodels_on_spector():
    """Spector & Mazzeo (1980), Greene's logit example: -13.0213, 2.8261, 0.0952, 2.3787."""
    spector = sm.datasets.spector.load()
    X, y = np.asarray(spector.exog, float), np.asarray(spector.endog, float)
    fitted = logistic_regression.fit(X, y, l2=0.0)
    np.testing.assert_allclose(fitted.params.bias, -13.0213, atol=5e-5)
    np.testing.assert_allclose(fitted.params.weights, [2.8261, 0.0952, 2.3787], atol=5e-5)
    peer = sm.Logit(y, sm.add_constant(X)).fit(disp=0, tol=1e-12)
    np.testing.assert_allclose(fitted.params.weights, peer.params[1:], rtol=1e-6)


@pytest.mark.parametrize("which", ["data", "large"])
def test_matches_scikit_learn(which, request):
    X, y, *s = request.getfixturevalue(which)
    s = s[0] if s else np.ones(len(y))
    peer = LogisticRegression(C=1 / 0.7, solver="newton-cholesky", tol=1e-10, max_iter=100)
    peer = peer.fit(X, y, sample_weight=s)
    fitted = logistic_regression.fit(X, y, l2=0.7, sample_weight=s)
    np.testing.assert_allclose(fitted.params.weights, peer.coef_[0], atol=2e-6)
    np.testing.assert_allclose(fitted.params.bias, peer.intercept_[0], atol=2e-6)
    assert bool(fitted.certificate.converged)


def test_the_start_on_a_sample_changes_only_the_path(large):
    X, y = large
    assert logistic_regression._stride(*X.shape) > 1
    null = Params(jnp.zeros(10), jnp.zeros(()))
    sampled = logistic_regression.fit(X, y)
    plain = logistic_regression.fit(X, y, start=null)
    assert int(sampled.certificate.steps) < int(plain.certificate.steps)
    for a, b in zip(sampled.params, plain.params, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_misleading_sample_does_no_harm(large):
    """Every row of the sample has the other label: the start is refused or left again."""
    X, y = large
    m = logistic_regression._stride(*X.shape)
    y = y.copy()
    y[::m] = 1 - y[::m]
    fitted = logistic_regression.fit(X, y)
    plain = logistic_regression.fit(X, y, start=Params(jnp.zeros(10), jnp.zeros(())))
    assert bool(fitted.certificate.converged)
    np.testing.assert_allclose(fitted.params.weights, plain.params.weights, atol=1e-6)


@pytest.mark.parametrize(
    ("n", "d", "stride"),
    [(50_000, 50, 25), (2**20, 50, 32), (100, 5, 1), (2**16 * 3, 10, 32), (50_021, 50, 1)],
)
def test_the_stride_divides_the_rows_and_keeps_what_shards_divide(n, d, stride):
    assert logistic_regression._stride(n, d) == stride
    assert n % stride == 0
    assert stride % 2 == 1 or n // stride % 1024 == 0


def test_sharded_rows_of_a_large_fit_do_not_travel(large):
    X, y = large
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    by_rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows"))
    Xs, ys = jax.device_put(X, by_rows), jax.device_put(y, by_rows)
    text = jax.jit(logistic_regression.fit).lower(Xs, ys).compile().as_text()
    assert "all-reduce" in text
    for word in ("all-gather", "all-to-all", "collective-permute"):
        assert word not in text
    np.testing.assert_allclose(
        logistic_regression.fit(Xs, ys).params.weights,
        logistic_regression.fit(X, y).params.weights,
        atol=1e-7,
    )


def test_separable_classes_drive_the_objective_to_zero():
    X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    fitted = logistic_regression.fit(X, y, l2=0.0)
    assert 0 <= float(fitted.certificate.objective) < 1e-13
    assert bool(fitted.certificate.converged)
    assert np.isfinite(fitted.params.weights).all()


@pytest.mark.parametrize("far", [0.0, 1.0, 30.0])
def test_the_gap_is_a_bound_at_each_stopping_point(data, far):
    X, y, _ = data
    best = float(logistic_regression.fit(X, y, l2=0.01).certificate.objective)
    rng = np.random.default_rng(0)
    start = Params(jnp.asarray(far * rng.normal(size=8)), jnp.asarray(0.0))
    for steps in range(7):
        c = logistic_regression.fit(X, y, l2=0.01, start=start, max_steps=steps).certificate
        excess = float(c.objective) - best
        assert float(c.gap) * len(y) * np.log(2) >= excess * (1 - 1e-9) - 1e-10
        proved = 4 * np.finfo(float).eps * len(y) * np.log(2)
        assert bool(c.converged) == (float(c.gap) <= 4 * np.finfo(float).eps)
        assert not c.converged or excess <= proved + 1e-14 * best
    assert bool(logistic_regression.fit(X, y, l2=0.01, start=start).certificate.converged)


def test_influence_equals_refitting_without_the_row(data):
    X, y, _ = data

    @jax.jit
    def answer(t):
        s = jnp.ones(len(y)).at[77].set(t)
        return logistic_regression.fit(X, y, l2=0.7, sample_weight=s).params.weights

    first = jax.jit(jax.jacfwd(answer))
    second = jax.jit(jax.jacfwd(first))
    out = answer(1.0) - first(1.0) + second(1.0) / 2
    into = answer(0.0) + first(0.0) + second(0.0) / 2  # influence at weight 0
    moved = float(jnp.abs(answer(0.0) - answer(1.0)).max())
    assert moved > 1e-4
    assert float(jnp.abs(out - answer(0.0)).max()) < 0.02 * moved
    assert float(jnp.abs(into - answer(1.0)).max()) < 0.02 * moved


def test_a_row_of_weight_two_is_the_row_twice_and_one_of_weight_zero_is_absent(data):
    X, y, _ = data
    s = np.ones(len(y))
    s[:20], s[60:70] = 2.0, 0.0
    holes = X.copy()
    holes[60:65], holes[65:70] = np.nan, 1e6
    weighted = logistic_regression.fit(holes, y, sample_weight=s)
    rows = np.repeat(np.arange(len(y)), s.astype(int))
    repeated = logistic_regression.fit(X[rows], y[rows])
    for a, b in zip(weighted.params, repeated.params, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)
    assert bool(weighted.certificate.converged)


def test_the_path_of_a_hundred_penalties_is_a_vmap(data):
    X, y, _ = data
    l2 = jnp.logspace(-3, 3, 100)
    path = jax.vmap(lambda l2: logistic_regression.fit(X, y, l2=l2))(l2)
    one = logistic_regression.fit(X, y, l2=l2[40])
    np.testing.assert_allclose(path.params.weights[40], one.params.weights, atol=1e-6)
    assert bool(path.certificate.converged.all())


def test_column_vector_target_is_refused(data):
    X, y, _ = data
    with pytest.raises(TypeError, match=r"flatten the column with .ravel\(\)"):
        logistic_regression.fit(X, y[:, None])


@pytest.mark.parametrize(
    ("mean", "dtype"),
    [(300, np.float32), (1e3, np.float32), (1e4, np.float32), (1e6, np.float32), (1e6, np.float64)],
)
def test_the_certificate_is_true_however_far_the_columns_are_from_zero(mean, dtype):
    """Judged in float64 on the parameters that came back."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    y = (X @ [1, 2, -1] + rng.normal(size=40) > 0).astype(dtype)
    X = (X + mean).astype(dtype)
    wide = X.astype(float)
    best = logistic_regression.fit(wide - wide.mean(0), y.astype(float), tolerance=0.0)
    near = logistic_regression.fit((wide - wide.mean(0)).astype(dtype), y)
    fitted = logistic_regression.fit(X, y)
    w, b = (np.asarray(a, float) for a in fitted.params)
    z = wide @ w + b
    excess = np.sum(np.logaddexp(0, z) - y * z) + w @ w / 2 - float(best.certificate.objective)
    excess /= 40 * np.log(2)
    eps = float(np.finfo(dtype).eps)
    judged = 4 * float(np.finfo(float).eps) * mean  # what the sum in float64 is worth
    assert excess <= 2 * max(float(fitted.certificate.gap), 4 * eps) + judged
    assert not fitted.certificate.converged or excess <= 8 * eps + judged
    assert bool(fitted.certificate.converged) == (dtype == np.float64 or mean < 5e3)
    assert int(fitted.certificate.steps) <= int(near.certificate.steps) + 1


def test_a_start_is_a_plane_wherever_the_columns_lie(data):
    X, y, s = data
    fitted = logistic_regression.fit(X + 50, y, l2=0.7, sample_weight=s)
    again = logistic_regression.fit(X + 50, y, l2=0.7, sample_weight=s, start=fitted.params)
    assert int(again.certificate.steps) == 0
    unmoved = logistic_regression.fit(X + 50, y, start=fitted.params, max_steps=0)
    for a, b in zip(unmoved.params, fitted.params, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("coding", [(-1.0, 1.0), (1.0, 2.0)])
def test_labels_of_another_coding_show_as_nan(data, coding):
    X, y, s = data
    other = np.where(y == 1, coding[1], coding[0])
    fitted = logistic_regression.fit(X, other, sample_weight=s)
    assert np.isnan(fitted.certificate.gap)
    assert not fitted.certificate.converged
    assert np.isnan(logistic_regression.objective(fitted.params, X, other))
    wrong = (other < 0) | (other > 1)
    absent = logistic_regression.fit(X, other, sample_weight=np.where(wrong, 0, s))
    assert bool(absent.certificate.converged)
    assert bool(logistic_regression.fit(X, np.where(y == 1, 0.9, 0.2)).certificate.converged)


def test_no_weight_at_all_is_nan(data):
    X, y, s = data
    fitted = logistic_regression.fit(X, y, sample_weight=0 * s)
    assert np.isnan(fitted.params.bias).all()
    assert np.isnan(fitted.certificate.gap)
    assert not fitted.certificate.converged


def test_doubles_among_single_precision_are_taken_as_single(data):
    X, y, _ = data
    start = Params(jnp.zeros(8), jnp.zeros(()))
    single = X.astype(np.float32), y.astype(np.float32)
    fitted = logistic_regression.fit(*single, l2=np.float64(0.7), start=start)
    assert {a.dtype for a in (*fitted.params, *fitted.certificate[:2])} == {jnp.dtype("float32")}
    assert bool(fitted.certificate.converged)


@pytest.mark.parametrize("l2", [1.0, -0.01])
def test_without_convexity_nothing_is_proved(l2):
    X, y = np.arange(4.0)[:, None], np.array([1, 0, 1, 1])
    weight = np.array([-1.0, 1, 1, 1]) if l2 > 0 else np.ones(4)
    certificate = logistic_regression.fit(X, y, l2=l2, sample_weight=weight).certificate
    assert np.isnan(certificate.gap)
    assert not certificate.converged
