"""Nearest neighbours: eq. (1)–(4), weights as repetition, absence, ties, limits, scikit-learn."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.tree_util import Partial
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from mlmath import rows
from mlmath.kernels import nearest_neighbors as nn
from mlmath.linalg import nearest
from tests.test_contract import row_collectives

RNG = np.random.default_rng(0)
X, Q = RNG.normal(size=(60, 3)), RNG.normal(size=(25, 3))
Q[-2:] = X[:2]
Y, C = RNG.normal(size=60), RNG.integers(0, 4, size=60)
S = RNG.uniform(0.2, 2.5, size=60)


def gaussian(distance, width):
    return jnp.exp(-((distance / width) ** 2) / 2)


WEIGHTINGS = {
    "uniform": (nn.uniform, lambda d: 1.0),
    "inverse distance": (nn.inverse_distance, lambda d: 1 / d if d > 0 else np.inf),
    "Gaussian": (Partial(gaussian, width=0.7), lambda d: np.exp(-((d / 0.7) ** 2) / 2)),
}
weightings = pytest.mark.parametrize("weighting", WEIGHTINGS)


def naive(X, y, s, x, k, v, phi, classes):
    """Mean and shares by eq. (1)–(4), one row after another."""
    d = [np.sqrt(sum((a - b) ** 2 for a, b in zip(x, row, strict=True))) for row in X]
    order = [j for j in sorted(range(len(d)), key=lambda j: (d[j], j)) if s[j] != 0][:k]
    before, mass = 0.0, []
    for j in order:
        mass.append(min(before + s[j], v) - min(before, v))  # (1)
        before += s[j]
    factors = [phi(d[j]) for j in order]
    if np.inf in factors:
        factors = [f == np.inf for f in factors]
    a = [m * f for m, f in zip(mass, factors, strict=True)]  # (2)
    mean = sum(w * y[j] for w, j in zip(a, order, strict=True)) / sum(a)  # (3)
    shares = [sum(w for w, j in zip(a, order, strict=True) if y[j] == c) for c in range(classes)]
    return mean, np.array(shares) / sum(a)  # (4)


@weightings
@pytest.mark.parametrize(("k", "v"), [(5, 5.0), (20, 5.5)])
def test_predictions_are_equations_1_to_4(weighting, k, v):
    ours, phi = WEIGHTINGS[weighting]
    numbers, labels = nn.init(X, Y, sample_weight=S), nn.init(X, C, sample_weight=S)
    mean = rows(partial(nn.predict, k=k, votes=v, weighting=ours))(numbers, Q)
    shares = rows(partial(nn.probabilities, k=k, votes=v, weighting=ours, classes=4))(labels, Q)
    for i, x in enumerate(Q):
        np.testing.assert_allclose(mean[i], naive(X, Y, S, x, k, v, phi, 4)[0], rtol=1e-10)
        np.testing.assert_allclose(shares[i], naive(X, C, S, x, k, v, phi, 4)[1], atol=1e-12)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize(
    ("name", "weighting"), [("uniform", nn.uniform), ("distance", nn.inverse_distance)]
)
def test_matches_scikit_learn(k, name, weighting):
    peer = KNeighborsRegressor(k, weights=name, algorithm="brute").fit(X, Y)
    mean = rows(partial(nn.predict, k=k, weighting=weighting))(nn.init(X, Y), Q)
    np.testing.assert_allclose(mean, peer.predict(Q), rtol=1e-9)
    peer = KNeighborsClassifier(k, weights=name, algorithm="brute").fit(X, C)
    shares = rows(partial(nn.probabilities, k=k, weighting=weighting, classes=4))(nn.init(X, C), Q)
    np.testing.assert_allclose(shares, peer.predict_proba(Q), atol=1e-9)


def test_digits_in_single_precision_match_scikit_learn():
    images, labels = (a[:1000] for a in load_digits(return_X_y=True))
    images = images.astype(np.float32)
    held = np.arange(len(labels)) % 5 == 0
    params = nn.init(images[~held], labels[~held])
    shares = rows(partial(nn.probabilities, k=3, classes=10))(params, images[held])
    assert shares.dtype == np.float32
    peer = KNeighborsClassifier(3, algorithm="brute").fit(images[~held], labels[~held])
    right = peer.predict_proba(images[held])
    differ = np.abs(shares - right).max(1) > 1e-6
    assert differ.mean() <= 0.01  # ties of whole numbers: scikit-learn orders them as it happens
    assert np.mean(shares.argmax(1) == labels[held]) > 0.98


def test_one_neighbour_makes_no_error_on_its_own_rows():
    for weighting in (nn.uniform, nn.inverse_distance):
        own = rows(partial(nn.predict, k=1, weighting=weighting))(nn.init(X, Y), X)
        np.testing.assert_array_equal(own, Y)


def test_all_rows_are_their_weighted_mean():
    params = nn.init(X, Y, sample_weight=S)
    np.testing.assert_allclose(nn.predict(params, Q[0], k=60, votes=1e6), S @ Y / S.sum())


def test_the_error_of_one_neighbour_in_the_limit_is_that_of_cover_and_hart():
    """P(y = 1 | x) = p errs by Bayes' rule with p, by one neighbour with 2p(1 − p), §IV there."""
    rng, p = np.random.default_rng(1), 0.2
    points, labels = rng.uniform(size=(6000, 1)), rng.random(6000) < p
    params = nn.init(points[:4000], labels[:4000])

    def error(votes):
        voted = rows(partial(nn.predict, k=51, votes=votes))(params, points[4000:])
        return np.mean((voted > 0.5) != labels[4000:])

    four_deviations = 4 * np.sqrt(0.32 * 0.68 / 2000)
    assert abs(error(1.0) - 2 * p * (1 - p)) < four_deviations
    assert abs(error(51.0) - p) < four_deviations
    assert 2 * four_deviations < 2 * p * (1 - p) - p


@weightings
def test_weight_is_repetition(weighting):
    ours, _ = WEIGHTINGS[weighting]
    counts = RNG.integers(0, 4, size=60)
    weighted = nn.init(X, Y, sample_weight=counts.astype(float))
    repeated = nn.init(np.repeat(X, counts, axis=0), np.repeat(Y, counts))
    for votes in (1.0, 6.0, 20.0):
        a, b = (
            rows(partial(nn.predict, k=20, votes=votes, weighting=ours))(params, Q)
            for params in (weighted, repeated)
        )
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_lighter_rows_are_repetition_when_as_many_more_are_searched(share):
    counts = RNG.integers(1, 4, size=60)
    light = nn.init(X, Y, sample_weight=share * counts)
    repeated = nn.init(np.repeat(X, counts, axis=0), np.repeat(Y, counts))
    a = rows(partial(nn.predict, k=12, votes=share * 12))(light, Q)
    b = rows(partial(nn.predict, k=12))(repeated, Q)
    np.testing.assert_allclose(a, b, rtol=1e-12)


def test_rows_that_have_less_than_all_votes_vote_with_what_they_have():
    params = nn.init(X, Y, sample_weight=np.full(60, 0.1))
    found = nn.neighbors(params, Q[0], k=4)
    np.testing.assert_allclose(found.shares, 0.1)
    np.testing.assert_allclose(nn.predict(params, Q[0], k=4), Y[found.indices].mean())


@pytest.mark.parametrize("held", [np.nan, np.inf, 0.0])
def test_weight_zero_is_absence_whatever_the_row_holds(held):
    keep = RNG.random(60) < 0.5
    masked, target = np.where(keep[:, None], X, held), np.where(keep, Y, held)
    a = nn.init(masked, target, sample_weight=S * keep)
    b = nn.init(X[keep], Y[keep], sample_weight=S[keep])
    predict = rows(partial(nn.predict, weighting=nn.inverse_distance))
    np.testing.assert_allclose(predict(a, Q), predict(b, Q), rtol=1e-12)
    found = nn.neighbors(nn.init(masked, target, sample_weight=S * keep), Q[0], k=60)
    assert np.sum(found.indices < 60) == keep.sum()
    np.testing.assert_array_equal(found.distances[keep.sum() :], np.inf)
    np.testing.assert_array_equal(found.shares[keep.sum() :], 0)


def test_predictions_are_continuous_in_weights_and_votes():
    def predict(weight, v):
        params = nn.init(X, Y, sample_weight=weight)
        return rows(partial(nn.predict, k=12, votes=v))(params, Q)

    whole, v = np.round(S) + 1, 6.0
    for step in (1e-6, -1e-6):
        near = [predict(whole + step, v), predict(whole, v + step)]
        np.testing.assert_allclose(near, [predict(whole, v)] * 2, atol=1e-4)


def test_of_equal_distances_the_lower_index_votes():
    corners = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    found = nn.neighbors(nn.init(corners, np.arange(4.0)), np.zeros(2), k=4, votes=2.5)
    np.testing.assert_array_equal(found.indices, [0, 1, 2, 3])
    np.testing.assert_array_equal(found.shares, [1, 1, 0.5, 0])


def test_rows_at_the_query_vote_alone_by_inverse_distance():
    points = np.array([[0.0], [0.0], [1.0]])
    params = nn.init(points, np.array([1.0, 4.0, 9.0]), sample_weight=np.array([2.0, 1.0, 1.0]))
    predict = partial(nn.predict, weighting=nn.inverse_distance)
    assert predict(params, np.zeros(1), k=3) == 2
    assert nn.predict(params, np.zeros(1), k=3, votes=4.0) == 15 / 4


def test_votes_that_underflow_together_count():
    """φ near 10⁻³⁰ in single precision, whose products with small weights are subnormal."""
    far = Q[:-2] * 0 + np.array([0.7 * np.sqrt(140), 0, 0])
    params = nn.init(X, Y, sample_weight=1e-9 * S)
    single = jax.tree.map(lambda a: a.astype(np.float32), params)
    predict = partial(nn.predict, votes=3e-9, weighting=Partial(gaussian, width=0.7))
    right = rows(predict)(params, far)
    np.testing.assert_allclose(rows(predict)(single, far.astype(np.float32)), right, rtol=1e-4)


def test_a_sweep_over_votes_is_a_loop_over_k():
    params = nn.init(X, Y)
    sweep = jax.vmap(lambda v: rows(partial(nn.predict, k=10, votes=v))(params, Q))(np.arange(11.0))
    for v in (1, 5, 10):
        lane = sweep[v]
        np.testing.assert_allclose(lane, rows(partial(nn.predict, k=v))(params, Q), rtol=1e-12)


def test_leave_one_out_is_a_vmap_over_weights():
    params = nn.init(X, Y)

    def without(i):
        kept = params._replace(weights=params.weights * (np.arange(60) != i))
        return nn.predict(kept, params.rows[i])

    left = jax.vmap(without)(jnp.arange(60))
    peer = KNeighborsRegressor(5, algorithm="brute")
    for i in (0, 17, 59):
        keep = np.arange(60) != i
        np.testing.assert_allclose(left[i], peer.fit(X[keep], Y[keep]).predict(X[i : i + 1])[0])


def test_one_by_one_is_batched_is_in_blocks():
    params = nn.init(X, Y, sample_weight=S)
    predict = partial(nn.predict, weighting=nn.inverse_distance)
    batched = rows(predict)(params, Q)
    np.testing.assert_allclose(rows(predict)(params, Q, batch_size=7), batched, rtol=1e-12)
    np.testing.assert_allclose([predict(params, x) for x in Q], batched, rtol=1e-12)
    two = jax.vmap(rows(predict), (None, 0))(params, np.stack([Q, -Q]))
    np.testing.assert_allclose(two[0], batched, rtol=1e-12)
    weights = np.stack([params.weights, params.weights**2])
    lanes = jax.vmap(lambda s: rows(predict)(params._replace(weights=s), Q))(weights)
    np.testing.assert_allclose(lanes[0], batched, rtol=1e-12)


def test_a_batch_is_one_blocked_search(monkeypatch):
    """Whatever the number of queries, a block of distances is all that is in memory."""
    monkeypatch.setattr(nearest, "_BLOCK", 2**14)
    nearest.smallest.clear_cache()
    params = nn.init(np.zeros((1000, 2)), np.zeros(1000))
    program = jax.jit(rows(partial(nn.predict, k=3))).lower(params, np.zeros((977, 2))).compile()
    nearest.smallest.clear_cache()
    assert program.memory_analysis().temp_size_in_bytes < 977 * 1000 * 8 / 2


@weightings
def test_derivatives_are_those_of_refitting(weighting):
    """In rows, targets, weights, query and votes, away from a change of neighbours."""
    ours, _ = WEIGHTINGS[weighting]
    keys = np.random.default_rng(3)
    v = [0.01 * keys.normal(size=np.shape(a)) for a in (X, Y, S, Q, 5.3)]

    def value(t):
        X_, Y_, S_, Q_, votes = (a + t * b for a, b in zip((X, Y, S, Q, 5.3), v, strict=True))
        params = nn.init(X_, Y_, sample_weight=S_)
        predicted = rows(partial(nn.predict, k=20, votes=votes, weighting=ours))(params, Q_[:-2])
        return jnp.sum(jnp.sin(predicted))

    slope = jax.jit(jax.grad(value))
    h = 1e-5
    np.testing.assert_allclose(slope(0.0), (value(h) - value(-h)) / (2 * h), rtol=1e-6)
    np.testing.assert_allclose(jax.jvp(value, (0.0,), (1.0,))[1], slope(0.0), rtol=1e-9)
    second = (slope(h) - slope(-h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(slope)(0.0), second, rtol=1e-5)


def test_the_width_of_a_weighting_is_learnt():
    def value(width):
        return nn.predict(nn.init(X, Y), Q[0], weighting=Partial(gaussian, width=width))

    slope = (value(0.7 + 1e-5) - value(0.7 - 1e-5)) / 2e-5
    np.testing.assert_allclose(jax.grad(value)(0.7), slope, rtol=1e-7)


def test_at_whole_weights_the_derivative_is_that_towards_more_weight():
    params = nn.init(X, Y)

    def value(weight):
        return nn.predict(params._replace(weights=weight), Q[0])

    step = 1e-6 * np.eye(60)
    right = [(value(1 + e) - value(np.ones(60))) / 1e-6 for e in step]
    np.testing.assert_allclose(jax.grad(value)(jnp.ones(60)), right, atol=1e-8)


@weightings
def test_the_derivative_at_a_row_itself_is_a_number(weighting):
    ours, _ = WEIGHTINGS[weighting]
    params = nn.init(X, Y)
    slope = jax.grad(lambda x: nn.predict(params, x, weighting=ours))(X[3])
    assert np.isfinite(slope).all()


def test_a_new_number_of_votes_compiles_nothing():
    params = nn.init(X, Y)
    nn.predict(params, Q[0], votes=1.0, weighting=Partial(gaussian, width=0.5))
    size = nn.predict._cache_size()
    nn.predict(params, Q[0], votes=2.0, weighting=Partial(gaussian, width=0.9))
    assert nn.predict._cache_size() == size


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_follows_the_rows_and_numpy_is_welcome(dtype):
    params = nn.init(X.astype(dtype), C)
    for found in (
        nn.probabilities(params, Q[0], classes=4),
        nn.predict(jax.tree.map(np.asarray, params), Q[0].astype(dtype)),
    ):
        assert isinstance(found, jax.Array)
        assert found.dtype == dtype


def test_sharded_queries_stay_where_they_are():
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
    queries = RNG.normal(size=(8 * 41, 3))
    spread = jax.device_put(queries, NamedSharding(mesh, PartitionSpec("rows")))
    params = jax.device_put(nn.init(X, Y), NamedSharding(mesh, PartitionSpec()))
    program = jax.jit(rows(partial(nn.predict, k=3))).lower(params, spread).compile()
    assert row_collectives(program.as_text()) == []
    whole = rows(partial(nn.predict, k=3))(nn.init(X, Y), queries)
    np.testing.assert_allclose(program(params, spread), whole, rtol=1e-12)


def _spoilt(place, value):
    given = {"X": X.copy(), "y": C.astype(float), "sample_weight": S.copy()}
    given[place][(7, 0) if place == "X" else 7] = value
    return given


@pytest.mark.parametrize(
    ("place", "value"),
    [("X", np.nan), ("X", np.inf), ("y", np.nan), ("sample_weight", np.nan),
     ("sample_weight", -1.0), ("y", 4.0), ("y", -1.0), ("y", 0.5)],
)  # fmt: skip
def test_what_counts_and_cannot_shows_in_every_prediction(place, value):
    given = _spoilt(place, value)
    assert np.isnan(nn.probabilities(nn.init(**given), Q[0], classes=4)).all()
    if value not in (4.0, -1.0, 0.5) or place != "y":
        assert np.isnan(nn.predict(nn.init(**given), Q[0]))
    if place in ("X", "y"):
        assert np.isnan(nn.probabilities(nn.init(given["X"], given["y"]), Q[0], classes=4)).all()
    given["sample_weight"][7] = 0
    assert np.isfinite(nn.probabilities(nn.init(**given), Q[0], classes=4)).all()


def test_no_weight_a_query_that_is_not_finite_and_no_votes_show():
    params = nn.init(X, Y)
    assert np.isnan(nn.predict(nn.init(X, Y, sample_weight=np.zeros(60)), Q[0]))
    for bad in (np.nan, np.inf):
        both = rows(nn.predict)(params, np.stack([Q[0], np.array([0.0, bad, 0.0])]))
        np.testing.assert_array_equal(np.isnan(both), [False, True])
    for votes in (0.0, -1.0, np.nan):
        assert np.isnan(nn.predict(params, Q[0], votes=votes))
    nothing = Partial(gaussian, width=1e-200)
    assert np.isnan(nn.predict(params, Q[0], weighting=nothing))


@pytest.mark.parametrize("k", [0, -1, 61])
def test_a_number_of_neighbours_that_cannot_be_is_refused(k):
    with pytest.raises(ValueError, match=f"k must be from 1 to the 60 rows .* got {k}"):
        nn.predict(nn.init(X, Y), Q[0], k=k)


def test_empty_rows_columns_and_classes_are_refused():
    with pytest.raises(ValueError, match="at least one row"):
        nn.init(X[:0], Y[:0])
    with pytest.raises(ValueError, match="at least one column"):
        nn.init(X[:, :0], Y)
    with pytest.raises(ValueError, match="classes must be at least 1, got 0"):
        nn.probabilities(nn.init(X, C), Q[0], classes=0)
    with pytest.raises(TypeError, match="x must be"):
        nn.predict(nn.init(X, Y), Q)
    assert nn.predict(nn.init(X[:1], Y[:1]), Q[0], k=1) == Y[0]


def test_what_is_remembered_is_not_the_callers_array():
    mine = [(np.ones((50, 8), np.float32), np.ones(50, np.float32)) for _ in range(100)]
    kept = [nn.init(X, y) for X, y in mine]
    for X, y in mine:
        X[:], y[:] = 7, 7
    for params in kept:
        np.testing.assert_array_equal(params.targets, 1)
        np.testing.assert_array_equal(params[0], 1)
