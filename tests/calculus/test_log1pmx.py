import math

import jax
import numpy as np
import pytest

from mlmath.calculus.log1pmx import log1pmx


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_digits_are_lost_near_zero_or_where_the_series_ends(dtype):
    u = np.array([-0.9, -0.0201, -0.0199, -1e-3, -1e-7, 1e-7, 1e-3, 0.0199, 0.0201, 3.0], dtype)
    right = [math.fsum((-1) ** (j + 1) * float(v) ** j / j for j in range(2, 40)) for v in u[1:-1]]
    ends = [math.log(0.1) + 0.9, math.log(4.0) - 3.0]
    found = np.asarray(log1pmx(u), float)
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(found[1:-1], right, rtol=500 * eps)
    np.testing.assert_allclose(found[[0, -1]], ends, rtol=10 * eps)


def test_the_derivative_is_its_own():
    for u in (1e-3, 0.5):
        np.testing.assert_allclose(jax.grad(log1pmx)(u), -u / (1 + u), rtol=1e-8)
    assert log1pmx(np.array(0.0)) == 0
    assert log1pmx(np.array(-1.0)) == -np.inf
