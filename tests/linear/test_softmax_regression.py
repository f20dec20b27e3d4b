"""Softmax regression: eq. (1)–(3), its laws, and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from mlmath.linear import logistic_regression, softmax_regression
from mlmath.linear.softmax_regression import Params


@pytest.fixture(scope="module")
def data():
    X, y = load_iris(return_X_y=True)
    return X, y, np.random.default_rng(0).uniform(0.5, 2.0, len(y))


@pytest.fixture(scope="module")
def fitted(data):
    X, y, s = data
    return softmax_regression.fit(X, y, classes=3, l2=0.7, sample_weight=s)


def test_prediction_and_objective_are_their_definitions(data):
    X, y, s = data
    rng = np.random.default_rng(1)
    W, b = rng.normal(size=(3, 4)), rng.normal(size=3)
    total = 0.0
    for x, label, weight in zip(X, y, s, strict=True):
        z = [sum(W[c, j] * x[j] for j in range(4)) + b[c] for c in range(3)]
        p = np.exp(z) / sum(np.exp(zj) for zj in z)  # (1)
        total += weight * (np.log(sum(np.exp(z))) - z[label])  # (2)
        np.testing.assert_allclose(
            softmax_regression.predict(Params(jnp.asarray(W), jnp.asarray(b)), x), p, rtol=1e-12
        )
    total += 0.7 / 2 * (W**2).sum()
    params = Params(jnp.asarray(W), jnp.asarray(b))
    np.testing.assert_allclose(
        softmax_regression.objective(params, X, y, l2=0.7, sample_weight=s), total, rtol=1e-12
    )
    one = softmax_regression.loss(params, X[3], jnp.asarray(y[3]))
    np.testing.assert_allclose(
        one, -jnp.log(softmax_regression.predict(params, X[3]))[y[3]], rtol=1e-10
    )


def test_fit_is_stationary_and_its_columns_sum_to_zero(data, fitted):
    X, y, s = data
    g = jax.grad(softmax_regression.objective)(fitted.params, X, y, l2=0.7, sample_weight=s)
    for part in g:
        np.testing.assert_allclose(part, 0, atol=1e-5)
    np.testing.assert_allclose(fitted.params.bias.sum(), 0, atol=1e-8)  # (3)
    np.testing.assert_allclose(fitted.params.weights.sum(axis=0), 0, atol=1e-6)
    assert bool(fitted.certificate.converged)


def test_matches_scikit_learn(data, fitted):
    X, y, s = data
    peer = LogisticRegression(C=1 / 0.7, tol=1e-10, max_iter=10_000).fit(X, y, sample_weight=s)
    np.testing.assert_allclose(fitted.params.weights, peer.coef_, atol=1e-5)
    np.testing.assert_allclose(
        fitted.params.bias, peer.intercept_ - peer.intercept_.mean(), atol=1e-4
    )


def test_two_classes_are_logistic_regression_with_half_the_penalty(data):
    X, y, s = data
    y = (y == 2).astype(int)
    two = softmax_regression.fit(X, y, classes=2, l2=1.4, sample_weight=s)
    one = logistic_regression.fit(X, y, l2=0.7, sample_weight=s)
    difference = jax.tree.map(lambda leaf: leaf[1] - leaf[0], two.params)
    np.testing.assert_allclose(difference.weights, one.params.weights, atol=1e-6)
    np.testing.assert_allclose(difference.bias, one.params.bias, atol=1e-6)
    np.testing.assert_allclose(two.certificate.objective, one.certificate.objective, rtol=1e-12)


def test_two_classes_have_the_derivative_of_logistic_regression(data):
    X, y, s = data
    y = (y == 2).astype(int)

    def two(X, s, l2):
        w = softmax_regression.fit(X, y, classes=2, l2=2 * l2, sample_weight=s).params
        return jnp.sum((w.weights[1] - w.weights[0]) ** 2) + w.bias[1] - w.bias[0]

    def one(X, s, l2):
        w = logistic_regression.fit(X, y, l2=l2, sample_weight=s).params
        return jnp.sum(w.weights**2) + w.bias

    slopes = (jax.jit(jax.grad(function, (0, 1, 2)))(X, s, 0.7) for function in (two, one))
    for a, b in zip(*slopes, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * float(np.abs(b).max()))


def test_the_derivative_of_the_biases_sums_to_zero(data):
    X, y, s = data
    slope = jax.jit(
        jax.jacfwd(
            lambda s: softmax_regression.fit(X, y, classes=3, l2=0.7, sample_weight=s).params.bias
        )
    )(s)
    np.testing.assert_allclose(slope.sum(axis=0), 0, atol=1e-10)
    assert float(jnp.abs(slope).max()) > 1e-3


def test_first_and_second_derivative_in_the_penalty_are_finite_differences(data):
    X, y, _ = data

    @jax.jit
    def answer(l2):
        p = softmax_regression.fit(X, y, classes=3, l2=l2).params
        return jnp.sum(p.weights**3) + p.bias[0]

    h = 1e-3
    central = (answer(0.7 + h) - answer(0.7 - h)) / (2 * h)
    slope = jax.jit(jax.grad(answer))
    np.testing.assert_allclose(slope(0.7), central, rtol=1e-4)
    second = (slope(0.7 + h) - slope(0.7 - h)) / (2 * h)
    np.testing.assert_allclose(jax.jit(jax.grad(slope))(0.7), second, rtol=1e-4)
    np.testing.assert_allclose(jax.jit(jax.jacfwd(jax.jacfwd(answer)))(0.7), second, rtol=1e-4)


def test_a_row_of_weight_two_is_the_row_twice_and_one_of_weight_zero_is_absent(data):
    X, y, _ = data
    s = np.ones(len(y))
    s[:20], s[60:70] = 2.0, 0.0
    holes = X.copy()
    holes[60:70] = np.nan
    weighted = softmax_regression.fit(holes, y, classes=3, l2=0.7, sample_weight=s)
    rows = np.repeat(np.arange(len(y)), s.astype(int))
    repeated = softmax_regression.fit(X[rows], y[rows], classes=3, l2=0.7)
    for a, b in zip(weighted.params, repeated.params, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_influence_equals_refitting_without_the_row(data):
    """Leave one out to second order: w(s − eᵢ) ≈ w − ∂w/∂sᵢ + ½ ∂²w/∂sᵢ²."""
    X, y, _ = data

    @jax.jit
    def answer(t):
        s = jnp.ones(len(y)).at[77].set(t)
        return softmax_regression.fit(X, y, classes=3, l2=0.7, sample_weight=s).params.weights

    first = jax.jit(jax.jacfwd(answer))
    out = answer(1.0) - first(1.0) + jax.jit(jax.jacfwd(first))(1.0) / 2
    gone = answer(0.0)
    assert float(jnp.abs(out - gone).max()) < 0.05 * float(jnp.abs(gone - answer(1.0)).max())


def test_the_gap_is_true_at_each_stopping_point(data):
    X, y, _ = data
    best = softmax_regression.fit(X, y, classes=3, l2=0.1).certificate.objective
    null = len(y) * np.log(3)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        start = Params(jnp.asarray(rng.normal(size=(3, 4))), jnp.asarray(rng.normal(size=3)))
        for steps in range(8):
            got = softmax_regression.fit(X, y, classes=3, l2=0.1, start=start, max_steps=steps)
            excess = float(got.certificate.objective - best)
            assert float(got.certificate.gap) * null >= 0.5 * excess - 1e-10


def test_separable_classes_drive_the_objective_to_zero():
    X, y = np.array([[-2.0], [-1.0], [5.0], [6.0]]), np.array([0, 0, 1, 1])
    fitted = softmax_regression.fit(X, y, classes=2, l2=0.0)
    assert 0 <= float(fitted.certificate.objective) < 1e-10
    assert np.isfinite(fitted.params.weights).all()


def test_an_unknown_label_that_counts_makes_nan_and_one_that_does_not_is_ignored(data):
    X, y, s = data
    wrong = y.copy()
    wrong[0] = 3
    fitted = softmax_regression.fit(X, wrong, classes=3, sample_weight=s)
    assert not bool(fitted.certificate.converged)
    assert np.isnan(softmax_regression.objective(fitted.params, X, wrong, sample_weight=s))
    s = s.copy()
    s[0] = 0
    assert bool(softmax_regression.fit(X, wrong, classes=3, sample_weight=s).certificate.converged)


def test_the_path_is_a_vmap(data):
    X, y, _ = data
    path = jax.vmap(lambda l2: softmax_regression.fit(X, y, classes=3, l2=l2))(
        jnp.array([0.1, 0.7, 10.0])
    )
    one = softmax_regression.fit(X, y, classes=3, l2=0.7)
    np.testing.assert_allclose(path.params.weights[1], one.params.weights, atol=1e-6)
    assert bool(path.certificate.converged.all())


def test_fewer_than_two_classes_are_refused(data):
    X, y, _ = data
    with pytest.raises(ValueError, match="classes must be at least 2, got 1"):
        softmax_regression.fit(X, y, classes=1)


@pytest.mark.parametrize(
    ("mean", "dtype"),
    [(300, np.float32), (1e3, np.float32), (1e4, np.float32), (1e6, np.float32), (1e6, np.float64)],
)
def test_the_certificate_is_true_however_far_the_columns_are_from_zero(mean, dtype):
    """Judged in float64 on the parameters that came back."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    y = (X @ rng.normal(size=(3, 3)) + rng.gumbel(size=(40, 3))).argmax(1)
    X = (X + mean).astype(dtype)
    wide = X.astype(float)
    best = softmax_regression.fit(wide - wide.mean(0), y, classes=3, tolerance=0.0)
    near = softmax_regression.fit((wide - wide.mean(0)).astype(dtype), y, classes=3)
    fitted = softmax_regression.fit(X, y, classes=3)
    W, b = (np.asarray(a, float) for a in fitted.params)
    z = wide @ W.T + b
    total = np.sum(np.log(np.exp(z - z.max(1)[:, None]).sum(1)) + z.max(1) - z[np.arange(40), y])
    excess = total + np.sum(W**2) / 2 - float(best.certificate.objective)
    excess /= 40 * np.log(3)
    eps = float(np.finfo(dtype).eps)
    judged = 4 * float(np.finfo(float).eps) * mean  # what the sum in float64 is worth
    assert excess <= 2 * max(float(fitted.certificate.gap), 4 * eps) + judged
    assert not fitted.certificate.converged or excess <= 8 * eps + judged
    assert bool(fitted.certificate.converged) == (dtype == np.float64 or mean < 2e3)
    assert int(fitted.certificate.steps) <= int(near.certificate.steps) + 1
    np.testing.assert_allclose(b.sum(), 0, atol=8 * eps * (1 + np.abs(b).max()))  # (3)


def test_a_start_is_a_plane_wherever_the_columns_lie(data, fitted):
    X, y, s = data
    given = {"classes": 3, "l2": 0.7, "sample_weight": s}
    there = softmax_regression.fit(X + 50, y, **given)
    np.testing.assert_allclose(there.params.weights, fitted.params.weights, atol=1e-6)
    assert (
        int(softmax_regression.fit(X + 50, y, start=there.params, **given).certificate.steps) <= 1
    )
    unmoved = softmax_regression.fit(X + 50, y, start=there.params, max_steps=0, **given)
    np.testing.assert_allclose(unmoved.params.bias, there.params.bias, rtol=1e-9)


def test_no_weight_at_all_is_nan(data):
    X, y, s = data
    fitted = softmax_regression.fit(X, y, classes=3, sample_weight=0 * s)
    assert np.isnan(fitted.params.bias).all()
    assert np.isnan(fitted.certificate.gap)
    assert not fitted.certificate.converged


def test_doubles_among_single_precision_are_taken_as_single(data):
    X, y, _ = data
    start = Params(jnp.zeros((3, 4)), jnp.zeros(3))
    fitted = softmax_regression.fit(
        X.astype(np.float32), y, classes=3, l2=np.float64(0.7), start=start
    )
    assert {a.dtype for a in (*fitted.params, *fitted.certificate[:2])} == {jnp.dtype("float32")}
    assert bool(fitted.certificate.converged)


def test_a_start_of_other_classes_is_refused(data):
    X, y, _ = data
    with pytest.raises(ValueError, match=r"^start must have 2 classes, got 3\."):
        softmax_regression.fit(X, y, start=Params(jnp.zeros((3, 4)), jnp.zeros(3)))


@pytest.mark.parametrize("l2", [1.0, -10.0, -1.0])
def test_without_convexity_nothing_is_proved(l2):
    X, y = np.arange(4.0)[:, None], np.array([1, 0, 1, 1])
    weight = np.array([-1.0, 1, 1, 1]) if l2 > 0 else np.ones(4)
    certificate = softmax_regression.fit(X, y, l2=l2, sample_weight=weight).certificate
    assert np.isnan(certificate.gap)
    assert not certificate.converged
