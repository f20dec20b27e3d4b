"""Folds against their formulas, their law, and scikit-learn's splitters."""

import functools
import math
from collections import Counter
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare
from sklearn import model_selection as sk

from mlmath.evaluate import folds

KEY = jax.random.key(0)
N = 23
RNG = np.random.default_rng(0)
Y = np.r_[0, 1, 2, RNG.choice(3, p=[0.6, 0.3, 0.1], size=N - 3)]  # labels appear in their order
WEIGHT = np.r_[0.0, RNG.choice([0.0, 0.5, 3.0], size=N - 1)]
COUNTED = WEIGHT != 0


def masks(splitter, *data):
    """What a splitter of scikit-learn yields, as masks."""
    n = len(data[0])
    train, test = zip(*splitter.split(*data), strict=True)
    return folds.Folds(*([np.isin(np.arange(n), i) for i in side] for side in (train, test)))


def rows(n=N):
    return np.zeros((n, 1))


def assert_equal(found, expected):
    np.testing.assert_array_equal(found.train, expected.train)
    np.testing.assert_array_equal(found.test, expected.test)


def assert_partition(found):
    """Every row tests once and trains in all the other folds."""
    np.testing.assert_array_equal(found.test.sum(axis=0), 1)
    np.testing.assert_array_equal(found.train, ~found.test)


def per_label(mask, y):
    """Rows of each label in each fold."""
    return np.stack([(np.asarray(mask) & (y == label)).sum(axis=1) for label in np.unique(y)])


def places(weight):
    """Transcription of (1) in the given order."""
    return [max(0, sum(s != 0 for s in weight[: i + 1]) - 1) for i in range(len(weight))]


# The formulas


@pytest.mark.parametrize("k", [2, 5])
def test_contiguous_is_its_definition(k):
    r, m = places(WEIGHT), COUNTED.sum()
    b = [f * (m // k) + min(f, m % k) for f in range(k + 1)]
    expected = [[b[f] <= ri < b[f + 1] for ri in r] for f in range(k)]
    found = folds.contiguous(N, folds=k, sample_weight=WEIGHT)
    np.testing.assert_array_equal(found.test, expected)
    assert_partition(found)


def test_a_deal_is_its_definition():
    """Test rows of fold f are those whose place, by label, is f modulo k."""
    found = folds.k_fold(KEY, N, sample_weight=WEIGHT)
    dealt = np.arange(COUNTED.sum()) % 5
    np.testing.assert_array_equal(found.test[:, COUNTED].sum(axis=1), np.bincount(dealt))
    assert_partition(found)
    found = folds.stratified(KEY, Y, sample_weight=WEIGHT)
    in_order = np.sort(Y[COUNTED])
    expected = [np.bincount(in_order[f::5], minlength=3) for f in range(5)]
    np.testing.assert_array_equal(per_label(found.test[:, COUNTED], Y[COUNTED]).T, expected)
    assert_partition(found)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_stratified_shuffle_gives_the_largest_remainders_one_more(weight):
    counted = np.ones(N, bool) if weight is None else COUNTED
    y, m = Y[counted], counted.sum()
    t = math.ceil(0.3 * m)
    quota = [Fraction(t * int(c), int(m)) for c in np.bincount(y)]
    found = folds.stratified_shuffle(KEY, Y, folds=3, test_share=0.3, sample_weight=weight)
    np.testing.assert_array_equal(found.train, ~found.test)
    for tests in per_label(found.test[:, counted], y).T:
        assert sum(tests) == t
        more = [int(c) - math.floor(q) for c, q in zip(tests, quota, strict=True)]
        assert set(more) <= {0, 1}
        remainders = [[q % 1 for q, e in zip(quota, more, strict=True) if e == up] for up in (0, 1)]
        assert max(remainders[0], default=0) <= min(remainders[1], default=1)


def test_group_is_its_definition():
    """With weights in quarters, whose sums are exact."""
    groups = RNG.choice(9, size=N)
    weight = RNG.choice([0.0, 0.25, 1.0, 2.0], size=N)
    load = {g: sum(weight[groups == g]) for g in set(groups.tolist())}
    total, fold = [0.0] * 3, {}
    for g in sorted(load, key=lambda g: (-load[g], -g)):
        fold[g] = total.index(min(total)) if load[g] else 0
        total[fold[g]] += load[g]
    found = folds.group(groups, folds=3, sample_weight=weight)
    expected = [[fold[g] == f for g in groups.tolist()] for f in range(3)]
    np.testing.assert_array_equal(found.test, expected)
    assert_partition(found)


def test_time_series_is_its_definition():
    r, m = places(WEIGHT), COUNTED.sum()
    k, t, g = 3, 2, 1
    u = m - k * t - g  # the first training begins at place 0
    found = folds.time_series(
        N, folds=k, gap=g, test_size=t, max_train_size=int(u), sample_weight=WEIGHT
    )
    a = [m - (k - f) * t for f in range(k)]
    np.testing.assert_array_equal(found.test, [[af <= ri < af + t for ri in r] for af in a])
    np.testing.assert_array_equal(
        found.train, [[af - g - u <= ri < af - g for ri in r] for af in a]
    )


# scikit-learn


@pytest.mark.parametrize("k", [2, 5])
def test_k_fold_equals_sklearn(k):
    found = folds.k_fold(KEY, N, folds=k)
    expected = masks(sk.KFold(k, shuffle=True, random_state=0), rows())
    np.testing.assert_array_equal(found.test.sum(axis=1), np.sum(expected.test, axis=1))
    assert_partition(found)
    assert_equal(folds.contiguous(N, folds=k), masks(sk.KFold(k), rows()))


@pytest.mark.filterwarnings("ignore:The least populated class")
@pytest.mark.parametrize("k", [2, 5])
def test_stratified_equals_sklearn(k):
    """Which deals the labels in the order in which they appear; here it is theirs."""
    expected = masks(sk.StratifiedKFold(k, shuffle=True, random_state=0), rows(), Y)
    found = folds.stratified(KEY, Y, folds=k)
    np.testing.assert_array_equal(per_label(found.test, Y), per_label(expected.test, Y))
    assert_partition(found)


@pytest.mark.parametrize("draw", range(5))
def test_group_equals_sklearn_row_by_row(draw):
    groups = np.random.default_rng(draw).choice(9, size=N)
    assert_equal(folds.group(groups, folds=3), masks(sk.GroupKFold(3), rows(), None, groups))


def test_repeated_equals_sklearn():
    found = folds.repeated(KEY, lambda key: folds.k_fold(key, N), repeats=3)
    splitter = sk.RepeatedKFold(n_splits=5, n_repeats=3, random_state=0)
    expected = masks(splitter, rows())
    np.testing.assert_array_equal(found.test.sum(axis=1), np.sum(expected.test, axis=1))
    draws = [folds.Folds(*(m[5 * i : 5 * i + 5] for m in found)) for i in range(3)]
    for draw in draws:
        assert_partition(draw)
    assert (draws[0].test != draws[1].test).any()
    assert (draws[1].test != draws[2].test).any()


def test_leave_one_out_equals_sklearn():
    assert_equal(folds.leave_one_out(N), masks(sk.LeaveOneOut(), rows()))
    np.testing.assert_array_equal(folds.leave_one_out(2).test, np.eye(2))


@pytest.mark.parametrize(("n", "share"), [(N, 0.5), (100, 0.07)])
def test_shuffle_equals_sklearn(n, share):
    found = folds.shuffle(KEY, n, folds=3, test_share=share)
    expected = masks(sk.ShuffleSplit(3, test_size=share, random_state=0), rows(n))
    np.testing.assert_array_equal(found.test.sum(axis=1), np.sum(expected.test, axis=1))
    np.testing.assert_array_equal(found.train, ~found.test)
    assert (found.test[0] != found.test[1]).any()


def test_stratified_shuffle_equals_sklearn():
    found = folds.stratified_shuffle(KEY, Y, folds=3, test_share=0.3)
    expected = masks(sk.StratifiedShuffleSplit(3, test_size=0.3, random_state=0), rows(), Y)
    np.testing.assert_array_equal(per_label(found.test, Y), per_label(expected.test, Y))
    assert (found.test[0] != found.test[1]).any()


@pytest.mark.parametrize(
    "numbers",
    [
        {},
        {"gap": 2},
        {"test_size": 3},
        {"max_train_size": 4},
        {"gap": 1, "test_size": 2, "max_train_size": 5},
        {"gap": 13, "test_size": 3},  # one row to train on
    ],
)
def test_time_series_equals_sklearn_row_by_row(numbers):
    expected = masks(sk.TimeSeriesSplit(3, **numbers), rows())
    assert_equal(folds.time_series(N, folds=3, **numbers), expected)


# The law of the draws

SMALL = np.array([0, 0, 0, 1, 1, 1])
PADDED = np.array([np.nan, 0, 0, 7, 0, 1, 1, 1])
PRESENT = np.array([0.0, 1, 1, 0, 1, 1, 1, 1])

DRAWS = {
    "k_fold": (
        lambda key, y, s: folds.k_fold(key, y.size, folds=2, sample_weight=s),
        lambda seed: sk.KFold(2, shuffle=True, random_state=seed),
        20,
    ),
    "stratified": (
        lambda key, y, s: folds.stratified(key, y, folds=3, sample_weight=s),
        lambda seed: sk.StratifiedKFold(3, shuffle=True, random_state=seed),
        36,
    ),
    "shuffle": (
        lambda key, y, s: folds.shuffle(key, y.size, folds=1, test_share=0.3, sample_weight=s),
        lambda seed: sk.ShuffleSplit(1, test_size=0.3, random_state=seed),
        15,
    ),
    "stratified_shuffle": (  # one label, either of them, has two of the three test rows
        lambda key, y, s: folds.stratified_shuffle(
            key, y, folds=1, test_share=0.5, sample_weight=s
        ),
        lambda seed: sk.StratifiedShuffleSplit(1, test_size=0.5, random_state=seed),
        18,
    ),
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws_have_the_law_of_sklearn(name):
    """It is uniform over the same outcomes, and so it is when absent rows stand between."""
    ours, theirs, outcomes = DRAWS[name]
    expected = {np.array(masks(theirs(seed), rows(6), SMALL).test).tobytes() for seed in range(400)}
    assert len(expected) == outcomes
    keys = jax.random.split(KEY, 4000)
    plain = jax.vmap(lambda key: ours(key, SMALL, None).test)(keys)
    absent = jax.vmap(lambda key: ours(key, PADDED, PRESENT).test)(keys)
    for drawn in (np.asarray(plain), np.asarray(absent)[..., PRESENT == 1]):
        found = Counter(outcome.tobytes() for outcome in drawn)
        assert set(found) == expected
        assert chisquare(list(found.values())).pvalue > 1e-3


# Weights


@pytest.mark.parametrize(
    "split",
    [
        lambda g, s: folds.contiguous(g.size, folds=3, sample_weight=s),
        lambda g, s: folds.group(g, folds=3, sample_weight=s),
        lambda g, s: folds.time_series(g.size, folds=3, gap=1, sample_weight=s),
    ],
)
def test_weight_zero_is_a_row_absent(split):
    groups = np.where(COUNTED, RNG.choice(9, size=N).astype(float), np.nan)
    found = split(groups, WEIGHT)
    without = split(groups[COUNTED], WEIGHT[COUNTED])
    assert_equal(folds.Folds(found.train[:, COUNTED], found.test[:, COUNTED]), without)


@pytest.mark.parametrize(
    "split",
    [folds.stratified, functools.partial(folds.stratified_shuffle, folds=3, test_share=0.3)],
)
def test_what_an_absent_row_holds_moves_no_other(split):
    other = np.where(COUNTED, Y, RNG.choice([np.nan, -5.0, 9.0], size=N))
    a, b = (split(KEY, y, sample_weight=WEIGHT) for y in (Y.astype(float), other))
    np.testing.assert_array_equal(a.test[:, COUNTED], b.test[:, COUNTED])


def test_weight_two_is_a_row_twice_in_a_group():
    groups, twice = RNG.choice(7, size=N), RNG.choice(3, size=N)
    weighted = folds.group(groups, folds=3, sample_weight=twice.astype(float))
    repeated = folds.group(np.repeat(groups, twice), folds=3)
    np.testing.assert_array_equal(np.repeat(weighted.test, twice, axis=1), repeated.test)


def test_a_row_of_weight_zero_keeps_its_influence():
    """It tests and trains as the others do; a mask of 0 would make its derivative 0."""

    def tested(s):
        split = folds.group(Y, folds=2, sample_weight=s)
        return ((1.0 + jnp.arange(2.0)) @ (split.test * s[None])).sum()

    fold = folds.group(Y, folds=2, sample_weight=WEIGHT).test.argmax(axis=0)
    np.testing.assert_array_equal(jax.grad(tested)(jnp.asarray(WEIGHT)), 1.0 + fold)


def test_shares_are_exact_in_float32():
    """0.3 · 130 is 39, of which float32 makes 39.000004."""
    weights = np.tri(200, dtype=np.float32)
    with jax.enable_x64(False):
        found = jax.vmap(
            lambda s: folds.shuffle(KEY, 200, folds=1, test_share=0.3, sample_weight=s)
        )(weights)
    sizes = (np.asarray(found.test[:, 0]) & (weights == 1)).sum(axis=1)
    np.testing.assert_array_equal(sizes, [math.ceil(0.3 * m) for m in range(1, 201)])


def test_inner_folds_are_stratified_within_each_outer_training_set():
    """The recipe for nested selection, and that it does not look at the outer test rows."""
    outer = folds.stratified(KEY, Y, folds=3)

    @jax.jit
    @jax.vmap
    def inner(train, y):
        return folds.stratified(KEY, y, folds=2, sample_weight=train.astype(float))

    hidden = jnp.where(outer.train, Y[None], 99)
    found = inner(outer.train, hidden)
    for train, test, same in zip(
        outer.train, found.test, inner(outer.train, jnp.stack([Y] * 3)).test, strict=True
    ):
        assert np.ptp((test & train[None]).sum(axis=1)) <= 1
        assert np.ptp(per_label(test & train[None], Y), axis=1).max() <= 1
        np.testing.assert_array_equal(test & train[None], same & train[None])


# Edges


def test_a_label_with_fewer_rows_than_folds_is_missing_from_some():
    y = np.r_[np.zeros(N - 2), np.ones(2)]
    np.testing.assert_array_equal(
        np.sort(per_label(folds.stratified(KEY, y).test, y)[1]), [0, 0, 0, 1, 1]
    )


def test_a_fold_is_as_large_as_its_largest_group():
    groups = np.r_[np.zeros(N - 4), 1, 2, 3, 4]
    np.testing.assert_array_equal(folds.group(groups, folds=3).test.sum(axis=1), [N - 4, 2, 2])


def test_folds_beyond_the_groups_or_the_rows_that_count_test_on_nothing():
    sizes = folds.group(Y, folds=5).test.sum(axis=1)
    np.testing.assert_array_equal(sizes[3:], 0)
    assert sizes[:3].min() > 0
    few = np.arange(N) < 2
    for found in (
        folds.k_fold(KEY, N, sample_weight=few.astype(float)),
        folds.contiguous(N, sample_weight=few.astype(float)),
        folds.stratified(KEY, Y, sample_weight=few.astype(float)),
    ):
        np.testing.assert_array_equal((found.test & few[None]).sum(axis=1), [1, 1, 0, 0, 0])
        assert_partition(found)


def test_no_weight_at_all_is_still_a_partition():
    nothing = np.zeros(N)
    for found in (
        folds.k_fold(KEY, N, sample_weight=nothing),
        folds.contiguous(N, sample_weight=nothing),
        folds.group(Y, sample_weight=nothing),
    ):
        assert_partition(found)


def test_nan_is_a_group_of_its_own():
    groups = np.where(np.arange(N) < 10, np.nan, 0.0)
    np.testing.assert_array_equal(folds.group(groups, folds=3).test.sum(axis=1), [13, 5, 5])


def test_a_continuous_target_is_alike_in_all_folds():
    """Of every five rows in a row along y each fold tests one."""
    y = RNG.normal(size=N)
    in_order = folds.stratified(KEY, y).test[:, np.argsort(y)]
    for first in range(0, N - 5, 5):
        np.testing.assert_array_equal(in_order[:, first : first + 5].sum(axis=1), 1)


MISUSE = {
    "folds must be at least 2, got 1.": lambda: folds.k_fold(KEY, 9, folds=1),
    "folds must be at least 2, got 0.": lambda: folds.time_series(9, folds=0),
    "folds must be at most the number of rows, got 5 for 4.": lambda: folds.stratified(KEY, Y[:4]),
    "folds must be at most the number of rows, got 5 for 3.": lambda: folds.group(Y[:3]),
    "folds must be at least 1, got 0.": lambda: folds.shuffle(KEY, 9, folds=0),
    "n must be at least 2, got 1.": lambda: folds.leave_one_out(1),
    "repeats must be at least 1, got 0.": lambda: folds.repeated(
        KEY, lambda key: folds.k_fold(key, 9), repeats=0
    ),
    "test_share=0.0 is not above 0 with some of 9 rows left to train.": (
        lambda: folds.shuffle(KEY, 9, test_share=0.0)
    ),
    "test_share=1.5 is not above 0 with some of 9 rows left to train.": (
        lambda: folds.shuffle(KEY, 9, test_share=1.5)
    ),
    "test_share=0.9 is not above 0 with some of 9 rows left to train.": (
        lambda: folds.stratified_shuffle(KEY, Y[:9], test_share=0.9)
    ),
    "sample_weight must have 9 entries, got 23.": lambda: folds.k_fold(
        KEY, 9, sample_weight=WEIGHT
    ),
    "sample_weight must have 8 entries, got 23.": lambda: folds.shuffle(
        KEY, 8, sample_weight=WEIGHT
    ),
    "gap must be at least 0, got -1.": lambda: folds.time_series(9, gap=-1),
    "test_size must be at least 1, got 0.": lambda: folds.time_series(9, test_size=0),
    "max_train_size must be at least 1, got 0.": lambda: folds.time_series(9, max_train_size=0),
    "nothing is left to train on of 9 rows, folds=5, gap=4, test_size=None; lower one of these.": (
        lambda: folds.time_series(9, gap=4)
    ),
    "nothing is left to train on of 9 rows, folds=5, gap=0, test_size=2; lower one of these.": (
        lambda: folds.time_series(9, test_size=2)
    ),
    "nothing is left to train on of 5 rows, folds=5, gap=0, test_size=None; lower one of these.": (
        lambda: folds.time_series(5)
    ),
}


@pytest.mark.parametrize("sentence", MISUSE)
def test_misuse_is_one_sentence(sentence):
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the sentence is compared below)
        MISUSE[sentence]()
    assert str(error.value) == sentence


@pytest.mark.parametrize("key", [0, np.zeros(2, np.uint32), jax.random.split(KEY, 2)])
def test_only_a_typed_key_draws(key):
    with pytest.raises(TypeError, match="key"):
        folds.k_fold(key, N)


# The contract


def test_a_key_fixes_the_draw_and_another_changes_it():
    for split in (
        lambda key: folds.k_fold(key, N),
        lambda key: folds.stratified(key, Y),
        lambda key: folds.shuffle(key, N, folds=3, test_share=0.5),
        lambda key: folds.stratified_shuffle(key, Y, folds=3, test_share=0.3),
    ):
        a, b, c = split(KEY), split(KEY), split(jax.random.key(1))
        assert_equal(a, b)
        assert (a.test != c.test).any()


def test_the_draw_is_the_same_in_either_precision():
    draws = {
        "deal": lambda: folds.stratified(KEY, Y),
        "shuffle": lambda: folds.stratified_shuffle(KEY, Y, folds=3, test_share=0.3),
    }
    double = {name: draw() for name, draw in draws.items()}
    with jax.enable_x64(False):
        for name, draw in draws.items():
            assert_equal(draw(), double[name])


def test_labels_and_weights_may_be_traced_and_numpy_or_jax():
    for split in (
        lambda y, s: folds.stratified(KEY, y, sample_weight=s),
        lambda y, s: folds.group(y, sample_weight=s),
        lambda y, s: folds.stratified_shuffle(KEY, y, folds=3, test_share=0.3, sample_weight=s),
        lambda y, s: folds.time_series(y.size, folds=3, gap=1, sample_weight=s),
    ):
        plain = split(Y, WEIGHT)
        assert_equal(jax.jit(split)(Y, WEIGHT), plain)
        assert_equal(split(jnp.asarray(Y), jnp.asarray(WEIGHT)), plain)
        assert all(isinstance(m, jax.Array) and m.dtype == bool for m in plain)


def test_a_new_key_or_weight_compiles_nothing():
    folds.k_fold(KEY, N, sample_weight=WEIGHT)
    compiled = folds.k_fold._cache_size()
    folds.k_fold(jax.random.key(7), N, sample_weight=WEIGHT + 1)
    assert folds.k_fold._cache_size() == compiled
