"""Starts: eq. (1)–(2) by scipy's singular vectors and by the rows, weights, bad input."""

import jax
import numpy as np
import pytest

from mlmath.latent import nonnegative_starts as starts

RNG = np.random.default_rng(0)
X = RNG.random((30, 6)) * (RNG.random((30, 6)) < 0.7)
S = RNG.uniform(0.5, 2, 30)
KEY = jax.random.key(0)


def unit(a):
    return a / np.linalg.norm(a, axis=-1, keepdims=True)


def test_singular_starts_are_equation_1():
    U, _, V = np.linalg.svd(np.sqrt(S)[:, None] * X)
    right = []
    for j in range(4):
        u, v = U[:, j], V[j]
        parts = [(np.maximum(a * u, 0), np.maximum(a * v, 0)) for a in (1, -1)]
        sizes = [np.linalg.norm(p) * np.linalg.norm(q) for p, q in parts]
        right.append(unit(parts[int(np.argmax(sizes))][1]) + 1e-3 * unit(S @ X))
    np.testing.assert_allclose(starts.init_svd(X, k=4, sample_weight=S), right, atol=1e-9)
    assert (np.array(right) > 0).all()


def test_random_starts_are_equation_2_for_different_rows():
    found = np.asarray(starts.init_random(KEY, X, k=5, sample_weight=S))
    candidates = unit(X) + unit(S @ X)
    apart = np.linalg.norm(found[:, None] - candidates[None], axis=2)
    assert (apart.min(axis=1) < 1e-12).all()
    assert len(set(apart.argmin(axis=1))) == 5


def test_random_starts_draw_rows_in_proportion_to_their_weights():
    s = np.array([1.0, 2.0, 5.0])
    keys = jax.random.split(KEY, 2000)
    found = jax.vmap(lambda key: starts.init_random(key, X[:3], k=1, sample_weight=s))(keys)[:, 0]
    candidates = unit(X[:3]) + unit(s @ X[:3])
    drawn = np.linalg.norm(np.asarray(found)[:, None] - candidates[None], axis=2).argmin(axis=1)
    np.testing.assert_allclose(np.bincount(drawn) / 2000, s / 8, atol=0.04)


@pytest.mark.parametrize("make", [starts.init_svd, lambda X, **k: starts.init_random(KEY, X, **k)])
def test_absent_rows_and_units_do_not_show(make):
    s = np.where(np.arange(30) < 3, 0, S)
    holes = np.where(s[:, None] == 0, np.nan, X)
    found = make(holes, k=3, sample_weight=s)
    if make is starts.init_svd:
        np.testing.assert_allclose(found, make(X[3:], k=3, sample_weight=s[3:]), atol=1e-9)
        counts = RNG.integers(1, 4, 30)
        twice = make(np.repeat(X, counts, axis=0), k=3)
        np.testing.assert_allclose(make(X, k=3, sample_weight=1.0 * counts), twice, atol=1e-9)
    np.testing.assert_allclose(make(1e8 * holes, k=3, sample_weight=s), found, atol=1e-9)
    assert np.isfinite(found).all()
    assert np.isnan(make(holes, k=3)).all()
    assert np.isnan(make(X - 0.1, k=3)).all()
    assert np.isnan(make(X, k=3, sample_weight=0 * S)).all()


@pytest.mark.parametrize("make", [starts.init_svd, lambda X, **k: starts.init_random(KEY, X, **k)])
def test_sizes_that_cannot_be_are_refused(make):
    for k in (0, 7):
        with pytest.raises(ValueError, match=f"k must be from 1 to 6, .*got {k}"):
            make(X, k=k)
    with pytest.raises(ValueError, match="at least one row"):
        make(X[:0], k=1)
    assert make(X[:1], k=1).shape == (1, 6)
