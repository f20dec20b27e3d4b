"""The package as a whole: what importing it costs and brings."""

import subprocess
import sys

import pytest

import mlmath


def _python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_import_loads_no_room_and_no_jax():
    loaded = _python(
        "import sys, mlmath; print([m for m in sys.modules if m.startswith(('mlmath.', 'jax.'))])"
    )
    assert loaded.strip() == "['mlmath.arguments', 'mlmath.rooms']"


def test_import_adds_little_to_that_of_jax():
    code = (
        "import time, jax; t = time.perf_counter(); import mlmath; print(time.perf_counter() - t)"
    )
    assert min(float(_python(code)) for _ in range(3)) <= 0.15


def test_rooms_arrive_on_first_use():
    seen = _python("import mlmath; print(mlmath.linear.ridge.fit.__name__, dir(mlmath.linear))")
    assert seen.startswith("fit ['adaline', 'least_squares'")
    assert {"linear", "optimize", "rows"} <= set(dir(mlmath))


def test_an_unknown_room_lists_the_known_ones():
    with pytest.raises(AttributeError, match="linear"):
        _ = mlmath.cellar


def test_nothing_warns_where_jax_computes_in_float32():
    """The data sets are float64 NumPy arrays, which JAX makes float32 by default."""
    code = """
import warnings; warnings.simplefilter("error")
import jax
from mlmath.data import datasets
from mlmath.evaluate import criteria, folds, hyper, influence, leave_one_out, metrics, scorer
from mlmath.evaluate import selection
from mlmath.linear import ridge
from mlmath.statistics import standardise
from mlmath.statistics.compose import compose
X, y = datasets.arrays("diabetes")
params = ridge.fit(X, y).params
ridge.objective(params, X, y)
criteria.deviance(ridge.loss, params, X, y)
criteria.degrees_of_freedom(ridge.fit, ridge.predict, X, y)
influence.on(lambda params: params.bias, ridge.fit, X, y)
influence.distance(ridge.loss, ridge.objective, params, X, y)
leave_one_out.exact(ridge.fit, ridge.predict, X, y)
parts = folds.k_fold(jax.random.key(0), len(y))
score = scorer.of_loss(ridge.predict, metrics.mean_squared_error)
hyper.objective(ridge.fit, score, X, y, parts, {"l2": 1.0})
model = compose(standardise, ridge)
score = scorer.of_loss(model.predict, metrics.mean_squared_error)
selection.search(model.fit, score, X, y, parts, {"l2": [1.0, 2.0]})
print("quiet")
"""
    assert _python(code).strip() == "quiet"
