"""The multilayer perceptron: eq. (1)-(4), and what the contract means where rows are drawn."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.tree_util import Partial
from scipy.optimize import minimize

import mlmath
from mlmath.data import datasets
from mlmath.evaluate import folds, metrics, scorer, selection
from mlmath.neural import activations, dense, initialisations, losses, mlp
from mlmath.optimize import first_order, stochastic
from tests.test_contract import equations, slope

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
N = 40
X = RNG.normal(size=(N, 3))
Y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2]
S = RNG.integers(0, 3, size=N).astype(float)
NET = {"hidden": (5,), "activation": activations.tanh}
SHORT = {**NET, "batch_size": 8, "steps": 25}
NUMBERS = {"optimizer": first_order.momentum(0.05), "l2": 0.3, "sample_weight": S}


def fit(X=X, y=Y, key=KEY, **more):
    return mlp.fit(key, X, y, **{**SHORT, **NUMBERS, **more})


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def judged(params, X=X, y=Y, **more):
    return mlp.objective(
        params, X, y, activation=activations.tanh, **{"l2": 0.3, "sample_weight": S, **more}
    )


def test_prediction_loss_and_objective_are_their_definitions():
    params = jax.tree.map(lambda p: p + 0.1, mlp.init(KEY, (3, 5, 4, 2)))
    targets = RNG.normal(size=(N, 2))
    total = 0.0
    for x, y, s in zip(X, targets, S, strict=True):
        h = x
        for k, (W, b) in enumerate(params.layers):
            a = [sum(W[j, m] * h[m] for m in range(len(h))) + b[j] for j in range(len(b))]
            h = np.tanh(a) if k < 2 else np.array(a)  # (1)
        total += s * sum((h - y) ** 2) / 2
    found = mlp.predict(params, X[-1], activation=activations.tanh)
    np.testing.assert_allclose(found, h, rtol=1e-12)
    one = mlp.loss(params, X[-1], targets[-1], activation=activations.tanh)
    np.testing.assert_allclose(one, sum((h - targets[-1]) ** 2) / 2, rtol=1e-12)
    squares = sum((np.asarray(layer.weights) ** 2).sum() for layer in params.layers)
    np.testing.assert_allclose(judged(params, y=targets), total + 0.3 / 2 * squares, rtol=1e-12)
    shared = mlp.penalised(params, X[-1], targets[-1], penalty=0.1, activation=activations.tanh)
    np.testing.assert_allclose(shared, one + 0.1 / 2 * squares, rtol=1e-12)  # (3)


def test_a_fit_is_gradient_descent_on_the_penalised_mean_of_its_batches():
    _, _, state = mlp.begin(KEY, X, **NET, **NUMBERS)
    params, edges, found = state.params, np.cumsum(S), []
    velocity = jax.tree.map(jnp.zeros_like, params)

    def mean(params, rows):  # (3)
        values = [
            mlp.loss(params, X[i], Y[i], activation=activations.tanh) for i in rows
        ]  # fmt: skip
        squares = sum(jnp.sum(layer.weights**2) for layer in params.layers)
        return sum(values) / 8 + 0.3 / S.sum() / 2 * squares

    for t in range(3):
        places = jax.random.uniform(jax.random.fold_in(state.key, t), (8,), float) * edges[-1]
        rows = np.searchsorted(edges, places, side="right")
        value, g = jax.value_and_grad(mean)(params, rows)
        velocity = jax.tree.map(lambda g, v: g + 0.9 * v, g, velocity)
        params = jax.tree.map(lambda p, v: p - 0.05 * v, params, velocity)
        found.append(value)
    fitted = fit(steps=3)
    np.testing.assert_allclose(flat(fitted.params), flat(params), rtol=1e-12)
    np.testing.assert_allclose(fitted.losses, found, rtol=1e-12)
    assert int(fitted.certificate.steps) == 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "optimizer", [None, first_order.adam(first_order.one_cycle(0.01, steps=25))]
)
@pytest.mark.bits
def test_a_host_s_loop_of_chunks_is_the_fit_bit_for_bit(dtype, optimizer):
    given = {**NET, "optimizer": optimizer, "l2": 0.3, "sample_weight": S.astype(dtype)}
    fitted = mlp.fit(KEY, X.astype(dtype), Y.astype(dtype), **given, batch_size=8, steps=25)
    loss, guarded, state = mlp.begin(KEY, X.astype(dtype), **given)
    values = []
    for steps in (20, 5):
        state, more = stochastic.run(
            loss, guarded, state, X.astype(dtype), Y.astype(dtype),
            sample_weight=S.astype(dtype), batch_size=8, steps=steps,
        )  # fmt: skip
        values.append(more)
    np.testing.assert_array_equal(flat(state.params), flat(fitted.params))
    np.testing.assert_array_equal(np.concatenate(values), fitted.losses)
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype(dtype)}
    proof = mlp.certificate(
        state.params, X.astype(dtype), Y.astype(dtype), activation=activations.tanh, l2=0.3,
        sample_weight=S.astype(dtype), steps=state.optimizer.taken,
    )  # fmt: skip
    chex.assert_trees_all_close(proof, fitted.certificate, rtol=1e-5)


def test_the_gap_is_its_formula_and_the_objective_is_the_objective():
    fitted = fit()
    g = flat(jax.grad(judged)(fitted.params))
    outputs_of_null = S @ Y**2 / 2
    gap = np.linalg.norm(g) * max(np.linalg.norm(flat(fitted.params)), 1) / outputs_of_null  # (4)
    np.testing.assert_allclose(fitted.certificate.gap, gap, rtol=1e-10)
    np.testing.assert_allclose(fitted.certificate.objective, judged(fitted.params), rtol=1e-12)
    assert not fitted.certificate.converged
    assert fit(tolerance=1.01 * gap).certificate.converged


def test_by_default_it_converges_at_two_thirds_of_the_digits():
    """ε^⅔; near a network that is exact the gap (4) is proportional to the distance."""
    exact, least = mlp.init(KEY, (3, 1)), np.finfo(float).eps ** (2 / 3)
    targets = mlmath.rows(mlp.predict)(exact, X)[:, 0]

    def proof(t):
        return mlp.certificate(jax.tree.map(lambda p: (1 + t) * p, exact), X, targets)

    unit = proof(1e-8).gap / 1e-8
    assert proof(0.99 * least / unit).converged
    assert not proof(1.01 * least / unit).converged


def test_a_network_of_zeros_is_no_minimum():
    proof = mlp.certificate(jax.tree.map(jnp.zeros_like, mlp.init(KEY, (3, 5, 1))), X, Y)
    assert proof.gap > 0.01
    assert not proof.converged


def test_a_new_number_of_the_loss_or_the_activation_compiles_nothing():
    def slope(value):
        return Partial(activations.leaky_relu, slope=value)

    first = fit(error=Partial(losses.huber, threshold=0.5), activation=slope(0.1))
    before = mlp.fit._cache_size()
    second = fit(error=Partial(losses.huber, threshold=0.7), activation=slope(0.2))
    assert mlp.fit._cache_size() == before
    assert not np.allclose(flat(first.params), flat(second.params))


def test_where_every_batch_is_the_whole_set_it_ends_at_a_stationary_point_and_says_so():
    """One row: no draw differs from another, and the biases take all of the target."""
    x, y = X[:1], np.array([[1.0, -2.0]])
    given = {**NET, "outputs": 2, "l2": 0.1, "batch_size": 1, "steps": 3000}
    fitted = mlp.fit(KEY, x, y, optimizer=first_order.nesterov(0.1), **given)
    assert fitted.certificate.converged
    slope = jax.grad(mlp.objective)(fitted.params, x, y, activation=activations.tanh, l2=0.1)
    np.testing.assert_allclose(flat(slope), 0, atol=1e-9)


def test_in_the_limit_of_full_batches_it_ends_at_a_minimum():
    """The gap and the excess over the minimum that BFGS finds from there fall with the batch."""
    gaps, excess = [], []
    for batch_size in (8, 2000):
        optimizer = first_order.momentum(first_order.cosine_decay(0.1, steps=1000))
        fitted = fit(optimizer=optimizer, l2=1.0, batch_size=batch_size, steps=1000)
        start, unravel = ravel_pytree(fitted.params)
        function = jax.jit(jax.value_and_grad(lambda v, u=unravel: judged(u(v), l2=1.0)))
        least = minimize(lambda v, f=function: tuple(map(np.asarray, f(v))), start, jac=True).fun
        gaps.append(float(fitted.certificate.gap))
        excess.append(float(fitted.certificate.objective - least) / (S @ Y**2 / 2))
    assert gaps[1] < 0.1 * gaps[0]
    assert 0 <= excess[1] < 1e-5 < excess[0]


def test_missing_values_in_rows_of_weight_zero_change_nothing_bit_for_bit():
    absent = S == 0
    assert absent.any()
    holes, targets = np.where(absent[:, None], np.nan, X), np.where(absent, np.nan, Y)
    chex.assert_trees_all_equal(fit(holes, targets), fit())
    filled = fit(np.where(absent[:, None], 1e6, X), np.where(absent, np.inf, Y))
    chex.assert_trees_all_equal(filled, fit())


def test_weight_two_is_the_row_twice():
    """In distribution; whole weights of rows that lie together even draw the same numbers."""
    kept = np.repeat(np.arange(N), S.astype(int))
    twice, weighted = fit(X[kept], Y[kept], sample_weight=None), fit()
    np.testing.assert_allclose(flat(twice.params), flat(weighted.params), rtol=1e-10)
    np.testing.assert_allclose(twice.certificate.gap, weighted.certificate.gap, rtol=1e-10)


@pytest.mark.parametrize("factor", [1e-8, 1e8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_and_penalties_have_no_units(factor, dtype):
    x, y, s = X.astype(dtype), Y.astype(dtype), S.astype(dtype)
    one = fit(x, y, sample_weight=s)
    other = fit(x, y, sample_weight=(s * factor).astype(dtype), l2=0.3 * factor)
    exact = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(flat(other.params), flat(one.params), rtol=exact, atol=exact)
    np.testing.assert_allclose(other.certificate.gap, one.certificate.gap, rtol=10 * exact)


@pytest.mark.parametrize("factor", [1e-25, 1e25])
def test_the_gap_is_the_same_where_squares_in_the_units_of_the_weights_leave_float32(factor):
    params, x, y = jax.tree.map(np.float32, (mlp.init(KEY, (3, 5, 1)), X, Y))
    one, other = (
        mlp.certificate(params, x, y, l2=0.3 * unit, sample_weight=np.float32(S * unit))
        for unit in (1.0, factor)
    )
    np.testing.assert_allclose(other.gap, one.gap, rtol=1e-4)


def test_eager_is_compiled_and_numpy_is_jax():
    with jax.disable_jit():
        eager = fit(steps=2)
    np.testing.assert_allclose(flat(eager), flat(fit(steps=2)), rtol=1e-10)
    theirs = fit(jnp.asarray(X), jnp.asarray(Y), sample_weight=jnp.asarray(S))
    chex.assert_trees_all_equal(theirs, fit())


def test_keys_rates_and_penalties_are_swept_in_one_call():
    keys = jax.random.split(KEY, 3)
    rates, penalties = np.array([0.01, 0.05, 0.1]), np.array([0.0, 0.3, 3.0])

    def one(key, rate, l2):
        return fit(key=key, optimizer=first_order.momentum(rate), l2=l2)

    many = jax.vmap(one)(keys, rates, penalties)
    for k in range(3):
        alone = one(keys[k], rates[k], penalties[k])
        lane = jax.tree.map(lambda leaf, k=k: leaf[k], many)
        np.testing.assert_allclose(flat(lane), flat(alone), rtol=1e-9, atol=1e-12)
    assert len(set(np.asarray(many.losses[:, 0]))) == 3


def test_new_numbers_compile_nothing():
    fit()
    before = mlp.fit._cache_size()
    fit(optimizer=first_order.momentum(0.01, decay=0.5), l2=0.7, sample_weight=S + 1)
    fit(key=jax.random.key(9), y=Y + 1)
    assert mlp.fit._cache_size() == before


def test_derivatives_go_through_the_steps():
    """Forward, reverse and by differences, of the answer and of the certified objective."""

    def value(t):
        fitted = fit(
            X * (1 + 0.1 * t), Y + t * X[:, 0],
            optimizer=first_order.momentum(0.05 * (1 + t)), l2=0.3 + t, steps=10,
        )  # fmt: skip
        numbers = [jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(fitted.params)]
        return jnp.stack([sum(numbers), fitted.certificate.objective])

    forward, reverse, found = (
        jax.jit(f) for f in (jax.jacfwd(value), jax.jacrev(value), value)
    )  # fmt: skip
    np.testing.assert_allclose(forward(0.0), reverse(0.0), rtol=1e-9)
    np.testing.assert_allclose(forward(0.0), slope(found), rtol=1e-6)


def test_single_precision_is_near_double_precision():
    single, double = (
        fit(X.astype(np.float32), Y.astype(np.float32), sample_weight=None),
        fit(sample_weight=None),
    )
    floats = [a for a in jax.tree.leaves(single) if jnp.issubdtype(a.dtype, jnp.floating)]
    assert {a.dtype for a in floats} == {jnp.dtype(np.float32)}
    np.testing.assert_allclose(flat(single.params), flat(double.params), atol=1e-5)
    np.testing.assert_allclose(single.certificate.gap, double.certificate.gap, rtol=1e-3)


def test_products_are_precise_one_per_layer_and_nothing_calls_back():
    program = list(equations(jax.make_jaxpr(lambda X: fit(X))(X).jaxpr))
    products = [e for e in program if e.primitive.name == "dot_general"]
    assert {str(p).rsplit(".")[-1] for e in products for p in e.params["precision"]} == {"HIGHEST"}
    names = {e.primitive.name for e in program}
    assert not [name for name in names if "callback" in name or "debug" in name]
    params = mlp.init(KEY, (3, 5, 4, 2))
    batch = jax.make_jaxpr(mlmath.rows(mlp.predict))(params, X)
    products = [e for e in equations(batch.jaxpr) if e.primitive.name == "dot_general"]
    assert len(products) == 3
    assert all(e.params["dimension_numbers"][1] == ((), ()) for e in products)


def test_arguments_are_left_alone():
    x, y, s, start = X.copy(), Y.copy(), S.copy(), mlp.init(KEY, (3, 5, 1))
    before = jax.tree.map(np.array, start)
    fit(x, y, sample_weight=s, start=start)
    chex.assert_trees_all_equal((x, y, s, start), (X, Y, S, before))


def test_rows_that_are_sharded_give_the_same_answer():
    """Batches gather rows, so here they move."""
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
    over = NamedSharding(mesh, PartitionSpec("rows"))
    spread = [jax.device_put(a, over) for a in (X, Y, S)]
    found = fit(*spread[:2], sample_weight=spread[2])
    np.testing.assert_allclose(flat(found.params), flat(fit().params), rtol=1e-9, atol=1e-12)


def test_a_step_that_leaves_the_numbers_is_not_taken():
    last = fit(optimizer=first_order.sgd(1e200))
    assert np.isfinite(flat(last.params)).all()
    assert int(last.certificate.steps) < 25
    assert not last.certificate.converged


def test_what_cannot_be_shows_in_the_certificate():
    holes, label = X.copy(), np.zeros(N)
    holes[np.argmax(S), 0], label[np.argmax(S)] = np.nan, 7
    assert np.isnan(fit(holes).certificate[:2]).all()
    assert np.isnan(fit(holes, sample_weight=None).certificate.gap)
    given = {"outputs": 3, "error": losses.softmax_cross_entropy}
    assert np.isnan(fit(y=label, **given).certificate.gap)
    none = fit(sample_weight=0 * S).certificate
    assert np.isnan(none.gap)
    assert not none.converged
    assert np.isnan(judged(mlp.init(KEY, (3, 5, 1)), sample_weight=0 * S))
    absent = np.where(S == 0, 7.0, 0.0)  # a label that nobody knows in rows that do not count
    chex.assert_trees_all_equal(fit(y=absent, **given), fit(y=0 * absent, **given))


@pytest.mark.bits
def test_it_starts_where_it_is_told():
    start = mlp.init(jax.random.key(5), (3, 5, 1), weights=initialisations.glorot_uniform)
    chex.assert_trees_all_equal(fit(start=start, steps=0).params, start)
    first = mlp.begin(KEY, X, **NET).state.params
    chex.assert_trees_all_equal(fit(steps=0).params, first)
    assert [layer.weights.shape for layer in first.layers] == [(5, 3), (1, 5)]


def test_no_two_draws_share_a_key():
    """Neither two layers of one size, nor the layers and the batches."""
    first, second = mlp.init(KEY, (4, 4, 4)).layers
    assert not np.any(first.weights == second.weights)
    state = mlp.begin(KEY, X, **NET).state
    assert not np.array_equal(flat(state.params), flat(mlp.init(state.key, (3, 5, 1))))


@pytest.mark.bits
def test_without_an_optimizer_it_is_adam_at_a_thousandth():
    chex.assert_trees_all_equal(fit(optimizer=None), fit(optimizer=first_order.adam(1e-3)))


def test_without_hidden_layers_it_is_a_linear_model():
    """The objective is that of ridge regression, with its own numbers in NumPy."""
    params = mlp.init(KEY, (3, 1))
    (W, b) = params.layers[0]
    expected = S @ (X @ W[0] + b[0] - Y) ** 2 / 2 + 0.3 / 2 * W[0] @ W[0]
    np.testing.assert_allclose(judged(params), expected, rtol=1e-12)


def test_it_is_validated_and_searched_like_any_fit_that_draws():

    def predict(params, x):
        return mlp.predict(params, x, activation=activations.tanh)[0]

    score = scorer.scorer(predict, metrics.r_squared)
    parts = folds.k_fold(jax.random.key(1), N, folds=2)

    def method(key, X, y, *, rate=0.05, l2=0.0, sample_weight=None):
        return mlp.fit(
            key, X, y, optimizer=first_order.momentum(rate), l2=l2, sample_weight=sample_weight,
            **SHORT,
        )  # fmt: skip

    found = selection.cross_validate_seeds(KEY, method, score, X, Y, parts, seeds=2)
    assert found.scores.shape == (2, 2)
    grid = {"rate": np.array([0.0, 0.05]), "l2": np.array([0.0, 0.3])}
    best = selection.search_seeds(KEY, method, score, X, Y, parts, grid, seeds=2)
    assert int(best.choice.best) == 1
    assert best.scores.shape == (2, 2, 2)


def test_misuse_is_refused():
    with pytest.raises(ValueError, match=r"sizes \(3, 5, 1\), got \(3, 4, 1\)"):
        fit(start=mlp.init(KEY, (3, 4, 1)))
    with pytest.raises(ValueError, match="two or more positive numbers"):
        mlp.init(KEY, (3,))
    with pytest.raises(ValueError, match="one number for each output, 2, got 1"):
        fit(outputs=2)
    with pytest.raises(TypeError, match="ONE example"):
        mlp.predict(mlp.init(KEY, (3, 1)), X)


def test_labels_of_many_outputs_may_be_integers_or_booleans():
    labels = np.stack([Y > 0, Y > 1], 1)
    given = {"outputs": 2, "error": losses.binary_cross_entropy}
    exact = fit(y=labels.astype(float), **given)
    for kind in (int, bool):
        chex.assert_trees_all_equal(fit(y=labels.astype(kind), **given), exact)
    mlp.loss(exact.params, X[0], labels[0], error=losses.binary_cross_entropy)


def test_numbers_of_a_loss_are_bound_once():
    error = Partial(losses.huber, threshold=0.5)
    narrow, wide = fit(error=error), fit(error=losses.huber)
    assert not np.allclose(flat(narrow.params), flat(wide.params))
    before = mlp.fit._cache_size()
    fit(error=error)
    assert mlp.fit._cache_size() == before


XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0.0, 1.0, 1.0, 0.0])


def test_two_rectifiers_are_exclusive_or():
    """Goodfellow, Bengio & Courville (2016), §6.1: relu(x₁ + x₂) − 2 relu(x₁ + x₂ − 1)."""
    layers = (np.ones((2, 2)), np.array([0.0, -1.0])), (np.array([[1.0, -2.0]]), np.zeros(1))
    params = mlp.Params(tuple(dense.Params(*map(jnp.asarray, layer)) for layer in layers))
    np.testing.assert_array_equal(mlmath.rows(mlp.predict)(params, XOR[0])[:, 0], XOR[1])


def test_exclusive_or_is_learnt_by_four_hidden_units_and_by_no_plane():
    X, y = XOR
    planes = np.stack(np.meshgrid(*[np.linspace(-2, 2, 21)] * 3), axis=-1).reshape(-1, 3)
    right = ((planes[:, :2] @ X.T + planes[:, 2:] > 0) == y).mean(axis=1)
    assert right.max() == 3 / 4

    def accuracy(key, hidden):
        params = mlp.fit(
            key, X, y, hidden=hidden, error=losses.binary_cross_entropy,
            activation=activations.tanh, optimizer=first_order.adam(0.1), steps=300, batch_size=16,
        ).params  # fmt: skip
        z = mlmath.rows(lambda p, x: mlp.predict(p, x, activation=activations.tanh))(params, X)
        return jnp.mean((z[:, 0] > 0) == y)

    keys = jax.random.split(KEY, 5)
    learnt = {h: np.asarray(jax.vmap(lambda k, h=h: accuracy(k, h))(keys)) for h in ((), (4,))}
    assert learnt[()].max() <= 3 / 4
    np.testing.assert_array_equal(learnt[4,], 1)


def test_the_sine_is_approximated_the_better_the_wider_the_network():
    """The best straight line over [−π, π] leaves 1/2 − 3/π² = 0.196 of mean square."""
    x = np.linspace(-np.pi, np.pi, 200)
    line = np.polynomial.Polynomial.fit(x, np.sin(x), 1)
    errors = [np.mean((line(x) - np.sin(x)) ** 2)]
    np.testing.assert_allclose(errors[0], 0.5 - 3 / np.pi**2, rtol=0.02)
    for width in (1, 3, 16):
        optimizer = first_order.adam(first_order.one_cycle(0.03, steps=2000))
        fitted = mlp.fit(
            KEY, x[:, None], np.sin(x), hidden=(width,), activation=activations.tanh,
            optimizer=optimizer, steps=2000,
        )  # fmt: skip
        errors.append(2 * float(fitted.certificate.objective) / 200)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3 < 0.19 < errors[0]


def test_digits_are_read_by_five_networks_trained_in_one_call():
    """A quarter held out, another one for each seed, stratified; mean accuracy ≥ 97.5 %."""
    X, y = datasets.arrays("digits")
    X, steps = (X / 16).astype(np.float32), 1000
    optimizer = first_order.adam(first_order.one_cycle(0.01, steps=steps))
    error = partial(losses.softmax_cross_entropy, smoothing=0.1)

    @jax.jit
    @jax.vmap
    def accuracy(key):
        split, key = jax.random.split(key)
        parts = folds.stratified(split, jnp.asarray(y), folds=4)
        params = mlp.fit(
            key, X, y, hidden=(128,), outputs=10, error=error, optimizer=optimizer,
            sample_weight=parts.train[0].astype(X.dtype), batch_size=64, steps=steps,
        ).params  # fmt: skip
        right = mlmath.rows(mlp.predict)(params, X).argmax(axis=1) == y
        held_out = parts.test[0].astype(X.dtype)
        return held_out @ right / held_out.sum()

    found = np.asarray(accuracy(jax.random.split(KEY, 5)))
    assert found.mean() >= 0.975
