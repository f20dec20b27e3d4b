"""Steps of expanded EM: eq. (2)–(7) in naive NumPy, what they gain, what they are without noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from mlmath.latent import parameter_expansion
from mlmath.latent.parameter_expansion import Point
from mlmath.linalg import gram

N, D, K = 9, 4, 2


def drawn(seed=0):
    """A point, rows, which entries are observed (none of row 2), and weights."""
    rng = np.random.default_rng(seed)
    M = rng.random((N, D)) < 0.7
    M[2] = False
    point = Point(rng.normal(size=(D, K + 1)), np.asarray(0.4))
    weight = rng.uniform(0.5, 2, N) * M.any(axis=1)
    return point, np.where(M, rng.normal(size=(N, D)), 0), M.astype(float), weight


def posterior(point, x, m):
    """Mean and covariance of t given the observed entries, by the joint Gaussian."""
    o = m > 0
    mean, W = point.coefficients[o, 0], point.coefficients[o, 1:].T
    gain = W @ np.linalg.inv(W.T @ W + point.noise * np.eye(o.sum()))
    return gain @ (x[o] - mean), np.eye(K) - gain @ W.T


def naive_value(point, X, M, weight):
    total = 0.0
    for x, m, s in zip(X, M, weight, strict=True):
        o = m > 0
        if o.any():
            mean, W = point.coefficients[o, 0], point.coefficients[o, 1:].T
            covariance = W.T @ W + point.noise * np.eye(o.sum())
            total -= s * multivariate_normal(mean, covariance).logpdf(x[o])
    return total


def naive_step(point, X, M, weight):
    """Image (4)–(6), the gradient's parts g and Σ E[…²], and the gain (7)."""
    B, noise = point
    G, g = np.zeros((D + 1, K + 1, K + 1)), np.zeros((D, K + 1))
    second = np.zeros((N, K + 1, K + 1))
    u = np.zeros((N, K + 1))
    for i in range(N):
        t, C = posterior(point, X[i], M[i])
        u[i] = np.append(1, t)
        second[i] = np.outer(u[i], u[i])
        second[i, 1:, 1:] += C
    for i in range(N):
        G[0] += weight[i] * second[i]
        for j in range(D):
            G[j + 1] += weight[i] * M[i, j] * second[i]
            g[j] += weight[i] * M[i, j] * (X[i, j] * u[i] - second[i] @ B[j])

    def squares(B):
        return sum(
            weight[i] * M[i, j]
            * (X[i, j] ** 2 - 2 * X[i, j] * B[j] @ u[i] + B[j] @ second[i] @ B[j])
            for i in range(N) for j in range(D)
        )  # fmt: skip

    total, entries = G[0, 0, 0], (weight @ M).sum()
    moved = B + np.stack([np.linalg.solve(G[j + 1], g[j]) for j in range(D)])
    after = squares(moved) / entries
    Lambda = np.linalg.cholesky(G[0] / total)
    gain = sum(g[j] @ np.linalg.solve(G[j + 1], g[j]) for j in range(D)) / noise
    gain += entries * (after / noise - 1 - np.log(after / noise))
    gain += total * (np.trace(G[0] / total) - K - 1 - np.linalg.slogdet(G[0] / total)[1])
    return Point(moved @ Lambda, after), g, squares(B), gain / 2


def test_means_and_residuals_are_equation_2_and_the_density_equation_3():
    point, X, M, weight = drawn()
    t, residual, inverse = parameter_expansion.given(point, X, M)
    for i in range(N):
        mean, C = posterior(point, X[i], M[i])
        np.testing.assert_allclose(t[i], mean, atol=1e-12)
        np.testing.assert_allclose(inverse[i].T @ inverse[i], C, atol=1e-12)
        fitted = point.coefficients[:, 0] + point.coefficients[:, 1:] @ mean
        np.testing.assert_allclose(residual[i], M[i] * (X[i] - fitted), atol=1e-12)
    found = parameter_expansion.surprise(point, X, M, weight)
    np.testing.assert_allclose(found, naive_value(point, X, M, weight), rtol=1e-12)


def test_a_step_is_equations_4_to_6_and_its_gain_equation_7():
    point, X, M, weight = drawn()
    image, _, _, gain = naive_step(point, X, M, weight)
    state = parameter_expansion.evaluated(point, X, M, weight)
    np.testing.assert_allclose(state.image.coefficients, image.coefficients, rtol=1e-10)
    np.testing.assert_allclose(state.image.noise, image.noise, rtol=1e-10)
    np.testing.assert_allclose(state.excess, gain, rtol=1e-10)
    np.testing.assert_allclose(state.value, naive_value(point, X, M, weight), rtol=1e-12)


def test_a_step_needs_no_rows_but_their_sums_which_add_up():
    point, *rows = drawn()
    first, second = (
        parameter_expansion.sums(point, *(a[part] for a in rows))
        for part in (slice(4), slice(4, None))
    )
    found = parameter_expansion.of_sums(jax.tree.map(jnp.add, first, second), point)
    right = parameter_expansion.evaluated(point, *rows)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_principal_axes_are_a_rotation_and_steps_do_not_depend_on_it():
    point, X, M, weight = drawn()
    turned = parameter_expansion.principal(point)
    W, V = point.coefficients[:, 1:], np.asarray(turned.coefficients[:, 1:])
    np.testing.assert_array_equal(turned.coefficients[:, 0], point.coefficients[:, 0])
    np.testing.assert_array_equal(turned.noise, point.noise)
    np.testing.assert_allclose(V @ V.T, W @ W.T, atol=1e-12)
    np.testing.assert_allclose(V.T @ V, np.diag(np.linalg.svd(W)[1] ** 2), atol=1e-12)
    assert (V[np.abs(V).argmax(axis=0), range(K)] > 0).all()
    ours, right = (
        parameter_expansion.principal(parameter_expansion.evaluated(p, X, M, weight).image)
        for p in (turned, point)
    )
    np.testing.assert_allclose(ours.coefficients, right.coefficients, atol=1e-10)


def test_the_gradient_is_that_of_fisher_s_identity():
    point, X, M, weight = drawn()
    _, g, squares, _ = naive_step(point, X, M, weight)
    slope = jax.grad(parameter_expansion.surprise)(Point(*map(jnp.asarray, point)), X, M, weight)
    np.testing.assert_allclose(slope.coefficients, -g / point.noise, atol=1e-10)
    entries = (weight @ M).sum()
    in_log = (entries - squares / point.noise) / 2
    np.testing.assert_allclose(slope.noise * point.noise, in_log, atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_no_step_gains_less_than_it_is_sure_to(seed):
    point, X, M, weight = drawn(seed)
    state = parameter_expansion.evaluated(point, X, M, weight)
    for _ in range(4):
        then = parameter_expansion.evaluated(state.image, X, M, weight)
        assert 0 < state.excess <= state.value - then.value + 1e-12
        state = then


def test_without_noise_a_step_is_one_of_orthogonal_iteration():
    _, X, _, _ = drawn()
    X = X - X.mean(0)
    W = np.random.default_rng(3).normal(size=(D, K))
    point = Point(np.concatenate([np.zeros((D, 1)), W], axis=1), np.asarray(1e-10))
    found = parameter_expansion.evaluated(point, X, np.ones((N, D)), np.ones(N)).image
    ours, _ = np.linalg.qr(found.coefficients[:, 1:])
    right, _ = np.linalg.qr(X.T @ X @ W)
    np.testing.assert_allclose(ours @ ours.T, right @ right.T, atol=1e-6)
    scores, _ = np.linalg.qr(X @ W)  # made standard, and the rows regressed on them
    right = X.T @ scores @ scores.T @ X / N
    covariance = found.coefficients[:, 1:] @ found.coefficients[:, 1:].T
    np.testing.assert_allclose(covariance, right, atol=1e-6)


def test_lengths_do_not_creep_where_there_is_little_noise():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 6)) + 0.003 * rng.normal(size=(200, 6))
    M = (rng.random(X.shape) < 0.8).astype(float)
    start = Point(np.concatenate([np.zeros((6, 1)), X[:2].T], axis=1), np.asarray(X.var()))
    last = parameter_expansion.minimise(start, 1e4, 1e-20, 1000, M * X, M, np.ones(200))
    assert last.steps < 100  # without eq. (6) 5,000 are not enough


def test_a_step_that_leaves_the_finite_numbers_is_not_taken():
    plane = np.outer(np.arange(9.0) - 4, np.arange(1.0, 5))
    start = Point(np.concatenate([np.zeros((4, 1)), np.ones((4, 1))], axis=1), np.asarray(1.0))
    last = parameter_expansion.minimise(start, 1e3, 0.0, 1000, plane, np.ones((9, 4)), np.ones(9))
    assert last.steps < 200
    assert np.isnan(last.excess)
    assert np.isfinite(last.value)
    assert np.isfinite(last.point.coefficients).all()
    assert 0 < last.point.noise < 1e-12 * plane.var()


def test_a_step_to_where_a_pivot_is_rounding_is_not_taken():
    rng = np.random.default_rng(0)
    M = np.ones((N, D))
    M[3, 1:] = 0  # one entry, two directions
    plane = M * (rng.normal(size=(N, 2)) @ rng.normal(size=(2, D)))
    start = Point(rng.normal(size=(D, K + 1)), np.asarray(1.0))
    last = parameter_expansion.minimise(start, 1e3, 0.0, 1000, plane, M, np.ones(N))
    assert last.steps < 1000
    assert np.isnan(last.excess)
    assert np.isfinite(last.value)
    assert last.point.noise > 1e-18


def test_a_pivot_that_is_rounding_has_no_density_unless_the_row_is_absent():
    point, X, M, _ = drawn()
    M[3] = np.arange(D) == 0  # one entry, two directions
    least = point._replace(noise=np.asarray(1e-18))
    assert np.isnan(parameter_expansion.surprise(least, X[3:4], M[3:4], np.ones(1)))
    assert parameter_expansion.surprise(least, X[3:4], M[3:4], np.zeros(1)) == 0
    last = parameter_expansion.minimise(least, 1e3, 1e-9, 10, X, M, np.ones(N))
    assert np.isnan(last.value)
    assert last.steps == 0


def test_blocks_of_rows_do_not_show_and_hold_the_memory(monkeypatch):
    n, d, k = 1027, 12, 40
    rng = np.random.default_rng(0)
    point = Point(rng.normal(size=(d, k + 1)), np.asarray(0.5))
    M = (rng.random((n, d)) < 0.7).astype(float)
    rows = M * rng.normal(size=(n, d)), M, rng.uniform(0.5, 2, n)
    program = jax.jit(parameter_expansion.evaluated).lower(point, *rows).compile()
    blocks = program(point, *rows)
    assert program.memory_analysis().temp_size_in_bytes < n * k * k * 8
    monkeypatch.setattr(gram, "row_sum", lambda F, rows, *shared, block: F(*rows, *shared))
    whole = parameter_expansion.evaluated(point, *rows)
    for a, b in zip(jax.tree.leaves(blocks), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
