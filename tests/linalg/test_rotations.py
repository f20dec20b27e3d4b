"""Orthogonal maps: what each takes where, that lengths stay, and the ends of the range."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from jax.test_util import check_grads

from mlmath.linalg import rotations

floats = pytest.mark.parametrize("dtype", [np.float32, np.float64])
entries = st.floats(-8, 8, allow_subnormal=False)


def vector(d=4, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=d).astype(dtype)


def unit(d=4, seed=0, dtype=np.float64):
    x = vector(d, seed)
    return (x / np.linalg.norm(x)).astype(dtype)


def matrix_of(linear, d=4, dtype=np.float64):
    return np.asarray(jax.vmap(linear)(jnp.eye(d, dtype=dtype))).T


def orthogonal(M, determinant):
    eps = np.finfo(M.dtype).eps
    np.testing.assert_allclose(M.T @ M, np.eye(len(M)), atol=20 * eps)
    np.testing.assert_allclose(np.linalg.det(M), determinant, rtol=50 * eps)


def test_a_reflection_is_its_definition():
    n = unit()
    H = matrix_of(lambda x: rotations.reflect(x, n))
    np.testing.assert_allclose(H, np.eye(4) - 2 * np.outer(n, n), atol=1e-15)
    orthogonal(H, -1)
    np.testing.assert_allclose(H @ H, np.eye(4), atol=1e-15)


@floats
@pytest.mark.parametrize("size", [1.0, 1e-30, 1e30])
@pytest.mark.parametrize("first", [1.0, -1.0, 0.0, 1e8, -1e8])
def test_householder_takes_x_to_its_length_on_the_first_axis(first, size, dtype):
    x = vector(4)
    x[0] = first
    x = (x * size / max(1, abs(first))).astype(dtype)
    found = rotations.householder(x)
    eps, length = np.finfo(dtype).eps, np.linalg.norm(x.astype(np.longdouble))
    assert found.normal.dtype == found.image.dtype == dtype
    np.testing.assert_allclose(np.linalg.norm(found.normal), 1, rtol=4 * eps)
    np.testing.assert_allclose(found.image, -length if first >= 0 else length, rtol=4 * eps)
    taken = np.asarray(rotations.reflect(x, found.normal)) / length
    expected = np.eye(4)[0] * (-1 if first >= 0 else 1)
    np.testing.assert_allclose(taken.astype(float), expected, atol=8 * eps)
    v = x - np.asarray(found.image) * np.eye(4, dtype=dtype)[0]
    v = v / np.abs(v).max()
    np.testing.assert_allclose(found.normal, v / np.linalg.norm(v), atol=4 * eps)


def test_householder_of_zero_reflects_the_first_axis():
    found = rotations.householder(np.zeros(3))
    np.testing.assert_array_equal(found.normal, [1, 0, 0])
    assert found.image == 0
    for part in jax.jacobian(rotations.householder)(np.zeros(3)):
        np.testing.assert_array_equal(part, 0)
    one = rotations.householder(np.array([-2.0]))
    np.testing.assert_array_equal(rotations.reflect(np.array([-2.0]), one.normal), [2])
    assert one.image == 2
    assert jnp.isnan(rotations.householder(np.array([np.nan, 1.0])).normal).all()
    with pytest.raises(ValueError, match="at least one entry"):
        rotations.householder(np.zeros(0))


@settings(deadline=None, max_examples=100, derandomize=True)
@given(a=entries, b=entries)
def test_givens_is_its_definition(a, b):
    c, s, r = rotations.givens(a, b)
    np.testing.assert_allclose(r, np.hypot(a, b), rtol=1e-15)
    np.testing.assert_allclose([c * a + s * b, c * b - s * a], [r, 0], atol=1e-14)
    np.testing.assert_allclose(c**2 + s**2, 1, rtol=1e-15)
    if r > 0:
        np.testing.assert_allclose([c, s], [a / r, b / r], rtol=1e-14)


@floats
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_givens_keeps_the_range_of_the_dtype(size, dtype):
    a, b = dtype(3 * size), dtype(-4 * size)
    found = rotations.givens(a, b)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(np.array(found) / [1, 1, size], [0.6, -0.8, 5], rtol=4 * eps)
    assert {part.dtype for part in found} == {np.dtype(dtype)}
    for parts in [(a, dtype(0)), (dtype(0), b)]:
        found = rotations.givens(*parts)
        np.testing.assert_array_equal(found.radius, abs(parts[0] + parts[1]))
        assert abs(abs(found.cosine) + abs(found.sine) - 1) <= eps


def test_givens_of_zero_is_the_identity_and_integers_are_numbers():
    np.testing.assert_array_equal(rotations.givens(0.0, 0.0), [1, 0, 0])
    np.testing.assert_array_equal(jax.jacobian(rotations.givens, (0, 1))(0.0, 0.0), 0)
    np.testing.assert_allclose(rotations.givens(3, 4), [0.6, 0.8, 5], rtol=1e-15)
    assert jnp.isnan(jnp.stack(rotations.givens(np.nan, 1.0))).all()
    check_grads(jax.jit(rotations.givens), (1.5, -0.5), 2, eps=1e-4, atol=1e-6, rtol=1e-6)


def test_a_rotation_in_a_plane_is_its_definition():
    theta = 0.7
    R = matrix_of(lambda x: rotations.rotate(x, 1, 3, theta))
    expected = np.eye(4)
    expected[[1, 3], [1, 3]] = np.cos(theta)
    expected[3, 1], expected[1, 3] = np.sin(theta), -np.sin(theta)
    np.testing.assert_allclose(R, expected, atol=1e-16)
    orthogonal(R, 1)
    x = vector()
    twice = rotations.rotate(rotations.rotate(x, 0, 2, 0.3), 0, 2, 0.4)
    np.testing.assert_allclose(twice, rotations.rotate(x, 0, 2, 0.7), atol=1e-15)
    np.testing.assert_allclose(rotations.rotate(x, 2, 0, -0.7), rotations.rotate(x, 0, 2, 0.7))
    check_grads(lambda x, t: rotations.rotate(x, 0, 2, t), (x, 0.7), 2, eps=1e-4, atol=1e-6)


def test_givens_undoes_what_rotate_does():
    x = vector(2)
    c, s, r = rotations.givens(x[0], x[1])
    turned = rotations.rotate(x, 0, 1, -jnp.arctan2(s, c))
    np.testing.assert_allclose(turned, [r, 0], atol=1e-15)


def test_what_is_no_plane_is_refused_or_shows():
    x = vector()
    for i, j in [(1, 1), (0, 4), (-1, 2), (5, 6)]:
        with pytest.raises(ValueError, match="two different axes of 4"):
            rotations.rotate(x, i, j, 0.1)
        traced = jax.jit(rotations.rotate)(x, i, j, 0.1)
        assert jnp.isnan(traced).all()


ANGLES = [0.0, 1e-9, 1e-3, 1.0, np.pi / 2, 3.0, np.pi - 1e-3, np.pi - 1e-6, np.pi - 1e-12, np.pi]


@floats
@pytest.mark.parametrize("theta", ANGLES)
def test_a_rotation_onto_takes_u_to_v_at_every_angle(theta, dtype):
    Q = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    u = Q[0].astype(dtype)
    v = (np.cos(theta) * Q[0] + np.sin(theta) * Q[1]).astype(dtype)
    eps = np.finfo(dtype).eps
    R = matrix_of(lambda x: rotations.rotate_onto(x, u, v), dtype=dtype)
    assert R.dtype == dtype
    orthogonal(R, 1)
    np.testing.assert_allclose(R @ u, v, atol=8 * eps)
    np.testing.assert_allclose(np.trace(R), 2 + 2 * np.cos(theta), atol=16 * eps)
    if 1e-2 < theta < 3.1:
        np.testing.assert_allclose(Q[2:] @ R @ Q.T, np.eye(4)[2:], atol=20 * eps)


def test_a_rotation_onto_is_its_definition():
    u, v, x = unit(seed=1), unit(seed=2), vector()
    if u @ v < 0:
        v = -v
    for target in (v, -v):
        c = u @ target
        q = target - c * u
        naive = x + (c - 1) * u * (u @ x) - q * (q @ x) / (1 + c) + q * (u @ x) - u * (q @ x)
        np.testing.assert_allclose(rotations.rotate_onto(x, u, target), naive, rtol=1e-12)
        longer = rotations.rotate_onto(x, 1e200 * u, 1e-200 * target)
        np.testing.assert_allclose(longer, naive, rtol=1e-12)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(u=arrays.arrays(np.float64, 3, elements=st.integers(-2, 2).map(float)))
def test_opposite_directions_are_taken_to_one_another(u):
    if np.any(u):
        R = matrix_of(lambda x: rotations.rotate_onto(x, u, -3 * u), 3)
        orthogonal(R, 1)
        np.testing.assert_allclose(R @ u, -u, atol=1e-14)
    else:
        assert jnp.isnan(rotations.rotate_onto(u, u, u + 1)).all()


def test_on_a_line_there_is_the_identity_or_none():
    one = np.ones(1)
    np.testing.assert_array_equal(rotations.rotate_onto(one, one, 2 * one), one)
    assert jnp.isnan(rotations.rotate_onto(one, one, -one)).all()


ONTO = jax.jit(rotations.rotate_onto)


def test_derivatives_are_finite_differences():
    x, u, v = vector(3), unit(3, 1), unit(3, 2)
    checked = dict(order=2, eps=1e-4, atol=1e-5, rtol=1e-5)
    for target in (v, -v, u):  # the last is smooth as well
        check_grads(ONTO, (x, u, target), **checked)
    check_grads(jax.jit(rotations.householder), (x,), **checked)


def test_a_compiled_batch_is_a_loop():
    x, u, v = np.random.default_rng(0).normal(size=(3, 5, 4))
    u[0] = -v[0]
    found = jax.jit(jax.vmap(rotations.rotate_onto))(x, u, v)
    loop = [rotations.rotate_onto(*row) for row in zip(x, u, v, strict=True)]
    np.testing.assert_allclose(found, loop, atol=1e-14)
    found = jax.jit(jax.vmap(rotations.householder))(x)
    np.testing.assert_allclose(found.image, [rotations.householder(r).image for r in x], rtol=1e-14)
