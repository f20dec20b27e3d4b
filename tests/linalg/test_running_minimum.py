"""The least of each column and its place: eq. (1)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.linalg import running_minimum as module
from mlmath.linalg.running_minimum import running_minimum


def transcribed(V):
    """Eq. (1) in naive loops."""
    k, n = V.shape
    b, p = np.full(n, np.inf), np.full(n, k)
    for j in range(k):
        for i in range(n):
            if V[j, i] < b[i]:
                b[i], p[i] = V[j, i], j
    return p, b


@pytest.mark.parametrize("k", [1, 4, 7, 8, 11])
def test_the_running_minimum_is_its_definition(monkeypatch, k):
    monkeypatch.setattr(module, "_GROUP", 4)  # one group, groups, groups and a rest
    V = np.random.default_rng(k).integers(0, 4, size=(k, 40)).astype(float)  # many are equal
    V[np.random.default_rng(0).uniform(size=V.shape) < 0.1] = np.nan
    V[:, 0], V[:, 1] = np.nan, np.inf
    found, (p, b) = running_minimum(V), transcribed(V)
    np.testing.assert_array_equal(found.places, p)
    np.testing.assert_array_equal(found.values, b)
    assert found.places[0] == found.places[1] == k


def test_lanes_are_single_calls():
    V = np.random.default_rng(0).normal(size=(3, 70, 5)).astype(np.float32)
    lanes = jax.vmap(running_minimum)(V)
    np.testing.assert_array_equal(lanes.places, V.argmin(1))
    np.testing.assert_array_equal(lanes.values, V.min(1))
    assert lanes.values.dtype == jnp.float32
    assert lanes.places.dtype == jnp.int32
