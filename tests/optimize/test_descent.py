"""What the minimisers share: their minima, their certificates, their derivatives, their limits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from mlmath.calculus import implicit
from mlmath.linear import logistic_regression
from mlmath.optimize import (
    conjugate_gradient,
    descent,
    gradient_descent,
    landscapes,
    lbfgs,
    newton,
)

METHODS = {"gradient descent": gradient_descent, "l-bfgs": lbfgs, "cg": conjugate_gradient}
every = pytest.mark.parametrize("name", METHODS)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = (X @ [1.0, -1.0, 0.5] + RNG.logistic(size=40) > 0).astype(float)


def minimize(name, *args, **options):
    return METHODS[name].minimize(*args, **options)


def smooth(x, a):
    """Strictly convex, and nothing like a quadratic."""
    return jnp.sum(jnp.exp(x) - a * x) + jnp.sum(x[1:] * x[:-1]) / 4 + jnp.sum(x**2) / 2


@every
@pytest.mark.parametrize("landscape", landscapes.STANDARD)
def test_a_landscape_is_descended_to_a_minimum_as_scipy_finds_it(name, landscape):
    standard = landscapes.STANDARD[landscape]
    start = jnp.asarray(standard.start)
    x, certificate = minimize(name, lambda x: standard.function(x), start, max_steps=50_000)
    assert bool(certificate.converged)
    peer = scipy.optimize.minimize(
        lambda x: float(standard.function(jnp.asarray(x))), start, jac=jax.grad(standard.function)
    )
    assert float(standard.function(x)) <= peer.fun + 1e-8
    distances = np.linalg.norm(np.asarray(standard.minima) - np.asarray(x)[None], axis=1)
    assert distances.min() < 1e-3


@every
def test_logistic_regression_is_met_to_eight_digits(name):
    theirs = logistic_regression.fit(X, Y, l2=0.7)
    start = logistic_regression.Params(jnp.zeros(3), jnp.zeros(()))
    x, certificate = minimize(
        name, lambda p, l2: logistic_regression.objective(p, X, Y, l2=l2), start, 0.7,
        tolerance=1e-14, max_steps=50_000,
    )  # fmt: skip
    np.testing.assert_allclose(x.weights, theirs.params.weights, rtol=1e-8)
    np.testing.assert_allclose(certificate.objective, theirs.certificate.objective, rtol=1e-12)


@every
@pytest.mark.parametrize("steps", [0, 5, 10_000])
def test_the_gap_is_the_relative_gradient(name, steps):
    """Eq. (3) where r ≤ ‖x‖."""
    start, a = jnp.array([2.0, -1.0, 0.5]), jnp.array([1.0, 3.0, 0.5])
    x, certificate = minimize(name, smooth, start, a, null_value=-7.0, max_steps=steps)
    change = np.linalg.norm(jax.grad(smooth)(x, a)) * max(np.linalg.norm(x), 1)
    np.testing.assert_allclose(certificate.gap, change / 7, rtol=1e-4)
    assert int(certificate.steps) <= steps
    x, certificate = minimize(name, smooth, start, a, max_steps=steps)
    change = np.linalg.norm(jax.grad(smooth)(x, a)) * max(np.linalg.norm(x), 1)
    first = float(smooth(start, a))
    np.testing.assert_allclose(
        certificate.gap, change / (abs(first) + first - certificate.objective), rtol=1e-4
    )
    assert bool(certificate.converged) == (float(certificate.gap) <= 2.0 ** (-52 * 2 / 3))


@every
def test_derivatives_are_the_implicit_ones(name):
    """First and second, forward and reverse, against differences of Newton's answer."""
    start, a, v = jnp.zeros(3), jnp.array([1.0, 3.0, 0.5]), jnp.array([0.3, -0.2, 0.5])

    def exact(t):
        return jnp.sum(jnp.cos(newton.minimize(smooth, start, a + t * v, null_value=1.0)[0]))

    def ours(t):
        x, _ = minimize(name, smooth, start, a + t * v, tolerance=1e-15, max_steps=20_000)
        return jnp.sum(jnp.cos(x))

    h, value = 1e-3, jax.jit(exact)
    first = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
    second = (value(1e-2) - 2 * value(0.0) + value(-1e-2)) / 1e-4
    forward = jax.jit(lambda t: jax.jvp(ours, (t,), (1.0,))[1])
    reverse = jax.jit(jax.grad(ours))
    np.testing.assert_allclose(forward(0.0), first, rtol=1e-7)
    np.testing.assert_allclose(reverse(0.0), first, rtol=1e-7)
    np.testing.assert_allclose(jax.jit(jax.grad(forward))(0.0), second, rtol=1e-3)
    np.testing.assert_allclose(jax.jvp(reverse, (0.0,), (1.0,))[1], second, rtol=1e-3)


@every
def test_the_derivative_of_the_objective_is_that_of_the_minimum(name):
    start, a = jnp.zeros(3), jnp.array([1.0, 3.0, 0.5])
    slope = jax.grad(lambda a: minimize(name, smooth, start, a)[1].objective)(a)
    x, _ = minimize(name, smooth, start, a)
    np.testing.assert_allclose(slope, jax.grad(smooth, argnums=1)(x, a), atol=1e-8)


@every
def test_no_matrix_is_formed_in_the_fit_or_its_derivative(name):
    d = 3000

    def fitted(a):
        return jnp.sum(minimize(name, smooth, jnp.zeros(d), a)[0] ** 2)

    program = jax.jit(jax.grad(fitted)).lower(jnp.ones(d)).as_text()
    assert f"x{d}x" in program or f"<{d}x" in program
    assert f"{d}x{d}" not in program


@every
def test_lanes_are_alone_and_a_start_at_the_end_stays(name):
    starts, a = jnp.array([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0]]), jnp.array([1.0, 3.0, 0.5])
    run = jax.jit(partial(minimize, name, smooth))
    together, proofs = jax.vmap(lambda x: run(x, a))(starts)
    for k, start in enumerate(starts):
        alone, proof = run(start, a)
        np.testing.assert_allclose(together[k], alone, rtol=1e-9, atol=1e-12)
        assert int(proofs.steps[k]) == int(proof.steps)
    x, proof = run(together[0], a, null_value=smooth(starts[0], a))
    assert int(proof.steps) == 0
    np.testing.assert_array_equal(x, together[0])


@every
def test_float32_is_first_class(name):
    start, a = np.zeros(3, np.float32), np.array([1.0, 3.0, 0.5], np.float32)
    x, certificate = minimize(name, smooth, start, a)
    assert x.dtype == certificate.gap.dtype == np.float32
    assert bool(certificate.converged)
    reference, _ = minimize(name, smooth, start.astype(float), a.astype(float))
    np.testing.assert_allclose(x, reference, atol=1e-3)


@every
def test_a_new_number_compiles_nothing(name):
    traced = []

    @jax.jit
    def run(start, a, tolerance, steps):
        traced.append(0)
        return minimize(name, smooth, start, a, tolerance=tolerance, max_steps=steps)

    for number in (1.0, 2.0):
        run(jnp.full(3, number), jnp.full(3, number), number * 1e-9, int(100 * number))
    assert len(traced) == 1


@every
@pytest.mark.parametrize("start", [[np.nan, 0.0, 0.0], [1e308, 0.0, 0.0]], ids=["nan", "overflow"])
def test_a_start_without_a_value_proves_nothing(name, start):
    _, certificate = minimize(name, smooth, jnp.array(start), jnp.ones(3))
    assert not bool(certificate.converged)
    assert np.isnan(float(certificate.gap))


@every
def test_where_nothing_bounds_the_objective_the_last_finite_iterate_comes_back(name):
    x, certificate = minimize(name, lambda x: -jnp.sum(x**3), jnp.ones(2), max_steps=200)
    assert np.isfinite(x).all()
    assert not bool(certificate.converged)


@every
def test_a_minimum_that_is_far_from_zero_is_reached(name):
    """Prices in float32: at x = 0 the gradient times 1 is next to nothing beside L."""
    prices = np.array([3e5, 2e5, 4e5], np.float32)
    x, certificate = minimize(
        name, lambda x, a: jnp.mean((x - a) ** 2) / 2, jnp.zeros((), np.float32), prices
    )
    np.testing.assert_allclose(x, prices.mean(), rtol=1e-6)
    assert bool(certificate.converged)


@every
def test_a_minimum_is_proved_though_the_start_has_the_value_zero(name):
    c = jnp.array([0.7, 3.3, 1.9])
    x, certificate = minimize(
        name, lambda x: jnp.sum(jnp.expm1(x) - c * x + x**2 / 7), jnp.zeros(3), max_steps=60
    )
    assert bool(certificate.converged)
    np.testing.assert_allclose(jnp.exp(x) + 2 * x / 7, c, atol=1e-6)


@every
def test_without_curvature_and_without_a_step_nothing_is_proved(name):
    _, certificate = minimize(name, lambda x: -jnp.sum(x**2), jnp.full(2, 1e-12), max_steps=0)
    assert np.isnan(float(certificate.gap))
    _, certificate = minimize(name, lambda x: 1 - jnp.sum(x**2), jnp.full(2, 1e-12), null_value=1.0)
    assert not bool(certificate.converged)
    _, certificate = minimize(name, lambda x: jnp.sum(x**2), jnp.zeros(2), max_steps=0)
    assert bool(certificate.converged)


@every
@pytest.mark.parametrize("factor", [1e-25, 1e-20, 1e20, 1e25])
def test_an_objective_far_from_one_is_minimised_in_float32(name, factor):
    start, a, f = np.zeros(3, np.float32), np.array([1.0, 3.0, 0.5], np.float32), np.float32(factor)
    x, certificate = minimize(name, lambda x, f: f * smooth(x, a), start, f)
    y, plain = minimize(name, smooth, start, a)
    np.testing.assert_allclose(x, y, atol=2e-3)
    assert bool(certificate.converged)
    np.testing.assert_allclose(certificate.objective, f * plain.objective, rtol=1e-5)


def test_a_search_that_fails_is_followed_by_one_straight_down():
    lame = descent.Method(
        lambda aim, before, found: descent.Aim(-found.point.gradient, jnp.asarray(1e-300), ())
    )
    _, certificate = descent.minimize(
        smooth, jnp.zeros(3), jnp.array([1.0, 3.0, 0.5]),
        method=lame, attach=implicit.attach, curvature=0.1, max_steps=1000,
    )  # fmt: skip
    assert bool(certificate.converged)


def test_the_first_trial_is_the_minimum_of_the_parabola():
    """Eq. (2)."""
    a = jnp.array([3.0, 400.0])
    x, certificate = gradient_descent.minimize(
        lambda x: jnp.sum((x - a) ** 2), jnp.zeros(2), max_steps=1
    )
    np.testing.assert_allclose(x, a, rtol=1e-12)
    assert int(certificate.steps) == 1


@every
@pytest.mark.parametrize("start", [jnp.array([0, 1]), jnp.zeros((0,)), {}], ids=str)
def test_a_start_without_floats_is_refused(name, start):
    with pytest.raises(ValueError, match="start must hold floats, got"):
        minimize(name, lambda x: 0.0, start)


@every
def test_a_second_fit_compiles_nothing(name):
    minimize(name, smooth, jnp.zeros(3), jnp.ones(3), max_steps=5)
    before = descent._minimize._cache_size()
    minimize(name, smooth, jnp.ones(3), jnp.zeros(3), max_steps=7)
    assert descent._minimize._cache_size() == before


@every
@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_a_factor_on_the_objective_changes_nothing(name, factor):
    start, a = jnp.array([2.0, -1.0, 0.5]), jnp.array([1.0, 3.0, 0.5])
    (x, proof), (y, plain) = (
        minimize(name, lambda x, f: f * smooth(x, a), start, f, max_steps=15) for f in (factor, 1.0)
    )
    np.testing.assert_allclose(x, y, rtol=1e-6)
    np.testing.assert_allclose(proof.gap, plain.gap, rtol=1e-3)


@every
def test_no_limit_of_evaluations_is_passed(name):
    most, start = jnp.arange(30), jnp.array([-1.2, 1.0])
    run = jax.vmap(lambda k: minimize(name, landscapes.rosenbrock, start, max_steps=k)[1].steps)
    assert (run(most) <= most).all()


def test_where_a_direction_does_not_fall_the_method_begins_anew():
    """Uphill is where this one always turns: what is left is the first direction."""
    uphill = descent.Method(lambda aim, before, found: descent.Aim(found.point.gradient, 1.0, ()))
    a = jnp.array([1.0, 3.0, 0.5])
    x, certificate = descent.minimize(
        smooth, jnp.zeros(3), a, method=uphill, attach=implicit.attach, curvature=0.1,
        max_steps=1000,
    )  # fmt: skip
    assert bool(certificate.converged)
    np.testing.assert_allclose(jax.grad(smooth)(x, a), 0, atol=1e-8)
