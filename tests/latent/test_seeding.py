"""Seeding: the draws of eq. (1)–(3) against their probabilities, and scikit-learn's inertias."""

from itertools import permutations, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare
from sklearn.cluster import kmeans_plusplus

from mlmath.data import datasets
from mlmath.latent import centroids, seeding

_DRAWS = 20_000
X = np.array([[0.0, 0.0], [1.0, 0.5], [4.0, 0.0], [4.5, 3.0], [9.0, 1.0]])
s = np.array([1.0, 2.0, 0.5, 0.0, 1.5])


def drawn(init, X, s, k, keys=_DRAWS):
    """Rows that each of many keys draws, as indices."""
    keys = jax.random.split(jax.random.key(7), keys)
    found = jax.jit(jax.vmap(lambda key: init(key, X, k=k, sample_weight=s)))(keys)
    return np.asarray((found[:, :, None] == X[None, None]).all(3).argmax(2))


def likely(rows, chances):
    """The rows drawn come with these probabilities."""
    names = sorted(chances)
    counts = [(rows == np.array(name)).all(1).sum() for name in names]
    assert sum(counts) == len(rows), "something of probability 0 was drawn"
    assert chisquare(counts, [chances[n] * len(rows) for n in names]).pvalue > 1e-3


def test_random_rows_come_in_proportion_to_their_weights():
    chances = {}
    for rows in permutations(np.flatnonzero(s), 3):
        left, chance = s.sum(), 1.0
        for i in rows:
            chance, left = chance * s[i] / left, left - s[i]  # (1): without replacement
        chances[rows] = chance
    likely(drawn(seeding.init_random, X, s, 3), chances)


def test_a_weight_is_as_likely_as_its_repetition():
    counts = np.array([1, 3, 2])
    twice = np.repeat(X[:3], counts, axis=0)
    for init in (seeding.init_random, seeding.init_plus_plus):
        weighted = drawn(init, X[:3], counts.astype(float), 2)
        repeated = drawn(init, twice, np.ones(6), 2)
        place = np.repeat(np.arange(3), counts)[repeated]
        cells = [np.bincount(a[:, 0] * 3 + a[:, 1], minlength=9) for a in (weighted, place)]
        assert (cells[0][[0, 4, 8]] == 0).all()
        assert (cells[1][[0, 4, 8]] == 0).all()
        both = np.stack(cells)[:, cells[0] + cells[1] > 0]
        expected = both.sum(0) / 2
        assert chisquare(both.ravel(), np.concatenate([expected, expected])).pvalue > 1e-3


def test_plus_plus_draws_by_squared_distance_and_keeps_the_best_candidate():
    squares = ((X[:, None] - X[None]) ** 2).sum(2)
    chances = {}
    for first in np.flatnonzero(s):
        p = s * squares[first] / (s @ squares[first])  # (2)
        left = [s @ np.minimum(squares[first], squares[c]) for c in range(len(X))]
        for pair in product(range(len(X)), repeat=2):  # (3) is 2 for k = 2
            kept = min(pair, key=lambda c: left[c])
            name = (first, kept)
            chances[name] = chances.get(name, 0) + s[first] / s.sum() * p[pair[0]] * p[pair[1]]
    likely(drawn(seeding.init_plus_plus, X, s, 2), {n: c for n, c in chances.items() if c > 0})


def test_draws_come_in_proportion_however_many_groups():
    chance = np.array([0.0, 3.0, 0.0, 1.0, 2.0, 0.0, 4.0, 0.0])
    for n in (1, 4, 5, 8):
        found = seeding.draw(jax.random.key(n), chance[:n] + (n == 1), _DRAWS)
        counts = np.bincount(found, minlength=n)
        some = chance[:n] + (n == 1) > 0
        assert counts[~some].sum() == 0
        share = (chance[:n] + (n == 1))[some] / (chance[:n] + (n == 1)).sum()
        assert n == 1 or chisquare(counts[some], share * _DRAWS).pvalue > 1e-3


def test_plus_plus_is_as_good_as_scikit_learns():
    """Mean inertia over 64 keys on the digits, which scikit-learn's greedy seeding has too."""
    digits, _ = datasets.arrays("digits")
    digits = digits.astype(np.float32)

    def inertia(C):
        return centroids.objective(centroids.Params(C), digits)

    keys = jax.random.split(jax.random.key(0), 64)
    ours = jax.lax.map(lambda key: inertia(seeding.init_plus_plus(key, digits, k=10)), keys)
    peer = [
        inertia(kmeans_plusplus(digits, 10, random_state=seed)[0].astype(np.float32))
        for seed in range(64)
    ]
    error = np.hypot(np.std(ours), np.std(peer)) / 8
    assert abs(np.mean(ours) - np.mean(peer)) < 3.5 * error
    random = jax.lax.map(lambda key: inertia(seeding.init_random(key, digits, k=10)), keys[:16])
    assert np.mean(ours) < np.mean(random) - 5 * error


@pytest.mark.parametrize("init", [seeding.init_random, seeding.init_plus_plus])
def test_fewer_distinct_rows_than_k_repeat(init):
    few = np.repeat(X[:2], [3, 2], axis=0)
    found = init(jax.random.key(0), few, k=4)
    assert {tuple(row) for row in found.tolist()} == {(0.0, 0.0), (1.0, 0.5)}
    weight = np.array([1.0, 0.0, 0.0, 1.0, 0.0])
    few[1] = np.nan
    found = init(jax.random.key(0), few, k=4, sample_weight=weight)
    assert {tuple(row) for row in found.tolist()} == {(0.0, 0.0), (1.0, 0.5)}
    assert (init(jax.random.key(0), X[:1], k=1) == X[:1]).all()


@pytest.mark.parametrize("init", [seeding.init_random, seeding.init_plus_plus])
def test_misuse_is_refused_and_what_counts_shows(init):
    key = jax.random.key(0)
    for k in (0, -1, 6):
        with pytest.raises(ValueError, match="k must be from 1 to the 5 rows of X, got"):
            init(key, X, k=k)
    with pytest.raises(ValueError, match="at least one row"):
        init(key, X[:0], k=1)
    with pytest.raises(ValueError, match="at least one column"):
        init(key, X[:, :0], k=1)
    holes = np.where(np.arange(5)[:, None] == 2, np.nan, X)
    assert np.isnan(init(key, holes, k=2)).all()
    assert np.isnan(init(key, holes, k=2, sample_weight=np.ones(5))).all()
    assert np.isnan(init(key, X, k=2, sample_weight=np.zeros(5))).all()
    assert np.isfinite(init(key, holes, k=2, sample_weight=s * (np.arange(5) != 2))).all()


def test_float32_draws_from_a_million_rows_in_proportion():
    """Sums of float32 over all rows would not tell a row of 1e-6 from its neighbours."""
    n = 1_000_000
    chance = jnp.where(jnp.arange(n) % 2 == 1, 1.0, 0.0).astype(jnp.float32)
    found = np.asarray(seeding.draw(jax.random.key(3), chance, 50_000))
    assert (found % 2 == 1).all()
    counts = np.bincount(found // (n // 50), minlength=50)
    assert chisquare(counts).pvalue > 1e-3
    assert len(np.unique(found)) > 47_000  # of 50,000 draws among 500,000


def test_whole_numbers_are_told_apart():
    X = np.array(list(product([0.0, 1.0], repeat=6)), np.float32)
    for seed in range(10):
        found = np.asarray(seeding.init_random(jax.random.key(seed), X, k=64))
        assert len(np.unique(found, axis=0)) == 64


@pytest.mark.parametrize("init", [seeding.init_random, seeding.init_plus_plus])
def test_a_negative_weight_has_no_draw(init):
    X = np.arange(6.0).reshape(3, 2)
    assert np.isnan(init(jax.random.key(0), X, k=2, sample_weight=np.array([1.0, -1, 1]))).all()
