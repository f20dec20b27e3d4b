"""Sums over rows against their definition, whole and in blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from mlmath.linalg import gram

BLOCK = 70


def sample(n=1003, d=7):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)) + 3, rng.random(n)


def moments(X, weight, center):
    Z = X - center[None]
    return (weight[:, None] * Z).T @ Z, weight @ Z


def in_blocks(X, weight, center):
    return gram.row_sum(moments, (X, weight), center, block=BLOCK)


def test_gram_is_equation_2_and_affine_gram_equation_3():
    X, s = sample()
    A = np.c_[X, np.ones(len(X))]
    np.testing.assert_allclose(
        gram.gram(X, s), sum(a * np.outer(x, x) for a, x in zip(s, X, strict=True))
    )
    np.testing.assert_allclose(gram.affine_gram(X, s), A.T @ np.diag(s) @ A)


@pytest.mark.parametrize("d", [7, 191, 192, 193, 500])
def test_a_symmetric_product_by_halves_is_the_product(d):
    X, s = sample(20, d)
    found = gram.symmetric_product(s[:, None] * X, X)
    np.testing.assert_allclose(found, X.T @ np.diag(s) @ X, rtol=1e-12)
    program = jax.jit(lambda X: gram.symmetric_product(X, X)).lower(X).compile()
    assert (program.cost_analysis()["flops"] < 1.6 * len(X) * d**2) == (d >= 192)


@pytest.mark.parametrize("n", [1, 9, 10, 80, 1003, 1000, 1040])
def test_the_sum_of_blocks_is_the_sum(n):
    X, s = sample(n)
    center = X.mean(0)
    for found, right in zip(in_blocks(X, s, center), moments(X, s, center), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-12)


def test_blocks_are_taken_where_they_pay():
    X, s = sample()
    center = X.mean(0)

    def loops(block):
        program = jax.make_jaxpr(lambda X: gram.row_sum(moments, (X, s), center, block=block))
        return "scan[" in str(program(X))

    assert loops(BLOCK)
    assert not loops(2**19)


@pytest.mark.parametrize("argument", [0, 1, 2])
def test_derivatives_of_both_orders_and_modes_are_those_of_the_whole(argument):
    X, s = sample(200, 3)
    given = (X, s, X.mean(0))

    def sizes(total):
        def size(*given):
            outer, first = total(*given)
            return jnp.sum(jnp.sin(outer / 100)) + jnp.sum(first**2)

        return size

    for derivative in (jax.grad, jax.jacfwd, lambda f, a: jax.grad(lambda *g: jnp.sum(
        jnp.sin(jax.grad(f, a)(*g))), a)):  # fmt: skip
        found, right = (derivative(sizes(f), argument)(*given) for f in (in_blocks, moments))
        np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-11)


def test_a_sweep_over_weights_is_a_loop():
    X, s = sample(300)
    center, lanes = X.mean(0), np.stack([s, s[::-1], 0 * s])
    found = jax.vmap(in_blocks, (None, 0, None))(X, lanes, center)
    for lane in range(3):
        right = moments(X, lanes[lane], center)
        for a, b in zip(found, right, strict=True):
            np.testing.assert_allclose(a[lane], b, atol=1e-11)


@pytest.mark.parametrize("lanes", [2, 9])
@pytest.mark.parametrize("n", [50, 3000])
def test_many_weightings_are_equation_4(n, lanes):
    X, _ = sample(n)
    W = np.random.default_rng(1).random((lanes, n))
    A = np.c_[X, np.ones(n)]
    found = jax.vmap(gram.affine_gram, (None, 0))(X, W)
    for G, s in zip(found, W, strict=True):
        np.testing.assert_allclose(G, A.T @ np.diag(s) @ A, rtol=1e-12)
    if lanes == 9:
        vectors = W @ (A[:, :, None] * A[:, None, :]).reshape(n, -1)
        np.testing.assert_allclose(found.reshape(lanes, -1), vectors, rtol=1e-12)


def test_many_weightings_are_one_product_of_matrices():
    X, _ = sample(50)
    W = np.ones((20, 50))
    program = str(jax.make_jaxpr(jax.vmap(gram.affine_gram, (None, 0)))(X, W))
    assert "f64[20,50,7]" not in program  # a weighted copy of the rows per lane
    assert program.count("dot_general") == 1


def test_many_weightings_have_the_derivatives_of_a_loop():
    X, _ = sample(40, 3)
    W = np.random.default_rng(1).random((5, 40))

    def size(lanes):
        return lambda X, W: jnp.sum(jnp.sin(lanes(X, W) / 100))

    many = size(jax.vmap(gram.affine_gram, (None, 0)))
    loop = size(lambda X, W: jnp.stack([gram.affine_gram(X, s) for s in W]))
    for argument in (0, 1):
        for derivative in (jax.grad, jax.jacfwd):
            found, right = (derivative(f, argument)(X, W) for f in (many, loop))
            np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("devices", [8, 6, 4])
def test_sharded_rows_stay_where_they_are(devices):
    X, s = sample(131 * devices)
    center = X.mean(0)
    some = jax.devices()[:devices]
    mesh = jax.make_mesh((devices,), ("rows",), axis_types=(AxisType.Auto,), devices=some)
    split = [jax.device_put(a, NamedSharding(mesh, PartitionSpec("rows"))) for a in (X, s)]
    program = jax.jit(in_blocks).lower(*split, center).compile()
    text = program.as_text()
    assert "while" in text
    assert "all-reduce" in text
    for collective in ("all-gather", "all-to-all", "collective-permute"):
        assert collective not in text
    np.testing.assert_allclose(program(*split, center)[0], moments(X, s, center)[0])


def test_short_sums_keep_digits_that_one_long_sum_of_float32_loses():
    ones = np.ones((2**25, 1), np.float32)
    found = gram.row_sum(lambda X: jax.lax.reduce(X, np.float32(0), jax.lax.add, (0,)), (ones,))
    assert found[0] == 2**25


def test_sharded_rows_stay_under_many_weightings():
    X, _ = sample(8 * 41)
    W = np.random.default_rng(1).random((10, 8 * 41))
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
    Xs = jax.device_put(X, NamedSharding(mesh, PartitionSpec("rows")))
    Ws = jax.device_put(W, NamedSharding(mesh, PartitionSpec(None, "rows")))
    program = jax.jit(jax.vmap(gram.affine_gram, (None, 0))).lower(Xs, Ws).compile()
    for collective in ("all-gather", "all-to-all", "collective-permute"):
        assert collective not in program.as_text()
    A = np.c_[X, np.ones(len(X))]
    np.testing.assert_allclose(program(Xs, Ws)[3], A.T @ np.diag(W[3]) @ A)
