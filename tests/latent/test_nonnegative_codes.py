"""Codes of rows: eq. (1)–(4) in naive NumPy and by Lawson and Hanson, and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls

from mlmath import rows
from mlmath.latent import nonnegative_codes as codes
from tests.test_contract import bend, slope

RNG = np.random.default_rng(0)
H = RNG.random((3, 6)) * (RNG.random((3, 6)) < 0.7)
X = RNG.random((20, 6)) * (RNG.random((20, 6)) < 0.7)
S = RNG.uniform(0.5, 2, 20)
PARAMS = codes.Params(jnp.asarray(H))


def lawson_hanson(H, X):
    return np.array([nnls(H.T, x)[0] for x in X])


def naive(H, X, s):
    W = lawson_hanson(H, X)
    return sum(s[i] * np.sum((X[i] - W[i] @ H) ** 2) / 2 for i in range(len(X)))  # (2)


def test_codes_and_reconstructions_are_equation_1():
    W = rows(codes.transform)(PARAMS, X)
    np.testing.assert_allclose(W, lawson_hanson(H, X), atol=1e-12)
    np.testing.assert_allclose(codes.of_rows(H, X).codes, W, atol=1e-12)
    np.testing.assert_allclose(codes.of_rows(H, X, start=RNG.random(W.shape)).codes, W, atol=1e-12)
    np.testing.assert_allclose(rows(codes.inverse)(PARAMS, W), np.asarray(W) @ H, atol=1e-12)
    assert (np.asarray(W) == 0).any()


def test_the_objective_is_equation_2_and_the_sum_of_losses():
    found = codes.objective(PARAMS, X, sample_weight=S)
    np.testing.assert_allclose(found, naive(H, X, S), rtol=1e-12)
    np.testing.assert_allclose(S @ np.asarray(rows(codes.loss)(PARAMS, X)), found, rtol=1e-12)
    scaled = codes.Params(jnp.asarray(H[::-1] * np.array([[1e-3], [2.0], [1e4]])))
    np.testing.assert_allclose(codes.objective(scaled, X, sample_weight=S), found, rtol=1e-10)
    assert codes.objective(codes.Params(jnp.asarray(H - 0.1)), X) == jnp.inf


def test_the_gradient_is_equation_3_in_naive_numpy():
    W = lawson_hanson(H, X)
    A = sum(S[i] * np.outer(W[i], W[i]) for i in range(20))
    B = sum(S[i] * np.outer(W[i], X[i]) for i in range(20))
    for found, right in zip(codes.products(W, X, S), (A, B), strict=True):
        np.testing.assert_allclose(found, right, atol=1e-12)
    found = jax.grad(lambda H: codes.objective(codes.Params(H), X, sample_weight=S))(PARAMS[0])
    np.testing.assert_allclose(found, A @ H - B, atol=1e-11)


def test_derivatives_of_codes_are_those_of_equation_4():
    """Of a row with a zero code and of one without, in x and H, first and second."""
    W = lawson_hanson(H, X)
    inside = np.array([1.0, 0.5, 0.8]) @ H + 0.01 * RNG.random(6)
    edge = X[((W == 0).sum(axis=1) == 1)][0]
    for x in (inside, edge):
        dH, dx = RNG.normal(size=H.shape) * (H > 0), RNG.normal(size=6)

        def value(t, x=x, dH=dH, dx=dx):
            w = codes.transform(codes.Params(PARAMS[0] + t * dH), x + t * dx)
            return w @ jnp.arange(1.0, 4) + w @ w

        value = jax.jit(value)
        first = jax.jit(jax.grad(value))
        np.testing.assert_allclose(first(0.0), slope(value, 1e-4), rtol=1e-7)
        np.testing.assert_allclose(jax.grad(first)(0.0), bend(value, 1e-3), rtol=1e-4)
        forward = jax.jvp(value, (0.0,), (1.0,))[1]
        np.testing.assert_allclose(forward, first(0.0), rtol=1e-10)


def test_second_derivatives_of_the_objective_know_that_codes_move():
    direction = RNG.normal(size=H.shape) * (H > 0) * 0.1

    def value(t):
        return codes.objective(codes.Params(PARAMS[0] + t * direction), X, sample_weight=S)

    first = jax.jit(jax.grad(value))
    np.testing.assert_allclose(first(0.0), slope(value, 1e-3), rtol=1e-7)
    np.testing.assert_allclose(jax.grad(first)(0.0), slope(first, 1e-3), rtol=1e-6)


def test_codes_of_components_that_are_alike_have_no_derivative_but_a_reconstruction():
    twice = codes.Params(jnp.asarray(H[[0, 1, 1]]))
    W = codes.of_rows(twice[0], X).codes
    right = lawson_hanson(H[:2], X) @ H[:2]
    np.testing.assert_allclose(W @ twice[0], right, atol=1e-12)
    both = X[np.asarray(W[:, 1] > 0)][0]
    assert np.isnan(jax.grad(lambda x: codes.transform(twice, x)[1])(jnp.asarray(both))).any()


@pytest.mark.parametrize("power", [-83, 83])
def test_codes_follow_the_unit_of_rows_whose_squares_are_no_numbers(power):
    params = codes.Params(PARAMS[0].astype(np.float32))
    right = np.ldexp(rows(codes.transform)(params, X.astype(np.float32)), power)
    found = rows(codes.transform)(params, np.ldexp(X.astype(np.float32), power))
    np.testing.assert_array_equal(found, right)
    assert (right > 0).any()


def test_many_examples_are_one_search_that_compiles_once(caplog):
    calls = [
        lambda X: rows(codes.transform)(PARAMS, X),
        lambda X: rows(codes.loss)(PARAMS, X),
        lambda X: codes.objective(PARAMS, X),
    ]
    some, others = jnp.asarray(X[:7]), jnp.asarray(X[7:14])
    for call in calls:
        with jax.log_compiles():
            call(some)
            assert [r for r in caplog.records if "Compiling" in r.getMessage()]
            caplog.clear()
            call(others)
            assert not [r for r in caplog.records if "tracing" in r.getMessage()]
            caplog.clear()
    one = jax.jit(lambda x: codes.transform(PARAMS, x))
    alone = np.stack([one(x) for x in some])
    np.testing.assert_allclose(calls[0](some), alone, atol=1e-13)
    lanes = jax.vmap(codes.transform)(codes.Params(jnp.stack([PARAMS[0]] * 7)), some)
    np.testing.assert_allclose(lanes, alone, atol=1e-13)
    swept = jax.vmap(lambda c: rows(codes.transform)(PARAMS, c * some))(jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(swept[1], 2 * alone, atol=1e-13)
    program = jax.make_jaxpr(calls[0])(some)
    assert "f64[3,7]" in str(program), "all codes in one array, not seven of one column"


def test_rows_of_codes_have_the_derivatives_of_each():
    def total(H, X):
        return jnp.sum(rows(codes.transform)(codes.Params(H), X) ** 2)

    def alone(H, x):
        return jnp.sum(codes.transform(codes.Params(H), x) ** 2)

    one = jax.jit(jax.grad(alone, (0, 1)))
    parts = [one(PARAMS[0], x) for x in X[:7]]
    in_H, in_X = jax.grad(total, (0, 1))(PARAMS[0], jnp.asarray(X[:7]))
    np.testing.assert_allclose(in_H, sum(p[0] for p in parts), atol=1e-11)
    np.testing.assert_allclose(in_X, np.stack([p[1] for p in parts]), atol=1e-11)


def test_nan_shows_in_codes():
    x = jnp.asarray(X[0]).at[2].set(jnp.nan)
    assert np.isnan(codes.transform(PARAMS, x)).all()
    assert np.isnan(codes.loss(PARAMS, x))


def test_absent_rows_may_hold_anything():
    holes = np.concatenate([X, np.full((1, 6), np.nan)])
    found = codes.objective(PARAMS, holes, sample_weight=np.append(S, 0.0))
    np.testing.assert_allclose(found, codes.objective(PARAMS, X, sample_weight=S), rtol=1e-14)
    assert np.isnan(codes.objective(PARAMS, holes))


def test_a_row_of_another_length_is_refused():
    with pytest.raises(TypeError):
        codes.transform(PARAMS, X)
    with pytest.raises(TypeError):
        codes.of_rows(H, X[:, :5])
