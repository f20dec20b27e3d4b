import io
import json
from types import SimpleNamespace

import jax
import numpy as np
import polars as pl
import pytest

from mlmath.cli import candidates, choices, metrics, validation
from mlmath.evaluate import selection
from mlmath.plot import selection as plots

_OPTIONS = SimpleNamespace(folds=5, repeats=1)


def _judged(values, shown, *, sign=1):
    """What validation returns for these scores as people read them."""
    shown = np.asarray(shown, float)
    choice = selection.choose(sign * shown, simplicity=candidates.simplicity(values))
    return validation.Validated(
        candidates.grid(values), shown, np.full(shown.shape[1], len(shown)),
        jax.tree.map(np.asarray, choice), sign, 2.0,
    )  # fmt: skip


def _gathered(**given):
    plain = {"target": "t", "labels": [], "y": np.zeros(50), "left_out": 0}
    return SimpleNamespace(**plain | given)


VALUES = {"l2": [1.0, 2.0, 4.0, 8.0]}
LOSSES = np.array([[3.0, 1.0, 1.2, 5.0], [5.0, 2.0, 2.2, 6.0], [4.0, 1.5, 1.6, np.nan]])


@pytest.fixture
def losses():
    return _judged(VALUES, LOSSES, sign=-1)


def _facts(judged, values, metric, **given):
    return choices.facts(judged, values, _gathered(**given), _OPTIONS, metric)


def test_a_loss_is_shown_without_its_minus_and_the_smallest_is_best(losses):
    metric = metrics.find("mean_squared_error", "number")
    facts = _facts(losses, VALUES, metric)
    assert facts["metric"] == "mean squared error, lower is better"
    assert facts["best"] == "1.5 ± 0.29 at l2 = 2"  # std([1, 2, 1.5], ddof=1) / √3
    assert facts["one-standard-error choice"] == (
        "1.6667 ± 0.29 at l2 = 4, the greatest l2 within one standard error of the best"
    )
    assert facts["candidates"] == "4: l2 from 1 to 8; 1 without a finite score"
    assert facts["fits"] == "12 in 2.00 s, 6 per second with compilation; all converged"
    header, rows = choices.table(losses, metric)
    assert header == ["rank", "l2", "mean squared error", "standard error", "converged", ""]
    assert [row[:3] for row in rows] == [
        ["1", "2", "1.5"], ["2", "4", "1.6667"], ["3", "1", "4"],
    ]  # fmt: skip
    assert [row[-1] for row in rows] == ["best", "one-standard-error choice", ""]
    assert choices.listed(losses)["rank 1"] == "1.5 ± 0.29 at l2 = 2, converged in 3 of 3, best"


def test_a_candidate_that_is_not_proved_looks_so_in_the_terminal_and_in_the_report(losses):
    unproved = losses._replace(converged=np.array([3, 3, 1, 3]))
    _, rows = choices.table(unproved, metrics.find("mean_squared_error", "number"))
    assert [row[4] for row in rows] == ["3 of 3", "1 of 3", "3 of 3"]
    listed = list(choices.listed(unproved).values())
    assert ["converged in 1 of 3" in line for line in listed] == [False, True, False]
    assert ["converged in 3 of 3" in line for line in listed] == [True, False, True]


def test_the_record_is_plain_json_with_every_candidate(losses):
    metric = metrics.find("mean_squared_error", "number")
    found = choices.record(losses, VALUES, _OPTIONS, metric)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["mean"] == [4.0, 1.5, pytest.approx(5 / 3), None]
    assert found["best"]["l2"] == 2.0
    assert found["one_standard_error"]["l2"] == 4.0
    assert (found["failed"], found["fits"], found["fits_per_second"]) == (1, 12, 6.0)
    assert (found["metric"], found["better"]) == ("mean_squared_error", "lower")
    assert found["over"] == VALUES


def test_the_file_of_candidates_holds_the_score_of_every_fold(losses):
    table = pl.read_csv(io.BytesIO(choices.every(losses)))
    assert table.columns == [
        "l2", "mean", "standard error", "converged", "fold 1", "fold 2", "fold 3",
    ]  # fmt: skip
    np.testing.assert_array_equal(table["fold 2"], LOSSES[1])
    assert table["fold 3"].to_list()[-1] is None


def test_the_simplest_is_in_the_table_wherever_it_ranks():
    values = {"l2": [float(k) for k in range(30)]}
    level = -1e-3 * np.arange(30.0)
    judged = _judged(values, np.stack([level - 1, level + 1]))
    _, rows = choices.table(judged, metrics.find(None, "number"))
    assert [row[0] for row in rows] == [*map(str, range(1, 11)), "30"]
    assert rows[-1][-1] == "one-standard-error choice"


@pytest.mark.parametrize(
    ("means", "note"),
    [
        ([3, 2, 1], "the best has the smallest l2 tried; a wider --over may hold a better"),
        ([1, 2, 3], "the best has the greatest l2 tried; a wider --over may hold a better"),
        ([1, 2, 1], None),
        ([2, 2, 1], None),  # a plateau is no edge
    ],
)
def test_a_best_at_the_edge_is_said(means, note):
    values = {"l2": [1.0, 2.0, 3.0]}
    judged = _judged(values, np.stack([means, means]))
    assert _facts(judged, values, metrics.find(None, "number")).get("note") == note


def test_an_edge_of_two_hyperparameters_is_named():
    values = {"learning_rate": [1.0, 2.0, 3.0], "decay": [0.0, 1.0, 2.0]}
    scores = np.zeros(9)
    scores[5] = 1  # learning_rate 2, decay 2
    facts = _facts(_judged(values, [scores, scores]), values, metrics.find(None, "number"))
    assert facts["note"].startswith("the best has the greatest decay tried;")
    assert facts["best"] == "1 ± 0 at learning_rate = 2, decay = 2"


def test_classes_and_left_out_rows_are_said():
    facts = _facts(
        _judged(VALUES, np.ones((5, 4))), VALUES, metrics.find("recall", "two classes"),
        labels=["no", "yes"], left_out=7,
    )  # fmt: skip
    assert facts["folds"] == "5, of 50 rows, classes alike in all; 7 rows left out"
    assert facts["metric"] == "recall of yes, higher is better"


def test_figures_are_a_curve_for_one_a_map_and_curves_for_two_curves_for_three(monkeypatch):
    drawn = []
    curve, map_ = plots.validation_curve, plots.score_map

    def spy(values, scores, **given):
        drawn.append((list(values), np.asarray(scores).mean(axis=0).tolist(), given))
        return curve(values, scores, **given)

    monkeypatch.setattr(plots, "validation_curve", spy)
    monkeypatch.setattr(
        plots, "score_map", lambda *a, **k: drawn.append((*map(list, a[:2]), k)) or map_(*a, **k)
    )
    metric = metrics.find(None, "number")
    one = choices.figures(_judged(VALUES, np.arange(8.0).reshape(2, 4)), metric, [])
    assert list(one) == ["R² against l2"]
    assert drawn[0][:2] == ([1, 2, 4, 8], [2, 3, 4, 5])
    assert (drawn[0][2]["best"], drawn[0][2]["simplest"]) == (3, 3)
    drawn.clear()
    values = {"l2": [1.0, 2.0], "decay": [0.0, 1.0, 2.0], "tolerance": [0.5]}
    two = choices.figures(_judged(values, [[0, 9, 2, 3, 4, 5], [0, 8, 2, 3, 4, 5]]), metric, [])
    assert list(two) == [
        "R² over l2 and decay",
        "R² against l2, decay = 1, tolerance = 0.5",
        "R² against decay, l2 = 1, tolerance = 0.5",
    ]
    assert all(image.startswith(b"\x89PNG") for image in two.values())
    assert drawn[1][:2] == ([1, 2], [8.5, 4])
    assert drawn[2][:2] == ([0, 1, 2], [0, 8.5, 2])
    assert drawn[2][2]["best"] == 1
    values = {"l2": [1.0, 2.0], "decay": [0.0, 1.0], "tolerance": [0.5, 0.6]}
    three = choices.figures(_judged(values, np.arange(16.0).reshape(2, 8)), metric, [])
    assert len(three) == 3
