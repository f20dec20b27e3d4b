"""Steps that stay finite: eq. (1) for gradients, iterates and memories that are not."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.optimize import chain, finite, first_order

X = {"a": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}
MAX = float(jnp.finfo(jnp.float64).max)


def path(optimizer, gradients, x=X):
    state, found = optimizer.init(x), []
    for g in gradients:
        updates, state = optimizer.update(jax.tree.map(lambda leaf, g=g: g * leaf, x), state, x)
        x = chain.apply(x, updates)
        found.append(x)
    return found, state


def test_finite_steps_are_those_of_the_method():
    optimizer = first_order.adam(0.1)
    plain, inner = path(optimizer, [1.0, 2.0, -3.0])
    watched, state = path(finite.guarded(optimizer), [1.0, 2.0, -3.0])
    chex.assert_trees_all_equal(watched, plain)
    chex.assert_trees_all_equal(state.guarded, inner)
    assert int(state.taken) == 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])  # the square of the last is infinite
def test_a_step_that_is_not_finite_is_as_if_it_had_not_been(bad):
    optimizer = finite.guarded(first_order.adam(0.1))
    found, state = path(optimizer, [1.0, bad, 2.0])
    expected, after = path(optimizer, [1.0, 2.0])
    chex.assert_trees_all_equal(found[1], found[0])
    chex.assert_trees_all_equal(found[2], expected[1])
    chex.assert_trees_all_equal(state, after)
    assert int(state.taken) == 2


def test_a_finite_update_to_an_infinite_iterate_is_not_taken():
    found, state = path(finite.guarded(first_order.sgd(-1.0)), [1.0], {"a": jnp.array([MAX])})
    assert float(found[0]["a"][0]) == MAX
    assert int(state.taken) == 0


def test_one_number_that_is_not_finite_stops_all_of_them():
    optimizer = finite.guarded(first_order.sgd(0.1))
    gradient = {"a": jnp.array([1.0, jnp.nan]), "b": jnp.array(1.0)}
    updates, _ = optimizer.update(gradient, optimizer.init(X), X)
    chex.assert_trees_all_equal(updates, jax.tree.map(jnp.zeros_like, X))


def test_lanes_do_not_see_each_other():
    optimizer = finite.guarded(first_order.momentum(0.1))

    def last(factor):
        found, state = path(optimizer, [1.0, factor, 1.0])
        return found[-1]["b"], state.taken

    many, taken = jax.vmap(last)(jnp.array([2.0, jnp.nan]))
    np.testing.assert_array_equal(taken, [3, 2])
    np.testing.assert_allclose(many, [last(2.0)[0], last(np.nan)[0]], rtol=1e-14)


def test_its_numbers_are_leaves_and_have_derivatives():
    assert jax.tree.leaves(finite.guarded(first_order.sgd(0.1))) == [0.1]

    def last(rate):
        return path(finite.guarded(first_order.sgd(rate)), [1.0, 2.0])[0][-1]["b"]

    np.testing.assert_allclose(jax.grad(last)(0.1), 0.5 * (-1 * 0.8 - 2 * 0.9), rtol=1e-12)


def test_it_needs_the_parameters():
    optimizer = finite.guarded(first_order.sgd(0.1))
    with pytest.raises(ValueError, match="needs the parameters"):
        optimizer.update(X, optimizer.init(X))
