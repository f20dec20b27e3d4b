"""Newton's method: its laws, its guard and its certificate."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.optimize import newton

RNG = np.random.default_rng(0)
_A = RNG.normal(size=(6, 6))
A, B = jnp.asarray(_A @ _A.T + np.eye(6)), jnp.asarray(RNG.normal(size=6))


def quadratic(x, a, b):
    return x @ a @ x / 2 - b @ x + 10


def softplus_sum(x, rows, l2):
    return jnp.sum(jax.nn.softplus(rows @ x)) + l2 / 2 * x @ x


def test_a_quadratic_takes_one_step():
    x, certificate = newton.minimize(quadratic, jnp.ones(6), A, B, null_value=10.0)
    np.testing.assert_allclose(x, np.linalg.solve(A, B), rtol=1e-12)
    assert int(certificate.steps) == 1
    assert bool(certificate.converged)


def test_half_the_decrement_is_the_excess_of_a_quadratic():
    x0 = jnp.asarray(RNG.normal(size=6))
    _, certificate = newton.minimize(quadratic, x0, A, B, null_value=10.0, max_steps=0)
    best = quadratic(jnp.linalg.solve(A, B), A, B)
    np.testing.assert_allclose(
        certificate.gap * quadratic(jnp.zeros(6), A, B), quadratic(x0, A, B) - best, rtol=1e-10
    )


def test_converges_quadratically():
    """With a fresh Hessian at each step the error is squared: |x⁺ − x*| ≤ C |x − x*|²."""

    def cost(x, a):
        return jnp.exp(x) - a * x

    x, errors = jnp.array(0.7), []
    for _ in range(4):
        x = newton.minimize(cost, x, 3.0, null_value=1.0, max_steps=1)[0]
        errors.append(abs(float(x) - np.log(3.0)))
    assert errors[0] > 1e-3
    for before, after in pairwise(errors):
        assert after <= 0.6 * before**2 + 1e-15  # f'''/(2f'') = 1/2 at the minimum


def test_a_step_that_would_rise_is_halved():
    """From 30 a full step on √(1 + x²) lands at −27,000 and each next one farther away."""

    def cost(x, a):
        return jnp.sqrt(1 + (a * x) ** 2)

    @jax.jit
    def stopped(steps):
        return newton.minimize(cost, jnp.array(30.0), 1.0, null_value=9.0, max_steps=steps)

    path = [stopped(k) for k in range(60)]
    values = [float(cost(x, 1.0)) for x, _ in path]
    assert all(b <= a * (1 + 1e-14) for a, b in pairwise(values))
    assert bool(path[-1][1].converged)
    np.testing.assert_allclose(path[-1][0], 0, atol=1e-7)


def test_a_step_out_of_the_domain_is_not_taken():
    def cost(x, a):
        return a * x - jnp.log(x)

    x, certificate = newton.minimize(cost, jnp.array(1.9), 1.0, null_value=9.0)
    x_far, far = newton.minimize(cost, jnp.array(50.0), 1.0, null_value=9.0)
    np.testing.assert_allclose([x, x_far], 1.0, rtol=1e-7)
    assert bool(certificate.converged)
    assert bool(far.converged)


def test_of_many_minimisers_one_comes_back():
    rows = jnp.asarray(np.repeat(RNG.normal(size=(9, 1)), 2, axis=1))
    x, certificate = newton.minimize(
        softplus_sum, jnp.zeros(2), rows, 0.0, null_value=9 * np.log(2)
    )
    assert bool(certificate.converged)
    np.testing.assert_allclose(jax.grad(softplus_sum)(x, rows, 0.0), 0, atol=1e-6)


def test_not_converged_when_stopped_early():
    rows = jnp.asarray(RNG.normal(size=(9, 3)))
    _, certificate = newton.minimize(
        softplus_sum, 5 * jnp.ones(3), rows, 0.1, null_value=9 * np.log(2), max_steps=1
    )
    assert not bool(certificate.converged)
    assert int(certificate.steps) == 1


def test_a_nan_is_not_converged():
    x, certificate = newton.minimize(quadratic, jnp.ones(6), A, B * jnp.nan, null_value=10.0)
    np.testing.assert_array_equal(x, 1)
    assert not bool(certificate.converged)


def test_a_given_hessian_takes_the_same_path():
    rows = jnp.asarray(RNG.normal(size=(20, 3)))

    def hessian(x, rows, l2):
        p = jax.nn.sigmoid(rows @ x)
        return (rows.T * (p * (1 - p))[None]) @ rows + l2 * jnp.eye(3)

    for steps in (1, 2, 5):
        by_hand = newton.minimize(
            softplus_sum,
            jnp.ones(3),
            rows,
            0.1,
            null_value=20 * np.log(2),
            hessian=hessian,
            max_steps=steps,
        )
        automatic = newton.minimize(
            softplus_sum, jnp.ones(3), rows, 0.1, null_value=20 * np.log(2), max_steps=steps
        )
        np.testing.assert_allclose(by_hand[0], automatic[0], rtol=1e-9)


def test_a_hessian_serves_the_chord_steps_that_would_reach_the_target():
    """Near the minimum one Hessian serves all steps; far away each step takes its own."""
    rows = jnp.asarray(RNG.normal(size=(20, 3)))
    best = newton.minimize(softplus_sum, jnp.zeros(3), rows, 1.0, null_value=1.0)[0]

    def hessians(start, chord_steps):
        made = []

        def hessian(x, rows, l2):
            made.append(x)
            p = jax.nn.sigmoid(rows @ x)
            return (rows.T * (p * (1 - p))[None]) @ rows + l2 * jnp.eye(3)

        with jax.disable_jit():
            x, certificate = newton.minimize(
                softplus_sum, start, rows, 1.0, null_value=1.0, hessian=hessian,
                chord_steps=chord_steps,
            )  # fmt: skip
        np.testing.assert_allclose(x, best, atol=1e-7)
        assert bool(certificate.converged)
        return len(made), int(certificate.steps)

    assert hessians(best + 0.01, 0) == (3, 2)  # Newton: the error is squared at each step
    assert hessians(best + 0.01, 3) == (2, 3)  # one more step, one Hessian less; one is of the gap
    assert hessians(best + 3.0, 1)[0] >= 3


@pytest.mark.parametrize("chord_steps", [0, 3])
def test_without_reach_the_gap_is_by_the_hessian_where_it_stops(chord_steps):
    """At any stop ½δ² by H(x); by the H of the step before it would be 2.3 times too small here."""

    def cost(x, a):
        return a * x**2 + x**4

    @jax.jit
    def stopped(steps):
        return newton.minimize(
            cost, jnp.array(1.0), 1e-3, null_value=1.0, chord_steps=chord_steps, max_steps=steps
        )

    for steps in range(8):
        x, certificate = stopped(steps)
        slope, curvature = 2e-3 * x + 4 * x**3, 2e-3 + 12 * x**2
        np.testing.assert_allclose(certificate.gap, slope**2 / curvature / 2, rtol=1e-9)


@pytest.mark.parametrize("chord_steps", [0, 3])
@pytest.mark.parametrize("far", [0.0, 1.0, 10.0, 100.0])
def test_with_reach_the_gap_bounds_the_excess_at_any_start(far, chord_steps):
    """Eq. (3); the estimate ½δ² does not: the second assertion shows where it fails."""
    X = RNG.normal(size=(40, 3)) * [1.0, 3.0, 0.3]
    X[:20] += 3
    y = (RNG.random(40) < 0.3).astype(float)
    X, y = jnp.asarray(X), jnp.asarray(y)

    def cost(v, X, y):
        z = X @ v[:-1] + v[-1]
        return jnp.sum(jax.nn.softplus(z) - y * z) + 0.01 / 2 * v[:-1] @ v[:-1]

    null = jnp.zeros(4)
    scale = cost(null, X, y)
    best = newton.minimize(cost, null, X, y, null_value=scale)[1].objective
    reach = newton.Reach(X, jnp.ones(40, bool))

    @jax.jit
    def stopped(start, steps):
        return newton.minimize(
            cost, start, X, y, null_value=scale, reach=reach, chord_steps=chord_steps,
            max_steps=steps,
        )  # fmt: skip

    for trial in range(8):
        start = far * jnp.asarray(np.random.default_rng(trial).normal(size=4))
        for steps in range(6):
            x, certificate = stopped(start, steps)
            excess = cost(x, X, y) - best
            assert float(certificate.gap * scale) >= float(excess) * (1 - 1e-9) - 1e-12


def test_half_the_decrement_alone_can_be_far_too_small():
    """Saturated losses have slope and no curvature: why eq. (3) is there."""
    rows = jnp.array([[1.0, 1.0], [1.0, -1.0], [1.0, 0.0]])

    def cost(v, rows, _):
        balanced = jax.nn.softplus(rows[0, 0] * (v + 60)) + jax.nn.softplus(-(v + 60))
        return 20 * balanced + 25 * jax.nn.softplus(-v)

    start, null = jnp.array(-60.0), jnp.array(0.0)
    scale = cost(null, rows, 0.0)
    best = newton.minimize(cost, null, rows, 0.0, null_value=scale)[1].objective
    _, certificate = newton.minimize(cost, start, rows, 0.0, null_value=scale, max_steps=0)
    excess = cost(start, rows, 0.0) - best
    assert float(certificate.gap * scale) < 0.5 * float(excess)


def test_the_implicit_derivative_is_that_of_the_closed_form():
    def solve(a, b):
        return newton.minimize(quadratic, jnp.ones(6), a, b, null_value=10.0)[0]

    got = jax.jit(jax.jacrev(solve, argnums=(0, 1)))(A, B)
    want = jax.jacfwd(lambda a, b: jnp.linalg.solve((a + a.T) / 2, b), argnums=(0, 1))(A, B)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w, atol=1e-9)
