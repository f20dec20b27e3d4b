"""Row weights: what is cleared with them and what without, and eq. (1)."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.absence import cleared
from mlmath.statistics.weights import known, present, present_rows


def test_with_weights_present_clears_what_is_not_finite():
    X = np.array([[1.0, 2.0], [np.nan, 3.0], [4.0, np.inf], [5.0, 6.0]])
    y, s = np.array([1.0, 2.0, 3.0, np.nan]), np.array([2.0, 0.0, 1.0, 0.0])
    for ours, theirs in zip(present(X, y, s), cleared(X, y, s), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(present(X, y, s)[2], [2, 0, np.nan, 0])


def test_without_weights_every_row_counts_once_and_nothing_is_cleared_or_copied():
    X, y = np.array([[1.0], [np.nan], [np.inf]]), np.array([np.nan, 1.0, 2.0])
    ours = present(X, y, None)
    np.testing.assert_array_equal(ours[0], X)
    np.testing.assert_array_equal(ours[1], y)
    np.testing.assert_array_equal(ours[2], np.ones(3))
    X, y = jnp.asarray(X), jnp.asarray(y)
    ours = present(X, y, None)
    assert ours[0] is X
    assert ours[1] is y


@pytest.mark.parametrize("weight", [None, np.array([2.0, 0.0, 1.0])])
def test_rows_without_a_target_are_those_with_a_finite_one(weight):
    X = np.array([[1.0], [np.nan], [np.inf]])
    ours, (Xp, _, s) = present_rows(X, weight), present(X, np.zeros(3), weight)
    np.testing.assert_array_equal(ours[0], Xp)
    np.testing.assert_array_equal(ours[1], s)


@pytest.mark.parametrize("label", [int, bool, np.int8])
def test_labels_become_floats_of_the_dtype_of_the_features(label):
    X = np.ones((2, 1), np.float32)
    assert present(X, np.array([0, 1], label), None)[1].dtype == np.float32


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="X must have at least one row, got none"):
        present(np.ones((0, 2)), np.ones(0), None)


@pytest.mark.parametrize("s", list(itertools.product([0.0, 1.0, np.nan], repeat=2)))
@pytest.mark.parametrize("label", list(itertools.product([True, False], repeat=2)))
def test_known_is_its_definition(s, label):
    none = s[0] == 0 and s[1] == 0
    expected = [
        np.nan if none or (not known and si != 0) else si
        for si, known in zip(s, label, strict=True)
    ]
    np.testing.assert_array_equal(known(np.array(s), np.array(label)), expected)


def test_known_leaves_the_derivative_in_a_weight_alone():
    label = jnp.array([True, False, True])
    slope = jax.jacobian(lambda s: known(s, label))(jnp.array([2.0, 0.0, 0.0]))
    np.testing.assert_array_equal(slope, np.eye(3))
