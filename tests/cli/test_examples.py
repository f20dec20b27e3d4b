from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from mlmath.cli import examples
from mlmath.data.errors import InputError
from mlmath.data.readers import Source, parse_csv

_TABLE = pl.DataFrame(
    {
        "a": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "b": [1.0, None, 2.0, 5.0, 1.0, 0.0],
        "kind": ["x", "y", "x", "y", "z", "z"],
        "s": [1.0, 2.0, 0.0, 1.0, 1.0, 1.0],
        "label": ["no", "no", "yes", "yes", "no", "yes"],
        "y": [1.0, 2.0, 4.0, 3.0, None, 5.0],
    }
)


def _gather(task="two classes", table=_TABLE, **options):
    given = {"target": "label", "weight": None, "ignore": (), "missing": "drop", "wide": False}
    return examples.gather(Source(table, "t", "0", None), task, SimpleNamespace(**given | options))


def test_labels_are_numbered_in_their_order_and_kept_as_they_stand():
    found = _gather(ignore=("y", "b"))
    assert (found.labels, found.label_type) == (["no", "yes"], "String")
    np.testing.assert_array_equal(found.y, [0, 0, 1, 1, 0, 1])
    numbers = _gather("classes", target="a", ignore=("y", "b"))
    assert (numbers.labels, numbers.label_type) == ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "Float64")


def test_rows_with_gaps_are_dropped_and_counted():
    found = _gather(wide=True)
    assert (len(found.y), found.left_out) == (4, 2)
    np.testing.assert_array_equal(found.features["a"], [1, 3, 4, 6])


def test_a_row_of_weight_0_is_absent_whatever_it_holds():
    table = _TABLE.with_columns(
        a=pl.when(pl.col("s") > 0).then("a").otherwise(float("inf")),
        kind=pl.when(pl.col("s") > 0).then("kind").otherwise(pl.lit("never")),
        label=pl.when(pl.col("s") > 0).then("label"),
    )
    found = _gather(table=table, weight="s", missing="mean", ignore=("y",), wide=True)
    np.testing.assert_array_equal(found.weight, [1, 2, 1, 1, 1])
    assert found.left_out == 1
    by_name = {column.name: column for column in found.columns}
    assert by_name["kind"].categories == ("x", "y", "z")
    assert by_name["b"].filling == (1.0 + 5.0 + 1.0 + 0.0) / 4
    assert set(by_name) == {"a", "b", "kind"}


@pytest.mark.parametrize(
    ("task", "options", "sentence"),
    [
        ("number", {"target": "labell"}, "there is no column 'labell'; did you mean 'label'?"),
        ("number", {"weight": "sx"}, "there is no column 'sx'"),
        ("number", {"ignore": ("kin",)}, "there is no column 'kin'; did you mean 'kind'?"),
        ("number", {}, "the target 'label' holds text, and this model predicts a number"),
        ("number", {"target": "y", "missing": "mean"}, "column 'y' is missing in row 5"),
        ("number", {"target": "y", "missing": "error"}, "left out with --missing drop"),
        ("number", {"target": "a", "missing": "error", "ignore": ("y",)}, "is missing in row 2"),
        ("two classes", {"target": "kind", "ignore": ("b", "y")}, "has 3 classes (x, y, z)"),
        ("two classes", {"target": "kind", "ignore": ("b", "y")}, "take softmax_regression"),
        ("number", {"target": "a", "weight": "kind"}, "column 'kind' holds the text 'x' in row 1"),
        ("number", {"target": "a", "weight": "b"}, "column 'b' is missing in row 2"),
        ("number", {"target": "a", "ignore": ("b", "kind", "s", "label", "y")}, "no column is"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(task, options, sentence):
    with pytest.raises(InputError) as refused:
        _gather(task, **options)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("columns", "task", "sentence"),
    [
        ({"w": [1.0, -2.0, 1.0]}, "number", "column 'w' is -2.0 in row 2; a weight is 0 or more."),
        ({"w": [0.0, 0.0, 0.0]}, "number", "every weight in column 'w' is 0."),
        ({"y": [7.0, 7.0, 7.0]}, "number", "the target 'y' is 7.0 in every row"),
        ({"y": [7.0, 7.0, 7.0]}, "two classes", "has one class only, 7.0"),
        ({"a": [2.0, 2.0, 2.0]}, "number", "column 'a' is constant (2.0 in every row)"),
        ({"a": ["p", "q", "r"]}, "number", "there are 4 feature columns but 3 rows"),
    ],
)
def test_what_cannot_be_learnt_from_is_one_sentence(columns, task, sentence):
    columns = {"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, 5.0], "y": [1.0, 2.0, 3.0]} | columns
    options = {"target": "y", "weight": "w" if "w" in columns else None}
    with pytest.raises(InputError) as refused:
        _gather(task, pl.DataFrame(columns), **options)
    assert sentence in str(refused.value)


@pytest.mark.parametrize("task", ["number", "two classes", "classes"])
@pytest.mark.parametrize(
    "options", [{}, {"weight": "w"}, {"missing": "drop"}, {"missing": "error"}]
)
def test_one_row_is_too_few_and_that_is_said_first(task, options):
    table = pl.DataFrame({"a": [1.0, None], "b": [2.0, 2.0], "y": [0.0, 1.0], "w": [1.0, 0.0]})
    table = table if options.get("weight") else table.head(1 + ("drop" in options.values()))
    with pytest.raises(InputError) as refused:
        _gather(task, table, **{"target": "y", "missing": "error"} | options)
    assert str(refused.value) == (
        "there is one row to learn from, and two at least are needed; add rows."
    )


def test_a_column_called_target_or_y_needs_no_flag():
    assert _gather("number", target=None, ignore=("b", "kind", "label")).target == "y"
    with pytest.raises(InputError, match=r"say which column to predict with --target; there are a"):
        _gather("number", _TABLE.drop("y"), target=None)


def test_numbers_that_are_no_classes_are_refused():
    table = pl.DataFrame({"a": np.arange(60.0), "y": np.arange(60.0) ** 2})
    with pytest.raises(InputError, match="60 different numbers, not classes; take ridge"):
        _gather("classes", table, target="y")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (pl.Series([2**64 - 1, 1, 2, 3, 4, 5], dtype=pl.UInt64), "numbers of 2^63 or more"),
        ([[1], [2]] * 3, "holds List(Int64), neither numbers nor text"),
        ([b"a", b"\xff"] * 3, "holds Binary, neither numbers nor text"),
    ],
)
def test_a_target_that_no_model_predicts_is_refused(values, sentence):
    table = _TABLE.select("a", y=pl.Series(values))
    for task in ("number", "two classes"):
        with pytest.raises(InputError) as refused:
            _gather(task, table, target="y")
        assert sentence in str(refused.value)


def test_a_target_named_like_its_own_probability_is_refused():
    table = _TABLE.select("a", pl.col("label").alias("probability of no"))
    with pytest.raises(InputError, match="bears the name of a probability"):
        _gather(table=table, target="probability of no")


def test_the_target_is_neither_left_out_nor_a_weight():
    with pytest.raises(InputError, match="'y' is the target, so --ignore cannot leave it out"):
        _gather("number", target="y", ignore=("y",))
    with pytest.raises(InputError, match="'y' is the target, so it cannot be the --weight too"):
        _gather("number", target="y", weight="y")


def test_columns_that_would_share_a_name_are_refused():
    table = _TABLE.select("a", "label", pl.col("s").alias("kind = x"), "kind")
    with pytest.raises(InputError, match="would be named 'kind = x'"):
        _gather(table=table, wide=True)


@pytest.mark.parametrize("column", ["y", "s"])
def test_nan_in_a_target_or_a_weight_is_a_gap(column):
    rows = "".join(f"{k},{'NAN' if k == 3 else k % 4},{k % 3 + 1}\n" for k in range(1, 9))
    table = parse_csv(f"a,{column},{'s' if column == 'y' else 'y'}\n{rows}".encode())
    with pytest.raises(InputError, match=f"'{column}' is missing in row 3"):
        _gather("number", table, target="y", weight="s", missing="error")
