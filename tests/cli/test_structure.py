"""``mlmath fit pca`` and its like: rows without a target, described, saved and applied."""

import json
import re

import numpy as np
import polars as pl
import pytest

from mlmath.cli import structures
from mlmath.data import datasets
from mlmath.latent import pca


def run(shell, *words):
    code, shown, complaint = shell("fit", *words, "--out", "run", "--json")
    assert code == 0, complaint
    return json.loads(shown)


def test_the_shell_fits_what_the_function_fits(shell):
    found = run(shell, "pca", "iris", "--raw", "--k", "3")
    X = datasets.load("iris").drop("species").to_numpy()
    fitted = pca.fit(X, k=3)
    np.testing.assert_allclose(found["certificate"]["objective"], fitted.certificate.objective)
    assert found["certificate"]["converged"]
    assert (found["target"], found["rows_fitted"], found["labels"]) == ("species", 150, [])
    code, shown, _ = shell("predict", "run", "iris")
    assert code == 0
    predicted = pl.read_csv(shown.encode())
    assert predicted.columns == ["component 1", "component 2", "component 3"]
    ours = (X - np.asarray(fitted.params.mean)) @ np.asarray(fitted.params.components).T
    np.testing.assert_allclose(predicted.to_numpy(), ours, atol=1e-8)


def test_columns_are_standardised_unless_raw(shell):
    found = run(shell, "pca", "iris")
    X = datasets.load("iris").drop("species").to_numpy()
    fitted = pca.fit((X - X.mean(0)) / X.std(0))
    np.testing.assert_allclose(found["certificate"]["objective"], fitted.certificate.objective)


def test_weights_count_and_the_target_and_ignored_columns_are_left_out(shell):
    rng = np.random.default_rng(0)
    table = pl.DataFrame(rng.normal(size=(30, 4)), schema=["a", "b", "c", "kind"])
    table = table.with_columns(w=pl.Series(rng.integers(0, 3, 30)))
    table.write_csv("t.csv")
    repeated = pl.concat([table.filter(pl.col("w") >= k) for k in (1, 2)]).drop("w")
    repeated.write_csv("r.csv")
    words = ["--target", "kind", "--ignore", "c"]
    weighted = run(shell, "pca", "t.csv", "--weight", "w", *words)
    assert [c["name"] for c in weighted["columns"]] == ["a", "b"]
    code, shown, _ = shell("fit", "pca", "r.csv", *words, "--out", "again", "--json")
    assert code == 0
    again = json.loads(shown)["certificate"]["objective"]
    np.testing.assert_allclose(weighted["certificate"]["objective"], again, rtol=1e-9)


def test_a_table_needs_no_target(shell):
    pl.DataFrame({"a": [1.0, 2, 4, 8], "kind": ["p", "q", "q", "p"]}).write_csv("t.csv")
    found = run(shell, "pca", "t.csv", "--k", "1")
    assert found["target"] == ""
    assert "left out" not in shell("fit", "pca", "t.csv", "--k", "1", "--out", "b")[1]


def test_the_facts_name_shares_columns_and_certificate(shell):
    shown = shell("fit", "pca", "iris", "--out", "run")[1]
    assert "95.8% of the variance by 2 components" in shown
    assert "72.9%: +0.58 petal_length" in shown or "73.0%: +0.58 petal_length" in shown
    assert re.search(r"left out +species$", shown, re.MULTILINE)
    assert "converged, 0 steps" in shown


def test_the_report_holds_the_figures_of_the_method(shell):
    run(shell, "pca", "digits", "--k", "61")
    with open("run/report.html") as file:
        page = file.read()
    for caption in ("Variance of each", "Rows and columns along", "Images and what the first"):
        assert caption in page


def test_gaps_are_refused_dropped_or_filled(shell):
    table = pl.DataFrame({"a": [1.0, None, 4, 8, 3], "b": [2.0, 1, 1, 5, 0]})
    table.write_csv("t.csv")
    complaint = shell("fit", "pca", "t.csv", "--out", "run")[2]
    assert "column 'a' is missing in row 2" in complaint
    assert run(shell, "pca", "t.csv", "--missing", "drop")["rows_fitted"] == 4
    code, shown, _ = shell("predict", "run", "t.csv")
    assert code == 0
    assert pl.read_csv(shown.encode()).null_count().row(0) == (1, 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pca", "iris", "--k", "5"], "--k is 5, too many for 150 rows that count and 4 feature"),
        (["pca", "iris", "--k", "0"], "--k must be a whole number from 1"),
        (["pca", "iris", "--target", "speces"], "did you mean 'species'"),
        (["pca", "iris", "--wide"], "there is no option '--wide'"),
        (["pca"], "DATA is missing"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(shell, words, said):
    code, shown, complaint = shell("fit", *words)
    assert (code, shown) == (2, "")
    assert said in complaint
    assert complaint.count("\n") == 1


def test_bad_tables_are_refused_in_one_sentence(shell):
    for text, said in (
        ("a,b\n1,2\n", "there is one row to learn from"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2\n1,3\n", "column 'a' is constant"),
        ("a,b\n1,inf\n2,3\n", "numbers must be finite"),
    ):
        with open("t.csv", "w") as file:
            file.write(text)
        code, _, complaint = shell("fit", "pca", "t.csv", "--k", "1")
        assert code == 2
        assert said in complaint, complaint


@pytest.mark.parametrize("verb", ["verify", "influence", "sweep"])
def test_what_judges_predictions_says_why_it_does_not_take_it(shell, verb):
    run(shell, "pca", "iris")
    words = {"verify": ["run", "iris"], "influence": ["run"]}
    code, _, complaint = shell(verb, *words.get(verb, ["pca", "iris", "--over", "k=1,2"]))
    assert code == 2
    assert "pca describes rows and predicts no column" in complaint


def test_a_tampered_record_is_refused(shell):
    run(shell, "pca", "iris")
    with open("run/run.json") as file:
        record = json.load(file)
    for changed in ({"k": 3}, {"k": -1}, {"k": "2"}, {"depth": 2}):
        with open("run/run.json", "w") as file:
            json.dump(record | {"hyperparameters": changed}, file)
        code, _, complaint = shell("predict", "run", "iris")
        assert code == 2
        assert "damaged" in complaint or changed == {"k": 3}


def test_a_tampered_record_of_clusters_is_refused(shell):
    run(shell, "kmeans", "iris", "--k", "2", "--seeds", "1")
    with open("run/run.json") as file:
        record = json.load(file)
    for changed in ({"seeds": 0}, {"k": 99999}, {"seed": -1}, {"covariance": "full"}):
        with open("run/run.json", "w") as file:
            json.dump(record | {"hyperparameters": record["hyperparameters"] | changed}, file)
        code, _, complaint = shell("predict", "run", "iris")
        assert code == 2
        assert "damaged" in complaint
    assert set(structures.STRUCTURES) >= {"pca"}
