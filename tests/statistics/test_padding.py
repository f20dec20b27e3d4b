import itertools

import numpy as np
import pytest

from mlmath.statistics import padding

_LENGTHS = [m * 2**e for m in (4, 5, 6, 7) for e in range(24)]


def test_bucket_is_its_definition():
    for n in itertools.chain(range(1, 2000), (10**5, 114_688, 114_689)):
        assert padding.bucket(n) == min(b for b in _LENGTHS if b >= max(n, 64))


def test_padding_is_at_most_a_fifth():
    assert all((padding.bucket(n) - n) / padding.bucket(n) < 0.2 for n in range(65, 5000))


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_padding_is_rows_of_zeros(shape):
    array = np.ones(shape, np.float32)
    padded = padding.pad(array, 5)
    assert padded.dtype == np.float32
    np.testing.assert_array_equal(padded[:3], array)
    np.testing.assert_array_equal(padded[3:], np.zeros((2, *shape[1:])))
