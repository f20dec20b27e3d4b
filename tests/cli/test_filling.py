import jax
import numpy as np
import polars as pl
import pytest

from mlmath.cli import filling
from mlmath.data import columns as tables
from mlmath.statistics.compose import Composed, compose


class _Seen:
    """A model whose params are the matrix that reaches it."""

    @staticmethod
    def fit(X, *, sample_weight=None):
        return filling.Fit(X)

    @staticmethod
    def predict(params, x):
        return x


@pytest.fixture
def table():
    return pl.DataFrame(
        {
            "kind": ["p", None, "q", "p", "q"],
            "a": [1.0, None, 3.0, None, 8.0],
            "b": [1.0, 2.0, 3.0, 4.0, 5.0],
            "c": [None, 20.0, 10.0, 40.0, None],
        }
    )


def _filled(table, weight):
    """The matrix that a model after the filling meets, and that of ``data.columns.fill``."""
    described = tables.fill(tables.describe(table), table, weight=np.ones(table.height))
    model = filling.inside(described, Composed(_Seen.fit, _Seen.predict))
    X = tables.encode(described, table).matrix
    reached = model.fit(X, sample_weight=weight).params
    held = tables.fill(described, table, weight=weight)
    return np.asarray(reached.model), tables.encode(held, table).matrix, model, reached, X


@pytest.mark.parametrize("weight", [[1, 1, 1, 1, 1], [1, 1, 2, 0, 0], [0.5, 1, 1, 0, 3]])
def test_gaps_take_the_mean_of_the_rows_that_train(table, weight):
    weight = np.asarray(weight, float)
    reached, expected, model, params, X = _filled(table, weight)
    seen = weight > 0
    np.testing.assert_allclose(reached[seen], expected[seen], rtol=1e-6)
    rows = jax.vmap(model.predict, (None, 0))(params, X)  # the rows held out too
    np.testing.assert_allclose(rows, expected, rtol=1e-6)


def test_the_means_are_their_definition(table):
    weight = np.array([0.5, 1, 1, 0, 3])
    *_, params, _ = _filled(table, weight)
    a = (0.5 * 1 + 1 * 3 + 3 * 8) / (0.5 + 1 + 3)
    c = (1 * 20 + 1 * 10) / 2
    np.testing.assert_allclose(params.transformation, [a, c], rtol=1e-6)


def test_on_all_rows_nothing_changes(table):
    reached, _, _, _, X = _filled(table, np.ones(5))
    np.testing.assert_allclose(reached, X, rtol=1e-6)


def test_a_column_without_a_training_row_is_nan(table):
    *_, model, _, X = _filled(table, np.ones(5))
    params = model.fit(X, sample_weight=np.array([0.0, 1, 0, 1, 0])).params
    np.testing.assert_array_equal(params.transformation, [np.nan, 30])


def test_without_gaps_in_numbers_the_model_stays_itself(table):
    described = tables.fill(tables.describe(table[["kind", "b"]]), table)
    model = compose(filling.Filling((0,)), _Seen)
    assert filling.inside(described, model) is model
