"""Leave-one-out equals refitting without the row: exactly, or by one step of Newton's method."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.linear_model import RidgeCV

from mlmath.evaluate import criteria, leave_one_out
from mlmath.linear import least_squares, logistic_regression, ridge, softmax_regression
from mlmath.statistics import standardise
from mlmath.statistics.compose import compose

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)) @ RNG.normal(size=(4, 4)) + 3
Y = X @ [1.0, -2.0, 0.5, 3.0] + 7 + RNG.normal(size=40)
S = RNG.uniform(0.2, 2, size=40)
WIDE = RNG.normal(size=(20, 30))


def one_by_one(fit, X, y, s, **numbers):
    """Parameters of as many fits as there are rows, each with one row masked."""
    masked = s[None] * (1 - np.eye(len(s)))
    return jax.jit(jax.vmap(lambda w: fit(X, y, sample_weight=w, **numbers).params))(masked)


def test_exact_is_its_definition():
    left = leave_one_out.exact(ridge.fit, ridge.predict, X, Y, l2=1.3, sample_weight=S)
    A = np.c_[X, np.ones(40)]
    H = A.T @ np.diag(S) @ A + np.diag([1.3, 1.3, 1.3, 1.3, 0])
    smoother = A @ np.linalg.solve(H, A.T @ np.diag(S))
    leverage, fitted = np.diag(smoother), smoother @ Y
    np.testing.assert_allclose(left.leverage, leverage, rtol=1e-10)
    np.testing.assert_allclose(left.residual, (Y - fitted) / (1 - leverage), rtol=1e-9)
    expected = (fitted - leverage * Y) / (1 - leverage)
    np.testing.assert_allclose(left.prediction, expected, rtol=1e-10)


@pytest.mark.parametrize(("X", "l2"), [(X, 1.3), (X, np.array([0.1, 1.0, 5.0, 40.0])), (WIDE, 2.0)])
def test_exact_equals_refitting_without_the_row(X, l2):
    y, s = Y[: len(X)], S[: len(X)]
    left = leave_one_out.exact(ridge.fit, ridge.predict, X, y, l2=l2, sample_weight=s)
    params = one_by_one(ridge.fit, X, y, s, l2=l2)
    np.testing.assert_allclose(left.prediction, jax.vmap(ridge.predict)(params, X), rtol=1e-9)
    np.testing.assert_allclose(left.residual, y - left.prediction, rtol=1e-9)


def test_exact_equals_scikit_learn_and_statsmodels():
    peer = RidgeCV([1.3], store_cv_results=True).fit(X, Y)
    left = leave_one_out.exact(ridge.fit, ridge.predict, X, Y, l2=1.3)
    np.testing.assert_allclose(left.residual**2, peer.cv_results_[:, 0], rtol=1e-8)
    press = sm.OLS(Y, np.c_[X, np.ones(40)]).fit().get_influence()
    left = leave_one_out.exact(least_squares.fit, least_squares.predict, X, Y)
    np.testing.assert_allclose(left.residual, press.resid_press, rtol=1e-9)
    np.testing.assert_allclose(left.leverage, press.hat_matrix_diag, rtol=1e-9)
    np.testing.assert_allclose(left.leverage.sum(), 5, rtol=1e-12)  # as many as parameters


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_size_of_a_batch_changes_nothing(batch_size):
    whole = leave_one_out.exact(ridge.fit, ridge.predict, X, Y)
    parts = leave_one_out.exact(ridge.fit, ridge.predict, X, Y, batch_size=batch_size)
    np.testing.assert_allclose(parts.prediction, whole.prediction, rtol=1e-12)


def test_memory_grows_with_the_rows_and_not_with_their_square():
    n = 4000
    X, y = jnp.ones((n, 4)), jnp.ones(n)
    program = jax.jit(lambda X, y: leave_one_out.exact(ridge.fit, ridge.predict, X, y))
    used = program.lower(X, y).compile().memory_analysis().temp_size_in_bytes
    assert used < 30 * X.nbytes < 8 * n**2 / 10


def test_absent_rows_change_nothing_and_a_weight_repeats_the_others():
    s, alone = np.ones(40), np.r_[3, 4, 7:40]
    s[:3], s[5], s[6] = 0, 2, 3
    holes, y = X.copy(), Y.copy()
    holes[0, 1], holes[1], y[2] = np.nan, np.inf, np.nan
    rows = np.r_[alone, 5, 5, 6, 6, 6]

    def exact(X, y, s):
        return leave_one_out.exact(ridge.fit, ridge.predict, X, y, l2=1.3, sample_weight=s)

    def approximate(X, y, s):
        params = ridge.fit(X, y, l2=1.3, sample_weight=s).params
        return leave_one_out.approximate(
            ridge.loss, ridge.objective, params, X, y, l2=1.3, sample_weight=s
        )

    for function in (exact, approximate):
        weighted, repeated = function(holes, y, s), function(X[rows], Y[rows], np.ones(40))
        for a, b in zip(weighted, repeated, strict=True):
            np.testing.assert_allclose(a[alone], b[:35], rtol=1e-9)
            assert jnp.isfinite(a).all()
    assert jnp.isnan(exact(holes, y, np.ones(40)).residual).all()


def test_a_row_that_alone_determines_a_parameter_is_nan():
    lone = np.c_[X[:, :3], np.eye(40)[:, 7]]
    left = leave_one_out.exact(least_squares.fit, least_squares.predict, lone, Y)
    np.testing.assert_allclose(left.leverage[7], 1, rtol=1e-12)
    assert list(np.flatnonzero(np.isnan(left.residual))) == [7]


def test_a_fit_that_is_not_linear_is_nan():
    def fit(X, y, *, sample_weight):
        return ridge.fit(X, jnp.tanh(y), sample_weight=sample_weight)

    def shifted(X, y, *, sample_weight):
        return ridge.fit(X, y + 1, sample_weight=sample_weight)

    for wrong in (fit, shifted):
        left = leave_one_out.exact(wrong, ridge.predict, X, Y)
        assert jnp.isnan(left.prediction).all()
        assert jnp.isnan(left.residual).all()


def test_with_preprocessing_the_difference_to_refitting_falls():
    """By 1/n² here: fourfold rows, a sixteenth of the difference."""
    model = compose(standardise, ridge)
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 3)) + 1
    y = X @ [1.0, 2.0, -1.0] + rng.normal(size=200)
    differences = []
    for n in (50, 200):
        s = (np.arange(200) < n).astype(float)
        left = leave_one_out.exact(model.fit, model.predict, X, y, l2=5.0, sample_weight=s)
        params = one_by_one(model.fit, X, y, s, l2=5.0)
        away = left.prediction - jax.vmap(model.predict)(params, X)
        differences.append(np.abs(away[:50]).mean())
    assert 1e-6 < differences[1] < differences[0] / 10


def test_the_derivative_of_the_press_statistic_is_right():
    def press(log_l2, X):
        left = leave_one_out.exact(ridge.fit, ridge.predict, X, Y, l2=jnp.exp(log_l2))
        return jnp.mean(left.residual**2)

    start, toward, h = jnp.zeros(4), jnp.array([1.0, -1.0, 2.0, 0.5]), 1e-5

    @jax.jit
    def derivatives(log_l2):
        forward = jax.jvp(lambda v: press(v, X), (log_l2,), (toward,))
        return *forward, jax.grad(press)(log_l2, X) @ toward

    up, (_, forward, reverse), down = map(
        derivatives, (start + h * toward, start, start - h * toward)
    )
    for derivative in (forward, reverse):
        np.testing.assert_allclose(derivative, (up[0] - down[0]) / (2 * h), rtol=1e-7)


# One step of Newton's method, eq. (3).

CLASSES = 3
softmax_fit = partial(softmax_regression.fit, classes=CLASSES)


def logistic_data(n, d, seed=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    y = rng.uniform(size=n) < 1 / (1 + np.exp(-X @ np.linspace(1, -1, d)))
    return X, y.astype(float)


def softmax_data(n, d, seed=4):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, (X @ rng.normal(size=(d, CLASSES)) + rng.gumbel(size=(n, CLASSES))).argmax(1)


def matrix(params):
    """Parameters of all rows as (n, p)."""
    return np.concatenate([np.asarray(a).reshape(len(a), -1) for a in params], axis=1)


def test_approximate_is_exact_for_a_quadratic():
    l2 = np.array([0.1, 1.0, 5.0, 40.0])
    params = ridge.fit(X, Y, l2=l2, sample_weight=S).params
    left = leave_one_out.approximate(
        ridge.loss, ridge.objective, params, X, Y, l2=l2, sample_weight=S
    )
    np.testing.assert_allclose(
        matrix(left), matrix(one_by_one(ridge.fit, X, Y, S, l2=l2)), rtol=1e-9
    )


def test_approximate_is_its_definition():
    X, y = logistic_data(40, 4)
    s = S
    params = logistic_regression.fit(X, y, l2=0.7, sample_weight=s).params
    A = np.c_[X, np.ones(40)]
    p = 1 / (1 + np.exp(-A @ np.r_[params.weights, params.bias]))
    outer = (p * (1 - p))[:, None, None] * A[:, :, None] * A[:, None]
    H = np.einsum("i,ijk->jk", s, outer) + np.diag([0.7, 0.7, 0.7, 0.7, 0])
    gradients = (p - y)[:, None] * A
    steps = [np.linalg.solve(H - s[i] * outer[i], s[i] * gradients[i]) for i in range(40)]
    loss, objective = logistic_regression.loss, logistic_regression.objective
    changes = leave_one_out.changes(loss, objective, params, X, y, l2=0.7, sample_weight=s)
    np.testing.assert_allclose(matrix(changes), steps, rtol=1e-8, atol=1e-12)
    left = leave_one_out.approximate(loss, objective, params, X, y, l2=0.7, sample_weight=s)
    there = np.r_[params.weights, params.bias]
    np.testing.assert_allclose(matrix(left), there[None] + steps, rtol=1e-9)


def test_approximate_equals_the_one_step_of_statsmodels():
    X, y = logistic_data(40, 4)
    params = logistic_regression.fit(X, y, l2=0.0).params
    influence = (
        sm.GLM(y, np.c_[X, np.ones(40)], family=sm.families.Binomial())
        .fit(tol=1e-14)
        .get_influence()
    )
    changes = leave_one_out.changes(
        logistic_regression.loss, logistic_regression.objective, params, X, y, l2=0.0,
        sample_weight=np.ones(40),
    )  # fmt: skip
    np.testing.assert_allclose(-matrix(changes), influence.d_params, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("fit", "model", "data"),
    [
        (logistic_regression.fit, logistic_regression, logistic_data(40, 4)),
        (softmax_fit, softmax_regression, softmax_data(40, 2)),
    ],
    ids=["logistic", "softmax"],
)
def test_the_error_of_the_approximation_falls_as_the_square_of_the_rows(fit, model, data):
    """The same 40 rows 2 and 8 times, the penalty with them: θ̂ stays, a row counts for less."""
    X, y = np.tile(data[0], (8, 1)), np.tile(data[1], 8).astype(float)
    errors, moves = [], []

    @jax.jit
    def examined(s, masked, l2):
        params = fit(X, y, l2=l2, sample_weight=s).params
        steps = leave_one_out.changes(
            model.loss, model.objective, params, X, y, l2=l2, sample_weight=s
        )
        without = jax.vmap(lambda w: fit(X, y, l2=l2, sample_weight=w).params)(masked)
        return steps, jax.tree.map(lambda a, b: a - b[None], without, params)

    for copies in (2, 8):
        s = (np.arange(320) < 40 * copies).astype(float)
        steps, exact = examined(s, (s[None] * (1 - np.eye(320)))[:40], 0.25 * copies)
        errors.append(np.abs(matrix(steps)[:40] - matrix(exact)).mean())
        moves.append(np.abs(matrix(exact)).mean())
    assert 4 / 1.3 < moves[0] / moves[1] < 4 * 1.3  # what leaving out changes: 1/n
    assert 16 / 1.3 < errors[0] / errors[1] < 16 * 1.3  # what the step misses: 1/n²
    assert errors[0] < 0.1 * moves[0]


def test_steps_keep_the_mean_of_the_biases():
    """H of softmax is singular along it."""
    X, y = softmax_data(40, 2)
    y = y.astype(float)
    params = softmax_fit(X, y, l2=0.5).params
    changes = leave_one_out.changes(
        softmax_regression.loss, softmax_regression.objective, params, X, y, l2=0.5
    )
    np.testing.assert_allclose(changes.bias.sum(axis=1), 0, atol=1e-12)


def test_where_what_is_left_has_no_minimum_the_step_is_nan():
    """Row 3 holds the whole up: without it the second parameter is free, or L falls for ever."""

    def loss(params, x, y):
        return (y - params @ x) ** 2 / 2

    def objective(params, X, y, *, sample_weight, bend=0.0):
        losses = jax.vmap(loss, (None, 0, 0))(params, X, y)
        return sample_weight @ losses - bend / 2 * (params[1] - 0.3) ** 2

    X = jnp.array([[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0], [1.0, 2.0]])
    y = jnp.array([1.0, 2.5, -1.0, 3.0])

    def at(bend):
        H = X.T @ X - jnp.diag(jnp.array([0, bend]))
        best = jnp.linalg.solve(H, X.T @ y - jnp.array([0, 0.3 * bend]))
        return leave_one_out.changes(loss, objective, best, X, y, bend=bend)

    for bend in (0.0, 0.1):
        changes = at(bend)
        assert jnp.isfinite(changes[:3]).all()
        if bend:
            assert jnp.isnan(changes[3]).all()
        else:
            assert jnp.abs(jnp.nan_to_num(changes[3])).max() < 1e-9
    assert jnp.isnan(at(5.0)).all()  # the whole has none


def test_approximate_is_differentiable_in_hyperparameters():
    X, y = logistic_data(40, 4)

    def held_out(log_l2):
        l2 = jnp.exp(log_l2)
        params = logistic_regression.fit(X, y, l2=l2).params
        left = leave_one_out.approximate(
            logistic_regression.loss, logistic_regression.objective, params, X, y, l2=l2
        )
        return jnp.mean(jax.vmap(logistic_regression.loss)(left, X, y))

    both = jax.jit(jax.value_and_grad(held_out))
    (up, _), (_, derivative), (down, _) = both(0.3 + 1e-5), both(0.3), both(0.3 - 1e-5)
    np.testing.assert_allclose(derivative, (up - down) / 2e-5, rtol=1e-6)


def test_single_precision_is_kept_and_batches_equal_loops():
    f32 = X.astype(np.float32), Y.astype(np.float32)
    left = leave_one_out.exact(ridge.fit, ridge.predict, *f32)
    params = ridge.fit(*f32).params
    approximate = leave_one_out.approximate(ridge.loss, ridge.objective, params, *f32)
    assert left.residual.dtype == approximate.weights.dtype == np.float32
    expected = leave_one_out.exact(ridge.fit, ridge.predict, X, Y).residual
    np.testing.assert_allclose(left.residual, expected, atol=1e-3)
    by_hand = Y - jax.vmap(ridge.predict)(approximate, X)
    np.testing.assert_allclose(by_hand, expected, atol=1e-3)

    def exact(l2):
        return leave_one_out.exact(ridge.fit, ridge.predict, X, Y, l2=l2).residual

    grid = jnp.array([0.1, 10.0])
    np.testing.assert_allclose(jax.vmap(exact)(grid), [exact(0.1), exact(10.0)], rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-18, 1.0, 1e17, 1e18])
def test_leverages_have_no_units(unit):
    """Squares of 1e±18 leave float32, and a leverage is a product of two such slopes."""
    rng = np.random.default_rng(0)
    X = (unit * rng.normal(size=(30, 4))).astype(np.float32)
    y = rng.normal(size=30).astype(np.float32)
    found = leave_one_out.exact(least_squares.fit, least_squares.predict, X, y)
    A = np.column_stack([X / unit, np.ones(30)]).astype(float)
    right = np.diagonal(A @ np.linalg.pinv(A))
    np.testing.assert_allclose(found.leverage, right, atol=1e-4)
    freedom = criteria.degrees_of_freedom(least_squares.fit, least_squares.predict, X, y)
    np.testing.assert_allclose(freedom, 5, rtol=1e-4)
