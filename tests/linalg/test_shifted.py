"""Shifted systems against their definition, one by one and many at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.linalg import shifted
from tests.factorisations import side_by_side

SHIFTS = np.logspace(-3, 3, 7)


def system(d=5, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(3 * d, d)) * np.broadcast_to(scale, d)
    return A.T @ A, rng.normal(size=d)


def solve(H, shift, b):
    return shifted.solver(shifted.prepare(H), shift)(b)


def sweep(H, shifts, b):
    prepared = shifted.prepare(H)
    return jax.vmap(lambda s: shifted.solver(prepared, s)(b))(shifts)


def by_definition(H, shift, b):
    return np.linalg.solve(H + shift * np.eye(len(H)), b)


def test_one_shift_is_equation_1():
    H, b = system()
    np.testing.assert_allclose(solve(H, 0.3, b), by_definition(H, 0.3, b), rtol=1e-12)


def test_many_shifts_are_equation_2_and_a_loop():
    H, b = system()
    e, V = np.linalg.eigh(H)
    found = sweep(H, SHIFTS, b)
    for x, shift in zip(found, SHIFTS, strict=True):
        np.testing.assert_allclose(x, V @ (V.T @ b / (e + shift)), rtol=1e-12)
        np.testing.assert_allclose(x, by_definition(H, shift, b), rtol=1e-11)


def test_many_shifts_share_one_spectrum_and_one_shift_computes_none():
    H, b = system()
    alone = jax.jit(solve).lower(H, 1.0, b).compile().as_text()
    many = jax.jit(sweep).lower(H, SHIFTS, b).compile().as_text()
    assert "syev" not in alone
    assert "potrf" in alone
    calls = [line for line in many.splitlines() if "custom-call" in line and "syev" in line]
    assert len(calls) == 1
    assert f"[{len(SHIFTS)}," not in calls[0]


def test_units_that_differ_are_solved_one_by_one_to_the_digits_of_their_factor():
    scale = np.array([1e-3, 1.0, 1e3, 1e-2, 10.0])
    H, b = system(scale=scale)
    exact = np.stack([by_definition(H, s, b * scale) for s in SHIFTS])
    found = sweep(H.astype(np.float32), SHIFTS.astype(np.float32), (b * scale).astype(np.float32))
    np.testing.assert_allclose(found, exact, rtol=2e-4)


@pytest.mark.parametrize("lanes", ["matrices", "right-hand sides", "both and shifts"])
def test_any_lanes_are_a_loop(lanes):
    many = [system(seed=k) for k in range(3)]
    H, b = np.stack([m[0] for m in many]), np.stack([m[1] for m in many])
    shifts = np.array([0.1, 1.0, 10.0])
    inner = jax.vmap(solve, (None, 0, None))
    if lanes == "matrices":
        found = jax.vmap(lambda h: solve(h, 0.5, b[0]))(H)
        right = [by_definition(h, 0.5, b[0]) for h in H]
    elif lanes == "right-hand sides":
        found = jax.vmap(lambda v: solve(H[0], 0.5, v))(b)
        right = [by_definition(H[0], 0.5, v) for v in b]
    else:
        found = jax.vmap(inner, (0, None, 0))(H, shifts, b)
        right = [[by_definition(h, s, v) for s in shifts] for h, v in zip(H, b, strict=True)]
    np.testing.assert_allclose(found, right, rtol=1e-10)


def test_derivatives_of_both_orders_are_those_of_the_definition():
    H, b = system(3)
    shifts = np.array([0.5, 2.0, 3.0])

    def ours(t):
        return jnp.sum(jnp.sin(sweep(H + t * jnp.diag(b), shifts * (1 + t), b * jnp.cos(t))))

    def plain(t):
        A = H + t * jnp.diag(b)
        lanes = [jnp.linalg.solve(A + s * (1 + t) * jnp.eye(3), b * jnp.cos(t)) for s in shifts]
        return jnp.sum(jnp.sin(jnp.stack(lanes)))

    for order in (jax.grad, jax.jacfwd):
        np.testing.assert_allclose(order(ours)(0.2), order(plain)(0.2), rtol=1e-10)
        for outer in (jax.grad, jax.jacfwd):
            np.testing.assert_allclose(outer(order(ours))(0.2), outer(order(plain))(0.2), rtol=1e-9)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_matrix_that_is_not_finite_never_gives_a_plausible_number(wrong):
    H, b = system()
    H[1, 1] = wrong
    assert np.isnan(solve(H, 1.0, b)).any()
    assert np.isnan(sweep(H, SHIFTS, b)).any(axis=1).all()


def test_where_lanes_of_matrices_make_a_select_the_factors_wait_for_the_spectra():
    """Two batched LAPACK calls side by side can stop a program for ever (``factorisations``)."""
    many = np.stack([system(seed=k)[0] for k in range(3)])
    lanes = jax.jit(jax.vmap(lambda H: sweep(H, SHIFTS, np.ones(5))))
    program = lanes.lower(many).compile().as_text()
    assert "potrf" in program
    assert "syevd" in program
    assert side_by_side(program) == []
