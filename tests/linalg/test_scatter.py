"""Spectra of scatter matrices: both sides against NumPy, and the bound on what is captured."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.linalg import scatter

NARROW, WIDE = (12, 4), (5, 9)


def sample(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) * np.geomspace(2, 0.5, shape[1]), rng.uniform(0.5, 2, shape[0])


@pytest.mark.parametrize("shape", [NARROW, WIDE])
def test_values_and_vectors_are_those_of_equation_1(shape):
    X, s = sample(shape)
    found = scatter.eigh(X, s)
    C = sum(a * np.outer(x, x) for a, x in zip(s, X, strict=True))
    m = min(shape)
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(C)[::-1][:m], rtol=1e-10)
    np.testing.assert_allclose(C @ found.vectors, found.vectors * found.values[None], atol=1e-12)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(m), atol=1e-13)
    V = np.asarray(found.vectors)
    assert (V[np.abs(V).argmax(0), np.arange(m)] > 0).all()


@pytest.mark.parametrize("shape", [NARROW, WIDE])
def test_the_residual_is_equation_4(shape):
    X, s = sample(shape)
    found = scatter.eigh(X, s)
    C = X.T @ np.diag(s) @ X
    left = np.linalg.norm(C @ found.vectors - found.vectors * found.values[None])
    np.testing.assert_allclose(found.residual, left + 2.0**-52 * np.trace(C), atol=2e-14)
    assert scatter.of_matrix(np.eye(3)).residual == 3 * 2.0**-52  # rounding alone
    V = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    big = scatter.of_matrix(np.diag([1.0, 2.0, 3.0, -4.0]))
    assert big.residual >= 4  # indefinite: the clamped value is off by 4
    assert (np.asarray(big.values) >= 0).all()
    assert np.isnan(scatter.of_matrix(V * np.nan).residual)


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("apart", [1.0, 1e-3, 0.0])
@pytest.mark.parametrize("turn", [1e-6, 1e-2, 0.5])
def test_equation_5_bounds_what_a_wrong_basis_captures_too_little(k, apart, turn):
    rng = np.random.default_rng(k)
    Q, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    values = np.sort(rng.uniform(1, 2, 6))[::-1]
    values[:k] += apart
    C = Q * values @ Q.T
    skew = rng.normal(size=(6, 6))
    V = Q @ np.linalg.qr(np.eye(6) + turn * (skew - skew.T))[0]
    guessed = np.diag(V.T @ C @ V)
    order = np.argsort(-guessed)
    V, guessed = V[:, order], guessed[order]
    residual = np.linalg.norm(C @ V - V * guessed)
    bound = float(scatter.excess(scatter.Spectrum(guessed, V, np.asarray(residual)), k))
    lost = values[:k].sum() - np.trace(V[:, :k].T @ C @ V[:, :k])
    assert -1e-12 <= lost <= bound + 1e-12
    t = np.geomspace(1e-9, 1, 100_001) * np.sqrt(k)
    gap = guessed[k - 1] - guessed[k] - 2 * residual
    np.testing.assert_allclose(bound, (2 * residual * t - gap * t**2).max(), rtol=1e-6)


def test_all_directions_miss_nothing():
    spectrum = scatter.eigh(*sample(NARROW))
    assert scatter.excess(spectrum, 4) == 0
    assert np.isnan(scatter.excess(spectrum._replace(residual=jnp.asarray(jnp.nan)), 4))


def test_the_bound_is_of_second_order_where_values_are_apart():
    found = scatter.eigh(*(a.astype(np.float32) for a in sample(NARROW)))
    assert scatter.excess(found, 2) < 1e-3 * found.residual


@pytest.mark.parametrize("shape", [NARROW, WIDE])
def test_rows_beside_the_span_have_the_right_influence_at_weight_zero(shape):
    X, s = sample(shape)
    s[1] = 0

    def plane(h):
        V = scatter.eigh(X, jnp.asarray(s).at[1].add(h)).vectors[:, :2]
        return jnp.sum(jnp.sin(1 + jnp.arange(shape[1])) * (V @ V.T)[0])

    h = 1e-4
    difference = (plane(h) - plane(-h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(plane)(0.0), difference, rtol=1e-5)
    second = (jax.grad(plane)(h) - jax.grad(plane)(-h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(jax.grad(plane))(0.0), second, rtol=1e-4)


def test_equal_values_have_derivatives_of_what_does_not_turn():
    rng = np.random.default_rng(0)
    for n, d in ((6, 4), (4, 6)):
        Q = np.linalg.qr(rng.normal(size=(max(n, d), 3)))[0][:, :3]
        U = np.linalg.qr(rng.normal(size=(n, 3)))[0]
        X = U * [2.0, 2.0, 1.0] @ Q[:d].T if d >= n else U * [2.0, 2.0, 1.0] @ np.eye(3, d)
        dX = rng.normal(size=X.shape)

        def projector(t, X=X, dX=dX):
            V = scatter.eigh(X + t * dX, jnp.ones(len(X))).vectors[:, :2]
            return V @ V.T

        h = 1e-5
        difference = (projector(h) - projector(-h)) / (2 * h)
        np.testing.assert_allclose(jax.jvp(projector, (0.0,), (1.0,))[1], difference, atol=1e-7)


def test_wide_rows_make_no_square_of_their_columns():
    X, s = np.ones((3, 500)), np.ones(3)
    assert "500,500" not in str(jax.make_jaxpr(scatter.eigh)(X, s))
    narrow = str(jax.make_jaxpr(scatter.eigh)(X.T, np.ones(500)))
    assert "500,500" not in narrow
