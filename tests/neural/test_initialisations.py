"""Initialisations: the variance laws, through depth, and the uniform orthogonal matrix."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mlmath.neural import activations, dense, initialisations

KEY = jax.random.key(0)
LAWS = {
    "lecun": lambda o, i: 1 / i,  # (1)
    "glorot": lambda o, i: 2 / (i + o),  # (2)
    "he": lambda o, i: 2 / i,  # (3)
}
DEPTH, WIDTH, NETS = 6, 64, 400


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("form", ["normal", "uniform"])
def test_weights_have_their_distribution(name, form):
    """Eq. (4), by the test of Kolmogorov and Smirnov."""
    o, i = 300, 200
    W = np.asarray(getattr(initialisations, f"{name}_{form}")(KEY, o, i))
    variance = LAWS[name](o, i)
    limit = math.sqrt(3 * variance)
    law = {
        "normal": stats.norm(0, math.sqrt(variance)),
        "uniform": stats.uniform(-limit, 2 * limit),
    }
    assert W.shape == (o, i)
    assert stats.kstest(W.ravel(), law[form].cdf).pvalue > 1e-3
    assert abs((W**2).mean() / variance - 1) <= 4 * math.sqrt(2 / W.size)
    if form == "uniform":
        assert abs(W).max() <= limit


@pytest.mark.parametrize("name", LAWS)
def test_one_layer_multiplies_the_mean_square(name):
    """By i v forwards and by o v backwards."""
    o, i = 40, 60
    draw = getattr(initialisations, f"{name}_normal")
    W = np.asarray(jax.vmap(lambda key: draw(key, o, i))(jax.random.split(KEY, 500)))
    x, delta = np.linspace(-1, 1, i), np.linspace(0, 2, o)
    forwards = ((W @ x) ** 2).mean() / (x**2).mean()
    backwards = ((delta @ W) ** 2).mean() / (delta**2).mean()
    np.testing.assert_allclose(forwards, i * LAWS[name](o, i), rtol=0.05)
    np.testing.assert_allclose(backwards, o * LAWS[name](o, i), rtol=0.05)


@pytest.mark.parametrize(
    ("name", "activation", "factor"),
    [
        ("lecun_normal", "identity", 1),
        ("lecun_uniform", "identity", 1),
        ("glorot_normal", "identity", 1),  # with as many outputs as inputs
        ("he_normal", "relu", 1),
        ("he_uniform", "relu", 1),
        ("lecun_normal", "relu", 1 / 2),  # which (3) is there to mend
    ],
)
def test_the_size_is_kept_through_depth(name, activation, factor):
    draw, phi = getattr(initialisations, name), getattr(activations, activation)

    def growth(key):
        x = jnp.ones(WIDTH)
        for k in jax.random.split(key, DEPTH):
            x = phi(draw(k, WIDTH, WIDTH) @ x)
        return jnp.mean(x**2)

    found = np.asarray(jax.jit(jax.vmap(growth))(jax.random.split(KEY, NETS)))
    expected = factor**DEPTH
    assert abs(found.mean() - expected) <= 4 * found.std() / math.sqrt(NETS)
    assert found.std() / math.sqrt(NETS) < 0.1 * expected  # so that the line above says something


@pytest.mark.parametrize(("o", "i"), [(5, 5), (9, 4), (4, 9)])
def test_an_orthogonal_matrix_is_orthogonal_to_rounding(o, i):
    W = np.asarray(initialisations.orthogonal(KEY, o, i))
    product = W @ W.T if o <= i else W.T @ W  # (5)
    np.testing.assert_allclose(product, np.eye(min(o, i)), atol=1e-14)
    assert W.shape == (o, i)


def test_orthogonal_matrices_are_uniform_on_the_group():
    """Under the uniform measure on O(3) E tr Q = 0, E (tr Q)² = 1, and half of all are rotations.

    Diaconis & Shahshahani (1994), On the eigenvalues of random matrices, theorem 4.
    """
    Q = np.asarray(
        jax.vmap(lambda key: initialisations.orthogonal(key, 3, 3))(jax.random.split(KEY, 4000))
    )
    trace = np.trace(Q, axis1=1, axis2=2)
    assert abs(trace.mean()) <= 4 / math.sqrt(4000)
    np.testing.assert_allclose((trace**2).mean(), 1, atol=4 * math.sqrt(2 / 4000))
    assert abs((np.linalg.det(Q) > 0).mean() - 0.5) <= 4 * 0.5 / math.sqrt(4000)
    assert np.all(abs(Q.mean(axis=0)) <= 4 / math.sqrt(3 * 4000))


def test_a_key_means_one_matrix_in_every_program():
    """So that a host's loop and a fit start from the same bits."""
    for draw in (initialisations.he_normal, initialisations.glorot_uniform):
        compiled = jax.jit(lambda key, draw=draw: draw(key, 20, 30))(KEY)
        np.testing.assert_array_equal(compiled, draw(KEY, 20, 30))


@pytest.mark.parametrize("name", initialisations.__all__)
@pytest.mark.parametrize(("o", "i"), [(0, 3), (3, 0), (0, 0), (-1, 3), (-2, 2)])
def test_sizes_below_one_are_refused_in_one_sentence(name, o, i):
    draw = getattr(initialisations, name)
    told = f"^outputs and inputs must be at least 1, got {o} outputs and {i} inputs.$"
    for misuse in (lambda: draw(KEY, o, i), lambda: dense.init(KEY, i, o, weights=draw)):
        with pytest.raises(ValueError, match=told):
            misuse()
