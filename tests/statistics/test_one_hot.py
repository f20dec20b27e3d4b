import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mlmath
from mlmath.statistics import one_hot

_SIZES = (0, 3, 0, 2)
_X = np.array([[0.5, 2.0, -1.0, 0.0], [7.0, 0.0, 0.0, 1.0], [np.nan, 1.0, 1.0, 1.0]])


def _naive(row, sizes):
    out = []
    for value, size in zip(row, sizes, strict=True):
        out += [value] if size == 0 else [1.0 if value == m else 0.0 for m in range(size)]
    return out


def test_transform_is_its_definition():
    Z = mlmath.rows(lambda sizes, x: one_hot.transform(x, sizes=_SIZES))(None, _X)
    np.testing.assert_array_equal(Z, [_naive(row, _SIZES) for row in _X])


@pytest.mark.parametrize("code", [-1.0, 3.0, 0.5, np.nan])
def test_an_unknown_code_is_all_zeros(code):
    np.testing.assert_array_equal(one_hot.transform(np.array([code]), sizes=(3,)), [0, 0, 0])


def test_indicators_of_a_known_code_sum_to_one():
    for code in range(4):
        assert one_hot.transform(np.array([float(code)]), sizes=(4,)).sum() == 1


def test_matches_scikit_learn():
    from sklearn.preprocessing import OneHotEncoder

    codes = np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]])
    ours = jax.vmap(lambda x: one_hot.transform(x, sizes=(3, 2)))(codes)
    np.testing.assert_array_equal(ours, OneHotEncoder().fit_transform(codes).toarray())


def test_derivative_is_that_of_the_numbers_alone():
    slope = jax.jacobian(lambda x: one_hot.transform(x, sizes=(0, 2)))(jnp.array([2.0, 1.0]))
    np.testing.assert_array_equal(slope, [[1, 0], [0, 0], [0, 0]])


def test_dtype_follows_the_input():
    assert one_hot.transform(np.ones(2, np.float32), sizes=(0, 2)).dtype == np.float32


def test_more_sizes_than_columns_are_refused():
    with pytest.raises(ValueError, match="2 columns, but x has 1"):
        one_hot.transform(np.ones(1), sizes=(2, 2))


def test_the_same_sizes_give_the_same_pair():
    assert one_hot.columns(_SIZES) is one_hot.columns(_SIZES)
    fitted = one_hot.columns(_SIZES).fit(_X)
    assert bool(fitted.certificate.converged)
    np.testing.assert_array_equal(
        one_hot.columns(_SIZES).transform(fitted.params, _X[0]), _naive(_X[0], _SIZES)
    )
