"""Vectors that are trees: their arithmetic is that of the one long vector."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from mlmath.optimize import trees

RNG = np.random.default_rng(0)
SHAPES = {"w": (3, 2), "b": [(2,), ()]}


def tree():
    return jax.tree.map(
        lambda shape: jnp.asarray(RNG.normal(size=shape)),
        SHAPES,
        is_leaf=lambda node: isinstance(node, tuple),
    )


P, Q = tree(), tree()
FLAT_P, FLAT_Q = (np.asarray(ravel_pytree(t)[0]) for t in (P, Q))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (trees.scale(2.5, P), 2.5 * FLAT_P),
        (trees.add_scaled(P, -0.3, Q), FLAT_P - 0.3 * FLAT_Q),
        (trees.average(P, Q, 0.9), 0.1 * FLAT_Q + 0.9 * FLAT_P),
        (trees.norm(P), np.sqrt(np.sum(FLAT_P**2))),
        (trees.zeros(P), 0 * FLAT_P),
    ],
    ids=["scale", "add_scaled", "average", "norm", "zeros"],
)
def test_trees_are_vectors(found, expected):
    np.testing.assert_allclose(ravel_pytree(found)[0], np.atleast_1d(expected), rtol=1e-14)


def test_a_block_keeps_its_dtype_and_the_number_its_digits():
    x = {"a": jnp.ones(2, jnp.float32), "b": jnp.ones(2, jnp.float64)}
    zero = trees.zeros(x)
    moved = trees.average(zero, x, jnp.float64(0.999))
    assert moved["a"].dtype == jnp.float32
    np.testing.assert_array_equal(moved["a"], np.float32(1 - 0.999))  # not 1 − float32(0.999)
    np.testing.assert_array_equal(moved["b"], 1 - 0.999)


def test_the_root_is_flat_at_zero():
    values = jnp.array([0.0, 4.0, 9.0])
    np.testing.assert_array_equal(trees.root(values), [0, 2, 3])
    np.testing.assert_allclose(jax.jit(jax.vmap(jax.grad(trees.root)))(values), [0, 1 / 4, 1 / 6])
    second = jax.jit(jax.vmap(jax.grad(jax.grad(trees.root))))(values)
    np.testing.assert_allclose(second, [0, -1 / 32, -1 / 108], rtol=1e-14)
    assert float(jax.grad(lambda a: trees.norm(trees.scale(a, trees.zeros(P))))(1.0)) == 0


def test_the_norm_of_nothing_is_0():
    assert trees.norm({}) == 0


@pytest.mark.parametrize("dtype", [int, bool, complex])
def test_what_is_no_real_float_is_refused(dtype):
    with pytest.raises(ValueError, match="must be real floats, got"):
        trees.scale(0.1, {"w": jnp.ones(2, dtype)})
