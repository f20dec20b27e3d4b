"""Functions to watch methods on: their formulas, and that all said of them is so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der, rosen_hess

from mlmath.optimize import landscapes

POINTS = np.random.default_rng(0).uniform(-3, 3, (20, 2))
CASES = pytest.mark.parametrize("name", landscapes.STANDARD)


def rosenbrock(u, v):
    return 100 * (v - u**2) ** 2 + (1 - u) ** 2


def beale(u, v):
    return (
        (3 / 2 - u * (1 - v)) ** 2 + (9 / 4 - u * (1 - v**2)) ** 2 + (21 / 8 - u * (1 - v**3)) ** 2
    )


def himmelblau(u, v):
    return (u**2 + v - 11) ** 2 + (u + v**2 - 7) ** 2


@pytest.mark.parametrize("definition", [rosenbrock, beale, himmelblau])
def test_a_function_is_its_definition(definition):
    function = getattr(landscapes, definition.__name__)
    assert landscapes.STANDARD[definition.__name__.title()].function is function
    expected = [definition(u, v) for u, v in POINTS.tolist()]
    np.testing.assert_allclose(jax.vmap(function)(POINTS), expected, rtol=1e-13)


def test_rosenbrock_is_that_of_scipy():
    point = jnp.array([-0.7, 1.6])
    np.testing.assert_allclose(landscapes.rosenbrock(point), rosen(point))
    np.testing.assert_allclose(jax.grad(landscapes.rosenbrock)(point), rosen_der(point))
    np.testing.assert_allclose(jax.hessian(landscapes.rosenbrock)(point), rosen_hess(point))


@pytest.mark.parametrize(
    ("name", "point", "value", "digits"),
    [
        ("Rosenbrock", (-1.2, 1), 24.2, 12),  # Moré, Garbow & Hillstrom, problem 1, at the start
        ("Rosenbrock", (1, 1), 0, 12),
        ("Beale", (1, 1), 14.203125, 12),  # their problem 5, at the start
        ("Beale", (3, 0.5), 0, 12),
        ("Himmelblau", (0, 0), 170, 12),  # 11² + 7²
        ("Himmelblau", (3, 2), 0, 12),
        ("Himmelblau", (-0.270845, -0.923039), 181.617, 3),  # the maximum
    ],
)
def test_values_are_those_in_print(name, point, value, digits):
    found = landscapes.STANDARD[name].function(jnp.array(point, float))
    assert round(float(found), digits) == pytest.approx(value, abs=1e-13)


@CASES
def test_every_minimum_is_stationary_with_value_0_and_curved_upwards(name):
    function, minima, *_ = landscapes.STANDARD[name]
    for minimum in jnp.array(minima):
        np.testing.assert_allclose(function(minimum), 0, atol=1e-26)
        np.testing.assert_allclose(jax.grad(function)(minimum), 0, atol=1e-12)
        assert jnp.linalg.eigvalsh(jax.hessian(function)(minimum)).min() > 0


@CASES
def test_the_window_holds_the_start_and_every_minimum(name):
    _, minima, start, window = landscapes.STANDARD[name]
    for point in (start, *minima):
        assert all(low < x < high for x, (low, high) in zip(point, window, strict=True))


def test_the_curvatures_of_rosenbrock_differ_by_2508():
    m, L = jnp.linalg.eigvalsh(jax.hessian(landscapes.rosenbrock)(jnp.ones(2)))
    assert round(float(L / m)) == 2508


def test_beale_is_constant_on_a_line_with_a_saddle():
    line = jnp.stack([jnp.linspace(-4, 4, 9), jnp.ones(9)], axis=1)
    np.testing.assert_array_equal(jax.vmap(landscapes.beale)(line), 14.203125)
    saddle = jnp.array([0.0, 1.0])
    np.testing.assert_array_equal(jax.grad(landscapes.beale)(saddle), 0)
    assert jnp.linalg.det(jax.hessian(landscapes.beale)(saddle)) < 0


def test_himmelblau_has_four_minima_a_maximum_and_four_saddles_and_no_more():
    """Newton's method from all over the window: by Bézout there are at most 3 · 3 such points."""
    f = landscapes.himmelblau

    def newton(x, _):
        return x - jnp.linalg.solve(jax.hessian(f)(x), jax.grad(f)(x)), None

    u, v = np.meshgrid(np.linspace(-5, 5, 12), np.linspace(-5, 5, 12))
    starts = np.stack([u.ravel(), v.ravel()], axis=1)
    ends, _ = jax.lax.scan(jax.vmap(newton, (0, None)), starts, length=60)
    points = np.unique(np.asarray(ends).round(9), axis=0)
    signs = jnp.sign(jnp.linalg.eigvalsh(jax.vmap(jax.hessian(f))(points))).sum(axis=1)
    assert sorted(signs.tolist()) == [-2] + 4 * [0] + 4 * [2]
    listed = landscapes.STANDARD["Himmelblau"].minima
    np.testing.assert_allclose(sorted(points[signs == 2].tolist()), sorted(listed), atol=1e-9)
