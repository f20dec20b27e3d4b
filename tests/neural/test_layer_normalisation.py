"""Layer normalisation: eq. (1) and (2), its invariances, and the constant example."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.preprocessing import scale

from mlmath.neural import layer_normalisation
from mlmath.neural.layer_normalisation import Params, predict

X = np.array([1.0, -2.0, 0.5, 4.0])
LEARNT = Params(jnp.array([1.0, 2.0, -1.0, 0.5]), jnp.array([0.1, 0.2, 0.3, 0.4]))


def test_prediction_is_its_definition():
    mean = sum(X) / 4
    variance = sum((v - mean) ** 2 for v in X) / 4  # (1)
    expected = [
        g * (v - mean) / np.sqrt(variance + 1e-3) + b for v, g, b in zip(X, *LEARNT, strict=True)
    ]  # (2)
    np.testing.assert_allclose(predict(LEARNT, X, eps=1e-3), expected, rtol=1e-13)


def test_it_starts_as_scikit_learn_scales():
    found = predict(layer_normalisation.init(4), X, eps=0.0)
    np.testing.assert_allclose(found, scale(X), rtol=1e-12)


def test_a_shift_and_a_factor_are_not_seen():
    same = predict(LEARNT, X, eps=0.0)
    np.testing.assert_allclose(predict(LEARNT, 3 * X - 7, eps=0.0), same, rtol=1e-12)
    slope = jax.jacobian(lambda x: predict(LEARNT, x, eps=0.0))(X)
    np.testing.assert_allclose(slope @ np.ones(4), 0, atol=1e-14)
    np.testing.assert_allclose(slope @ X, 0, atol=1e-14)


def test_the_derivative_is_a_difference():
    slope = jax.jacobian(lambda x: predict(LEARNT, x))(X)
    steps = 1e-6 * np.eye(4)
    differences = [(predict(LEARNT, X + h) - predict(LEARNT, X - h)) / 2e-6 for h in steps]
    np.testing.assert_allclose(slope, np.transpose(differences), rtol=1e-7, atol=1e-9)


def test_equal_numbers_give_the_shift_and_finite_derivatives():
    for eps in (0.0, 1e-5):

        def value(x, eps=eps):
            return predict(LEARNT, x, eps=eps)

        np.testing.assert_array_equal(value(np.full(4, 3.0)), LEARNT.shift)
        assert np.isfinite(jax.jacobian(value)(np.full(4, 3.0))).all()
        assert np.isfinite(jax.hessian(value)(np.full(4, 3.0))).all()


@pytest.mark.parametrize("eps", [0.0, 1e-5])
@pytest.mark.parametrize(
    ("number", "dtype"), [(0.1, np.float64), (0.1, np.float32), (1e5 / 3, np.float32)]
)
def test_equal_numbers_are_not_normalised_to_the_rounding_of_their_mean(number, dtype, eps):
    params = Params(jnp.ones(10), jnp.arange(10.0))
    flat = np.full(10, number, dtype)
    np.testing.assert_array_equal(predict(params, flat, eps=eps), params.shift)
    slope = jax.jacobian(lambda x: predict(params, x, eps=1e-5))(flat)
    np.testing.assert_allclose(slope, (np.eye(10) - 1 / 10) / 1e-5**0.5, rtol=1e-4)


@pytest.mark.parametrize("unit", [1e-25, 1e-3, 1e20, 1e36, 8e37])
def test_outputs_hold_in_single_precision_as_far_as_its_numbers_reach(unit):
    def outputs(x):
        return predict(LEARNT, x, eps=0.0)

    single = (unit * X).astype(np.float32)
    np.testing.assert_allclose(outputs(single), outputs(X), rtol=1e-5)
    if unit < 1e37:  # else no number of the dtype
        slope = jax.jacobian(outputs)(single)
        np.testing.assert_allclose(slope * unit, jax.jacobian(outputs)(X), rtol=1e-4, atol=1e-6)


def test_outputs_have_the_dtype_of_the_example():
    params = layer_normalisation.init(4)
    assert predict(params, X.astype(np.float32)).dtype == jnp.float32


def test_a_missing_number_shows():
    assert np.isnan(predict(LEARNT, np.array([1.0, np.nan, 2.0, 3.0]))).all()
