"""Gradient descent: its steps by their definition, its fall, its rate."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from mlmath.optimize import gradient_descent

CURVATURES = np.array([1.0, 3.0, 10.0])


@jax.jit
def path(x, steps):
    return gradient_descent.minimize(quadratic, x, CURVATURES, max_steps=steps)[0]


def quadratic(x, curvatures):
    return x @ (curvatures * x) / 2


def points(start, most):
    found = [np.asarray(path(jnp.asarray(start), k)) for k in range(most)]
    return [found[0], *(b for a, b in pairwise(found) if (a != b).any())]


def test_each_step_goes_straight_down_and_begins_with_the_length_that_fitted_the_last():
    """Eq. (1) for every step; where the first trial is taken, its length is (2)."""
    way = points([1.0, 2.0, -1.5], 25)
    assert len(way) > 8
    fitted, last = 0, None
    for x, new in pairwise(way):
        g = CURVATURES * x
        t = (x - new) @ g / (g @ g)
        np.testing.assert_allclose(x - new, t * g, rtol=1e-9, atol=1e-14)
        assert t >= 1 / 10 - 1e-9 or last is None
        if last is not None:
            s, v = x - last, CURVATURES * (x - last)
            fitted += bool(np.isclose(t, s @ v / (v @ v), rtol=1e-9))
        last = x
    assert fitted >= len(way) // 2


def test_every_step_falls_by_what_the_gradient_promises():
    """Eq. (3) with ℓ = 10, c₁ = 10⁻⁴ and c₂ = 0.9."""
    for x, new in pairwise(points([1.0, 2.0, -1.5], 40)):
        fall = quadratic(x, CURVATURES) - quadratic(new, CURVATURES)
        assert fall >= 1e-4 * 0.1 * np.sum((CURVATURES * x) ** 2) / 10


def test_it_ends_at_the_minimum_of_an_ill_conditioned_quadratic():
    curvatures = jnp.array([1.0, 1e3])
    x, certificate = gradient_descent.minimize(
        lambda x: jnp.sum(curvatures * (x - 1) ** 2), jnp.zeros(2)
    )
    assert bool(certificate.converged)
    np.testing.assert_allclose(x, 1, atol=1e-6)
