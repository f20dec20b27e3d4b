"""The perceptron: eq. (1)–(4) and the law of its weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.linear import perceptron


def separable(seed, n=60, d=3):
    """Classes, and (R/γ)² for the plane (u, v) that made them, eq. (4)."""
    rng = np.random.default_rng(seed)
    u = rng.normal(size=d + 1)
    u /= np.linalg.norm(u)
    X = rng.normal(size=(4 * n, d))
    margin = X @ u[:d] + u[d]
    keep = np.abs(margin) > 0.1
    X, margin = X[keep][:n], margin[keep][:n]
    bound = ((X**2).sum(1).max() + 1) / np.abs(margin).min() ** 2
    return X, (margin > 0).astype(int), bound


def rosenblatt(X, y, epochs, presented=None):
    """Eq. (2), one presentation at a time."""
    presented = np.ones(len(y), int) if presented is None else presented
    w, b, mistakes = np.zeros(X.shape[1]), 0.0, np.zeros(len(y))
    epoch = 0
    while epoch < epochs:
        epoch += 1
        before = mistakes.sum()
        for i in range(len(y)):
            for _ in range(presented[i]):
                t = 2 * y[i] - 1
                if t * (w @ X[i] + b) <= 0:
                    w, b, mistakes[i] = w + t * X[i], b + t, mistakes[i] + 1
        if mistakes.sum() == before:
            break
    return w, b, mistakes, epoch


@pytest.mark.parametrize("seed", range(4))
def test_fit_is_rosenblatts_rule(seed):
    X, y, _ = separable(seed)
    w, b, mistakes, epochs = rosenblatt(X, y, 500)
    fitted = perceptron.fit(X, y, max_steps=500)
    np.testing.assert_allclose(fitted.params.weights, w, rtol=1e-10)
    np.testing.assert_allclose(fitted.params.bias, b, rtol=1e-10)
    np.testing.assert_array_equal(fitted.mistakes, mistakes)
    assert int(fitted.certificate.steps) == epochs


@pytest.mark.parametrize("seed", range(8))
def test_separable_classes_cost_at_most_novikoffs_number_of_mistakes(seed):
    X, y, bound = separable(seed)
    fitted = perceptron.fit(X, y, max_steps=10_000)
    assert bool(fitted.certificate.converged)
    assert 0 < float(fitted.mistakes.sum()) <= bound
    predicted = jax.vmap(perceptron.predict, (None, 0))(fitted.params, X)
    np.testing.assert_array_equal(predicted, y)


def test_weight_is_the_number_of_presentations_in_a_row():
    X, y, _ = separable(3)
    s = np.random.default_rng(0).integers(0, 4, len(y))
    w, b, mistakes, _ = rosenblatt(X, y, 500, s)
    holes = np.where((s == 0)[:, None], np.nan, X)
    weighted = perceptron.fit(holes, y, sample_weight=s.astype(float), max_steps=500)
    np.testing.assert_allclose(weighted.params.weights, w, rtol=1e-10)
    np.testing.assert_allclose(weighted.params.bias, b, rtol=1e-10)
    np.testing.assert_array_equal(weighted.mistakes, mistakes)
    rows = np.repeat(np.arange(len(y)), s)
    repeated = perceptron.fit(X[rows], y[rows], max_steps=500)
    np.testing.assert_allclose(weighted.params.weights, repeated.params.weights, rtol=1e-10)
    np.testing.assert_allclose(weighted.certificate.gap, repeated.certificate.gap)


def test_the_first_steps_go_down_the_subgradient_of_the_criterion():
    X, y, _ = separable(1)
    params = perceptron.Params(jnp.asarray([-0.3, 0.2, 0.1]), jnp.asarray(0.05))
    z = X @ np.asarray(params.weights) + 0.05
    wrong = int(np.flatnonzero((2 * y - 1) * z < 0)[0])
    step = jax.grad(perceptron.loss)(params, X[wrong], jnp.asarray(y[wrong]))
    alone = X[wrong : wrong + 1], y[wrong : wrong + 1]
    one = perceptron.fit(*alone, start=params, max_steps=1, sample_weight=np.ones(1))
    assert float(one.mistakes[0]) == 1
    np.testing.assert_allclose(one.params.weights, params.weights - step.weights, rtol=1e-12)
    np.testing.assert_allclose(one.params.bias, params.bias - step.bias, rtol=1e-12)


def test_exclusive_or_never_converges_and_says_so():
    X, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    fitted = perceptron.fit(X, y, max_steps=200)
    assert int(fitted.certificate.steps) == 200
    assert not bool(fitted.certificate.converged)
    wrong = (2 * y - 1) * (X @ np.asarray(fitted.params.weights) + float(fitted.params.bias)) <= 0
    assert float(fitted.certificate.objective) == wrong.sum()
    assert float(fitted.certificate.gap) == wrong.mean() >= 0.25  # no plane gets all four


def test_derivative_in_the_features_is_that_of_the_mistakes_held_fixed():
    X, y, _ = separable(2)
    mistakes = perceptron.fit(X, y).mistakes
    slope = jax.jacrev(lambda X: perceptron.fit(X, y).params.weights)(X)
    want = np.einsum("jk,i->jik", np.eye(3), mistakes * (2 * y - 1))  # d of (3)
    np.testing.assert_allclose(slope, want, atol=1e-12)
    h = 1e-7 * np.random.default_rng(0).normal(size=X.shape)
    moved = perceptron.fit(X + h, y).params.weights - perceptron.fit(X - h, y).params.weights
    np.testing.assert_allclose(moved / 2, np.einsum("jik,ik->j", slope, h), atol=1e-12)


@pytest.mark.parametrize("coding", [(-1, 1), (1, 2)])
def test_labels_of_another_coding_show_as_nan(coding):
    X, y, _ = separable(0)
    other = np.where(y == 1, coding[1], coding[0])
    fitted = perceptron.fit(X, other)
    assert np.isnan(fitted.certificate.gap)
    assert not fitted.certificate.converged
    wrong = (other != 0) & (other != 1)
    absent = perceptron.fit(X, other, sample_weight=np.where(wrong, 0.0, 1.0))
    assert bool(absent.certificate.converged)


def test_no_weight_at_all_is_not_converged():
    X, y, _ = separable(0)
    fitted = perceptron.fit(X, y, sample_weight=np.zeros(len(y)))
    assert np.isnan(fitted.certificate.gap)
    assert not fitted.certificate.converged


def test_beyond_the_range_of_the_dtype_the_last_finite_iterate_comes_back():
    X, y, _ = separable(0)
    fitted = perceptron.fit((X * 1e20).astype(np.float32), y)
    assert all(np.isfinite(leaf).all() for leaf in fitted.params)
    assert float(fitted.certificate.gap) > 0
    assert not fitted.certificate.converged


def test_a_start_of_doubles_is_taken_as_single():
    X, y, _ = separable(0)
    start = perceptron.Params(jnp.zeros(3), jnp.zeros(()))
    fitted = perceptron.fit(X.astype(np.float32), y, start=start)
    assert {a.dtype for a in (*fitted.params, fitted.mistakes)} == {jnp.dtype("float32")}
