"""Clipping: two formulas, and what they keep."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mlmath.optimize import clipping

G = {"w": jnp.array([[3.0, -0.2], [0.1, -4.0]]), "b": jnp.array(12.0)}
FLAT = np.array([12.0, 3.0, -0.2, 0.1, -4.0])  # in the order of the tree


def clipped(link, grads=G):
    updates, state = link.update(grads, link.init(grads))
    assert state == ()
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(updates)])


@pytest.mark.parametrize("c", [0.15, 1.0, 100.0])
def test_both_are_their_formulas_and_optax_s(c):
    by_value, by_norm = clipped(clipping.clip(c)), clipped(clipping.clip_by_global_norm(c))
    np.testing.assert_array_equal(by_value, np.minimum(np.maximum(FLAT, -c), c))
    norm = np.sqrt(np.sum(FLAT**2))
    np.testing.assert_allclose(by_norm, FLAT * min(1, c / norm), rtol=1e-15)
    np.testing.assert_array_equal(by_value, clipped(optax.clip(c)))
    np.testing.assert_allclose(by_norm, clipped(optax.clip_by_global_norm(c)), rtol=4e-16)


def test_a_short_gradient_is_left_as_it_is():
    np.testing.assert_array_equal(clipped(clipping.clip_by_global_norm(100.0)), FLAT)


def test_nothing_is_not_divided_by_its_length():
    def length(c, scale):
        grads = jax.tree.map(lambda g: scale * g, G)
        return jnp.sum(clipping.clip_by_global_norm(c).update(grads, ())[0]["w"])

    assert float(length(1.0, 0.0)) == 0
    slopes = jax.grad(length, argnums=(0, 1))(1.0, 0.0)
    np.testing.assert_allclose(slopes, (0, np.sum(G["w"])), rtol=1e-14)


def test_a_missing_number_shows():
    grads = {"w": jnp.array([jnp.nan, 1.0]), "b": jnp.array(2.0)}
    assert np.isnan(clipped(clipping.clip(1.0), grads)).sum() == 1
    assert np.isnan(clipped(clipping.clip_by_global_norm(1.0), grads)).all()


def test_a_gradient_whose_square_overflows_becomes_nothing():
    grads = {"w": jnp.array([1e200, 1.0]), "b": jnp.array(-2.0)}
    np.testing.assert_array_equal(clipped(clipping.clip_by_global_norm(1.0), grads), 0)
