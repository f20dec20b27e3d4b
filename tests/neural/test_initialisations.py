"""Initialisations: the variance laws, through depth, and the uniform orthogonal matrix."""

import math

import jax
import numpy as np
import pytest

from mlmath.neural import initialisations

KEY = jax.random.key(0)
LAWS = {
    "lecun": lambda o, i: 1 / i,  # (1)
    "glorot": lambda o, i: 2 / (i + o),  # (2)
    "he": lambda o, i: 2 / i,  # (3)
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("form", ["normal", "uniform"])
def test_weights_have_their_variance_and_mean_zero(name, form):
    o, i = 300, 200
    W = np.asarray(getattr(initialisations, f"{name}_{form}")(KEY, o, i))
    variance = LAWS[name](o, i)
    spread = {"normal": 2, "uniform": 4 / 5}[form]  # Var x² / (Var x)²
    assert W.shape == (o, i)
    assert abs(W.mean()) <= 4 * math.sqrt(variance / W.size)
    assert abs((W**2).mean() / variance - 1) <= 4 * math.sqrt(spread / W.size)
    if form == "uniform":  # (4)
        limit = math.sqrt(3 * variance)
        assert 0.999 * limit < abs(W).max() <= limit
