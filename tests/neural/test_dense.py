"""A dense layer: eq. (1), and that a batch is one product of matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mlmath
from mlmath.neural import dense, initialisations

KEY = jax.random.key(0)


def test_prediction_is_its_definition():
    rng = np.random.default_rng(0)
    W, b, x = rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=4)
    expected = [sum(W[j, k] * x[k] for k in range(4)) + b[j] for j in range(3)]
    found = dense.predict(dense.Params(jnp.asarray(W), jnp.asarray(b)), x)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_it_starts_with_the_weights_that_are_asked_for_and_no_bias():
    params = dense.init(KEY, 4, 3, weights=initialisations.orthogonal)
    np.testing.assert_array_equal(params.weights, initialisations.orthogonal(KEY, 3, 4))
    np.testing.assert_array_equal(params.bias, np.zeros(3))


def test_a_batch_is_one_product_of_matrices():
    params = dense.init(KEY, 4, 3)
    program = jax.make_jaxpr(mlmath.rows(dense.predict))(params, jnp.ones((7, 4)))
    (product,) = [e for e in program.jaxpr.eqns if e.primitive.name == "dot_general"]
    assert product.params["dimension_numbers"][1] == ((), ())  # no batch axis is left
    assert sorted(product.outvars[0].aval.shape) == [3, 7]


def test_a_batch_is_refused_where_one_example_is_asked_for():
    with pytest.raises(TypeError, match="ONE example"):
        dense.predict(dense.init(KEY, 4, 3), jnp.ones((7, 4)))
