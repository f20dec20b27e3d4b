"""``rows``: a function of one example over many; rows in equal parts, and a block at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mlmath
from mlmath import arrays
from mlmath.linear import ridge

PARAMS = ridge.Params(jnp.array([1.0, -2.0]), jnp.array(0.5))
X = np.random.default_rng(0).normal(size=(7, 2))
Y = np.random.default_rng(1).normal(size=7)


@pytest.mark.parametrize("batch_size", [None, 1, 3, 7, 100])
def test_rows_is_a_loop(batch_size):
    expected = [ridge.predict(PARAMS, x) for x in X]
    ours = mlmath.rows(ridge.predict)(PARAMS, X, batch_size=batch_size)
    np.testing.assert_allclose(ours, expected, rtol=1e-14)


def test_rows_takes_several_data():
    expected = [ridge.loss(PARAMS, x, y) for x, y in zip(X, Y, strict=True)]
    np.testing.assert_allclose(mlmath.rows(ridge.loss)(PARAMS, X, Y), expected, rtol=1e-14)


def test_rows_differentiates_and_compiles():
    def total(params):
        return mlmath.rows(ridge.loss)(params, X, Y).sum()

    expected = sum(
        np.append(1, x) * (x @ PARAMS.weights + 0.5 - y) for x, y in zip(X, Y, strict=True)
    )
    slope = jax.jit(jax.grad(total))(PARAMS)
    np.testing.assert_allclose(np.append(slope.bias, slope.weights), expected, rtol=1e-12)


def test_blocks_bound_the_memory():
    big = jax.ShapeDtypeStruct((4096, 64), jnp.float64)

    def outer(params, x):
        return (x[:, None] * x[None, :]).sum() * params

    def peak(**how):
        program = jax.jit(lambda X: mlmath.rows(outer)(1.0, jnp.sin(X), **how)).lower(big).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert peak(batch_size=16) < 16 * 2**20


@pytest.mark.parametrize("n", [1, 7, 840, 60_000, 1_008_000, 100_003])
def test_parts_are_equal_and_each_device_holds_whole_ones(n):
    many = arrays.parts(n)
    assert n % many == 0
    assert many <= 64
    devices = jax.device_count()
    assert many % np.gcd(n, devices) == 0


@pytest.mark.parametrize("n", [0, 1, 6, 7, 64, 840])
def test_blocks_give_what_all_rows_give(n):
    X = jnp.asarray(np.random.default_rng(2).normal(size=(n, 3)))
    taken = []

    def function(x):
        taken.append(len(x))
        return {"doubled": 2 * x, "first": x[:, 0]}

    found = arrays.by_blocks(function, X, width=4, most=4 * 16)
    assert max(taken) <= max(16, arrays.parts(n))
    np.testing.assert_array_equal(found["doubled"], 2 * X)
    np.testing.assert_array_equal(found["first"], X[:, 0])


def test_a_large_numpy_array_is_placed_as_it_is():
    large = np.random.default_rng(0).normal(size=(1000, 200))
    np.testing.assert_array_equal(arrays.placed(large[:, ::-1]), large[:, ::-1])
    placed = arrays.placed(large)
    assert isinstance(placed, jax.Array)
    np.testing.assert_array_equal(placed, large)
    assert arrays.placed(X) is X
    before = np.array(placed)
    large[:] = 0
    np.testing.assert_array_equal(placed, before)


def test_what_is_no_plain_array_of_numbers_is_left_to_jax():
    large = np.zeros(2**18)
    for other in (np.ma.masked_array(large), large.astype(object), large.astype(complex)):
        assert arrays.placed(other) is other


def test_float64_is_placed_in_the_precision_of_jax():
    large = np.full(2**18, 1e300)
    with jax.enable_x64(False):
        placed = arrays.placed(large)
    assert placed.dtype == jnp.float32
    assert jnp.isposinf(placed).all()
