"""Vectors against their definitions, at the ends of the range and of the angle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from jax.test_util import check_grads

from mlmath.linalg import vectors

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(2, 5))
NORMS = {
    "norm": vectors.norm,
    "max_norm": vectors.max_norm,
    "p_norm_1": lambda x: vectors.p_norm(x, 1.0),
    "p_norm_3.5": lambda x: vectors.p_norm(x, 3.5),
}
norms = pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
floats = pytest.mark.parametrize("dtype", [np.float32, np.float64])
pair = arrays.arrays(np.float64, (2, 4), elements=st.floats(-1e3, 1e3, allow_subnormal=False))


def two(theta, dtype=np.float64):
    """Two unit vectors, not along axes, of which the angle is ``theta``."""
    Q = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0]
    return Q[0].astype(dtype), (np.cos(theta) * Q[0] + np.sin(theta) * Q[1]).astype(dtype)


def test_values_are_their_definitions():
    inner = sum(a * b for a, b in zip(X, Y, strict=True))
    length = np.sqrt(sum(a * a for a in X))
    np.testing.assert_allclose(vectors.inner_product(X, Y), inner, rtol=1e-14)
    np.testing.assert_allclose(vectors.norm(X), length, rtol=1e-15)
    np.testing.assert_allclose(vectors.max_norm(X), max(abs(a) for a in X), rtol=0)
    np.testing.assert_allclose(vectors.normalise(X), X / length, rtol=1e-15)
    other = np.sqrt(sum(b * b for b in Y))
    np.testing.assert_allclose(vectors.cosine(X, Y), inner / (length * other), rtol=1e-13)
    w, z = X * other, Y * length
    kahan = 2 * np.arctan2(np.linalg.norm(w - z), np.linalg.norm(w + z))
    np.testing.assert_allclose(vectors.angle(X, Y), kahan, rtol=1e-14)
    np.testing.assert_allclose(vectors.angle(X, Y), np.arccos(inner / (length * other)), rtol=1e-13)


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 7.0, 200.0])
def test_the_p_norm_is_its_definition(p):
    naive = sum(abs(a) ** p for a in X) ** (1 / p)
    np.testing.assert_allclose(vectors.p_norm(X, p), naive, rtol=1e-14)


@norms
@settings(deadline=None, max_examples=30, derandomize=True)
@given(vectors_=pair, scale=st.floats(-100, 100, allow_subnormal=False))
def test_a_norm_is_homogeneous_and_obeys_the_triangle_inequality(norm, vectors_, scale):
    x, y = vectors_
    lengths = norm(x) + norm(y)
    assert norm(x + y) <= lengths * (1 + 1e-14)
    np.testing.assert_allclose(norm(scale * x), abs(scale) * norm(x), rtol=1e-13)


def test_p_norms_meet_the_other_norms_and_fall_with_p():
    np.testing.assert_allclose(vectors.p_norm(X, 2.0), vectors.norm(X), rtol=1e-15)
    np.testing.assert_allclose(vectors.p_norm(X, np.inf), vectors.max_norm(X), rtol=1e-15)
    swept = jax.vmap(vectors.p_norm, (None, 0))(X, jnp.linspace(1, 50, 20))
    assert (jnp.diff(swept) < 0).all()
    assert jnp.isnan(vectors.p_norm(X, 0.5))


@norms
@floats
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_norms_keep_the_range_of_the_dtype(norm, dtype, size):
    x = X.astype(dtype)
    for scale in (size, size**9 if dtype == np.float64 else size):
        scaled = x * dtype(scale)
        found = norm(jnp.asarray(scaled))
        assert found.dtype == dtype
        np.testing.assert_allclose(found / scale, norm(x), rtol=4 * np.finfo(dtype).eps)
        slope = jax.grad(norm)(scaled)
        expected = jax.grad(norm)(x)
        np.testing.assert_allclose(slope, expected, rtol=20 * np.finfo(dtype).eps)


def test_the_euclidean_norm_is_right_to_rounding_across_the_range_of_float32():
    for exponent in range(-37, 38):
        x = (np.array([3.0, -4.0]) * 10.0**exponent).astype(np.float32)
        exact = np.linalg.norm(x.astype(float))
        np.testing.assert_allclose(vectors.norm(x), exact, rtol=2e-7)
    assert vectors.norm(np.array([1e30, 1e-30], np.float32)) == np.float32(1e30)


@norms
@floats
def test_at_zero_a_norm_and_its_derivatives_are_zero(norm, dtype):
    zero = np.zeros(3, dtype)
    assert norm(zero) == 0
    np.testing.assert_array_equal(jax.grad(norm)(zero), 0)
    np.testing.assert_array_equal(jax.jit(jax.hessian(norm))(zero), 0)
    assert norm(np.zeros(0, dtype)) == 0


@norms
def test_what_is_not_finite_shows(norm):
    assert jnp.isnan(norm(np.array([1.0, np.nan, 0.0])))
    assert jnp.isnan(norm(np.array([np.inf, np.nan])))
    assert norm(np.array([1.0, -np.inf])) == np.inf


@pytest.mark.parametrize("name", ["norm", "p_norm_3.5"])
def test_norms_have_the_derivatives_of_finite_differences(name):
    check_grads(NORMS[name], (X,), 2, eps=1e-4, atol=1e-6, rtol=1e-6)


def test_the_p_norm_has_derivatives_in_p_and_at_entries_of_zero():
    check_grads(vectors.p_norm, (X, jnp.asarray(2.5)), 2, eps=1e-4, atol=1e-6, rtol=1e-6)
    x = np.array([3.0, 0.0, -4.0])
    expected = np.eye(3) / 5 - np.outer(x, x) / 125
    found = jax.hessian(vectors.p_norm)(x, 2.0)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(jax.hessian(vectors.norm)(x), expected, rtol=1e-13, atol=1e-15)
    for p in (1.0, 1.5, 2.0, 3.0):
        slopes = jax.grad(vectors.p_norm, (0, 1))(x, p)
        ratio = np.abs(x) / vectors.p_norm(x, p)
        np.testing.assert_allclose(slopes[0], np.sign(x) * ratio ** (p - 1), rtol=1e-13)
        assert np.isfinite(slopes[1])
    np.testing.assert_array_equal(jax.hessian(vectors.p_norm)(x, 1.0), 0)


def test_those_that_share_the_maximum_share_its_derivative():
    slope = jax.grad(vectors.max_norm)(np.array([2.0, -2.0, 1.0]))
    np.testing.assert_array_equal(slope, [0.5, -0.5, 0.0])


@floats
@pytest.mark.parametrize("theta", [0.0, 1e-12, 1e-7, 1e-3, 1.0, np.pi / 2, 3.0, np.pi - 1e-7])
def test_angles_have_the_error_of_the_vectors(theta, dtype):
    x, y = two(theta, dtype)
    exact = vectors.angle(x.astype(float), y.astype(float))
    eps = np.finfo(dtype).eps
    assert abs(vectors.angle(x, y) - exact) <= 4 * eps
    assert abs(vectors.angle(x, y) - theta) <= 4 * eps
    assert vectors.angle(x, y).dtype == dtype


def test_ends_of_the_angle_are_exact_and_tiny_ones_keep_their_digits():
    x = two(0.0)[0]
    assert vectors.angle(x, 4 * x) == 0
    np.testing.assert_allclose(vectors.angle(x, -4 * x), np.pi, rtol=0)
    x, y = np.array([1.0, 0.0]), np.array([1.0, 1e-20])
    np.testing.assert_allclose(vectors.angle(x, y), 1e-20, rtol=1e-15)
    np.testing.assert_allclose(vectors.cosine(np.array([0.0, 1.0]), y), 1e-20, rtol=1e-15)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(x=arrays.arrays(np.float32, 3, elements=st.floats(-8, 8, width=32, allow_subnormal=False)))
def test_a_cosine_stays_within_its_range(x):
    if np.any(x):
        for y in (x, 3 * x, -7 * x):
            assert abs(vectors.cosine(x, y)) <= 1
        assert vectors.cosine(x, x) >= 1 - 4 * np.finfo(np.float32).eps


@floats
def test_angles_do_not_depend_on_lengths(dtype):
    x, y = X.astype(dtype), Y.astype(dtype)
    for f in (vectors.cosine, vectors.angle):
        scaled = f(x * dtype(1e-30), y * dtype(1e30))
        np.testing.assert_allclose(scaled, f(x, y), rtol=10 * np.finfo(dtype).eps)


@pytest.mark.parametrize("f", [vectors.cosine, vectors.angle])
def test_a_zero_vector_has_no_angle(f):
    zero = np.zeros(5)
    for x, y in [(zero, Y), (X, zero), (zero, zero)]:
        assert jnp.isnan(f(x, y))
        assert jnp.isnan(jax.grad(f)(x, y)).all()
    assert jnp.isnan(f(np.where(X > 0, np.nan, X), Y))
    assert jnp.isnan(vectors.normalise(zero)).all()


@pytest.mark.parametrize("f", [vectors.cosine, vectors.angle])
@pytest.mark.parametrize("theta", [0.1, 1.0, np.pi / 2, 3.0])
def test_angles_have_the_derivatives_of_finite_differences(f, theta):
    check_grads(f, two(theta), 2, eps=1e-4, atol=1e-5, rtol=1e-5)


def test_the_gradient_of_a_tiny_angle_has_its_length_and_at_the_ends_it_is_zero():
    x, y = two(1e-6)
    np.testing.assert_allclose(np.linalg.norm(jax.grad(vectors.angle)(2 * x, y)), 0.5, rtol=1e-9)
    for sign in (1, -1):
        np.testing.assert_array_equal(jax.grad(vectors.angle)(x, sign * x), 0)
        one = jax.grad(vectors.angle)(np.array([3.0]), np.array([sign * 2.0]))
        np.testing.assert_array_equal(one, 0)
    curvature = jax.hessian(vectors.cosine)(x, x)  # of cos θ ≈ 1 − θ²/2
    np.testing.assert_allclose(curvature, np.outer(x, x) - np.eye(5), rtol=1e-12, atol=1e-14)


def test_the_magnitude_is_a_power_of_two_and_divides_exactly():
    for x in (1.0, 3.0, 1e-300, -1e300, np.float32(3e38), np.float32(1.2e-38)):
        x = np.asarray(x)
        unit = np.asarray(vectors.magnitude(x[None]))
        assert np.frexp(unit)[0] == 0.5
        assert 1 <= abs(x / unit) < (4 if x > 1.7e38 else 2)  # 2¹²⁷ has no normal inverse
    for x in (0.0, np.nan, np.inf):
        assert vectors.magnitude(np.array([x, 3.0 if x else 0.0])) == 1


@pytest.mark.parametrize(
    "f",
    [vectors.inner_product, vectors.cosine, vectors.angle, lambda x, y: vectors.p_norm(x + y, 3.0)],
)
def test_a_compiled_batch_is_a_loop(f):
    batch = RNG.normal(size=(3, 2, 5))
    found = jax.jit(jax.vmap(f))(batch[:, 0], batch[:, 1])
    np.testing.assert_allclose(found, [f(x, y) for x, y in batch], rtol=1e-13)


def test_vectors_of_different_lengths_are_refused():
    with pytest.raises(Exception, match=r"y must be a float array of shape \(d,\)"):
        vectors.angle(X, Y[:3])


@pytest.mark.parametrize("size", [1e38, 1.8e38, 3e38, 1e-37])
def test_norms_reach_the_ends_of_single_precision(size):
    x = np.float32([size, 0])
    for found in (vectors.norm(x), vectors.p_norm(x, 3.0), vectors.max_norm(x)):
        np.testing.assert_allclose(found, np.float32(size), rtol=1e-6)
    np.testing.assert_array_equal(vectors.normalise(x), [1, 0])
    np.testing.assert_array_equal(jax.grad(vectors.norm)(x), [1, 0])
