"""Losses: their definitions, their gradients, and that they keep their digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import hinge_loss, log_loss

from mlmath.arguments import ArgumentError
from mlmath.linear import logistic_regression, softmax_regression
from mlmath.neural import losses

Z = np.array([0.3, -1.2, 2.5])
BITS = np.array([1.0, 0.0, 1.0])
SHARES = np.array([0.2, 0.9, 1.0])


def test_losses_are_their_definitions():
    r = [z - t for z, t in zip(Z, SHARES, strict=True)]
    np.testing.assert_allclose(losses.squared(Z, SHARES), sum(v**2 for v in r) / 2, rtol=1e-13)
    huber = sum(v**2 / 2 if abs(v) <= 1.3 else 1.3 * (abs(v) - 0.65) for v in r)  # (2)
    np.testing.assert_allclose(losses.huber(Z, SHARES, threshold=1.3), huber, rtol=1e-13)
    hinge = sum(max(0, 1 - (2 * t - 1) * z) for z, t in zip(Z, BITS, strict=True))  # (3)
    np.testing.assert_allclose(losses.hinge(Z, BITS), hinge, rtol=1e-13)
    entropy = sum(
        t * np.log(1 + np.exp(-z)) + (1 - t) * np.log(1 + np.exp(z))
        for z, t in zip(Z, SHARES, strict=True)
    )  # (4)
    np.testing.assert_allclose(losses.binary_cross_entropy(Z, SHARES), entropy, rtol=1e-13)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("label", [0, 2])
def test_softmax_cross_entropy_is_its_definition(label, smoothing):
    p = np.exp(Z) / sum(np.exp(v) for v in Z)
    q = [(1 - smoothing) * (c == label) + smoothing / 3 for c in range(3)]
    expected = -sum(q[c] * np.log(p[c]) for c in range(3))  # (5)
    for y in (label, float(label), jnp.asarray(label)):
        found = losses.softmax_cross_entropy(Z, y, smoothing=smoothing)
        np.testing.assert_allclose(found, expected, rtol=1e-13)
    slope = jax.grad(losses.softmax_cross_entropy)(Z, label, smoothing=smoothing)
    np.testing.assert_allclose(slope, p - q, rtol=1e-12)


def test_gradients_are_the_residuals_of_the_book():
    np.testing.assert_allclose(jax.grad(losses.squared)(Z, SHARES), Z - SHARES, rtol=1e-13)
    clipped = np.clip(Z - SHARES, -1.3, 1.3)
    slope = jax.grad(losses.huber)(Z, SHARES, threshold=1.3)
    np.testing.assert_allclose(slope, clipped, rtol=1e-13)
    np.testing.assert_allclose(jax.grad(losses.hinge)(Z, BITS), [-1, 1 * (Z[1] > -1), 0])
    sigmoid = 1 / (1 + np.exp(-Z))
    slope = jax.grad(losses.binary_cross_entropy)(Z, SHARES)
    np.testing.assert_allclose(slope, sigmoid - SHARES, rtol=1e-12)


def test_kinks_and_their_neighbourhood():
    one, zero = np.ones(1), np.zeros(1)
    assert float(jax.grad(losses.hinge)(one, 1)[0]) == 0  # t z = 1
    assert float(jax.hessian(losses.huber)(zero, 0.0)[0, 0]) == 1  # smooth where it is squared
    assert float(jax.grad(losses.huber)(one, 0.0)[0]) == 1  # |r| = δ, where both agree


def test_scikit_learn_says_the_same():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(20, 3)), rng.integers(0, 3, size=20)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    ours = jax.vmap(losses.softmax_cross_entropy)(z, y).mean()
    np.testing.assert_allclose(ours, log_loss(y, p), rtol=1e-12)
    ours = jax.vmap(losses.hinge)(z[:, :1], y == 2).mean()
    np.testing.assert_allclose(ours, hinge_loss(y == 2, z[:, 0]), rtol=1e-12)
    ours = jax.vmap(losses.binary_cross_entropy)(z[:, :1], y == 2).mean()
    np.testing.assert_allclose(ours, log_loss(y == 2, 1 / (1 + np.exp(-z[:, 0]))), rtol=1e-12)


def test_the_linear_models_have_these_losses():
    x = np.array([0.5, -1.0])
    planes = softmax_regression.Params(jnp.arange(6.0).reshape(3, 2), jnp.arange(3.0))
    z = softmax_regression.log_odds(planes, x)
    np.testing.assert_allclose(
        losses.softmax_cross_entropy(z, 1), softmax_regression.loss(planes, x, 1), rtol=1e-12
    )
    plane = logistic_regression.Params(jnp.array([1.0, 3.0]), jnp.asarray(0.2))
    z = logistic_regression.log_odds(plane, x)
    np.testing.assert_allclose(
        losses.binary_cross_entropy(z[None], 1.0), logistic_regression.loss(plane, x, 1), rtol=1e-12
    )


@pytest.mark.parametrize("z", [-1e4, 1e4])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_value_and_gradient_are_right_at_ten_thousand_in_float32(z, y):
    one, two = np.array([z], np.float32), np.array([0, z], np.float32)
    wrong = (z > 0) != (y == 1)
    expected = {  # what the definitions say with all digits
        "squared": ((z - y) ** 2 / 2, z - y),
        "huber": (abs(z - y) - 0.5, np.sign(z)),
        "hinge": (1 + 1e4 if wrong else 0, (1 - 2 * y) * wrong),
        "binary_cross_entropy": (1e4 * wrong, (1 - 2 * y) * wrong),
    }
    for name, (value, slope) in expected.items():
        found = jax.value_and_grad(getattr(losses, name))(one, y)
        np.testing.assert_allclose(found[0], value, rtol=1e-6)
        np.testing.assert_allclose(found[1], [slope], rtol=1e-6)
        assert found[0].dtype == found[1].dtype == jnp.float32
    value, slope = jax.value_and_grad(losses.softmax_cross_entropy)(two, y)
    np.testing.assert_allclose(value, 1e4 * wrong)
    np.testing.assert_allclose(slope, np.array([2 * y - 1, 1 - 2 * y]) * wrong)


def test_a_small_loss_keeps_its_digits_in_float32():
    z = np.array([20.0], np.float32)
    np.testing.assert_allclose(losses.binary_cross_entropy(z, 1), np.exp(-20), rtol=1e-5)
    np.testing.assert_allclose(losses.binary_cross_entropy(-z, 0), np.exp(-20), rtol=1e-5)


def test_a_target_that_is_none_shows():
    for y in (-1, 3, 0.5, np.nan):
        assert np.isnan(losses.softmax_cross_entropy(Z, y))
    for y in (-1, 2, np.nan):
        assert np.isnan(losses.hinge(Z[:1], y))
        assert np.isnan(losses.binary_cross_entropy(Z[:1], y))
    assert np.isnan(losses.hinge(Z[:1], 0.5))
    one_of_three = np.array([1.0, 0.0, 2.0])
    assert np.isnan(losses.hinge(Z, one_of_three))
    assert np.isnan(losses.binary_cross_entropy(Z, one_of_three))


NONE = [
    (losses.squared, Z, np.array([0.0, np.nan, 1.0])),
    (losses.huber, Z, np.array([0.0, np.nan, 1.0])),
    (losses.huber, 1e3 * Z, np.array([0.0, np.nan, 1.0])),
    (losses.hinge, Z, np.array([1.0, 0.0, 0.5])),
    (losses.hinge, 10 * np.abs(Z), np.array([1, 2, 1])),
    (losses.binary_cross_entropy, Z, np.array([1.0, 0.0, -0.5])),
    (losses.binary_cross_entropy, Z, np.array([1.0, 0.0, np.nan])),
    (losses.softmax_cross_entropy, Z, 3),
    (losses.softmax_cross_entropy, Z, 0.5),
]
KINKED = (losses.hinge, losses.huber)  # whose second derivative is 0 on straight pieces


@pytest.mark.parametrize(("loss", "z", "y"), NONE)
def test_a_target_that_is_none_shows_in_the_derivatives_too(loss, z, y):
    value, slope = jax.jit(jax.value_and_grad(loss))(z, y)
    assert np.isnan(value)
    assert np.isnan(slope).all()
    assert np.isnan(jax.jacfwd(loss)(z, y)).all()
    assert loss in KINKED or np.isnan(np.diag(jax.hessian(loss)(z, y))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_class_that_is_left_out_costs_nothing(dtype):
    z = np.array([1, -np.inf, 2], dtype)
    rest = z[[0, 2]]
    found = losses.softmax_cross_entropy(z, 0)
    np.testing.assert_allclose(found, losses.softmax_cross_entropy(rest, 0), rtol=1e-6)
    for slope in (jax.grad, jax.jacfwd):
        expected = np.insert(slope(losses.softmax_cross_entropy)(rest, 0), 1, 0)
        np.testing.assert_allclose(slope(losses.softmax_cross_entropy)(z, 0), expected, rtol=1e-6)
    bend = jax.hessian(losses.softmax_cross_entropy)(z, 0)
    np.testing.assert_array_equal(bend[1], 0)
    expected = jax.hessian(losses.softmax_cross_entropy)(rest, 0)
    np.testing.assert_allclose(bend[::2, ::2], expected, rtol=1e-6)
    assert np.isposinf(losses.softmax_cross_entropy(z, 1))
    assert np.isposinf(losses.softmax_cross_entropy(z, 0, smoothing=0.1))
    assert np.isnan(losses.softmax_cross_entropy(z, 3))


@pytest.mark.parametrize("loss", [losses.hinge, losses.binary_cross_entropy])
def test_labels_of_many_outputs_are_integers_or_booleans_too(loss):
    expected = loss(Z, BITS)
    for kind in (int, bool, np.float32, np.int32):
        found = loss(Z, BITS.astype(kind))
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(loss(Z[:1], kind(1)), loss(Z[:1], 1.0))


def test_misuse_is_refused():
    with pytest.raises(ArgumentError, match=r"integer or boolean array of shape \(k,\) with k = 3"):
        losses.hinge(Z, np.array([0, 1]))
    with pytest.raises(ValueError, match="one number for each output, 3, got 1"):
        losses.squared(Z, 1.0)
    with pytest.raises(ValueError, match="at least two outputs, got 1"):
        losses.softmax_cross_entropy(Z[:1], 0)
