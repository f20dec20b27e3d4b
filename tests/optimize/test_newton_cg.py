"""Newton-CG: the laws of conjugate gradients and of Newton's method."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.optimize import newton, newton_cg

RNG = np.random.default_rng(1)
_A = RNG.normal(size=(8, 8))
A, B = jnp.asarray(_A @ _A.T + np.eye(8)), jnp.asarray(RNG.normal(size=8))


def softplus_sum(x, rows, l2):
    return jnp.sum(jax.nn.softplus(rows @ x)) + l2 / 2 * x @ x


ROWS = jnp.asarray(RNG.normal(size=(30, 4)))
NULL = len(ROWS) * float(np.log(2))  # softplus_sum at 0


def test_conjugate_gradients_solve_the_system():
    x = newton_cg.conjugate_gradients(lambda v: A @ v, B)
    np.testing.assert_allclose(x, np.linalg.solve(A, B), rtol=1e-10)


@pytest.mark.parametrize("distinct", [1, 2, 3])
def test_conjugate_gradients_need_as_many_steps_as_there_are_eigenvalues(distinct):
    q = np.linalg.qr(RNG.normal(size=(9, 9)))[0]
    a = jnp.asarray(q * np.repeat([1.0, 5.0, 20.0][:distinct], 9 // distinct + 1)[:9] @ q.T)
    b = jnp.asarray(RNG.normal(size=9))
    exact = np.linalg.solve(a, b)
    enough = newton_cg.conjugate_gradients(lambda v: a @ v, b, max_steps=distinct)
    np.testing.assert_allclose(enough, exact, rtol=1e-9)
    if distinct > 1:
        few = newton_cg.conjugate_gradients(lambda v: a @ v, b, max_steps=distinct - 1)
        assert np.linalg.norm(few - exact) > 1e-3 * np.linalg.norm(exact)


def test_the_exact_preconditioner_needs_one_step():
    inverse = jnp.linalg.inv(A)
    x = newton_cg.conjugate_gradients(
        lambda v: A @ v, B, preconditioner=lambda r: inverse @ r, max_steps=1
    )
    np.testing.assert_allclose(x, np.linalg.solve(A, B), rtol=1e-9)


def test_zero_right_hand_side_gives_zero():
    np.testing.assert_array_equal(newton_cg.conjugate_gradients(lambda v: A @ v, 0 * B), 0)


def test_a_singular_system_in_range_is_solved():
    a = A.at[:, 0].set(0).at[0].set(0)
    b = B.at[0].set(0)
    x = newton_cg.conjugate_gradients(lambda v: a @ v, b)
    np.testing.assert_allclose(a @ x, b, atol=1e-10)
    assert float(x[0]) == 0


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
