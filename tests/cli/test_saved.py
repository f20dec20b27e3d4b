import json

import numpy as np
import polars as pl
import pytest

from mlmath.cli import saved
from mlmath.cli.refusal import Refusal
from mlmath.data.errors import InputError

_COLUMNS = [
    {"name": "a", "categories": None, "filling": 0.0, "filled": False},
    {"name": "kind", "categories": ["p", "q"], "filling": 0.0, "filled": False},
]
_RECORD = {
    "format": 1, "mlmath": "0", "model": "softmax_regression", "command": "mlmath fit", "seed": 0,
    "dtype": "float32", "data": {}, "target": "y", "labels": [1, 2, 5], "label_type": "Int64",
    "weight": "s", "columns": _COLUMNS, "raw": False, "missing": "drop",
    "hyperparameters": {"l2": 2, "tolerance": None, "max_steps": 9}, "rows": 64,
}  # fmt: skip


def run(folder, **changes):
    (folder / "run.json").write_text(json.dumps(_RECORD | changes))
    return saved.read(folder)


@pytest.fixture
def table():
    return pl.DataFrame(
        {
            "kind": ["p", "q", None, "p", "x"],
            "y": [5.0, 1.0, 2.0, 3.0, 2.0],
            "a": [0.1, 2.0, 3.0, 4.0, 5.0],
            "s": [0.3, 1.0, 1.0, 0.0, 2.0],
        }
    )


def test_a_description_is_read_without_its_parameters(tmp_path):
    known = run(tmp_path)
    assert [c.name for c in known.columns] == ["a", "kind"]
    assert known.values == {"l2": 2.0, "max_steps": 9, "classes": 3}
    with pytest.raises(Refusal, match="'dtype' is not what a run holds"):
        run(tmp_path, dtype="float16")


def test_rows_that_count_are_numbered_as_in_the_file_and_rounded_to_the_dtype(tmp_path, table):
    rows = saved.examples(run(tmp_path), table)
    np.testing.assert_array_equal(rows.numbers, [1, 2, 5])  # 3 has a gap, 4 has weight 0
    np.testing.assert_array_equal(rows.y, [2, 0, 1])
    np.testing.assert_array_equal(rows.X, [[np.float32(0.1), 0], [2, 1], [5, -1]])
    np.testing.assert_array_equal(rows.weight, [np.float32(0.3), 1, 2])
    assert (rows.X.dtype, rows.height) == (float, 5)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (pl.lit(3.0).alias("y"), "the target 'y' is 3.0 in row 1, a class that the fit did not"),
        (pl.lit(1.5).alias("y"), "the target 'y' is 1.5 in row 1"),
        (pl.lit("no").alias("y"), "the target 'y' is 'no' in row 1"),
        (pl.lit(-1.0).alias("s"), "column 's' is -1.0 in row 1; a weight is 0 or more"),
        (pl.lit(None, pl.Float64).alias("a"), "every row has a gap"),
    ],
)
def test_what_the_run_cannot_take_is_one_sentence(tmp_path, table, change, sentence):
    with pytest.raises((Refusal, InputError), match=sentence):
        saved.examples(run(tmp_path), table.with_columns(change))


@pytest.mark.parametrize("column", ["y", "s", "a"])
def test_a_column_that_is_not_there_is_named(tmp_path, table, column):
    with pytest.raises(Refusal, match=f"the table lacks column '{column}' of the fit"):
        saved.examples(run(tmp_path), table.drop(column))


def test_a_gap_is_refused_where_the_fit_refused_it(tmp_path, table):
    with pytest.raises(InputError, match="column 'kind' is missing in row 3"):
        saved.examples(run(tmp_path, missing="error"), table)


def test_texts_and_truth_values_are_labels_too(tmp_path, table):
    known = run(tmp_path, labels=["no", "yes"], label_type="String")
    rows = saved.examples(known, table.with_columns(y=pl.Series(["yes", "no", "no", "x", "no"])))
    np.testing.assert_array_equal(rows.y, [1, 0, 0])
    known = run(tmp_path, labels=[False, True], label_type="Boolean")
    rows = saved.examples(known, table.with_columns(y=pl.col("a") > 1))
    np.testing.assert_array_equal(rows.y, [0, 1, 1])


def test_one_probability_becomes_two():
    p = saved.probabilities(np.array([0.25, 1.0]))
    np.testing.assert_array_equal(p, [[0.75, 0.25], [0, 1]])
    assert saved.probabilities(p) is p
