import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mlmath
from mlmath.statistics import standardise


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, 3)) * [1.0, 50.0, 1e-3] + [0.0, 1000.0, 5.0]
    return X, rng.uniform(0.2, 2.0, size=12)


def _naive(X, s):
    """Eq. (1) by loops."""
    n, d = X.shape
    total = sum(s)
    center = [sum(s[i] * X[i, j] for i in range(n)) / total for j in range(d)]
    squares = [sum(s[i] * (X[i, j] - center[j]) ** 2 for i in range(n)) for j in range(d)]
    return np.array(center), np.sqrt(np.array(squares) / total)


def test_center_and_scale_are_their_definition(data):
    X, s = data
    params = standardise.fit(X, sample_weight=s).params
    center, scale = _naive(X, s)
    np.testing.assert_allclose(params.center, center, rtol=1e-13)
    np.testing.assert_allclose(params.scale, scale, rtol=1e-11)


def test_transform_and_inverse_are_their_definition(data):
    X, s = data
    params = standardise.fit(X, sample_weight=s).params
    center, scale = _naive(X, s)
    Z = mlmath.rows(standardise.transform)(params, X)
    np.testing.assert_allclose(Z, (X - center) / scale, rtol=1e-9)
    np.testing.assert_allclose(mlmath.rows(standardise.inverse)(params, Z), X, rtol=1e-13)


def test_objective_is_its_definition(data):
    X, s = data
    fitted = standardise.fit(X, sample_weight=s)
    naive = (
        sum(s[i] * np.sum((X[i] - np.asarray(fitted.params.center)) ** 2) for i in range(12)) / 2
    )
    for value in (
        fitted.certificate.objective,
        standardise.objective(fitted.params, X, sample_weight=s),
    ):
        np.testing.assert_allclose(value, naive, rtol=1e-12)


def test_standard_units_have_mean_0_and_variance_1(data):
    X, s = data
    Z = mlmath.rows(standardise.transform)(standardise.fit(X, sample_weight=s).params, X)
    np.testing.assert_allclose(s @ Z, 0, atol=1e-11)
    np.testing.assert_allclose(s @ Z**2 / s.sum(), 1, rtol=1e-11)


def test_matches_scikit_learn(data):
    from sklearn.preprocessing import StandardScaler

    X, s = data
    peer = StandardScaler().fit(X, sample_weight=s)
    params = standardise.fit(X, sample_weight=s).params
    np.testing.assert_allclose(params.center, peer.mean_, rtol=1e-12)
    np.testing.assert_allclose(params.scale, peer.scale_, rtol=1e-10)


def test_weight_2_is_the_row_twice_and_weight_0_absence_even_of_nan(data):
    X, _ = data
    s = np.array([2.0, 0.0] + [1.0] * 10)
    hidden = X.copy()
    hidden[1] = np.nan
    weighted = standardise.fit(hidden, sample_weight=s).params
    repeated = standardise.fit(np.concatenate([X[:1], X[:1], X[2:]])).params
    for ours, theirs in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e8, -3e-20])
def test_a_constant_column_keeps_its_units(dtype, value):
    s = np.random.default_rng(1).uniform(size=100).astype(dtype)
    X = np.full((100, 1), value, dtype)
    params = standardise.fit(X, sample_weight=s).params
    assert params.scale[0] == 1
    assert abs(standardise.transform(params, X[0])[0]) <= 4 * np.finfo(dtype).eps * abs(value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_column_that_varies_by_rounding_alone_is_constant(dtype):
    value = dtype(0.1)
    X = np.where(np.arange(100) % 2, value, np.nextafter(value, dtype(1)))[:, None]
    assert X.min() < X.max()
    assert standardise.fit(X).params.scale[0] == 1


def test_a_large_offset_costs_no_digits():
    X = np.random.default_rng(2).normal(size=(1000, 1))
    plain, offset = standardise.fit(X).params, standardise.fit(X + 1e6).params
    np.testing.assert_allclose(offset.scale, plain.scale, rtol=1e-9)
    in_f32 = standardise.fit((X + 1000).astype(np.float32)).params
    np.testing.assert_allclose(in_f32.scale, plain.scale, rtol=1e-4)


def test_a_missing_value_that_counts_shows(data):
    X = data[0].copy()
    X[3, 1] = np.nan
    fitted = standardise.fit(X)
    assert not bool(fitted.certificate.converged)
    np.testing.assert_array_equal(np.isnan(fitted.params.scale), [False, True, False])


def test_no_weight_at_all_is_not_converged(data):
    assert not bool(standardise.fit(data[0], sample_weight=np.zeros(12)).certificate.converged)


def test_influence_of_an_absent_row_is_its_one_sided_difference(data):
    X, s = data
    s = s.copy()
    s[4] = 0.0

    def scale(weight):
        return standardise.fit(X, sample_weight=weight).params.scale[1]

    step = np.zeros(12)
    step[4] = 1e-6
    slope = jax.grad(scale)(jnp.asarray(s))[4]
    np.testing.assert_allclose(slope, (scale(s + step) - scale(s)) / 1e-6, rtol=1e-4)


def test_second_derivatives_are_finite_differences_of_the_first(data):
    X, s = data

    def scale(X):
        return jnp.sum(standardise.fit(X, sample_weight=s).params.scale[:2] ** 3)

    direction = np.random.default_rng(3).normal(size=X.shape)
    slope = jax.jit(jax.grad(scale))
    _, ours = jax.jvp(slope, (jnp.asarray(X),), (jnp.asarray(direction),))
    h = 1e-4
    theirs = (slope(X + h * direction) - slope(X - h * direction)) / (2 * h)
    np.testing.assert_allclose(ours[:, :2], theirs[:, :2], rtol=1e-5, atol=1e-6)


def test_derivatives_at_a_constant_column_are_finite():
    X = np.array([[1.0, 5.0], [2.0, 5.0], [4.0, 5.0]])
    slope = jax.grad(lambda X: jnp.sum(standardise.fit(X).params.scale))(X)
    assert np.isfinite(slope).all()
    np.testing.assert_array_equal(slope[:, 1], 0)


def test_eager_jit_and_vmap_agree_and_float32_answers_like_float64(data):
    X, s = data
    eager = standardise.fit(X, sample_weight=s)
    jitted = jax.jit(lambda X, s: standardise.fit(X, sample_weight=s))(X, s)
    batched = jax.vmap(lambda s: standardise.fit(X, sample_weight=s))(jnp.stack([s, 2 * s]))
    single = standardise.fit(X.astype(np.float32), sample_weight=s.astype(np.float32))
    for k in range(2):
        np.testing.assert_allclose(jitted.params[k], eager.params[k], rtol=1e-12)
        np.testing.assert_allclose(batched.params[k][1], eager.params[k], rtol=1e-12)
        np.testing.assert_allclose(single.params[k], eager.params[k], rtol=1e-3)
        assert single.params[k].dtype == np.float32
    assert bool(single.certificate.converged)
    assert bool(eager.certificate.converged)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_the_gap_has_no_units(data, scale):
    X, s = data
    for fitted in (
        standardise.fit(X * scale, sample_weight=s),
        standardise.fit(X, sample_weight=s * scale),
    ):
        assert bool(fitted.certificate.converged)


def test_integers_are_refused():
    with pytest.raises(TypeError, match="measurements are floats"):
        standardise.fit(np.ones((3, 2), int))


@pytest.mark.parametrize("mean", [1e3, 1e5, 1e6])
def test_many_rows_far_from_zero_keep_their_spread_in_float32(mean):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(300_000, 2)) + mean).astype(np.float32)
    double = X.astype(np.float64)
    params = standardise.fit(X).params
    np.testing.assert_allclose(params.scale, double.std(axis=0), rtol=1e-3)
    np.testing.assert_allclose(params.center, double.mean(axis=0), rtol=2e-7)
