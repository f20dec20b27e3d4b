"""Adaline: eq. (1)–(4), its bound and its limit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.linear import adaline


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3))
    return X, X @ [1.0, -2.0, 0.5] + 0.7 + 0.3 * rng.normal(size=30)


def widrow_hoff(X, y, rate, decay, epochs, presented=None):
    """Eq. (2), one presentation at a time."""
    presented = np.ones(len(y), int) if presented is None else presented
    w, b = np.zeros(X.shape[1]), 0.0
    for epoch in range(epochs):
        for x, target, times in zip(X, y, presented, strict=True):
            for _ in range(times):
                e = target - w @ x - b
                w, b = w + rate / (1 + decay * epoch) * e * x, b + rate / (1 + decay * epoch) * e
    return w, b


def test_fit_is_the_rule(data):
    X, y = data
    w, b = widrow_hoff(X, y, 0.05, 0.3, 7)
    fitted = adaline.fit(X, y, learning_rate=0.05, decay=0.3, epochs=7)
    np.testing.assert_allclose(fitted.params.weights, w, rtol=1e-12)
    np.testing.assert_allclose(fitted.params.bias, b, rtol=1e-12)


@pytest.mark.parametrize("rate", [0.05, 0.25])  # with 0.25 some 1 − ηq are negative
def test_weight_is_the_number_of_presentations_in_a_row(data, rate):
    X, y = data
    s = np.random.default_rng(1).integers(0, 4, len(y))
    assert ((1 - rate * ((X**2).sum(1) + 1)).min() < 0) == (rate == 0.25)
    w, b = widrow_hoff(X, y, rate, 0.0, 5, s)
    holes = np.where((s == 0)[:, None], np.nan, X)
    fitted = adaline.fit(holes, y, learning_rate=rate, sample_weight=s.astype(float), epochs=5)
    np.testing.assert_allclose(fitted.params.weights, w, rtol=1e-9)
    np.testing.assert_allclose(fitted.params.bias, b, rtol=1e-9)


def test_without_noise_it_converges_to_the_plane(data):
    X, _ = data
    y = X @ [1.0, -2.0, 0.5] + 0.7
    fitted = adaline.fit(X, y, epochs=200)
    np.testing.assert_allclose(fitted.params.weights, [1.0, -2.0, 0.5], rtol=1e-6)
    assert bool(fitted.certificate.converged)


def test_with_a_falling_rate_it_converges_to_least_squares(data):
    X, y = data
    exact = np.linalg.lstsq(np.column_stack([X, np.ones(30)]), y, rcond=None)[0]
    error = []
    for epochs in (50, 500, 5000):
        p = adaline.fit(X, y, learning_rate=0.1, decay=0.1, epochs=epochs).params
        error.append(np.abs(np.append(p.weights, p.bias) - exact).max())
    assert error[0] > 2 * error[1] > 4 * error[2]
    assert error[2] < 1e-3
    constant = adaline.fit(X, y, learning_rate=0.1, epochs=5000).params
    assert np.abs(np.append(constant.weights, constant.bias) - exact).max() > 10 * error[2]


def test_the_bound_on_the_rate_separates_stable_from_unstable():
    X, y = np.array([[2.0]]), np.array([1.0])  # q = 5: stable for 0 < η < 0.4
    below = adaline.fit(X, y, learning_rate=0.39, epochs=500)
    above = adaline.fit(X, y, learning_rate=0.41, epochs=500)
    assert float(below.certificate.objective) < 1e-8
    assert float(above.certificate.objective) > 1e4


def test_the_gap_is_the_excess_over_least_squares(data):
    X, y = data
    A = np.column_stack([X, np.ones(30)])
    v = np.linalg.lstsq(A, y, rcond=None)[0]
    best, null = ((y - A @ v) ** 2).sum() / 2, ((y - y.mean()) ** 2).sum() / 2
    for epochs in (0, 1, 3, 10):
        c = adaline.fit(X, y, epochs=epochs).certificate
        np.testing.assert_allclose(c.gap * null, c.objective - best, rtol=1e-9)
        assert not bool(c.converged)


@pytest.mark.parametrize("argument", range(4))
def test_derivatives_are_finite_differences(data, argument):
    X, y = data

    @jax.jit
    def answer(X, y, s, rate):
        fit = adaline.fit(X, y, learning_rate=rate, sample_weight=s, epochs=4)
        return jnp.sum(fit.params.weights**2) + fit.params.bias + fit.certificate.objective

    at = [X, y, np.random.default_rng(2).integers(0, 3, 30).astype(float), np.array(0.05)]
    v = np.random.default_rng(3).normal(size=at[argument].shape)

    @jax.jit
    def along(t):
        moved = list(at)
        moved[argument] = at[argument] + t * v
        return answer(*moved)

    first = jax.jit(jax.grad(along))
    scale = 1e-2 if argument == 3 else 1.0
    h = 1e-4 * scale
    np.testing.assert_allclose(first(0.0), (along(h) - along(-h)) / (2 * h), rtol=1e-5)
    np.testing.assert_allclose(jax.jvp(along, (0.0,), (1.0,))[1], first(0.0), rtol=1e-10)
    np.testing.assert_allclose(
        jax.grad(first)(0.0), (first(h) - first(-h)) / (2 * h), rtol=1e-4, atol=1e-6
    )


def test_the_loss_takes_a_number(data):
    params = adaline.Params(jnp.array([1.0, 0.0, 2.0]), jnp.asarray(0.5))
    np.testing.assert_allclose(adaline.loss(params, np.array([1.0, 2.0, 3.0]), 1.0), 6.5**2 / 2)


@pytest.mark.parametrize("rate", [1.0, 10.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_rate_that_diverges_gives_the_last_finite_iterate(data, dtype, rate):
    X, y = (a.astype(dtype) for a in data)
    fitted = adaline.fit(X, y, learning_rate=rate, epochs=1000)
    assert all(np.isfinite(leaf).all() for leaf in fitted.params)
    assert np.isfinite(fitted.certificate.objective)
    assert float(fitted.certificate.gap) > 0.1
    assert not fitted.certificate.converged


def test_no_weight_at_all_is_not_converged(data):
    X, y = data
    fitted = adaline.fit(X, y, sample_weight=0 * y)
    assert np.isnan(fitted.certificate.gap)
    assert not fitted.certificate.converged


def test_doubles_among_single_precision_are_taken_as_single(data):
    X, y = (a.astype(np.float32) for a in data)
    start = adaline.Params(jnp.zeros(3), jnp.zeros(()))
    rate, decay = np.float64(0.05), np.float64(0.1)
    fitted = adaline.fit(X, y, learning_rate=rate, decay=decay, start=start)
    assert {a.dtype for a in (*fitted.params, *fitted.certificate[:2])} == {jnp.dtype("float32")}


def test_fewer_epochs_than_none_are_refused():
    with pytest.raises(ValueError, match="epochs must be 0 or more, got -1"):
        adaline.fit(np.ones((3, 1)), np.ones(3), epochs=-1)
