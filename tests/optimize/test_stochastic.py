"""Stochastic gradient methods: the draw, the position, and the law of the weights."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.tree_util import Partial

from mlmath.optimize import averaging, chain, first_order, stochastic

RNG = np.random.default_rng(0)
N, D, BATCH = 60, 3, 8
X = RNG.normal(size=(N, D))
Y = X @ np.array([1.0, -2.0, 0.5]) + 0.3 * RNG.normal(size=N)
S = RNG.integers(0, 3, size=N).astype(float)
KEY = jax.random.key(4)
SGD = first_order.sgd(0.05)


def loss(params, x, y):
    return (params @ x - y) ** 2


def begin(optimizer=SGD):
    return stochastic.init(KEY, jnp.zeros(D), optimizer)


def run(state, optimizer=SGD, *, X=X, y=Y, weight=None, steps=50, of=loss):
    return stochastic.run(
        of, optimizer, state, X, y, sample_weight=weight, batch_size=BATCH, steps=steps
    )


def same(a, b):
    chex.assert_trees_all_equal(a._replace(key=0), b._replace(key=0))
    np.testing.assert_array_equal(jax.random.key_data(a.key), jax.random.key_data(b.key))


def test_a_run_is_its_transcription():
    """Eq. (2) and (3) in NumPy, with the places of step t from fold_in(key, t)."""
    edges, params, losses = np.cumsum(S), np.zeros(D), []
    for t in range(50):
        places = jax.random.uniform(jax.random.fold_in(KEY, t), (BATCH,), float) * edges[-1]
        rows = np.searchsorted(edges, places, side="right")
        residual = X[rows] @ params - Y[rows]
        losses.append(np.mean(residual**2))
        params = params - 0.05 * np.mean(2 * residual[:, None] * X[rows], axis=0)
    state, found = run(begin(), weight=S)
    np.testing.assert_allclose(state.params, params, rtol=1e-12)
    np.testing.assert_allclose(found, losses, rtol=1e-12)
    assert int(state.step) == 50


@pytest.mark.parametrize("name", ["adam", "momentum"])
def test_two_runs_of_50_are_one_of_100_bit_for_bit(name):
    optimizer = getattr(first_order, name)(first_order.cosine_decay(0.05, steps=100))
    half, early = run(begin(optimizer), optimizer, weight=S)
    host = jax.tree.map(np.asarray, half._replace(key=np.asarray(jax.random.key_data(half.key))))
    half = host._replace(key=jax.random.wrap_key_data(host.key))  # through a file, as it were
    twice, late = run(half, optimizer, weight=S)
    once, losses = run(begin(optimizer), optimizer, weight=S, steps=100)
    same(twice, once)
    np.testing.assert_array_equal(np.concatenate([early, late]), losses)


def test_a_run_is_its_steps():
    state, losses = begin(), []
    for _ in range(3):
        state, value = stochastic.step(loss, SGD, state, X, Y, sample_weight=S, batch_size=BATCH)
        losses.append(value)
    whole, expected = run(begin(), weight=S, steps=3)
    np.testing.assert_allclose(state.params, whole.params, rtol=1e-13)
    np.testing.assert_allclose(losses, expected, rtol=1e-13)


def test_rows_are_drawn_in_proportion_to_their_weights():
    """The loss of row i is i, so that the losses of batches of one are the rows drawn."""
    optimizer, rows = first_order.sgd(0.0), np.arange(5.0)
    weight = np.array([1.0, 0.0, 2.0, 0.5, 1.5])
    state = stochastic.init(KEY, jnp.zeros(()), optimizer)
    _, drawn = stochastic.run(
        Partial(lambda params, x, y: y), optimizer, state, rows[:, None], rows,
        sample_weight=weight, batch_size=1, steps=20_000,
    )  # fmt: skip
    counts = np.bincount(np.asarray(drawn).astype(int), minlength=5)
    assert counts[1] == 0
    expected = 20_000 * weight / weight.sum()
    deviation = np.sqrt(expected * (1 - weight / weight.sum()))
    assert np.all(np.abs(counts - expected) <= 4 * deviation)


@pytest.mark.parametrize(("u", "row"), [(0.0, 1), (0.5, 3), (1.0, 3)])
def test_no_row_of_weight_zero_is_drawn_at_the_ends(monkeypatch, u, row):
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape, dtype: jnp.full(shape, u, dtype))
    rows = np.arange(5.0)
    state = stochastic.init(KEY, jnp.zeros(()), SGD)
    _, drawn = stochastic.step(
        lambda params, x, y: y, SGD, state, rows[:, None], rows,
        sample_weight=np.array([0.0, 1.0, 0.0, 1.0, 0.0]), batch_size=1,
    )  # fmt: skip
    assert float(drawn) == row


def test_rounding_gives_a_row_of_weight_zero_no_room():
    """Sums over a thousand rows in float32 are not taken from left to right."""
    rng = np.random.default_rng(1)
    weight = rng.random(1000).astype(np.float32) * rng.integers(0, 2, size=1000, dtype=np.int8)
    edges = stochastic._rows(np.ones((1000, 1)), np.ones(1000), weight).edges
    assert not np.diff(edges)[weight[1:] == 0].any()
    assert (np.diff(edges) >= 0).all()


def test_weight_two_is_the_row_twice_and_weight_zero_the_row_absent():
    """In distribution; whole weights of rows that lie together even draw the same numbers."""
    kept = np.repeat(np.arange(N), S.astype(int))
    weighted, losses = run(begin(), weight=S)
    repeated, expected = run(begin(), X=X[kept], y=Y[kept])
    np.testing.assert_allclose(weighted.params, repeated.params, rtol=1e-13)
    np.testing.assert_allclose(losses, expected, rtol=1e-13)
    holes, targets = np.where(S[:, None] == 0, np.nan, X), np.where(S == 0, np.inf, Y)
    same(run(begin(), X=holes, y=targets, weight=S)[0], weighted)


def test_the_mean_gradient_is_that_of_the_objective():
    """E gₜ = ∇L: from one point, the mean over many keys."""

    def moved(key):
        state = stochastic.init(key, jnp.ones(D), first_order.sgd(1.0))
        rows = {"sample_weight": S, "batch_size": BATCH}
        return (
            jnp.ones(D) - stochastic.step(loss, first_order.sgd(1.0), state, X, Y, **rows)[0].params
        )

    draws = jax.jit(jax.vmap(moved))(jax.random.split(KEY, 4000))

    def objective(params):
        return S @ (X @ params - Y) ** 2 / S.sum()

    error = np.std(draws, axis=0) / np.sqrt(4000)
    assert np.all(np.abs(draws.mean(axis=0) - jax.grad(objective)(np.ones(D))) <= 4 * error)


def test_the_derivative_in_the_weights_is_zero():
    slope = jax.grad(lambda weight: jnp.sum(run(begin(), weight=weight)[0].params))(S)
    np.testing.assert_array_equal(slope, 0)


@pytest.mark.parametrize(
    "weight", [np.zeros(N), -S, S - 2 * (np.arange(N) == 3), S * np.nan, np.full(N, np.inf)]
)
def test_weights_that_are_none_show(weight):
    assert np.isnan(run(begin(), weight=weight)[1]).all()


def test_a_missing_value_that_counts_shows():
    holes = X.copy()
    holes[np.argmax(S)] = np.nan
    assert np.isnan(run(begin(), X=holes, weight=S)[0].params).all()


def test_new_numbers_compile_nothing():
    def scaled(scale, params, x, y):
        return scale * loss(params, x, y)

    traced = chex.assert_max_traces(scaled, n=3)  # jit and grad of one program
    found = [
        run(begin(first_order.adam(rate)), first_order.adam(rate), of=Partial(traced, scale))[1][-1]
        for rate, scale in ((0.01, 1.0), (0.02, 1.0), (0.05, 2.0))
    ]
    assert len(set(map(float, found))) == 3


def test_the_learning_rate_is_swept_and_learnt():
    @jax.jit
    def last(rate):
        optimizer = first_order.momentum(rate)
        return jnp.mean(run(begin(optimizer), optimizer, weight=S)[1][-10:])

    rates = jnp.array([0.001, 0.002, 0.01])
    swept = jax.vmap(last)(rates)
    np.testing.assert_allclose(swept[1], last(0.002), rtol=1e-12)
    h = 1e-6
    difference = (last(0.002 + h) - last(0.002 - h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(last)(0.002), difference, rtol=1e-6)


def test_five_keys_are_five_runs_in_one_call():
    @jax.jit
    def fitted(key):
        return run(stochastic.init(key, jnp.zeros(D), SGD), weight=S)[0].params

    keys = jax.random.split(KEY, 5)
    many = jax.vmap(fitted)(keys)
    np.testing.assert_allclose(many[3], fitted(keys[3]), rtol=1e-12)
    assert len(np.unique(many[:, 0])) == 5


def test_optax_s_optimizers_take_the_place_of_ours():
    theirs = chain.from_optax(optax.adam(0.05))
    ours = first_order.adam(0.05)
    np.testing.assert_allclose(
        run(begin(theirs), theirs)[0].params, run(begin(ours), ours)[0].params, rtol=1e-10
    )


def test_averaging_leaves_the_noise_ball():
    """E of the squared distance to the least-squares answer: ∝ η, and far less averaged."""
    answer = np.linalg.lstsq(X, Y, rcond=None)[0]

    def distances(rate, key):
        optimizer = averaging.averaged(first_order.sgd(rate), skip=500)
        state = stochastic.init(key, jnp.asarray(answer), optimizer)
        state, _ = run(state, optimizer, steps=2500)
        return jnp.sum((state.params - answer) ** 2), jnp.sum((state.optimizer.mean - answer) ** 2)

    keys = jax.random.split(KEY, 200)
    over_keys = jax.vmap(distances, (None, 0))
    ball, mean = (np.mean(v, axis=1) for v in jax.jit(jax.vmap(over_keys, (0, None)))(
        jnp.array([0.01, 0.02]), keys
    ))  # fmt: skip
    np.testing.assert_allclose(ball[1] / ball[0], 2, rtol=0.3)
    assert np.all(mean < 0.1 * ball)


def test_integers_and_images_are_examples_too():
    images, labels = RNG.normal(size=(N, 2, 2)).astype(np.float32), RNG.integers(0, 2, size=N)

    def entropy(params, x, y):
        z = jnp.vdot(params, x)
        return jax.nn.softplus(z) - y * z

    state = stochastic.init(KEY, jnp.zeros((2, 2), jnp.float32), SGD)
    state, losses = stochastic.run(entropy, SGD, state, images, labels, steps=5)
    assert losses.dtype == state.params.dtype == jnp.float32


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        run(begin(), X=X[:0], y=Y[:0])
    with pytest.raises(TypeError, match=r"y must be a numeric array of shape \(n, \.\.\.\)"):
        run(begin(), y=Y[:-1])
    with pytest.raises(TypeError, match="key must be a typed key, got uint32"):
        stochastic.init(jax.random.PRNGKey(0), jnp.zeros(D), SGD)


@pytest.mark.parametrize("call", [stochastic.run, stochastic.step], ids=["run", "step"])
def test_a_batch_without_a_row_is_refused(call):
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        call(loss, SGD, begin(), X, Y, batch_size=0)


def test_a_negative_number_of_steps_is_refused():
    with pytest.raises(ValueError, match="steps must be 0 or more, got -1"):
        run(begin(), steps=-1)
