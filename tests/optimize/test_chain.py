"""Optimizers that are data: the protocol, chains, and optax's optimizers as links."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.tree_util import Partial

from mlmath.optimize import adam, chain, clipping, momentum, schedules, weight_decay

X = {"w": jnp.array([3.0, -0.5]), "b": jnp.array(0.2)}
G = {"w": jnp.array([0.4, -2.0]), "b": jnp.array(1.5)}


def test_apply_adds_in_the_dtype_of_the_parameters():
    moved = chain.apply(
        {"a": jnp.float32(1), "b": np.ones(2)}, {"a": jnp.float64(0.5), "b": np.ones(2)}
    )
    assert moved["a"].dtype == jnp.float32
    assert float(moved["a"]) == 1.5
    np.testing.assert_array_equal(moved["b"], [2, 2])


def test_descend_is_eq_3():
    link = chain.descend(0.25)
    updates, state = link.update(G, link.init(X), X)
    chex.assert_trees_all_equal(updates, jax.tree.map(lambda g: -0.25 * g, G))
    assert state == ()
    link = chain.descend(Partial(lambda a, t: a / (1 + t), 0.5))
    state = link.init(X)
    for t in range(3):
        assert int(state) == t
        updates, state = link.update(G, state)
        chex.assert_trees_all_close(updates, jax.tree.map(lambda g: -0.5 / (1 + t) * g, G))  # noqa: B023


def test_a_chain_passes_on_what_the_link_before_returns():
    links = (weight_decay.coupled(0.1), clipping.clip(0.5), momentum.momentum(0.3))
    whole = chain.chain(*links)
    state, states = whole.init(X), [link.init(X) for link in links]
    for _ in range(3):
        updates, state = whole.update(G, state, X)
        passed = G
        for k, link in enumerate(links):
            passed, states[k] = link.update(passed, states[k], X)
        chex.assert_trees_all_equal(updates, passed)
        chex.assert_trees_all_equal(state, tuple(states))


def test_a_chain_is_a_pytree_of_the_numbers_of_its_links():
    def first(optimizer):
        return optimizer.update(G, optimizer.init(X), X)[0]["w"]

    def make(limit, rate):
        return chain.chain(chain.chain(clipping.clip(limit)), momentum.sgd(rate))

    assert jax.tree.leaves(make(0.3, 0.1)) == [0.3, 0.1]
    traced = jax.jit(chex.assert_max_traces(first, n=1))
    for limit in (0.1, 0.2, 0.3):
        np.testing.assert_allclose(traced(make(limit, 0.5)), [-limit / 2, limit / 2], rtol=1e-15)
    swept = jax.vmap(first)(jax.vmap(make)(jnp.array([0.1, 0.2]), jnp.array([1.0, 2.0])))
    np.testing.assert_allclose(swept, [[-0.1, 0.1], [-0.4, 0.4]], rtol=1e-15)


def test_the_empty_chain_changes_nothing():
    empty = chain.chain()
    chex.assert_trees_all_equal(empty.update(G, empty.init(X), X)[0], G)


def test_an_optimizer_of_optax_is_a_link():
    peer = optax.adam(0.1)
    mixed = chain.chain(clipping.clip(1.0), chain.from_optax(peer))
    ours = chain.chain(clipping.clip(1.0), adam.adam(0.1))

    @jax.jit
    def first(optimizer):
        return optimizer.update(G, optimizer.init(X), X)[0]

    chex.assert_trees_all_close(first(mixed), first(ours), rtol=1e-14)
    assert jax.tree.leaves(mixed) == [1.0]
    assert jax.tree.structure(mixed) == jax.tree.structure(
        chain.chain(clipping.clip(2.0), chain.from_optax(peer))
    )


def test_steps_are_counted_to_the_largest_integer_and_no_further():
    largest = jnp.iinfo(jnp.int32).max
    steps = [chain.increment(jnp.int32(t)) for t in (0, largest - 1, largest)]
    assert [int(s) for s in steps] == [1, largest, largest]
    assert steps[0].dtype == jnp.int32


def test_a_state_of_another_chain_is_refused():
    with pytest.raises(ValueError, match="zip"):
        chain.chain(clipping.clip(1.0), momentum.sgd(schedules.constant(0.1))).update(G, ((),), X)
