import numpy as np
import pytest

from mlmath.cli import candidates, methods
from mlmath.cli.refusal import Refusal


def _read(model, *texts):
    return candidates.read(texts, model, methods.find(model))


def test_a_range_is_geometric_from_a_factor_of_a_hundred_on():
    np.testing.assert_allclose(_read("ridge", "l2=0.1:10:5")["l2"], np.geomspace(0.1, 10, 5))
    np.testing.assert_allclose(_read("ridge", "l2=0.1:9.9:5")["l2"], np.linspace(0.1, 9.9, 5))
    np.testing.assert_allclose(_read("ridge", "l2=0:1000:5")["l2"], np.linspace(0, 1000, 5))
    assert _read("ridge", "l2=3:1e4:1") == {"l2": [3.0]}


def test_a_list_is_sorted_and_each_value_is_there_once():
    assert _read("ridge", "l2=10,0,1e1,2") == {"l2": [0.0, 2.0, 10.0]}


def test_whole_numbers_are_rounded_to_distinct_ones():
    found = _read("perceptron", "max-steps=1:100:12")["max_steps"]
    assert found == sorted({round(v) for v in np.geomspace(1, 100, 12)})
    assert all(type(v) is int for v in found)
    assert _read("perceptron", "max_steps=5,1e1") == {"max_steps": [5, 10]}


def test_the_grid_is_the_product_with_the_last_name_fastest():
    found = candidates.grid(_read("adaline", "learning_rate=1,2", "decay=0,1,5"))
    pairs = [(a, b) for a in (1, 2) for b in (0, 1, 5)]
    assert list(zip(found["learning_rate"], found["decay"], strict=True)) == pairs


def test_the_simplest_follows_the_training_rows_least():
    values = {"learning_rate": [1.0, 2.0], "decay": [0.0, 1.0, 5.0]}
    grid, order = candidates.grid(values), np.argsort(candidates.simplicity(values))
    ranked = list(zip(grid["learning_rate"][order], grid["decay"][order], strict=True))
    assert ranked == sorted(ranked, key=lambda pair: (-pair[0], pair[1]))
    words = candidates.simplest(values)
    assert words == "the smallest learning_rate, then the greatest decay"
    assert candidates.simplest({"l2": [1.0], "decay": [1.0, 2.0]}) == "the greatest decay"


_BAD = {
    "nothing": ("ridge", [], "say what to sweep, as in --over l2=1e-4:1e4:50; ridge has l2, tol"),
    "name": (
        "ridge",
        ["L_2=1:2:3"],
        "ridge has no hyperparameter 'L_2' to sweep; did you mean 'l2'",
    ),
    "other": ("perceptron", ["epochs=1,2"], "'epochs' to sweep; it has tolerance, max_steps."),
    "static": ("adaline", ["epochs=1,2"], "give one value with --epochs."),
    "classes": ("softmax_regression", ["classes=2,3"], "is read from the data, so it cannot be"),
    "twice": ("ridge", ["l2=1,2", "l2=3"], "--over l2 is said twice"),
    "no values": ("ridge", ["l2"], "cannot read --over 'l2'; write name=low:high:count"),
    "no value": ("ridge", ["l2="], "cannot read --over 'l2='"),
    "no count": ("ridge", ["l2=1:2"], "cannot read --over 'l2=1:2'"),
    "text": ("ridge", ["l2=a:2:3"], "cannot read --over 'l2=a:2:3'"),
    "count 0": ("ridge", ["l2=1:2:0"], "must be a whole number from 1 to 10000, got '0'."),
    "count 2.5": ("ridge", ["l2=1:2:2.5"], "must be a whole number from 1 to 10000, got '2.5'."),
    "huge count": ("ridge", ["l2=1:2:99999999999"], "must be a whole number from 1 to 10000"),
    "falling": ("ridge", ["l2=2:1:5"], "is empty; write the smaller number first."),
    "one point": ("ridge", ["l2=2:2:5"], "is empty"),
    "nan": ("ridge", ["l2=nan,1"], "must hold finite numbers."),
    "infinite": ("ridge", ["l2=1:inf:3"], "must hold finite numbers."),
    "negative": ("ridge", ["l2=-1:1:3"], "over l2 must be a finite number from 0 up, got -1."),
    "zero rate": ("adaline", ["learning_rate=0:1:3"], "must be a finite number above 0, got 0."),
    "part": ("perceptron", ["max_steps=1.5,2"], "must be a whole number from 0 to 2147483647, got"),
    "large": ("perceptron", ["max_steps=1e300"], "must be a whole number from 0 to 2147483647"),
    "too many": ("ridge", ["l2=0:1:2000", "tolerance=0:1:6"], "makes 12000 candidates, and 10000"),
}


@pytest.mark.parametrize("case", _BAD)
def test_what_says_no_values_is_refused_in_one_sentence(case):
    model, texts, sentence = _BAD[case]
    with pytest.raises(Refusal) as refused:
        _read(model, *texts)
    assert sentence in str(refused.value)
