"""Nonlinear conjugate gradients: the linear method on a quadratic, and descent everywhere."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from mlmath.linalg import krylov
from mlmath.optimize import conjugate_gradient, descent, line_search

RNG = np.random.default_rng(0)
_A = RNG.normal(size=(6, 6))
A, B = jnp.asarray(_A @ _A.T + np.eye(6)), jnp.asarray(RNG.normal(size=6))


def quadratic(x):
    return x @ A @ x / 2 - B @ x + 10


@jax.jit
def exactly(steps):
    return conjugate_gradient.minimize(quadratic, jnp.zeros(6), curvature=1e-9, max_steps=steps)


def test_on_a_quadratic_with_exact_searches_it_is_the_linear_method():
    """Every iterate of ``linalg.krylov`` is met on the way; the sixth is the solution."""
    ours = np.array([exactly(k)[0] for k in range(20)])
    for k in range(1, 7):
        theirs = krylov.conjugate_gradients(lambda v: A @ v, B, max_steps=k, tolerance=0.0)
        assert np.linalg.norm(ours - theirs[None], axis=1).min() < 1e-7 * np.linalg.norm(theirs)
    np.testing.assert_allclose(exactly(20)[0], np.linalg.solve(A, B), rtol=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_the_direction_is_its_definition_and_descends(seed):
    """Eq. (1) and (2) in NumPy, and (3), for any two gradients at all."""
    rng = np.random.default_rng(seed)
    d, before, g = rng.normal(size=(3, 7))
    before -= d * (before @ d + 1) / (d @ d)  # gᵀd = −1: L fell along d
    g *= 10.0 ** rng.integers(-3, 4)
    g += d * (0.1 - g @ d) / (d @ d)  # dᵀv > 0, as the search promises
    point = line_search.Point(jnp.zeros(7), jnp.zeros(()), jnp.asarray(before))
    found = line_search.Found(
        point._replace(gradient=jnp.asarray(g)), jnp.asarray(0.5), jnp.asarray(1), jnp.asarray(True)
    )
    aim = conjugate_gradient._turn(descent.Aim(jnp.asarray(d), 0.5, ()), point, found)
    v = g - before
    beta = (v - 2 * d * (v @ v) / (d @ v)) @ g / (d @ v)
    expected = -g + max(beta, 0.4 * (before @ d) / (d @ d)) * d
    np.testing.assert_allclose(aim.direction, expected, rtol=1e-9, atol=1e-12)
    assert g @ aim.direction <= -7 / 8 * (g @ g) * (1 - 1e-9)
    np.testing.assert_allclose(aim.length, 0.5 * (before @ d) / (g @ expected), rtol=1e-9)


def test_it_needs_fewer_evaluations_than_descent_where_curvatures_differ():
    start = np.tile([-1.2, 1.0], 10)

    def valleys(x):
        return jnp.sum(100 * (x[1::2] - x[::2] ** 2) ** 2 + (1 - x[::2]) ** 2)

    x, certificate = jax.jit(lambda x: conjugate_gradient.minimize(valleys, x))(start)
    assert bool(certificate.converged)
    peer = scipy.optimize.minimize(valleys, start, jac=jax.grad(valleys), method="CG")
    assert float(valleys(x)) <= peer.fun + 1e-9
    assert int(certificate.steps) <= 3 * peer.nfev


def test_never_rises():
    def valley(x):
        return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2

    run = jax.jit(
        lambda k: conjugate_gradient.minimize(valley, jnp.array([-1.2, 1.0]), max_steps=k)
    )
    values = [float(valley(run(k)[0])) for k in range(60)]
    assert all(b <= a for a, b in pairwise(values))
    assert values[-1] < values[0] / 50
