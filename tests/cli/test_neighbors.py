"""``mlmath fit nearest_neighbors``: rows that are remembered, scored and applied."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

import mlmath
from mlmath.cli import figures, neighbors
from mlmath.data import datasets
from mlmath.kernels import nearest_neighbors


def run(shell, *words):
    code, shown, complaint = shell("fit", "nearest_neighbors", *words, "--out", "run", "--json")
    assert code == 0, complaint
    return json.loads(shown)


def predictions(shell, data):
    code, shown, _ = shell("predict", "run", data)
    assert code == 0
    return pl.read_csv(shown.encode())


def test_classes_are_predicted_as_by_the_function(shell):
    found = run(shell, "iris", "--raw", "--k", "7", "--weighting", "inverse_distance")
    assert found["certificate"] is None
    assert found["hyperparameters"]["weighting"] == "inverse_distance"
    assert found["held_out"]["accuracy"] > 0.9
    X, y = datasets.arrays("iris")
    params = nearest_neighbors.init(X[:-5], y[:-5])
    vote = partial(
        nearest_neighbors.probabilities, classes=3, k=7,
        weighting=nearest_neighbors.inverse_distance,
    )  # fmt: skip
    table = datasets.load("iris")
    table.head(145).write_csv("some.csv")
    run_again = shell(
        "fit", "nearest_neighbors", "some.csv", "--target", "species", "--raw", "--k", "7",
        "--weighting", "inverse_distance", "--out", "again",
    )  # fmt: skip
    assert run_again[0] == 0
    table.tail(5).write_csv("new.csv")
    shown = shell("predict", "again", "new.csv")[1]
    ours = pl.read_csv(shown.encode()).drop("species").to_numpy()
    np.testing.assert_allclose(ours, mlmath.rows(vote)(params, X[-5:]), atol=1e-9)


def test_numbers_are_predicted_and_scored(shell):
    found = run(shell, "diabetes", "--k", "20")
    assert found["held_out"]["r_squared"] > 0.25
    assert found["hyperparameters"] == {"k": 20, "votes": None, "weighting": "uniform"}
    assert predictions(shell, "diabetes").columns == ["progression"]


def test_with_one_neighbor_the_rows_predict_themselves(shell):
    run(shell, "diabetes", "--k", "1")
    predicted, table = predictions(shell, "diabetes"), datasets.load("diabetes")
    np.testing.assert_allclose(predicted["progression"], table["progression"])


def test_the_facts_promise_no_proof(shell):
    shown = shell("fit", "nearest_neighbors", "iris", "--out", "run")[1]
    assert "certificate" not in shown
    assert "held-out score" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["iris", "--k", "151"], "--k is 151, but there are 150 rows that count"),
        (["iris", "--k", "0"], "--k must be a whole number from 1"),
        (["iris", "--votes", "0"], "--votes must be a finite number above 0"),
        (["iris", "--weighting", "far"], "--weighting must be one of uniform, inverse_distance"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(shell, words, said):
    code, shown, complaint = shell("fit", "nearest_neighbors", *words)
    assert (code, shown) == (2, "")
    assert said in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("verb", ["verify", "influence", "sweep"])
def test_what_judges_a_minimum_says_why_it_does_not_take_it(shell, verb):
    run(shell, "iris")
    words = {"verify": ["run", "iris"], "influence": ["run"]}
    given = words.get(verb, ["nearest_neighbors", "iris", "--over", "k=1,2"])
    code, _, complaint = shell(verb, *given)
    assert code == 2
    assert "nearest_neighbors remembers its rows and minimises nothing" in complaint


def test_a_tampered_record_is_refused(shell):
    run(shell, "iris")
    with open("run/run.json") as file:
        record = json.load(file)
    good = record["hyperparameters"]
    for changed in (
        {"k": 0},
        {"k": None},
        {"k": 10**6},
        {"weighting": "exec"},
        {"depth": 2},
        {"votes": -1.0},
        {"k": 5.0},
        {"k": 200},
    ):
        with open("run/run.json", "w") as file:
            json.dump(record | {"hyperparameters": good | changed}, file)
        code, _, complaint = shell("predict", "run", "iris")
        assert code == 2
        assert "damaged" in complaint


def test_rows_that_do_not_count_have_no_vote(shell):
    table = pl.DataFrame({"a": [0.0, 1, 2, 3, 9], "y": [0, 1, 2, 1, 99], "w": [1, 1, 1, 1, 0]})
    table.write_csv("t.csv")
    words = ["--target", "y", "--weight", "w", "--task", "number"]
    complaint = shell("fit", "nearest_neighbors", "t.csv", "--k", "5", *words)[2]
    assert "--k is 5, but there are 4 rows that count; take fewer" in complaint
    run(shell, "t.csv", "--k", "4", *words)
    predicted = predictions(shell, "t.csv")
    assert predicted.columns == ["y"]
    np.testing.assert_allclose(predicted["y"], 1)


def test_figures_are_those_of_a_number_two_classes_or_several(monkeypatch):
    for name in ("number", "two", "several"):
        monkeypatch.setattr(figures, name, lambda held, name=name: {name: held})
    assert neighbors.figures(None) == {}
    for count, name in ((0, "number"), (2, "two"), (3, "several")):
        assert list(neighbors.figures(SimpleNamespace(labels=[1] * count))) == [name]
