import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import mlmath
from mlmath.linear import logistic_regression, ridge
from mlmath.statistics import one_hot, standardise
from mlmath.statistics.compose import compose


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 3)) * [1.0, 100.0, 1e-2] + [5.0, 0.0, 1.0]
    y = X @ [1.0, 0.02, 30.0] + rng.normal(size=20)
    return X, y, rng.uniform(0.5, 2.0, size=20)


def test_fit_and_predict_are_their_definition(data):
    X, y, s = data
    model = compose(standardise, ridge)
    fitted = model.fit(X, y, sample_weight=s, l2=3.0)
    center = s @ X / s.sum()
    scale = np.sqrt(s @ (X - center) ** 2 / s.sum())
    alone = ridge.fit((X - center) / scale, y, sample_weight=s, l2=3.0)
    np.testing.assert_allclose(fitted.params.model.weights, alone.params.weights, rtol=1e-10)
    np.testing.assert_allclose(
        fitted.certificate.objective, alone.certificate.objective, rtol=1e-12
    )
    np.testing.assert_allclose(
        mlmath.rows(model.predict)(fitted.params, X),
        mlmath.rows(ridge.predict)(alone.params, (X - center) / scale),
        rtol=1e-10,
    )


def test_matches_a_pipeline_of_scikit_learn(data):
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y, _ = data
    peer = make_pipeline(StandardScaler(), Ridge(alpha=2.0, solver="cholesky")).fit(X, y)
    model = compose(standardise, ridge)
    ours = mlmath.rows(model.predict)(model.fit(X, y, l2=2.0).params, X)
    np.testing.assert_allclose(ours, peer.predict(X), rtol=1e-10)


def test_the_answer_does_not_depend_on_the_units_of_the_columns(data):
    X, y, _ = data
    model = compose(standardise, ridge)
    units = np.array([1e-3, 7.0, 1e4])
    one, other = (model.fit(Z, y, l2=2.0).params for Z in (X, X * units + 3.0))
    np.testing.assert_allclose(
        mlmath.rows(model.predict)(one, X),
        mlmath.rows(model.predict)(other, X * units + 3.0),
        rtol=1e-8,
    )


def test_the_same_parts_give_the_same_model_and_one_trace(data):
    X, y, _ = data
    model = compose(standardise, ridge)
    assert compose(standardise, ridge) is model
    assert compose(standardise, logistic_regression) is not model
    assert hash(model) == hash(compose(standardise, ridge))

    @chex.assert_max_traces(n=1)
    def score(fit, X, y, l2):
        return fit(X, y, l2=l2).certificate.objective

    traced = jax.jit(score, static_argnums=0)
    for l2 in (0.5, 1.0, 2.0):
        traced(compose(standardise, ridge).fit, X, y, l2)


def test_a_row_of_nan_and_weight_0_leaks_into_no_derivative(data):
    X, y, s = data
    hidden, s = X.copy(), s.copy()
    hidden[3], s[3] = np.nan, 0.0
    model = compose(standardise, ridge)

    def loss(X, y, s, l2):
        return jnp.sum(model.fit(X, y, sample_weight=s, l2=l2).params.model.weights ** 2)

    def without(array):
        return np.delete(array, 3, axis=0)

    slope = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))
    slopes = slope(hidden, y, s, 2.0)
    absent = slope(without(X), without(y), without(s), 2.0)
    for ours, theirs in zip(slopes[:3], absent[:3], strict=True):
        np.testing.assert_allclose(without(ours), theirs, rtol=1e-8, atol=1e-12)
    assert np.isfinite(slopes[0]).all()
    np.testing.assert_allclose(slopes[3], absent[3], rtol=1e-9)
    second = jax.jit(jax.hessian(lambda s: loss(hidden, y, s, 2.0)))(jnp.asarray(s))
    assert np.isfinite(np.delete(np.delete(second, 3, 0), 3, 1)).all()


def test_the_derivative_goes_through_both_parts(data):
    X, y, s = data
    model = compose(standardise, logistic_regression)
    labels = (y > np.median(y)).astype(float)

    def at(X):
        params = model.fit(X, labels, sample_weight=s, l2=1.0, tolerance=1e-24).params
        return model.predict(params, X[0]) + params.model.bias

    direction = np.random.default_rng(1).normal(size=X.shape) * X.std(axis=0)
    h = 1e-5
    differences = (at(X + h * direction) - at(X - h * direction)) / (2 * h)
    np.testing.assert_allclose(jnp.vdot(jax.grad(at)(X), direction), differences, rtol=1e-6)
    np.testing.assert_allclose(jax.jvp(at, (X,), (direction,))[1], differences, rtol=1e-6)


def test_a_vmap_over_masks_refits_the_preprocessing(data):
    X, y, _ = data
    model = compose(standardise, ridge)
    masks = np.array([[1.0] * 10 + [0.0] * 10, [0.0] * 10 + [1.0] * 10])
    both = jax.vmap(lambda s: model.fit(X, y, sample_weight=s, l2=1.0).params)(masks)
    for k, part in enumerate((slice(0, 10), slice(10, 20))):
        np.testing.assert_allclose(
            both.transformation.center[k], X[part].mean(axis=0), rtol=1e-12, atol=1e-12
        )
        alone = model.fit(X[part], y[part], l2=1.0).params
        np.testing.assert_allclose(both.model.weights[k], alone.model.weights, rtol=1e-9)


@pytest.mark.parametrize("what", ["fit", "gradient"])
def test_sharded_rows_give_the_same_answer_without_moving(what):
    rng = np.random.default_rng(4)
    X, y, s = rng.normal(size=(328, 3)), rng.normal(size=328), rng.uniform(0.5, 2, size=328)

    def fit(X, y, s):
        params = compose(standardise, ridge).fit(X, y, sample_weight=s, l2=1.0).params
        return jnp.concatenate([params.model.weights, *params.transformation])

    def gradient(X, y, s):
        return jax.grad(lambda s: jnp.sum(fit(X, y, s) ** 2))(s)

    function = {"fit": fit, "gradient": gradient}[what]
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
    spread = jax.device_put((X, y, s), NamedSharding(mesh, PartitionSpec("rows")))
    compiled = jax.jit(function).lower(*spread).compile()
    np.testing.assert_allclose(compiled(*spread), function(X, y, s), rtol=1e-9)
    program = compiled.as_text()
    assert "all-reduce" in program
    for line in program.splitlines():  # a row dimension is 328, or 41 on a device
        if any(word in line for word in ("all-gather", "all-to-all", "collective-permute")):
            assert not any(f"[{rows}" in line for rows in (41, 328)), line


def test_three_parts_compose_and_start_reaches_the_model(data):
    X, y, _ = data
    X = np.concatenate([X, np.arange(20.0)[:, None] % 3], axis=1)
    labels = (y > np.median(y)).astype(float)
    model = compose(one_hot.columns((0, 0, 0, 3)), compose(standardise, logistic_regression))
    cold = model.fit(X, labels, l2=1.0)
    assert cold.params.model.model.weights.shape == (6,)
    warm = model.fit(X, labels, l2=1.0, start=cold.params)
    assert int(warm.certificate.steps) < int(cold.certificate.steps)


def test_a_part_without_the_verb_is_refused():
    with pytest.raises(ValueError, match=r"ridge must have fit and transform"):
        compose(ridge, ridge)
    with pytest.raises(ValueError, match=r"standardise must have fit and predict"):
        compose(standardise, standardise)
