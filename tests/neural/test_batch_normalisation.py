"""Batch normalisation: eq. (1)-(4), the law of the weights, and the constant feature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

import mlmath
from mlmath.neural import batch_normalisation
from mlmath.neural.batch_normalisation import Params, State, predict, step

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 2)) * [1.0, 5.0] + [3.0, -1.0]
S = np.array([2, 0, 1, 3, 1, 0, 1, 1, 2, 1, 1, 1.0])
LEARNT = Params(jnp.array([2.0, -1.0]), jnp.array([0.5, 0.1]))
BEFORE = State(jnp.array([1.0, 2.0]), jnp.array([3.0, 4.0]))
C = RNG.normal(size=(12, 2))


def test_a_step_is_its_definition():
    outputs, state = step(LEARNT, BEFORE, X, decay=0.7, eps=1e-3, sample_weight=S)
    for j in range(2):
        mean = sum(s * x for s, x in zip(S, X[:, j], strict=True)) / sum(S)  # (1)
        variance = sum(s * (x - mean) ** 2 for s, x in zip(S, X[:, j], strict=True)) / sum(S)
        expected = LEARNT.scale[j] * (X[:, j] - mean) / np.sqrt(variance + 1e-3) + LEARNT.shift[j]
        np.testing.assert_allclose(outputs[:, j], expected, rtol=1e-12)  # (2)
        np.testing.assert_allclose(state.center[j], 0.7 * BEFORE.center[j] + 0.3 * mean)  # (3)
        np.testing.assert_allclose(state.variance[j], 0.7 * BEFORE.variance[j] + 0.3 * variance)


def test_prediction_is_its_definition():
    expected = (
        LEARNT.scale * (X[0] - BEFORE.center) / np.sqrt(BEFORE.variance + 1e-3) + LEARNT.shift
    )
    np.testing.assert_allclose(predict(LEARNT, BEFORE, X[0], eps=1e-3), expected, rtol=1e-13)


def test_it_starts_as_scikit_learn_scales():
    params, state = batch_normalisation.init(2)
    outputs, _ = step(params, state, X, eps=0.0, sample_weight=S)
    peer = StandardScaler().fit(X, sample_weight=S).transform(X)
    np.testing.assert_allclose(outputs, peer, rtol=1e-11)


def test_the_averages_of_one_batch_shown_again_become_its_own():
    params, state = batch_normalisation.init(2)
    for _ in range(200):
        outputs, state = step(params, state, X)
    np.testing.assert_allclose(state.center, X.mean(axis=0), rtol=1e-8)
    np.testing.assert_allclose(mlmath.rows(lambda p, x: predict(p, state, x))(params, X), outputs)


def value(X, S, params):
    outputs, state = step(params, BEFORE, X, sample_weight=S)
    return jnp.sum(S[:, None] * jnp.sin(C[: len(X)] * outputs)), state


def test_weight_two_is_the_row_twice_and_weight_zero_the_row_absent_whatever_it_holds():
    once, state = step(LEARNT, BEFORE, X, sample_weight=S)
    repeated = np.repeat(np.arange(12), S.astype(int))
    twice, other = step(LEARNT, BEFORE, X[repeated])
    np.testing.assert_allclose(twice, once[repeated], rtol=1e-12)
    np.testing.assert_allclose(other.variance, state.variance, rtol=1e-12)
    slopes = jax.jit(jax.value_and_grad(value, (0, 1, 2), has_aux=True))
    holes = np.where(S[:, None] == 0, np.nan, X)
    (_, masked), found = slopes(holes, S, LEARNT)
    (_, plain), expected = slopes(X, S, LEARNT)
    np.testing.assert_array_equal(masked.center, plain.center)
    for a, b in zip(jax.tree.leaves(found[2]), jax.tree.leaves(expected[2]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)  # 0 in rows of weight 0
    np.testing.assert_allclose(found[1][S > 0], expected[1][S > 0], rtol=1e-12)


def test_derivatives_are_differences():
    direction = RNG.normal(size=X.shape)
    slope = jax.jvp(lambda X: value(X, S, LEARNT)[0], (X,), (direction,))[1]
    h = 1e-6
    difference = value(X + h * direction, S, LEARNT)[0] - value(X - h * direction, S, LEARNT)[0]
    np.testing.assert_allclose(slope, difference / (2 * h), rtol=1e-7)
    averages = jax.grad(lambda X: jnp.sum(step(LEARNT, BEFORE, X)[1].variance))(X)
    np.testing.assert_array_equal(averages, 0)


@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_a_constant_feature_gives_the_shift_and_finite_derivatives(eps):
    flat = np.stack([np.full(5, 0.1), np.arange(5.0)], axis=1)

    def total(X):
        return jnp.sum(jnp.sin(C[:5] * step(LEARNT, BEFORE, X, eps=eps)[0]))

    outputs, _ = step(LEARNT, BEFORE, flat, eps=eps)
    np.testing.assert_allclose(outputs[:, 0], LEARNT.shift[0], rtol=1e-12)
    for derivative in jax.jit(lambda X: (jax.grad(total)(X), jax.hessian(total)(X)))(flat):
        assert np.isfinite(derivative).all()


def test_what_has_no_mean_shows():
    holes = X.copy()
    holes[3, 0] = np.nan
    for outputs, state in (
        step(LEARNT, BEFORE, holes, sample_weight=S),
        step(LEARNT, BEFORE, X, sample_weight=0 * S),
    ):
        assert np.isnan(outputs).all()
        assert np.isnan(state.center).all()


def test_a_variance_that_is_none_shows():
    for bad in (np.nan, -5.0):
        state = BEFORE._replace(variance=jnp.array([bad, 4.0]))
        assert np.isnan(predict(LEARNT, state, X[0])).tolist() == [True, False]


def test_a_row_of_weight_zero_is_absent_also_where_its_square_overflows():
    params, state = batch_normalisation.init(1)
    rows = jnp.array([[1], [2], [1e20]], jnp.float32)
    weight = jnp.array([1, 1, 0], jnp.float32)

    def outputs(rows, weight):
        return step(params, state, rows, eps=0.0, sample_weight=weight)[0][:2, 0]

    np.testing.assert_array_equal(outputs(rows, weight), [-1, 1])
    after = step(params, state, rows, sample_weight=weight)[1]
    np.testing.assert_allclose([after.center[0], after.variance[0]], [0.15, 0.925], rtol=1e-6)
    by_row, by_weight = jax.jacobian(outputs, (0, 1))(rows, weight)
    # two numbers of weights a and b are at −√(b/a) and √(a/b), wherever they are
    np.testing.assert_allclose(by_weight[:, :2], [[0.5, -0.5], [0.5, -0.5]], rtol=1e-6)
    assert np.isfinite(by_weight).all()
    np.testing.assert_allclose(by_row, 0, atol=1e-6)


def test_a_finite_row_of_weight_zero_has_its_influence():
    slope = jax.grad(lambda S: value(X, S, LEARNT)[0])(S)
    h = 1e-6
    for i in np.flatnonzero(S == 0):
        moved = [value(X, S + t * np.eye(12)[i], LEARNT)[0] for t in (-h, h)]
        np.testing.assert_allclose(slope[i], (moved[1] - moved[0]) / (2 * h), rtol=1e-7)


@pytest.mark.parametrize("eps", [0.0, 1e-5])
@pytest.mark.parametrize(
    ("number", "dtype"), [(0.1, np.float64), (0.1, np.float32), (1e5 / 3, np.float32)]
)
def test_a_constant_feature_is_not_normalised_to_the_rounding_of_its_mean(number, dtype, eps):
    flat, weight = np.full((10, 2), number, dtype), np.linspace(0, 3, 10).astype(dtype)
    for given in (None, weight):
        outputs, state = step(LEARNT, BEFORE, flat, eps=eps, sample_weight=given)
        np.testing.assert_array_equal(outputs, np.tile(LEARNT.shift.astype(dtype), (10, 1)))
        np.testing.assert_array_equal(state.variance, 0.9 * BEFORE.variance)
    slope = jax.jacobian(lambda X: step(LEARNT, BEFORE, X, eps=1e-5)[0][:, 0])(flat)[..., 0]
    centring = np.eye(10) - 1 / 10
    np.testing.assert_allclose(slope, LEARNT.scale[0] / 1e-5**0.5 * centring, rtol=1e-4)


@pytest.mark.parametrize("unit", [1e-25, 1e-3, 1e20, 1e36, 8e37])
def test_outputs_hold_in_single_precision_as_far_as_its_numbers_reach(unit):
    params, state = batch_normalisation.init(1)
    column = unit * np.array([[1.0], [2.0], [4.0]])

    def outputs(column):
        return jnp.sum(C[:3, :1] * step(params, state, column, eps=0.0)[0] ** 3)

    single = column.astype(np.float32)
    np.testing.assert_allclose(
        step(params, state, single, eps=0.0)[0], step(params, state, column, eps=0.0)[0], rtol=1e-5
    )
    if unit < 1e37:  # else no number of the dtype
        slope = jax.grad(outputs)(single)
        np.testing.assert_allclose(slope * unit, jax.grad(outputs)(column) * unit, rtol=1e-4)
    single_state = jax.tree.map(lambda a: a.astype(np.float32), state)
    variance = step(params, single_state, single)[1].variance
    assert np.isinf(variance).item() == (unit > 1e19)


def test_no_weights_are_ones():
    holes = X.copy()
    holes[3, 0] = np.nan
    for rows in (X, holes):
        unweighted = step(LEARNT, BEFORE, rows)
        weighted = step(LEARNT, BEFORE, rows, sample_weight=np.ones(12))
        jax.tree.map(np.testing.assert_array_equal, unweighted, weighted)
    assert np.isnan(unweighted[0]).all()


def test_outputs_have_the_dtype_of_the_batch_and_averages_their_own():
    params, state = batch_normalisation.init(2)
    outputs, after = step(params, state, X.astype(np.float32))
    single = predict(params, state, np.float32(X[0]))
    assert outputs.dtype == single.dtype == jnp.float32
    assert after.center.dtype == after.variance.dtype == jnp.float64
