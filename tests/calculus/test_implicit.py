"""Implicit differentiation: eq. (1), whatever found the solution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mlmath.calculus import implicit


def quadratic(x, A, b):
    return A @ x - b


def system(seed=0, d=4):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(d, d)) + d * np.eye(d)
    return jnp.asarray(A), jnp.asarray(rng.normal(size=d))


def solved(A, b):
    found = jnp.linalg.solve(lax.stop_gradient(A), lax.stop_gradient(b))
    return implicit.attach(quadratic, found, A, b)


def test_derivative_is_minus_inverse_times_partial():
    A, b = system()
    x = np.linalg.solve(A, b)
    inverse = np.linalg.inv(A)
    jacobian_A, jacobian_b = jax.jit(jax.jacobian(solved, argnums=(0, 1)))(A, b)
    np.testing.assert_allclose(jacobian_b, inverse, rtol=1e-12)
    # g = Ax − b, so ∂g/∂A_jk = e_j x_k and (1) reads −A⁻¹ e_j x_k
    np.testing.assert_allclose(jacobian_A, -np.einsum("ij,k->ijk", inverse, x), rtol=1e-12)


def test_every_order_and_mode_agrees_with_solving_directly():
    A, b = system(1)
    V = jnp.asarray(np.random.default_rng(2).normal(size=A.shape))

    def along(solve):
        return lambda t: jnp.sum(jnp.sin(solve(A + t * V, b + t * b)))

    ours, direct = along(solved), along(jnp.linalg.solve)
    for order in (jax.grad, jax.jacfwd):
        for again in (jax.grad, jax.jacfwd):
            np.testing.assert_allclose(
                jax.jit(again(order(ours)))(0.1), jax.jit(again(order(direct)))(0.1), rtol=1e-10
            )


def test_solutions_are_pytrees():
    def optimality(x, a):
        return {"u": x["u"] ** 2 - a, "v": x["v"] - x["u"]}

    def solve(a):
        root = jnp.sqrt(lax.stop_gradient(a))
        return implicit.attach(optimality, {"u": root, "v": root}, a)["v"]

    np.testing.assert_allclose(jax.grad(solve)(4.0), 0.25)


def test_the_solution_itself_is_not_changed():
    A, b = system(3)
    rough = jnp.round(jnp.linalg.solve(A, b), 2)
    np.testing.assert_array_equal(implicit.attach(quadratic, rough, A, b), rough)


def test_a_singular_system_has_no_finite_derivative():
    def solve(b):
        return implicit.attach(quadratic, jnp.zeros(2), jnp.zeros((2, 2)), b)

    assert not np.isfinite(jax.jacobian(solve)(jnp.ones(2))).any()


def test_a_known_value_has_the_derivatives_of_its_function():
    """All orders are those of f; the value itself is left as it is, here wrong on purpose."""

    def ours(t):
        return implicit.attach_value(lambda a, b: a**3 * b, 7.0, t, jnp.sin(t))

    def plain(t):
        return t**3 * jnp.sin(t)

    assert ours(0.5) == 7.0
    for first in (jax.grad, jax.jacfwd):
        np.testing.assert_allclose(first(ours)(0.5), first(plain)(0.5), rtol=1e-14)
        for second in (jax.grad, jax.jacfwd):
            np.testing.assert_allclose(
                second(first(ours))(0.5), second(first(plain))(0.5), rtol=1e-14
            )


def test_without_a_matrix_the_derivative_is_the_same():
    """∂x*/∂θ of the minimiser of Σ eˣ − θx, −H⁻¹ ∂g/∂θ = 1/θ, and its second derivative −1/θ²."""

    def slope(x, a):
        return jnp.exp(x) - a

    def solved(a):
        return implicit.attach_symmetric(slope, jnp.log(jax.lax.stop_gradient(a)), a)

    a = jnp.array([1.0, 3.0, 0.5])
    np.testing.assert_allclose(jax.jacfwd(solved)(a), np.diag(1 / a), atol=1e-12)
    np.testing.assert_allclose(jax.jacrev(solved)(a), np.diag(1 / a), atol=1e-12)
    second = jax.jacfwd(jax.jacrev(lambda a: jnp.sum(solved(a))))(a)
    np.testing.assert_allclose(second, np.diag(-1 / np.asarray(a) ** 2), atol=1e-12)
    lanes = jax.vmap(jax.grad(lambda a: jnp.sum(solved(a))))(jnp.stack([a, 2 * a]))
    np.testing.assert_allclose(lanes, [1 / a, 1 / (2 * a)], atol=1e-12)


@pytest.mark.parametrize("curvatures", [[1.0, 0.0], [1.0, -1.0]], ids=["singular", "indefinite"])
def test_where_the_matrix_is_not_positive_definite_there_is_no_derivative(curvatures):
    A = jnp.diag(jnp.array(curvatures))

    def solved(b):
        return implicit.attach_symmetric(lambda x, b: A @ x - b, jnp.zeros(2), b)

    assert np.isnan(jax.grad(lambda b: jnp.sum(solved(b)))(jnp.zeros(2))).any()


@pytest.mark.parametrize("unit", [1e-30, 1e-20, 1e20])
def test_the_unit_of_what_is_differentiated_does_not_matter(unit):
    def answer(a):
        slope = jax.grad(lambda x, a: jnp.sum((x - a) ** 2))
        return unit * jnp.sum(implicit.attach_symmetric(slope, jnp.ones(2, np.float32), a))

    derivative = jax.grad(answer)(jnp.ones(2, np.float32))
    np.testing.assert_allclose(derivative / np.float32(unit), 1, rtol=1e-6)


@pytest.mark.parametrize(("left", "solved"), [(1e-8, True), (2e-8, False)])
def test_a_residual_above_the_root_of_the_precision_is_no_derivative(left, solved):
    """A preconditioner that does not see the second number ends with all of it left."""

    def along(t):
        return implicit.attach_symmetric(
            lambda x, t: x - t * jnp.array([1.0, left]), jnp.zeros(2), t,
            preconditioner=lambda r: r * jnp.array([1.0, 1e-30]),
        )  # fmt: skip

    assert np.isfinite(jax.jvp(along, (0.0,), (1.0,))[1]).all() == solved


def test_the_preconditioner_serves_the_derivative():
    """Curvatures from 10⁻⁶ to 10⁶ are too many for conjugate gradients without one."""
    curvatures = jnp.logspace(-6, 6, 30)

    def slope(**more):
        def along(t):
            return implicit.attach_symmetric(
                lambda x, t: curvatures * x - t, jnp.zeros(30), t, **more
            )

        return jax.jvp(along, (0.0,), (1.0,))[1]

    found = slope(preconditioner=lambda r: r / curvatures)
    np.testing.assert_allclose(found, 1 / curvatures, rtol=1e-12)
    assert np.isnan(slope()).all()
