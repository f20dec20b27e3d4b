"""Weight decay: as part of the gradient and beside it."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mlmath.optimize import adam, momentum, schedules, weight_decay
from mlmath.optimize.chain import chain

X, G = jnp.array([1.0, -2.0, 0.5]), jnp.array([0.3, 0.1, -0.7])


def first(optimizer):
    return optimizer.update(G, optimizer.init(X), X)[0]


def test_both_are_their_formulas():
    np.testing.assert_allclose(first(weight_decay.coupled(0.2)), G + 0.2 * X, rtol=1e-15)
    link = weight_decay.decoupled(0.5, decay=0.2)
    np.testing.assert_allclose(first(link), G - 0.5 * 0.2 * X, rtol=1e-15)
    np.testing.assert_array_equal(
        first(weight_decay.coupled(0.2)), first(optax.add_decayed_weights(0.2))
    )


def test_coupled_decay_is_the_gradient_of_a_penalty():
    slope = jax.grad(lambda x: G @ x + 0.2 / 2 * x @ x)(X)
    np.testing.assert_allclose(first(weight_decay.coupled(0.2)), slope, rtol=1e-15)


def test_before_or_after_is_the_same_for_gradient_descent_only():
    before = chain(weight_decay.coupled(0.2), momentum.sgd(0.5))
    after = chain(momentum.sgd(0.5), weight_decay.decoupled(0.5, decay=0.2))
    np.testing.assert_allclose(first(before), first(after), rtol=1e-14)
    before = chain(weight_decay.coupled(0.2), adam.adam(0.5))
    after = chain(adam.adam(0.5), weight_decay.decoupled(0.5, decay=0.2))
    assert np.max(np.abs(first(before) - first(after))) > 0.01


def test_decoupled_decay_after_adam_is_adamw():
    rate = schedules.exponential_decay(0.5, steps=2)
    ours = chain(adam.adam(rate), weight_decay.decoupled(rate, decay=0.2))
    whole = adam.adamw(rate, decay=0.2)
    state, expected = ours.init(X), whole.init(X)
    for _ in range(4):
        updates, state = ours.update(G, state, X)
        theirs, expected = whole.update(G, expected, X)
        chex.assert_trees_all_close(updates, theirs, rtol=1e-12)


@pytest.mark.parametrize("link", [weight_decay.coupled(0.1), weight_decay.decoupled(0.1)])
def test_it_needs_the_parameters(link):
    with pytest.raises(ValueError, match="needs the parameters"):
        link.update(G, link.init(X))
