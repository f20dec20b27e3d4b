"""Newton-CG: it takes Newton's steps without the matrix."""

import jax
import jax.numpy as jnp
import numpy as np

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
