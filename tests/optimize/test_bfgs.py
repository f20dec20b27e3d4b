"""BFGS: its laws, its search, its certificate, and SciPy's."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from mlmath.optimize import bfgs, newton

RNG = np.random.default_rng(0)
_A = RNG.normal(size=(6, 6))
A, B = jnp.asarray(_A @ _A.T + np.eye(6)), jnp.asarray(RNG.normal(size=6))


def quadratic(x, a, b):
    return x @ a @ x / 2 - b @ x + 10


def rosenbrock(x, a):
    return jnp.sum(a * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@jax.jit
def on_rosenbrock(x, steps):
    return bfgs.minimize(rosenbrock, x, 100.0, max_steps=steps)


@jax.jit
def on_quadratic(x, curvature, steps):
    return bfgs.minimize(quadratic, x, A, B, curvature=curvature, max_steps=steps)


STARTS = [[-1.2, 1.0, -1.2, 1.0, 1.2], [1.3, 0.7, 0.8, 1.9, 1.2], [0.0, 0.5, 0.0, 0.5, 3.0]]


@pytest.mark.parametrize("start", STARTS)
def test_rosenbrock_equals_scipy_in_about_as_many_evaluations(start):
    x, certificate = on_rosenbrock(jnp.array(start), 500)
    peer = scipy.optimize.minimize(
        scipy.optimize.rosen, start, jac=scipy.optimize.rosen_der, method="BFGS",
        options={"gtol": 1e-9},
    )  # fmt: skip
    np.testing.assert_allclose(x, peer.x, atol=1e-7)
    assert bool(certificate.converged)
    assert int(certificate.steps) <= 1.5 * peer.nfev


def test_with_an_exact_search_a_quadratic_takes_d_steps():
    """Two evaluations each: one trial and the secant of a quadratic, which is its minimiser."""
    x, certificate = on_quadratic(jnp.ones(6), 1e-9, 2 * (6 + 1))
    np.testing.assert_allclose(x, np.linalg.solve(A, B), rtol=1e-12)
    assert bool(certificate.converged)
    assert not bool(on_quadratic(jnp.ones(6), 1e-9, 6)[1].converged)


def exponential(x, a):
    return jnp.sum(jnp.exp(x)) + x @ a @ x / 2 - B @ x


def transcribed(x, steps):
    """Eq. (1) with the exact t, of which (2) holds for every c₂, and eq. (3), in NumPy."""

    def gradient(x):
        return np.exp(x) + A @ x - B

    g, eye = gradient(x), np.eye(len(x))
    direction, H, path = -g / np.linalg.norm(g), None, []
    for _ in range(steps):
        t = scipy.optimize.brentq(lambda t: gradient(x + t * direction) @ direction, 0, 100)  # noqa: B023
        s = t * direction
        v = gradient(x + s) - g
        rho = 1 / (s @ v)
        H = s @ v / (v @ v) * eye if H is None else H
        H = (eye - rho * np.outer(s, v)) @ H @ (eye - rho * np.outer(v, s)) + rho * np.outer(s, s)
        np.testing.assert_allclose(H @ v, s, rtol=1e-8)
        x, g = x + s, g + v
        direction = -H @ g
        path.append(x)
    return path


def test_steps_are_their_definition():
    @jax.jit
    def stopped(steps):
        return bfgs.minimize(exponential, jnp.ones(6), A, curvature=1e-7, max_steps=steps)[0]

    ours = np.array([stopped(k) for k in range(100)])
    path = transcribed(np.ones(6), 5)
    assert np.linalg.norm(path[-1] - path[-2]) > 1e-3
    for point in path:
        assert np.linalg.norm(ours - point[None], axis=1).min() < 1e-5


def test_a_length_meets_the_conditions_of_wolfe():
    """Eq. (2), of every pair of points the search went through."""
    path = [np.asarray(on_rosenbrock(jnp.array(STARTS[0]), k)[0]) for k in range(25)]
    path = [path[0], *(b for a, b in pairwise(path) if (a != b).any())]
    assert len(path) > 10
    for x, new in pairwise(path):
        before, after = (np.asarray(jax.grad(rosenbrock)(p, 100.0)) @ (new - x) for p in (x, new))
        drop = float(rosenbrock(new, 100.0)) - float(rosenbrock(x, 100.0))
        assert drop <= 1e-4 * before < 0
        assert abs(after) <= 0.9 * abs(before)


def test_never_rises():
    values = [rosenbrock(on_rosenbrock(jnp.array(STARTS[0]), k)[0], 100.0) for k in range(40)]
    assert all(b <= a for a, b in pairwise(values))
    assert values[-1] < values[0] / 10


def test_a_rotation_of_x_rotates_the_path():
    Q = jnp.asarray(np.linalg.qr(RNG.normal(size=(5, 5)))[0])
    start = jnp.array(STARTS[1])

    @jax.jit
    def rotated(x):
        return bfgs.minimize(lambda x, Q: rosenbrock(Q @ x, 100.0), x, Q, max_steps=15)[0]

    np.testing.assert_allclose(Q @ rotated(Q.T @ start), on_rosenbrock(start, 15)[0], atol=1e-6)


@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_a_factor_on_the_objective_changes_nothing(factor):
    @jax.jit
    def scaled(x, factor):
        return bfgs.minimize(lambda x, f: f * rosenbrock(x, 100.0), x, factor)

    start = jnp.array(STARTS[1])
    (x, certificate), (plain, reference) = scaled(start, factor), on_rosenbrock(start, 200)
    np.testing.assert_allclose(x, plain, rtol=1e-7)
    np.testing.assert_allclose(certificate.gap, reference.gap, rtol=1e-2)
    assert int(certificate.steps) == int(reference.steps)


@pytest.mark.parametrize("steps", [0, 500])
def test_the_gap_is_the_relative_gradient(steps):
    """Eq. (3) of ``descent``, where the last step was short or none was taken."""
    start = jnp.array(STARTS[2])
    x, certificate = on_rosenbrock(start, steps)
    g, H = jax.grad(rosenbrock)(x, 100.0), jax.hessian(rosenbrock)(x, 100.0)
    norm = np.linalg.norm(g)
    parabola = norm**3 / (g @ H @ g) if steps == 0 else 0.0
    first = rosenbrock(start, 100.0)
    change = norm * max(np.linalg.norm(x), 1, parabola)
    expected = change / (first + first - rosenbrock(x, 100.0))
    np.testing.assert_allclose(certificate.gap, expected, rtol=1e-4)
    np.testing.assert_allclose(certificate.objective, rosenbrock(x, 100.0), rtol=1e-9)
    assert bool(certificate.converged) == (expected <= 2.0 ** (-52 * 2 / 3))


def test_a_start_at_zero_is_not_taken_for_an_answer():
    _, certificate = on_quadratic(jnp.zeros(6), 0.9, 0)
    assert not bool(certificate.converged)
    assert float(certificate.gap) > 0.01


def test_where_newton_stops_at_a_saddle_it_goes_on():
    """Between two minima L is concave along x₀, and Newton's Hessian has no Cholesky factor."""

    def two_wells(x, a):
        return (x[0] ** 2 - a) ** 2 + (x[0] - x[1]) ** 2 + 0.1 * x[0] + 1

    start = jnp.array([-0.1, 0.3])
    _, stuck = newton.minimize(two_wells, start, 1.0, null_value=two_wells(start, 1.0))
    x, certificate = bfgs.minimize(two_wells, start, 1.0)
    peer = scipy.optimize.minimize(two_wells, start, (1.0,), jac=jax.grad(two_wells), tol=1e-10)
    assert not bool(stuck.converged)
    assert bool(certificate.converged)
    np.testing.assert_allclose(two_wells(x, 1.0), peer.fun, rtol=1e-9)
    assert (np.linalg.eigvalsh(jax.hessian(two_wells)(x, 1.0)) > 0).all()


def test_a_step_out_of_the_domain_is_not_taken():
    def barrier(x, a):
        return a * x - jnp.log(x)

    for start in (1e-3, 1.9, 500.0):
        x, certificate = bfgs.minimize(barrier, jnp.array(start), 1.0)
        np.testing.assert_allclose(x, 1.0, rtol=1e-7)
        assert bool(certificate.converged)


@pytest.mark.parametrize(("below", "part"), [(-np.inf, 0), (-5.0, 1)], ids=["value", "gradient"])
def test_a_trial_that_is_not_finite_is_not_taken(below, part):
    """At 0.5, the first trial, L is −∞, or low with a gradient that is NaN."""

    def cliff(x, a):
        edge = jnp.sqrt(jnp.maximum(x - 0.6, 0)) if part else 0
        return jnp.where(x < 0.6, below, a * (x - 1) ** 2) + 0 * edge

    assert not jnp.isfinite(jax.value_and_grad(cliff)(0.5, 1.0)[part])
    x, certificate = bfgs.minimize(cliff, jnp.array(1.5), 1.0)
    np.testing.assert_allclose(x, 1.0, rtol=1e-7)
    assert bool(certificate.converged)


def test_nan_and_no_minimum_are_not_converged():
    x, certificate = on_quadratic(jnp.ones(6) * jnp.nan, 0.9, 20)
    assert jnp.isnan(x).all()
    assert not bool(certificate.converged)
    _, certificate = bfgs.minimize(lambda x, a: a * x, jnp.array(1.0), -1.0, max_steps=30)
    assert not bool(certificate.converged)
    x, certificate = bfgs.minimize(lambda x, a: a + 0 * x, jnp.array(1.0), 1.0)
    assert bool(certificate.converged)
    assert (float(x), int(certificate.steps)) == (1, 0)


def test_derivatives_are_those_of_the_closed_form():
    def ours(b):
        return jnp.sum(jnp.sin(bfgs.minimize(quadratic, jnp.ones(6), A, b)[0]))

    def closed(b):
        return jnp.sum(jnp.sin(jnp.linalg.solve(A, b)))

    for derivative in (jax.grad, jax.hessian):
        np.testing.assert_allclose(derivative(ours)(B), derivative(closed)(B), rtol=1e-6, atol=1e-9)


def test_the_derivative_of_the_objective_is_the_envelope_theorem():
    def at_minimum(b):
        return bfgs.minimize(quadratic, jnp.ones(6), A, b)[1].objective

    np.testing.assert_allclose(jax.grad(at_minimum)(B), -np.linalg.solve(A, B), rtol=1e-8)


def test_lanes_of_a_batch_stand_alone():
    starts = jnp.array(STARTS)
    x, certificate = jax.vmap(lambda s: on_rosenbrock(s, 500))(starts)
    single = [on_rosenbrock(s, 500) for s in starts]
    np.testing.assert_allclose(x, [s[0] for s in single], atol=1e-9)
    assert certificate.converged.all()
    assert [int(s[1].steps) for s in single] == list(map(int, certificate.steps))


def test_single_precision_and_pytrees():
    def cost(params, a):
        return quadratic(jnp.append(params["w"], params["b"]), a, B.astype(a.dtype))

    start = {"w": jnp.zeros(5, jnp.float32), "b": jnp.zeros((), jnp.float32)}
    x, certificate = bfgs.minimize(cost, start, A.astype(jnp.float32))
    assert x["w"].dtype == certificate.gap.dtype == jnp.float32
    assert bool(certificate.converged)
    expected = np.linalg.solve(A, B)
    np.testing.assert_allclose(jnp.append(x["w"], x["b"]), expected, atol=1e-4)
