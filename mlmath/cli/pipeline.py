"""A method with its preprocessing: one fit/predict pair, its padded data and its coefficients."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mlmath.cli import methods
from mlmath.compiled import compiled
from mlmath.data import columns as tables
from mlmath.statistics import one_hot, padding, standardise
from mlmath.statistics.compose import Composed, compose

__all__ = [
    "Part", "Rows", "coefficients", "expected_params", "features", "model", "padded", "part",
    "predict", "scales",
]  # fmt: skip


class Rows(NamedTuple):
    """Examples below each other, up to the next bucket; the padding has weight 0."""

    X: np.ndarray  # numbers and codes, before the one-hot step
    y: np.ndarray
    weight: np.ndarray


class Part(NamedTuple):
    """What ``compose`` takes as a model."""

    fit: Any
    predict: Any


def part(method: methods.Method) -> Part:
    """Load the method as a part of a model."""
    return _part(method, method.predict)


def model(part: Part, described: Sequence[tables.Column], raw: Any) -> Composed:
    """Compose one-hot, standardise (unless ``raw``) and the part; same arguments, same object."""
    return compose(one_hot.columns(tables.sizes(described)), _inner(part, raw))


def padded(X: np.ndarray, y: np.ndarray, weight: np.ndarray, dtype: str) -> Rows:
    """Examples in ``dtype`` with rows of weight 0 up to the next bucket."""
    length = padding.bucket(len(X))
    return Rows(*(padding.pad(np.asarray(a, dtype), length) for a in (X, y, weight)))


def predict(composed: Composed, params: Any, X: np.ndarray, dtype: str) -> np.ndarray:
    """Predictions of the rows of ``X``, computed at the length of their bucket."""
    rows = padding.pad(np.asarray(X, dtype), padding.bucket(len(X)))
    return np.asarray(_predict(composed.predict, params, rows))[: len(X)]


def features(
    method: methods.Method,
    described: Sequence[tables.Column],
    raw: Any,
    params: Any,
    X: np.ndarray,
    dtype: str,
) -> np.ndarray:
    """Rows of ``X`` as the method sees them: one-hot and, unless ``raw``, in standard units."""
    part = Part(methods.load(method.fit), _itself)
    return predict(model(part, described, raw), params, X, dtype)


def expected_params(
    composed: Composed,
    described: Sequence[tables.Column],
    rows: int,
    dtype: str,
    options: Mapping[str, Any],
) -> Any:
    """Structure, shapes and dtypes of the params that a fit to so many rows returns."""
    width = len(tables.sizes(described))
    X, y = jax.ShapeDtypeStruct((rows, width), dtype), jax.ShapeDtypeStruct((rows,), dtype)

    def params(X, y, weight):
        return composed.fit(X, y, sample_weight=weight, **options).params

    return jax.eval_shape(params, X, y, y)


def coefficients(
    method: methods.Method, described: Sequence[tables.Column], raw: Any, params: Any
) -> tuple[np.ndarray, np.ndarray] | None:
    """Value at 0 and slopes of the method's affine function, in the units of the file."""
    if method.affine is None:
        return None
    affine, zero = (
        _inner(_part(method, method.affine), raw).predict,
        np.zeros(len(tables.names(described))),
    )
    value, slope = _expansion(affine, params.model, jnp.asarray(zero))
    return np.asarray(value), np.asarray(slope)


def scales(raw: Any, params: Any, width: int) -> np.ndarray:
    """Standard deviation of each feature, where the model knows it, else ones."""
    return np.ones(width) if raw else np.asarray(params.model.transformation.scale)


def _itself(params, x):
    """What the method sees of ONE example."""
    return x


def _part(method, predict):
    return Part(methods.load(method.fit), methods.load(predict))


def _inner(part, raw):
    return part if raw else compose(standardise, part)


@compiled(static=("predict",))
def _predict(predict, params, X):
    return jax.vmap(predict, (None, 0))(params, X)


@compiled(static=("affine",))
def _expansion(affine, params, x):
    x = jnp.asarray(x, jax.tree.leaves(params)[0].dtype)
    return affine(params, x), jax.jacfwd(affine, argnums=1)(params, x)
