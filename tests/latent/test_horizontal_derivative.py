"""The derivative of a plane: that of refitting, symmetric in Wδᵀ, by a regular Hessian."""

import jax
import jax.numpy as jnp
import numpy as np

from mlmath.latent import horizontal_derivative, parameter_expansion
from mlmath.latent.parameter_expansion import Point

N, D, K = 9, 4, 2


def fitted():
    """Rows, which entries are observed (none of row 2), and the point where L is least."""
    rng = np.random.default_rng(6)
    M = rng.random((N, D)) < 0.7
    M[2] = False
    X, M = np.where(M, rng.normal(size=(N, D)), 0), M.astype(float)
    weight = np.where(M.any(axis=1), 1.0, 0)
    start = Point(np.random.default_rng(1).normal(size=(D, K + 1)), np.asarray(1.0))
    return refitted(start, X, M, weight), X, M, weight


def refitted(start, X, M, weight):
    """The point with WWᵀ diagonal to which the steps lead."""
    coefficients, noise = parameter_expansion.minimise(start, 100.0, 0.0, 3000, X, M, weight).point
    U, lengths, _ = np.linalg.svd(np.asarray(coefficients)[:, 1:], full_matrices=False)
    W = U * lengths[None]
    return Point(np.concatenate([np.asarray(coefficients)[:, :1], W], axis=1), noise)


def test_the_attached_point_is_the_point_and_its_derivative_holds_the_rotation():
    found, X, M, weight = fitted()
    directions = np.random.default_rng(2).normal(size=X.shape), np.linspace(-1, 1, N)

    @jax.jit
    def along(X, weight, move, push):
        return jax.jvp(
            lambda X, s: horizontal_derivative.attached(found, X, M, s), (X, weight), (move, push)
        )

    again, slope = along(X, weight, *directions)
    for a, b in zip(found, again, strict=True):
        np.testing.assert_array_equal(a, b)
    W, change = np.asarray(found.coefficients)[:, 1:], np.asarray(slope.coefficients)[:, 1:]
    turn = W.T @ change
    np.testing.assert_allclose(turn, turn.T, atol=1e-8)
    assert np.abs(change).max() > 0.01
    step = 1e-5
    ends = [
        refitted(
            found, X + sign * M * directions[0], M, weight + sign * (weight > 0) * directions[1]
        )
        for sign in (-step, step)
    ]
    WW, noise = (
        [W(end) for end in ends]
        for W in (
            lambda p: p.coefficients[:, 1:] @ p.coefficients[:, 1:].T,
            lambda p: float(p.noise),
        )
    )
    np.testing.assert_allclose(slope.noise, (noise[1] - noise[0]) / (2 * step), rtol=1e-5)
    right = (WW[1] - WW[0]) / (2 * step)
    np.testing.assert_allclose(change @ W.T + W @ change.T, right, atol=1e-5)


def test_the_hessian_with_the_term_that_holds_rotations_is_regular():
    found, X, M, weight = fitted()
    point = Point(*map(jnp.asarray, found))
    W = point.coefficients[:, 1:]
    lengths = jnp.sum(W**2, axis=0)

    def value(flat, held):
        there = Point(flat[:-1].reshape(D, K + 1), flat[-1])
        turn = W.T @ (there.coefficients[:, 1:] - W)
        apart = (turn - turn.T)[0, 1] ** 2 * weight.sum() / point.noise / jnp.sum(lengths)
        return parameter_expansion.surprise(there, X, M, weight) + held * apart / 2

    flat = jnp.append(point.coefficients.ravel(), point.noise)
    for held, singular in ((0.0, 1), (1.0, 0)):
        values = np.linalg.eigvalsh(jax.hessian(value)(flat, held))
        assert (np.abs(values) < 1e-6 * values.max()).sum() == singular
