"""Newton-CG: it takes Newton's steps without the matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.optimize import newton, newton_cg

RNG = np.random.default_rng(1)


def softplus_sum(x, rows, l2):
    return jnp.sum(jax.nn.softplus(rows @ x)) + l2 / 2 * x @ x


ROWS = jnp.asarray(RNG.normal(size=(30, 4)))
NULL = len(ROWS) * float(np.log(2))  # softplus_sum at 0


def test_equals_newton_with_the_matrix():
    ours = newton_cg.minimize(softplus_sum, jnp.ones(4), ROWS, 0.1, null_value=NULL)
    matrix = newton.minimize(softplus_sum, jnp.ones(4), ROWS, 0.1, null_value=NULL)
    np.testing.assert_allclose(ours[0], matrix[0], atol=1e-7)
    assert bool(ours[1].converged)


def test_the_gap_bounds_half_the_excess_at_each_step():
    best = newton.minimize(softplus_sum, jnp.zeros(4), ROWS, 0.1, null_value=NULL)[1].objective
    for steps in range(5):
        x, certificate = newton_cg.minimize(
            softplus_sum, jnp.ones(4), ROWS, 0.1, null_value=NULL, max_steps=steps
        )
        excess = softplus_sum(x, ROWS, 0.1) - best
        assert float(certificate.gap * NULL) >= 0.5 * float(excess) - 1e-12


def test_not_converged_when_stopped_early():
    _, certificate = newton_cg.minimize(
        softplus_sum, 5 * jnp.ones(4), ROWS, 0.1, null_value=NULL, max_steps=1
    )
    assert not bool(certificate.converged)


def test_first_and_second_derivatives_are_those_of_newton():
    def by(method):
        def answer(l2):
            x = method.minimize(softplus_sum, jnp.ones(4), ROWS, l2, null_value=NULL)[0]
            return jnp.sum(x**3)

        orders = jax.grad(answer), jax.grad(jax.grad(answer)), jax.hessian(answer)
        return [jax.jit(order)(0.3) for order in orders]

    np.testing.assert_allclose(by(newton_cg), by(newton), rtol=1e-6)


@pytest.mark.parametrize(
    "objective",
    [
        lambda x: jnp.sum(jnp.cos(x)),
        lambda x: jnp.sum(jnp.where(x < 5, -x, (x - 6) ** 2)),
        lambda x: jnp.sum(jnp.abs(x - 0.5) ** 1.5) + jnp.sum((x - 1) ** 2),
    ],
    ids=["concave", "straight", "infinite"],
)
def test_without_curvature_nothing_is_proved(objective):
    x, certificate = newton_cg.minimize(objective, jnp.full(2, 0.5), null_value=2.0)
    assert np.isnan(float(certificate.gap))
    assert not bool(certificate.converged)
    np.testing.assert_array_equal(x, 0.5)


def test_a_small_objective_is_minimised_in_float32():
    unit = np.float32(1e-20)
    x, certificate = newton_cg.minimize(
        lambda x, u: u * jnp.sum(jnp.cosh(x - 1)), jnp.zeros(2, np.float32), unit, null_value=unit
    )
    np.testing.assert_allclose(x, 1, atol=1e-3)
    assert bool(certificate.converged)
