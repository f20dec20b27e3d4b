"""Recommendation: eq. (1)–(5) by definition, over all orders of ties, and scikit-learn."""

from functools import partial
from itertools import permutations

import jax
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from mlmath.evaluate import metrics, recommendation
from mlmath.evaluate.recommendation import mean_average_precision, ndcg, precision_at, recall_at
from tests.evaluate import derivatives

RNG = np.random.default_rng(0)
SCORE = RNG.normal(size=(9, 12)).round(1)  # with ties
GAIN = RNG.integers(0, 4, size=(9, 12)).astype(float)
WEIGHT = RNG.uniform(0.2, 2, size=9)
CUT = {"ndcg": ndcg, "precision": precision_at, "recall": recall_at}
ALL = CUT | {"map": mean_average_precision}
measures = pytest.mark.parametrize("measure", ALL)
cuts = pytest.mark.parametrize("k", [1, 3, 12])


def naive(measure, gains, k):
    """(2)–(4) of one query whose items stand in this order."""
    if measure == "ndcg":
        discounted = [g / np.log2(1 + r) for r, g in enumerate(gains, 1) if r <= k]
        best = sorted(gains, reverse=True)
        return sum(discounted) / sum(g / np.log2(1 + r) for r, g in enumerate(best, 1) if r <= k)
    hits = sum(1 for r, g in enumerate(gains, 1) if r <= k and g > 0)
    return hits / (k if measure == "precision" else sum(g > 0 for g in gains))


def averaged(measure, score, gains, k):
    """Mean over all orders of the items that fall in score."""
    orders = [o for o in permutations(range(len(score))) if (np.diff(score[list(o)]) <= 0).all()]
    return np.mean([naive(measure, gains[list(o)], k) for o in orders])


@cuts
@pytest.mark.parametrize("measure", CUT)
def test_without_ties_each_is_its_definition(measure, k):
    score = RNG.permuted(np.tile(np.arange(12.0), (9, 1)), axis=1)
    right = [naive(measure, g[np.argsort(-f)], k) for f, g in zip(score, GAIN, strict=True)]
    found = CUT[measure](score, GAIN, k=k, sample_weight=WEIGHT)
    np.testing.assert_allclose(found, np.average(right, weights=WEIGHT), rtol=1e-12)


@pytest.mark.parametrize("measure", CUT)
def test_ties_count_by_their_mean_over_all_orders(measure):
    score = np.array([[2.0, 1.0, 1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]])
    gain = np.array([[0.0, 3.0, 0.0, 1.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0, 0.0, 2.0]])
    for k in (1, 2, 3, 5):
        right = [averaged(measure, f, g, k) for f, g in zip(score, gain, strict=True)]
        np.testing.assert_allclose(CUT[measure](score, gain, k=k), np.mean(right), rtol=1e-12)


@cuts
def test_ndcg_matches_scikit_learn(k):
    right = ndcg_score(GAIN, SCORE, k=k, sample_weight=WEIGHT)
    np.testing.assert_allclose(ndcg(SCORE, GAIN, k=k, sample_weight=WEIGHT), right, rtol=1e-12)


def test_ndcg_of_the_whole_list_matches_scikit_learn():
    np.testing.assert_allclose(ndcg(SCORE, GAIN), ndcg_score(GAIN, SCORE), rtol=1e-12)


@measures
def test_dtype_is_that_of_the_score(measure):
    single = ALL[measure](SCORE.astype(np.float32), GAIN, sample_weight=WEIGHT)
    assert single.dtype == np.float32
    right = ALL[measure](SCORE, GAIN, sample_weight=WEIGHT)
    np.testing.assert_allclose(single, right, rtol=1e-5)


@pytest.mark.parametrize("kind", ["one relevant item", "many", "ties"])
def test_single_precision_keeps_its_digits_on_long_lists(kind):
    rng, n = np.random.default_rng(1), 100_000
    score = (rng.permutation(n) if kind != "ties" else np.arange(n) // 300).astype(np.float32)
    gain = (np.argsort(np.argsort(-score)) == 90_000) * 1.0
    if kind != "one relevant item":
        gain = rng.integers(0, 4, n).astype(float)
    discount = 1 / np.log2(2 + np.arange(n))
    order = np.argsort(-score, kind="stable")
    shared = np.empty(n)
    for rank in np.split(np.arange(n), np.flatnonzero(np.diff(score[order])) + 1):
        shared[order[rank]] = discount[rank].mean()
    right = gain @ shared / (np.sort(gain)[::-1] @ discount)
    found = ndcg(score[None], gain[None].astype(np.float32))
    np.testing.assert_allclose(found, right, rtol=1e-6)


def test_map_is_the_mean_of_scikit_learns_average_precision():
    right = [average_precision_score(g > 0, f) for f, g in zip(SCORE, GAIN, strict=True)]
    found = mean_average_precision(SCORE, GAIN, sample_weight=WEIGHT)
    np.testing.assert_allclose(found, np.average(right, weights=WEIGHT), rtol=1e-12)


def test_map_without_ties_is_the_mean_precision_at_the_relevant_ranks():
    score = RNG.permuted(np.tile(np.arange(12.0), (9, 1)), axis=1)
    right = []
    for f, g in zip(score, GAIN > 0, strict=True):
        ordered = g[np.argsort(-f)]
        right.append(np.mean([ordered[: r + 1].mean() for r in np.flatnonzero(ordered)]))
    np.testing.assert_allclose(mean_average_precision(score, GAIN), np.mean(right), rtol=1e-12)


@measures
def test_a_perfect_order_has_the_best_value_and_only_the_order_matters(measure):
    best = ALL[measure](GAIN, GAIN)
    assert best >= ALL[measure](SCORE, GAIN)
    if measure in ("ndcg", "map"):
        np.testing.assert_allclose(best, 1, rtol=1e-12)
    np.testing.assert_allclose(
        ALL[measure](np.exp(3 * SCORE), GAIN), ALL[measure](SCORE, GAIN), rtol=1e-12
    )


@measures
@pytest.mark.parametrize("held", [np.nan, np.inf, 9.0])
def test_an_item_that_is_not_ranked_is_absent_whatever_it_holds(measure, held):
    ranked = np.ones((9, 12), bool)
    ranked[:, [0, 5, 11]] = False
    score, gain = np.where(ranked, SCORE, held), np.where(ranked, GAIN, held)
    keep = ranked[0]
    np.testing.assert_allclose(
        ALL[measure](score, gain, ranked=ranked),
        ALL[measure](SCORE[:, keep], GAIN[:, keep]),
        rtol=1e-12,
    )


def test_an_item_that_is_not_ranked_shares_no_rank():
    score, ranked = np.array([[2.0, 0.0, 5.0]]), np.array([[True, True, False]])
    assert recall_at(score, np.array([[0.0, 1.0, 0.0]]), k=2, ranked=ranked) == 1


@measures
def test_weight_is_repetition_and_absence_of_queries(measure):
    counts = np.array([0, 1, 2, 3, 1, 0, 2, 1, 1])
    score, gain = SCORE.copy(), GAIN.copy()
    score[0], gain[5] = np.nan, 0  # neither can be judged
    np.testing.assert_allclose(
        ALL[measure](score, gain, sample_weight=counts.astype(float)),
        ALL[measure](np.repeat(SCORE, counts, 0), np.repeat(GAIN, counts, 0)),
        rtol=1e-12,
    )


@measures
@pytest.mark.parametrize(("place", "held"), [(0, np.nan), (1, np.nan), (1, -1.0), (1, np.inf)])
def test_what_cannot_be_judged_and_counts_shows(measure, place, held):
    given = [SCORE.copy(), GAIN.copy()]
    given[place][3, 4] = held
    assert np.isnan(ALL[measure](*given))
    given = [SCORE.copy(), GAIN.copy()]
    assert np.isnan(ALL[measure](*given, sample_weight=np.zeros(9)))


@pytest.mark.parametrize("measure", ["ndcg", "recall", "map"])
def test_a_query_without_a_relevant_item_is_not_defined(measure):
    gain = GAIN.copy()
    gain[2] = 0
    assert np.isnan(ALL[measure](SCORE, gain))
    keep = np.arange(9) != 2
    np.testing.assert_allclose(
        ALL[measure](SCORE, gain, sample_weight=keep.astype(float)),
        ALL[measure](SCORE[keep], GAIN[keep]),
    )


def test_infinite_scores_are_scores():
    score = np.array([[np.inf, 0.0, -np.inf]])
    assert precision_at(score, np.array([[1.0, 0.0, 0.0]]), k=1) == 1
    assert precision_at(score, np.array([[0.0, 0.0, 1.0]]), k=2) == 0


@pytest.mark.parametrize("kind", [np.int32, bool])
def test_relevances_may_be_labels(kind):
    relevant = (GAIN > 1).astype(kind)
    for measure in ALL.values():
        assert measure(SCORE, relevant) == measure(SCORE, relevant.astype(float))


def test_a_sweep_over_the_cut_is_one_call():
    cuts = np.arange(1.0, 13)
    for measure in CUT.values():
        sweep = jax.vmap(lambda k, measure=measure: measure(SCORE, GAIN, k=k))(cuts)
        right = [measure(SCORE, GAIN, k=k) for k in (1, 5)]
        np.testing.assert_allclose(sweep[np.array([0, 4])], right)


@measures
def test_derivatives_in_relevances_and_weights(measure):
    v = RNG.normal(size=GAIN.shape) * (GAIN > 0), RNG.normal(size=9)
    gain = GAIN + 0.5 * RNG.random(GAIN.shape) * (GAIN > 0)  # without ties, at which DCG(g) bends
    weight = WEIGHT * (np.arange(9) != 4)

    def value(t):
        return ALL[measure](SCORE, gain + 0.1 * t * v[0], sample_weight=weight + t * v[1])

    derivatives.check(value)


def test_no_query_no_item_and_other_shapes_are_refused():
    for shape in [(0, 3), (3, 0)]:
        with pytest.raises(ValueError, match="at least one query and one item"):
            ndcg(np.zeros(shape), np.zeros(shape))
    with pytest.raises(TypeError, match="relevance must be"):
        recall_at(SCORE, GAIN[:, :5])


def test_metrics_lists_them():
    assert partial(metrics.ndcg).func is recommendation.ndcg
    assert set(recommendation.__all__) <= set(metrics.__all__)
