"""Resamples against the laws they are drawn from, and the laws of weights."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mlmath.statistics import resampling
from mlmath.statistics.resampling import (
    bayesian_bootstrap,
    bootstrap,
    bootstrap_weights,
    poisson_bootstrap,
)

B = 20_000
S = np.array([1.0, 2.0, 0.0, 0.5, 1.5, 1.0])  # N = 6
DRAWS = pytest.mark.parametrize(
    "draw", [bootstrap, poisson_bootstrap, bayesian_bootstrap], ids=lambda d: d.__name__
)


def many(weight, *, draw=bootstrap, seed=0):
    """B resamples; rows of weight 0 fill up to one length, so that one program serves all."""
    filled = np.append(weight, np.zeros(6 - len(weight)))
    drawn = bootstrap_weights(jax.random.key(seed), filled, resamples=B, draw=draw)
    return np.asarray(drawn)[:, : len(weight)]


def covariance(weight, draw):
    """Eq. (4)."""
    N = weight.sum()
    if draw is poisson_bootstrap:
        return np.diag(weight)
    m = max(1, int(np.floor(N + 0.5)))
    kappa = N**2 / m if draw is bootstrap else N**2 / (N + 1)
    p = weight / N
    return kappa * (np.diag(p) - np.outer(p, p))


def frequencies(values):
    found, counts = np.unique(values, axis=0, return_counts=True)
    return {tuple(np.atleast_1d(v).tolist()): c for v, c in zip(found, counts, strict=True)}


@DRAWS
@pytest.mark.parametrize("weight", [S, S * 0.9, S / 20], ids=["whole", "broken", "below one"])
def test_mean_and_covariance_are_those_of_the_law(draw, weight):
    drawn = many(weight, draw=draw)
    C = covariance(weight, draw)
    deviation = np.sqrt(np.diag(C))
    # five standard errors; that of a product of two is bounded by the fourth moments
    assert (np.abs(drawn.mean(axis=0) - weight) <= 5 * deviation / np.sqrt(B) + 1e-12).all()
    centred = drawn - weight
    products = centred[:, :, None] * centred[:, None, :]
    error = 5 * products.std(axis=0) / np.sqrt(B) + 1e-12
    assert (np.abs(products.mean(axis=0) - C) <= error).all()


def test_whole_resamples_have_the_probabilities_of_the_multinomial():
    weight = np.array([1.0, 0.0, 2.0, 1.0])
    found = frequencies(many(weight))
    law = stats.multinomial(4, weight / 4)
    expected = {c: B * law.pmf(c) for c in found}
    assert len(found) == 15  # the ways to share 4 draws among 3 rows
    _, p = stats.chisquare(list(found.values()), list(expected.values()))
    assert p > 1e-3


def test_poisson_counts_have_the_probabilities_of_poisson_and_are_independent():
    drawn = many([1.0, 2.5], draw=poisson_bootstrap)
    pairs = np.minimum(drawn, 5)  # 5 and more are one cell
    law = [np.append((q := stats.poisson(s).pmf(np.arange(5))), 1 - q.sum()) for s in (1.0, 2.5)]
    observed = np.histogram2d(*pairs.T, bins=[np.arange(7)] * 2)[0]
    _, p = stats.chisquare(observed.ravel(), B * np.outer(*law).ravel())
    assert p > 1e-3


def test_bayesian_weights_have_beta_margins():
    drawn = many(S, draw=bayesian_bootstrap) / S.sum()
    for i, s in enumerate(S):
        if s:
            assert stats.kstest(drawn[:, i], stats.beta(s, S.sum() - s).cdf).pvalue > 1e-3


@DRAWS
def test_a_row_of_weight_two_is_drawn_as_the_row_twice(draw):
    once, twice = many([2.0, 1.0, 1.0], draw=draw), many([1.0, 1.0, 1.0, 1.0], draw=draw, seed=1)
    pairs = stats.ks_2samp(once[:, 0], twice[:, :2].sum(axis=1))
    assert pairs.pvalue > 1e-3
    assert stats.ks_2samp(once[:, 0], 2 * twice[:, 0]).pvalue < 1e-3  # and not as one row, doubled


@DRAWS
def test_support(draw):
    rng = np.random.default_rng(0)
    weight = (rng.uniform(size=301) * (rng.uniform(size=301) < 0.5)).astype(np.float32)
    weight[[0, -1]] = 0  # both ends are absent
    (drawn,) = np.asarray(bootstrap_weights(jax.random.key(0), weight, resamples=1, draw=draw))
    assert drawn.dtype == np.float32
    assert (drawn >= 0).all()
    assert (drawn[weight == 0] == 0).all()
    if draw is not poisson_bootstrap:
        np.testing.assert_allclose(drawn.sum(), weight.sum(), rtol=1e-5)
    if draw is bayesian_bootstrap:
        assert (drawn[weight > 0.1] > 0).all()


def test_a_bootstrap_of_whole_weights_is_whole_and_keeps_the_sum():
    drawn = many([0.0, 1.0, 7.0, 12.0, 3.0, 0.0])
    assert (drawn == np.round(drawn)).all()
    assert (drawn.sum(axis=1) == 23).all()


def test_rounding_of_the_partial_sums_gives_no_room_to_absent_rows():
    rng = np.random.default_rng(1)
    weight = (rng.uniform(size=5000) * (rng.uniform(size=5000) < 0.3)).astype(np.float32)
    room = np.diff(np.asarray(resampling._edges(jnp.asarray(weight))), prepend=0)
    assert (room[weight == 0] == 0).all()
    assert (room >= 0).all()


def test_a_place_on_an_edge_falls_in_the_row_behind_it():
    edges = resampling._edges(jnp.array([0.0, 1.0, 0.0, 2.0, 0.0]))
    found = resampling._row(edges, jnp.array([0.0, 0.9, 1.0, 2.9, 3.0, 3.1]))
    np.testing.assert_array_equal(found, [1, 1, 3, 3, 3, 3])


def test_many_draws_of_few_rows():
    """More blocks of draws than one; N of float32 beyond where a uniform number is exact."""
    weight = np.array([3e5, 1.0, 2e5, 0.0, 99_999.0], np.float32)
    drawn = np.asarray(bootstrap_weights(jax.random.key(0), weight, resamples=30))
    assert (drawn.sum(axis=1) == 6e5).all()
    error = np.sqrt(np.diag(covariance(weight.astype(float), bootstrap)) / 30)
    assert (np.abs(drawn.mean(axis=0) - weight) <= 4 * error + 1e-9).all()


def test_places_are_uniform_in_float32():
    end = jnp.float32(2**23 + 2)
    place = np.asarray(resampling._places(jax.random.key(0), 1 << 16, end))
    assert (place >= 0).all()
    assert (place < end).all()
    # as many odd numbers as even ones, where float32 has no room between them
    high = place[place >= 2**22]
    assert abs(np.mean(np.floor(high) % 2) - 0.5) < 5 * 0.5 / np.sqrt(len(high))


@DRAWS
def test_edges(draw):
    np.testing.assert_array_equal(many(np.zeros(3), draw=draw), 0)
    for bad in (np.nan, np.inf, -1.0):
        assert np.isnan(many([1.0, bad, 2.0], draw=draw)).all()
    drawn = many([0.0, 3.0, 0.0], draw=draw)
    assert (drawn[:, [0, 2]] == 0).all()
    if draw is not poisson_bootstrap:
        assert (drawn[:, 1] == 3).all()


@DRAWS
def test_the_derivative_in_the_weights_is_zero(draw):
    @jax.jit
    def number(s):
        return draw(jax.random.key(2), s) @ np.arange(6.0)

    value, slope = jax.jit(jax.value_and_grad(number))(jnp.asarray(S))
    assert value > 0
    np.testing.assert_array_equal(slope, 0)


def test_rows_of_the_resamples_are_single_draws():
    keys = jax.random.split(jax.random.key(3), B)
    drawn = many(S, seed=3)
    batched = jax.jit(jax.vmap(bootstrap, (None, 0)))  # over weights, as folds do
    for k in (0, 7):
        once, twice = batched(keys[k], np.stack([S, 2 * S]))
        np.testing.assert_array_equal(once, drawn[k])
        assert twice.sum() == 12


def naive_subsets(order, weight, sizes):
    """Eq. (5), row after row."""
    taken = np.zeros((len(sizes), len(weight)))
    for t, size in enumerate(sizes):
        for i in order:
            taken[t, i] = min(weight[i], max(0.0, size - taken[t].sum()))
    return taken


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nested_subsets_are_their_definition(dtype):
    rng = np.random.default_rng(0)
    weight = (rng.uniform(size=30) * (rng.uniform(size=30) < 0.7)).astype(dtype)
    sizes = np.array([0.5, 3.0, 3.25, weight.sum() - 0.1, 1e4], dtype)
    key = jax.random.key(3)
    found = np.asarray(resampling.nested_subsets(key, weight, sizes))
    assert found.dtype == dtype
    order = np.asarray(jax.random.permutation(key, 30))
    np.testing.assert_allclose(found, naive_subsets(order, weight, sizes), atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), np.minimum(sizes, weight.sum()), rtol=1e-5)
    assert (np.diff(found, axis=0) >= 0).all()
    assert (found[:, weight == 0] == 0).all()


def test_nested_subsets_of_whole_weights_are_rows_drawn_without_replacement():
    weight = np.array([1.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    keys = jax.random.split(jax.random.key(0), B)
    subsets = jax.jit(jax.vmap(resampling.nested_subsets, (0, None, None)))
    found = np.asarray(subsets(keys, weight, np.array([2, 3])))
    assert set(np.unique(found)) == {0.0, 1.0}
    assert (found.sum(axis=2) == [2, 3]).all()
    pairs = frequencies(found[:, 0])
    assert len(pairs) == 10  # each pair of five rows, equally often
    assert stats.chisquare(list(pairs.values())).pvalue > 1e-3


def test_subsets_without_weight_or_of_unsound_weights():
    key = jax.random.key(0)
    np.testing.assert_array_equal(resampling.nested_subsets(key, np.zeros(3), np.ones(2)), 0)
    assert np.isnan(resampling.nested_subsets(key, np.array([1, np.nan]), np.ones(2))).all()


def test_other_weights_compile_nothing_anew():
    chex.clear_trace_counter()
    draw = chex.assert_max_traces(lambda key, weight: bootstrap(key, weight), n=1)
    for scale in (1.0, 2.0):
        bootstrap_weights(jax.random.key(0), scale * S, resamples=3, draw=draw)
