"""``compiled``: jit, full precision, and the signature kept."""

import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from mlmath.arguments import ArgumentError
from mlmath.compiled import compiled
from mlmath.linear import ridge


def test_products_inside_are_at_full_precision():
    product = compiled()(lambda a, b: a @ b)
    program = jax.make_jaxpr(product)(jnp.ones((2, 2)), jnp.ones((2, 2)))
    assert "HIGHEST" in str(program)
    assert "HIGHEST" not in str(jax.make_jaxpr(lambda a: a @ a)(jnp.ones((2, 2))))


def test_a_static_argument_is_a_python_value():
    repeat = compiled(static=("times",))(lambda x, *, times: jnp.stack([x] * times))
    assert repeat(jnp.ones(2), times=3).shape == (3, 2)


def test_one_trace_serves_every_number():
    chex.clear_trace_counter()
    traced = compiled()(chex.assert_max_traces(lambda x, l2: x * l2, n=1))
    for l2 in (1.0, 2.0, 3.5):
        np.testing.assert_allclose(traced(np.ones(2), l2), l2)


def test_numbers_of_a_function_are_traced():
    chex.clear_trace_counter()
    apply = compiled()(chex.assert_max_traces(lambda x, *, function: function(x), n=2))
    for power in (1.0, 2.0, 3.5):
        np.testing.assert_allclose(apply(2.0, function=Partial(jnp.power, power)), power**2.0)
        np.testing.assert_allclose(apply(power, function=jnp.square), power**2)


def test_the_signature_is_kept():
    assert list(inspect.signature(ridge.fit).parameters) == [
        "X", "y", "l2", "sample_weight", "tolerance",
    ]  # fmt: skip


def test_a_transform_of_it_is_lowered_as_itself():
    @compiled()
    def square(x):
        return x**2

    x = jnp.arange(3.0)
    for outer in (jax.vmap(square), jax.jacrev(square)):
        shape = outer(x).shape
        assert jax.eval_shape(outer, x).shape == shape
        assert jax.jit(outer).lower(x).compile()(x).shape == shape


def test_misuse_raises_before_anything_runs():
    with pytest.raises(ArgumentError, match=r"y must be a float array of shape \(n,\) with n = 3"):
        ridge.fit(jnp.ones((3, 2)), jnp.ones(2))


def test_a_list_in_the_place_of_a_static_tuple_is_refused_in_one_sentence():
    @compiled(static=("sizes",))
    def total(*, sizes=(1, 2)):
        return jnp.asarray(sum(sizes))

    with pytest.raises(ArgumentError, match=r"total: sizes must be a tuple, got a list\.$"):
        total(sizes=[1, 2])
