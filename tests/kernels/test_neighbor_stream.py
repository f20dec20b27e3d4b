"""Nearest neighbours over a stream of blocks: eq. (1)–(2), against one array and by hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.tree_util import Partial
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from mlmath import rows
from mlmath.data import datasets
from mlmath.kernels import nearest_neighbors as nn
from mlmath.kernels import neighbor_stream as stream
from mlmath.linalg import nearest
from tests.test_contract import row_collectives

RNG = np.random.default_rng(0)
CUTS = (3, 40)  # blocks of 3, 37 and 20 rows: the first has fewer than k
K = 6
X, Q = RNG.normal(size=(60, 3)), RNG.normal(size=(20, 3))
X[[25, 44]] = X[1]  # the same row in each block
Q[-1] = X[1]
Y, C = RNG.normal(size=60), RNG.integers(0, 4, size=60)
S = RNG.uniform(0.2, 2.5, size=60)


def gaussian(distance, width):
    return jnp.exp(-((distance / width) ** 2) / 2)


WEIGHTINGS = [nn.uniform, nn.inverse_distance, Partial(gaussian, width=0.7)]
weightings = pytest.mark.parametrize("weighting", WEIGHTINGS, ids=["uniform", "1/d", "Gaussian"])


def parts(X, y, s, Q, *, k=K, cuts=CUTS):
    """Candidates of each block, for each query."""
    blocks = zip(*(np.split(a, cuts) for a in (X, y, s)), strict=True)
    summarize = rows(partial(stream.summarize, k=k))
    return [summarize(nn.init(X, y, sample_weight=s), Q) for X, y, s in blocks]


def streamed(X, y, s, Q, *, k=K, cuts=CUTS):
    total, *more = parts(X, y, s, Q, k=k, cuts=cuts)
    for other in more:
        total = jax.vmap(stream.merge)(total, other)
    return total


def predicted(candidates, **given):
    return jax.vmap(partial(stream.predict, **given))(candidates)


def judged(candidates, **given):
    return jax.vmap(partial(stream.probabilities, **given))(candidates)


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_candidates_are_equation_1_and_merged_ones_equation_2():
    """By hand: the k first of all rows by distance and index, of those that are present."""
    s = np.where(np.arange(60) % 7 == 0, 0, S)
    found = streamed(X, Y, s, Q)
    for i, x in enumerate(Q):
        d = [np.sqrt(sum((a - b) ** 2 for a, b in zip(x, row, strict=True))) for row in X]
        order = [j for j in sorted(range(60), key=lambda j: (d[j], j)) if s[j] != 0][:K]
        np.testing.assert_allclose(found.distances[i], np.array(d)[order], rtol=1e-12)
        np.testing.assert_allclose(found.squares[i], np.array(d)[order] ** 2, rtol=1e-12)
        np.testing.assert_array_equal(found.targets[i], Y[order])
        np.testing.assert_array_equal(found.weights[i], s[order])


def test_the_surplus_of_a_block_with_fewer_rows_is_absent():
    found = parts(X, Y, S, Q)[0]
    np.testing.assert_array_equal(found.distances[:, 3:], np.inf)
    np.testing.assert_array_equal(found.squares[:, 3:], np.inf)
    np.testing.assert_array_equal(found.weights[:, 3:], 0)
    np.testing.assert_array_equal(found.targets[:, 3:], 0)
    assert np.isfinite(found.distances[:, :3]).all()


@weightings
@pytest.mark.parametrize("votes", [None, 2.5])
def test_a_stream_predicts_what_one_array_does(weighting, votes):
    given = {"votes": votes, "weighting": weighting}
    mean = rows(partial(nn.predict, k=K, **given))(nn.init(X, Y, sample_weight=S), Q)
    np.testing.assert_allclose(predicted(streamed(X, Y, S, Q), **given), mean, rtol=1e-13)
    given["classes"] = 4
    shares = rows(partial(nn.probabilities, k=K, **given))(nn.init(X, C, sample_weight=S), Q)
    found = judged(streamed(X, C, S, Q), **given)
    np.testing.assert_allclose(found, shares, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_digits_are_those_of_one_array_ties_included(dtype):
    """Distances of whole numbers are exact, and so is the order, whatever the blocks."""
    images, labels = (a[:700] for a in load_digits(return_X_y=True))
    images, queries = images[:600].astype(dtype) // 4, images[600:].astype(dtype) // 4
    labels = np.arange(600).astype(dtype)  # tell which row it was
    found = streamed(images, labels, np.ones(600, dtype), queries, k=8, cuts=(5, 300, 301))
    whole = jax.vmap(lambda x: nn.neighbors(nn.init(images, labels), x, k=8))(queries)
    assert found.distances.dtype == dtype
    assert np.mean(np.diff(whole.distances) == 0) > 0.05  # ties there are
    np.testing.assert_array_equal(found.targets, whole.indices)
    np.testing.assert_array_equal(found.distances, whole.distances)


def test_iris_is_that_of_one_array_and_of_scikit_learn():
    flowers, kind = datasets.arrays("iris")
    order = np.random.default_rng(1).permutation(len(kind))
    flowers, kind = flowers[order], kind[order]
    found = streamed(flowers, kind, np.ones(150), flowers + 0.03, k=7, cuts=(4, 90))
    shares = rows(partial(nn.probabilities, k=7, classes=3))(nn.init(flowers, kind), flowers + 0.03)
    np.testing.assert_array_equal(judged(found, classes=3), shares)
    peer = KNeighborsClassifier(7, algorithm="brute").fit(flowers, kind)
    differ = np.abs(shares - peer.predict_proba(flowers + 0.03)).max(1) > 1e-9
    assert differ.mean() < 0.05  # equal distances, which scikit-learn orders as it happens


def test_of_equal_distances_the_first_block_comes_first():
    corners = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    found = streamed(corners, np.arange(4.0), np.ones(4), np.zeros((1, 2)), k=3, cuts=(1, 2))
    np.testing.assert_array_equal(found.targets[0], [0, 1, 2])
    np.testing.assert_array_equal(found.distances[0], 1)
    assert predicted(found, votes=2.5)[0] == (0 + 1 + 2 / 2) / 2.5


def test_distances_of_one_root_are_told_apart():
    """δ = 1 + ε in the first block and 1 in the second, whose roots both are 1."""
    points = np.array([[1.0, 2.0**-26], [1.0, 0.0]])
    found = streamed(points, np.arange(2.0), np.ones(2), np.zeros((1, 2)), k=1, cuts=(1,))
    assert found.targets[0, 0] == 1
    assert nn.neighbors(nn.init(points, np.arange(2.0)), np.zeros(2), k=1).indices[0] == 1


def test_with_fewer_rows_than_k_all_vote():
    s = np.array([1.0, 0.0, 2.0, 0.0, 0.5, 1.0])
    found = streamed(X[:6], Y[:6], s, Q, k=8, cuts=(3,))
    np.testing.assert_allclose(predicted(found), s @ Y[:6] / s.sum(), rtol=1e-12)


def test_merging_is_associative_and_nothing_is_its_unit():
    merge = jax.vmap(stream.merge)
    a, b, c = parts(X, Y, S, Q)
    same(merge(merge(a, b), c), merge(a, merge(b, c)))
    (nothing,) = parts(X[:2], Y[:2], np.zeros(2), Q, cuts=())
    same(merge(a, nothing), a)
    same(merge(nothing, a), a)


@weightings
def test_weight_is_repetition(weighting):
    counts = RNG.integers(0, 4, size=60)
    twice = [np.repeat(a, counts, axis=0) for a in (X, Y, np.ones(60))]
    for votes in (1.0, 6.0):
        a = predicted(streamed(X, Y, counts.astype(float), Q), votes=votes, weighting=weighting)
        b = predicted(streamed(*twice, Q), votes=votes, weighting=weighting)
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("held", [np.nan, np.inf, 0.0])
def test_weight_0_is_absence_whatever_the_row_holds(held):
    """Also where it leaves blocks with fewer than k rows, or with none."""
    keep = RNG.random(60) < 0.5
    keep[:3] = False
    masked, target = np.where(keep[:, None], X, held), np.where(keep, C, held)
    found = streamed(masked, target, S * keep, Q)
    whole = rows(partial(nn.probabilities, k=K, classes=4))(
        nn.init(X[keep], C[keep], sample_weight=S[keep]), Q
    )
    np.testing.assert_allclose(judged(found, classes=4), whole, rtol=1e-12)


def test_no_weight_in_all_blocks_shows():
    found = streamed(X, C, np.zeros(60), Q)
    assert np.isnan(predicted(found)).all()
    assert np.isnan(judged(found, classes=4)).all()
    np.testing.assert_array_equal(found.distances, np.inf)


@pytest.mark.parametrize("row", [1, 59])
@pytest.mark.parametrize(
    ("place", "value"),
    [("X", np.nan), ("X", np.inf), ("y", np.nan), ("s", np.nan), ("s", -1.0), ("y", 4.0),
     ("y", -1.0), ("y", 0.5)],
)  # fmt: skip
def test_what_counts_and_cannot_shows_from_any_block(row, place, value):
    given = {"X": X.copy(), "y": C.astype(float), "s": S.copy()}
    given[place][(row, 0) if place == "X" else row] = value
    found = streamed(*given.values(), Q)
    assert np.isnan(judged(found, classes=4)).all()
    numbers = place == "y" and np.isfinite(value)
    assert np.isnan(predicted(found)).all() == (not numbers)
    given["s"][row] = 0
    assert np.isfinite(judged(streamed(*given.values(), Q), classes=4)).all()


def test_a_query_that_is_not_finite_and_no_votes_show():
    for bad in (np.nan, np.inf):
        found = streamed(X, Y, S, np.stack([Q[0], np.array([0.0, bad, 0.0])]))
        np.testing.assert_array_equal(np.isnan(predicted(found)), [False, True])
    for votes in (0.0, -1.0, np.nan):
        assert np.isnan(predicted(streamed(X, Y, S, Q), votes=votes)).all()


@pytest.mark.parametrize("unit", [1e-30, 1e-22, 1e18, 1e30])
def test_the_order_is_right_where_squares_leave_float32(unit):
    """Of squares that are 0, ∞ or subnormal the distances tell which is less."""
    points, queries = ((unit * a).astype(np.float32) for a in (X, Q))
    found = streamed(points, np.arange(60, dtype=np.float32), S.astype(np.float32), queries)
    one = jax.vmap(lambda x: nn.neighbors(nn.init(X, Y), x, k=K))(Q)
    np.testing.assert_array_equal(found.targets, one.indices)
    np.testing.assert_allclose(found.distances, unit * one.distances, rtol=1e-5)


def test_a_distance_beyond_the_dtype_still_comes_before_what_is_absent():
    far = np.array([[-3e38], [3e38]], np.float32)
    found = streamed(far, np.array([1, 2], np.float32), np.ones(2, np.float32), -far[1:], k=2,
                     cuts=(1,))  # fmt: skip
    np.testing.assert_array_equal(found.weights[0], 1)
    turned = streamed(far[::-1], np.array([2, 1], np.float32), np.ones(2, np.float32), -far[1:],
                      k=3, cuts=(1,))  # fmt: skip
    np.testing.assert_array_equal(turned.targets[0], [1, 2, 0])
    assert predicted(turned)[0] == 1.5


APART = X + 0.1 * np.random.default_rng(4).normal(size=X.shape)  # no row twice


def value_of_stream(X, Y, S, Q, votes, weighting):
    blocks = zip(*(jnp.split(a, CUTS) for a in (X, Y, S)), strict=True)
    total = None
    for X, y, s in blocks:
        new = rows(partial(stream.summarize, k=K))(nn.init(X, y, sample_weight=s), Q)
        total = new if total is None else jax.vmap(stream.merge)(total, new)
    return jnp.sum(jnp.sin(predicted(total, votes=votes, weighting=weighting)))


def test_derivatives_are_those_of_differences():
    """In rows, targets, weights, queries and votes, away from a change of neighbours."""
    keys, at = np.random.default_rng(3), (APART, Y, S, Q, 4.3)
    v = [0.01 * keys.normal(size=np.shape(a)) for a in at]

    @jax.jit
    def value(t):
        moved = (a + t * b for a, b in zip(at, v, strict=True))
        return value_of_stream(*moved, nn.inverse_distance)

    slope = jax.jit(jax.grad(value))
    h = 1e-5
    np.testing.assert_allclose(slope(0.0), (value(h) - value(-h)) / (2 * h), rtol=1e-6)
    second = (slope(h) - slope(-h)) / (2 * h)
    np.testing.assert_allclose(jax.jvp(slope, (0.0,), (1.0,))[1], second, rtol=1e-5)


def test_derivatives_are_those_of_one_array():
    """Also with rows that weigh 0, and in the number of a weighting."""
    s = np.where(np.arange(60) % 7 == 0, 0, S)

    def ours(X, Y, S, Q, votes, width):
        return value_of_stream(X, Y, S, Q, votes, Partial(gaussian, width=width))

    def array(X, Y, S, Q, votes, width):
        weighting = Partial(gaussian, width=width)
        predict = partial(nn.predict, k=K, votes=votes, weighting=weighting)
        return jnp.sum(jnp.sin(rows(predict)(nn.init(X, Y, sample_weight=S), Q)))

    at = (APART, Y, s, Q, 4.3, 0.7)
    found, whole = (jax.jit(jax.grad(f, argnums=range(6)))(*at) for f in (ours, array))
    for a, b in zip(found, whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
        assert np.abs(b).max() > 1e-3


def test_a_batch_is_one_blocked_search(monkeypatch):
    """Whatever the number of queries, a block of distances is all that is in memory."""
    monkeypatch.setattr(nearest, "_BLOCK", 2**14)
    nearest.smallest.clear_cache()
    params = nn.init(np.zeros((1000, 2)), np.zeros(1000))
    summarize = rows(partial(stream.summarize, k=3))
    program = jax.jit(summarize).lower(params, np.zeros((977, 2))).compile()
    nearest.smallest.clear_cache()
    assert program.memory_analysis().temp_size_in_bytes < 977 * 1000 * 8 / 2


def test_sharded_queries_stay_where_they_are():
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
    queries = RNG.normal(size=(8 * 13, 3))
    spread = jax.device_put(queries, NamedSharding(mesh, PartitionSpec("rows")))
    first, second = (nn.init(a, b) for a, b in ((X[:3], Y[:3]), (X[3:], Y[3:])))
    kept = jax.device_put((first, second), NamedSharding(mesh, PartitionSpec()))

    def answer(blocks, Q):
        found = [rows(partial(stream.summarize, k=5))(block, Q) for block in blocks]
        return predicted(jax.vmap(stream.merge)(*found))

    program = jax.jit(answer).lower(kept, spread).compile()
    assert row_collectives(program.as_text()) == []
    whole = rows(partial(nn.predict, k=5))(nn.init(X, Y), queries)
    np.testing.assert_allclose(program(kept, spread), whole, rtol=1e-12)


def test_one_by_one_is_batched_and_candidates_may_come_from_a_file():
    params = nn.init(X, Y, sample_weight=S)
    batched = rows(partial(stream.summarize, k=K))(params, Q)
    single = stream.summarize(params, Q[4], k=K)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[4], rtol=1e-12), single, batched)
    stored = jax.tree.map(np.asarray, single)
    same(stream.merge(stored, stored), stream.merge(single, single))
    assert stream.predict(stored) == stream.predict(single)
    assert isinstance(stream.predict(stored), jax.Array)


def test_a_stream_of_equal_blocks_compiles_once():
    a, b, c = (nn.init(X[i : i + 20], Y[i : i + 20]) for i in (0, 20, 40))
    total = stream.merge(stream.summarize(a, Q[0], k=4), stream.summarize(b, Q[0], k=4))
    stream.predict(total, votes=2.0)
    sizes = [f._cache_size() for f in (stream.summarize, stream.merge, stream.predict)]
    stream.predict(stream.merge(total, stream.summarize(c, Q[1], k=4)), votes=3.0)
    assert sizes == [f._cache_size() for f in (stream.summarize, stream.merge, stream.predict)]


def test_misuse_is_refused():
    params = nn.init(X, C)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        stream.summarize(params, Q[0], k=0)
    with pytest.raises(TypeError, match="x must be"):
        stream.summarize(params, Q)
    three, five = (stream.summarize(params, Q[0], k=k) for k in (3, 5))
    with pytest.raises(TypeError, match=r"second .* does not fit"):
        stream.merge(three, five)
    with pytest.raises(ValueError, match="classes must be at least 1, got 0"):
        stream.probabilities(three, classes=0)
