"""Row weights: eq. (1)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlmath.statistics.weights import present

number = st.floats(-100, 100, allow_subnormal=False) | st.sampled_from([np.nan, np.inf, -np.inf])


@settings(deadline=None, max_examples=100)
@given(
    arrays(float, (4, 2), elements=number),
    arrays(float, 4, elements=number),
    arrays(float, 4, elements=st.sampled_from([0.0, 1.0, 2.5])),
)
def test_present_is_its_definition(X, y, s):
    ours = present(X, y, s)
    for i in range(4):
        finite = np.isfinite(X[i]).all() and np.isfinite(y[i])
        np.testing.assert_array_equal(ours[0][i], X[i] if finite else [0, 0])
        np.testing.assert_array_equal(ours[1][i], y[i] if finite else 0)
        np.testing.assert_array_equal(ours[2][i], s[i] if finite else (0 if s[i] == 0 else np.nan))


def test_without_weights_every_row_counts_once():
    np.testing.assert_array_equal(present(np.ones((3, 1)), np.ones(3), None)[2], np.ones(3))


@pytest.mark.parametrize("label", [int, bool, np.int8])
def test_labels_become_floats_of_the_dtype_of_the_features(label):
    X = np.ones((2, 1), np.float32)
    assert present(X, np.array([0, 1], label), None)[1].dtype == np.float32


def test_the_influence_of_a_finite_row_at_weight_zero_survives():
    X, y = jnp.ones((3, 1)), jnp.array([1.0, 2.0, 3.0])

    def total(s):
        _, y_, s_ = present(X, y, s)
        return s_ @ y_

    np.testing.assert_array_equal(jax.grad(total)(jnp.zeros(3)), y)


def test_absent_rows_have_no_derivative():
    X = jnp.array([[1.0], [jnp.nan]])

    def total(X):
        X_, y_, s_ = present(X, jnp.ones(2), jnp.array([1.0, 0.0]))
        return jnp.sum(s_[:, None] * X_ * y_[:, None])

    np.testing.assert_array_equal(jax.grad(total)(X), [[1.0], [0.0]])


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="X must have at least one row, got none"):
        present(np.ones((0, 2)), np.ones(0), None)
