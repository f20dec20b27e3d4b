"""Divided differences against their definition in rational arithmetic and closed forms."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.linalg import divided_differences

POINTS = np.array([-2.0, -1e-9, 0.0, 1e-12, 1.0, 1.0 + 1e-9, 1.0 + 1e-3, 1.5, 7.0])


def quintic(x):
    return x**5 - 2 * x**2


def exact(*points):
    """Eq. (1), (2) of x⁵ − 2x² by complete symmetric polynomials: x^m has h_{m−k}(points)."""
    points = [Fraction(float(p)) for p in points]

    def h(order, points):
        if order < 0:
            return Fraction(0)
        if not points:
            return Fraction(int(order == 0))
        return sum(points[0] ** k * h(order - k, points[1:]) for k in range(order + 1))

    k = len(points) - 1
    return float(h(5 - k, points) - 2 * h(2 - k, points))


def test_first_differences_of_a_polynomial_keep_their_digits():
    a, b = (m.ravel() for m in np.meshgrid(POINTS, POINTS))
    found = divided_differences.first(quintic, a, b)
    right = [exact(*p) for p in zip(a, b, strict=True)]
    np.testing.assert_allclose(found, right, rtol=1e-13, atol=1e-20)


def test_second_differences_of_a_polynomial_keep_their_digits():
    a, b, c = (m.ravel() for m in np.meshgrid(POINTS, POINTS, POINTS))
    found = divided_differences.second(quintic, a, b, c)
    right = [exact(*p) for p in zip(a, b, c, strict=True)]
    np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_points_decades_apart_and_points_side_by_side_serve_one_function(dtype):
    """√ has f[a, b] = 1 / (√a + √b) and f[a, b, c] = −1 / ((√a + √b)(√b + √c)(√a + √c))."""
    points = np.array([1e-8, 1e-8 * (1 + 1e-5), 1e-4, 1.0, 1.0 + 1e-6, 30.0], dtype)
    a, b, c = np.meshgrid(points, points, points)
    x, y, z = np.sqrt(a.astype(float)), np.sqrt(b.astype(float)), np.sqrt(c.astype(float))
    epsilon = np.finfo(dtype).eps
    first = divided_differences.first(jnp.sqrt, a, b)
    second = divided_differences.second(jnp.sqrt, a, b, c)
    assert first.dtype == second.dtype == dtype
    np.testing.assert_allclose(first, 1 / (x + y), rtol=50 * epsilon)
    np.testing.assert_allclose(second, -1 / ((x + y) * (y + z) * (x + z)), rtol=500 * epsilon)


def test_a_kink_between_the_points_is_seen():
    a, b = np.array([1.0, 1.0, -1e-9]), np.array([-1e-3, -1.0, 1e-9])
    found = divided_differences.first(jax.nn.relu, a, b)
    np.testing.assert_allclose(found, [1 / 1.001, 0.5, 0.5], rtol=1e-14)


def test_differences_are_symmetric_and_a_missing_number_shows():
    a, b, c = np.array([3.0, np.nan]), np.array([1.0, 1.0]), np.array([2.0, 1.0])
    found = divided_differences.second(jnp.exp, a, b, c)
    np.testing.assert_allclose(found, divided_differences.second(jnp.exp, c, a, b), rtol=1e-15)
    assert np.isnan(found[1])
    assert np.isnan(divided_differences.first(jnp.exp, a, b)[1])
