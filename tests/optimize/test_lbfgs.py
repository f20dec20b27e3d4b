"""L-BFGS: the product without the matrix is the product with it, and a quadratic ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from mlmath.optimize import lbfgs

RNG = np.random.default_rng(0)
_A = RNG.normal(size=(6, 6))
A, B = jnp.asarray(_A @ _A.T + np.eye(6)), jnp.asarray(RNG.normal(size=6))


def exponential(x):
    return jnp.sum(jnp.exp(x)) + x @ A @ x / 2 - B @ x


def gradient(x):
    return np.exp(x) + np.asarray(A) @ x - np.asarray(B)


def transcribed(x, steps, memory):
    """Eq. (1) with dense H over the last pairs and the exact length of each step, in NumPy."""
    g, eye, pairs, way = gradient(x), np.eye(6), [], []
    direction = -g / np.linalg.norm(g)
    for _ in range(steps):
        t = scipy.optimize.brentq(lambda t: gradient(x + t * direction) @ direction, 0, 100)  # noqa: B023
        s = t * direction
        v = gradient(x + s) - g
        pairs = [*pairs, (s, v)][-memory:]
        H = s @ v / (v @ v) * eye
        for a, b in pairs:
            rho = 1 / (a @ b)
            H = (eye - rho * np.outer(a, b)) @ H @ (eye - rho * np.outer(b, a))
            H += rho * np.outer(a, a)
        x, g = x + s, g + v
        direction = -H @ g
        way.append(x)
    return way


@pytest.mark.parametrize("memory", [1, 2, 10])
def test_steps_are_their_definition(memory):
    """With c₂ = 10⁻⁷ the search is exact; every point of the transcription is met on the way."""

    @jax.jit
    def stopped(steps):
        return lbfgs.minimize(
            exponential, jnp.ones(6), curvature=1e-7, memory=memory, max_steps=steps
        )[0]

    ours = np.array([stopped(k) for k in range(100)])
    way = transcribed(np.ones(6), 6, memory)
    assert np.linalg.norm(way[-1] - way[-2]) > 1e-4
    for point in way:
        assert np.linalg.norm(ours - point[None], axis=1).min() < 1e-5


@pytest.mark.parametrize("memory", [1, 3])
def test_with_exact_searches_a_quadratic_takes_d_steps(memory):
    """Two trials each, the second of which is the minimum along the line."""

    def quadratic(x):
        return x @ A @ x / 2 - B @ x + 10

    x, certificate = lbfgs.minimize(
        quadratic, jnp.ones(6), curvature=1e-9, memory=memory, max_steps=2 * (6 + 1)
    )
    np.testing.assert_allclose(x, np.linalg.solve(A, B), rtol=1e-9)
    assert bool(certificate.converged)


def test_rosenbrock_in_many_dimensions_takes_about_as_many_evaluations_as_scipy():
    def valleys(x):
        return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    start = np.tile([-1.2, 1.0], 50)
    x, certificate = jax.jit(lambda x: lbfgs.minimize(valleys, x, tolerance=1e-10))(start)
    peer = scipy.optimize.minimize(
        scipy.optimize.rosen, start, jac=scipy.optimize.rosen_der, method="L-BFGS-B",
        options={"gtol": 1e-8, "ftol": 0, "maxfun": 10_000, "maxiter": 10_000},
    )  # fmt: skip
    assert bool(certificate.converged)
    assert float(valleys(x)) <= peer.fun + 1e-9
    assert int(certificate.steps) <= 1.5 * peer.nfev


def test_a_memory_of_nothing_is_refused():
    with pytest.raises(ValueError, match="memory must be at least 1, got 0"):
        lbfgs.minimize(exponential, jnp.ones(6), memory=0)
