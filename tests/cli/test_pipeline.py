import jax
import numpy as np
import pytest

from mlmath.cli import methods, pipeline
from mlmath.data.columns import Column
from mlmath.linear import ridge

_COLUMNS = (Column("a"), Column("kind", ("x", "y", "z")))


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = np.stack([5 + 3 * rng.normal(size=30), rng.integers(-1, 3, size=30).astype(float)], axis=1)
    expanded = np.stack([X[:, 0], *(X[:, 1] == k for k in range(3))], axis=1)
    return X, expanded, expanded @ [2.0, 1.0, -1.0, 3.0] + rng.normal(size=30)


@pytest.mark.parametrize("raw", [False, True])
def test_the_model_is_one_hot_standardise_and_the_method(data, raw):
    X, expanded, y = data
    method = methods.METHODS["ridge"]
    part = pipeline.part(method)
    composed = pipeline.model(part, _COLUMNS, raw)
    assert pipeline.model(pipeline.part(method), _COLUMNS, raw) is composed
    X_padded, y_padded, weight = pipeline.padded(X, y, np.ones(30), "float64")
    assert len(X_padded) == 64
    params = composed.fit(X_padded, y_padded, sample_weight=weight, l2=2.0).params
    center, scale = (0, 1) if raw else (expanded.mean(axis=0), expanded.std(axis=0))
    alone = ridge.fit((expanded - center) / scale, y, l2=2.0).params
    np.testing.assert_allclose(
        pipeline.predict(composed, params, X, "float64"),
        (expanded - center) / scale @ np.asarray(alone.weights) + alone.bias,
        rtol=1e-9,
    )
    value, slopes = pipeline.coefficients(method, _COLUMNS, raw, params)
    np.testing.assert_allclose(slopes, alone.weights / scale, rtol=1e-9)  # in the file's units
    np.testing.assert_allclose(
        pipeline.predict(composed, params, X, "float64"), expanded @ slopes + value, rtol=1e-9
    )
    np.testing.assert_allclose(pipeline.scales(raw, params, 4), np.broadcast_to(scale, 4))


def test_expected_params_are_those_of_a_fit_without_fitting(data):
    X, _, y = data
    composed = pipeline.model(pipeline.part(methods.METHODS["ridge"]), _COLUMNS, False)
    fitted = composed.fit(*(a.astype(np.float32) for a in (X, y)), l2=1.0).params
    expected = pipeline.expected_params(composed, _COLUMNS, 10**6, "float32", {"l2": 1.0})
    assert jax.tree.structure(expected) == jax.tree.structure(fitted)
    for one, other in zip(jax.tree.leaves(expected), jax.tree.leaves(fitted), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
