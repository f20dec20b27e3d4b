"""``mlmath fit pca`` and its like: rows without a target, described, saved and applied."""

import hashlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from mlmath.cli import methods, structure, structures
from mlmath.cli.refusal import Refusal
from mlmath.data import datasets, readers
from mlmath.latent import pca
from mlmath.statistics import padding


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
    assert (found["raw"], found["data"]["path"]) == (True, None)
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
    words = ["--target", "kind", "--ignore", "c", "--k", "1"]
    weighted = run(shell, "pca", "t.csv", "--weight", "w", *words)
    assert [c["name"] for c in weighted["columns"]] == ["a", "b"]
    assert (weighted["weight"], weighted["raw"]) == ("w", False)
    assert weighted["rows"] == padding.bucket(weighted["rows_fitted"])
    data, file = weighted["data"], Path("t.csv")
    assert data["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert data["path"] == str(file.resolve())
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
    found = run(shell, "pca", "t.csv", "--missing", "drop")
    assert (found["rows_fitted"], found["rows_left_out"], found["missing"]) == (4, 1, "drop")
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


def test_the_number_of_components_that_is_not_named_may_be_too_many(shell):
    pl.DataFrame({"a": [1.0, 2, 4]}).write_csv("t.csv")
    complaint = shell("fit", "pca", "t.csv")[2]
    assert "--k is 2, too many for 3 rows that count and 1 feature columns" in complaint


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
    run(shell, "kmeans", "iris", "--k", "2", "--seeds", "1", "--seed", "3")
    with open("run/run.json") as file:
        record = json.load(file)
    assert record["seed"] == record["hyperparameters"]["seed"] == 3
    for changed in ({"seeds": 0}, {"k": 99999}, {"seed": -1}, {"covariance": "full"}):
        with open("run/run.json", "w") as file:
            json.dump(record | {"hyperparameters": record["hyperparameters"] | changed}, file)
        code, _, complaint = shell("predict", "run", "iris")
        assert code == 2
        assert "damaged" in complaint
    assert set(structures.STRUCTURES) >= {"pca"}


@pytest.mark.parametrize(
    "changed", [{"covariance": "x"}, {"covariance": 1}, {"seeds": 0}, {"seed": -1}, {"seeds": 1.0}],
    ids=str,
)  # fmt: skip
def test_a_record_of_a_mixture_that_no_run_writes_is_refused(changed):
    good = {"covariance": "tied", "seeds": 1, "seed": 0, "k": 2, "prior_scale": None}
    structure.part({"model": "gaussian_mixture", "hyperparameters": good})
    with pytest.raises(Refusal, match="damaged"):
        structure.part({"model": "gaussian_mixture", "hyperparameters": good | changed})


def test_clusters_are_those_of_standard_units_with_weights(shell):
    rng = np.random.default_rng(0)
    far = np.repeat([0.0, 9.0], 15)[:, None]
    X, w = (rng.normal(size=(30, 2)) + far) * [1.0, 50.0] + [3.0, 0.0], rng.integers(0, 4, 30)
    table = pl.DataFrame(X, schema=["a", "b"]).with_columns(w=pl.Series(w))
    table.write_csv("t.csv")
    words = ["t.csv", "--k", "2", "--seeds", "1", "--weight", "w", "--out", "run"]
    code, shown, complaint = shell("fit", "kmeans", *words)
    assert code == 0, complaint
    center = np.average(X, axis=0, weights=w)
    Z = (X - center) / np.sqrt(np.average((X - center) ** 2, axis=0, weights=w))
    halves = [slice(0, 15), slice(15, 30)]
    means = np.stack([np.average(Z[h], axis=0, weights=w[h]) for h in halves])
    apart = ((Z - np.repeat(means, 15, axis=0)) ** 2).sum(axis=1)
    assert f"{1 - w @ apart / (w @ (Z**2).sum(axis=1)):.1%} less than one cluster's" in shown
    for h in halves:
        mean = np.average(X[h], axis=0, weights=w[h])
        assert f"{w[h].sum()} rows, mean" in shown
        assert f"b {mean[1]:.4g}" in shown
    predicted = pl.read_csv(shell("predict", "run", "t.csv")[1].encode())
    assert predicted.columns[:2] == ["cluster", "distance in standard units"]
    np.testing.assert_allclose(predicted["distance in standard units"], np.sqrt(apart), rtol=1e-6)


def test_a_fit_without_a_finite_answer_is_refused(shell):
    pl.DataFrame({"a": [0.0, 1.0]}).write_csv("t.csv")
    code, shown, complaint = shell("fit", "gaussian_mixture", "t.csv", "--k", "2", "--seeds", "1",
                                   "--covariance", "spherical")  # fmt: skip
    assert (code, shown) == (2, "")
    assert "the fit has no finite answer; give --prior-rows 1, or leave out" in complaint
    assert "prior" not in str(structure._no_answer("pca"))


def test_what_predict_writes_names_its_unit():
    for name, applied, unit in (
        ("kmeans", np.ones((3, 2)), "distance"),
        ("gaussian_mixture", np.ones((3, 2)), "log density"),
    ):
        record = {"model": name, "raw": False}
        assert f"{unit} in standard units" in structure.columns(record, applied)
        assert unit in structure.columns(record | {"raw": True}, applied)


@pytest.mark.parametrize(
    "given", [{"seeds": 0}, {"seeds": 2**16}, {"seed": -1}, {"seed": 2**31}], ids=str
)
def test_numbers_of_starts_that_no_run_could_take_are_refused(given):
    most = {"seeds": 2**16 - 1, "seed": 2**31 - 1}
    structure.refuse_seeds(SimpleNamespace(**most))
    with pytest.raises(Refusal):
        structure.refuse_seeds(SimpleNamespace(**most | given))


def test_own_options_of_methods_and_the_page_that_tells_of_them():
    assert structure.defaults("kmeans", 7) == {"seeds": 10, "seed": 7}
    assert structure.defaults("pca", 7) == {}
    method = methods.find("gaussian_mixture")
    for kind in structure.COVARIANCES:
        page = structure._page(method, {"covariance": kind})
        assert page.fit.module == f"mlmath.latent.{kind}_mixture"
    assert structure._page(methods.find("pca"), {}) == methods.find("pca")


def test_the_facts_say_what_was_left_out_and_what_has_not_converged():
    record = {
        "certificate": {"gap": 0.5, "converged": False, "steps": 7}, "rows_left_out": 3,
        "rows_fitted": 5, "columns": [{}], "data": {"name": "t"}, "target": "",
        "seconds": {"first": 0.5}, "device": "cpu", "dtype": "float32",
    }  # fmt: skip
    facts = structure._facts(record)
    assert facts["data"] == "t: 5 rows, 3 left out, 1 columns"
    assert facts["certificate"] == "gap 5.0e-01 (NOT converged, 7 steps)"
    assert facts["device"] == "cpu, float32"
    assert "left out" not in facts


def test_units_are_those_of_the_transformation_unless_raw():
    learnt = SimpleNamespace(center=np.array([1.0, 2.0]), scale=np.array([3.0, 4.0]))
    params = SimpleNamespace(model=SimpleNamespace(transformation=learnt))
    np.testing.assert_array_equal(structure._units(params, False), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(structure._units(params, True), [[0], [1]])


def test_rows_of_a_sweep_are_in_standard_units_unless_raw(shell):
    a, w = np.array([1.0, 2, 5, 9]), np.array([1, 2, 0, 3])
    pl.DataFrame({"a": a, "kind": ["p", "q", "p", "q"], "w": w}).write_csv("t.csv")
    source = readers.read("t.csv")
    options = SimpleNamespace(target=None, ignore=(), weight="w", missing="refuse", raw=True)
    X = np.c_[a, [1, 0, 1, 0], [0, 1, 0, 1]][w > 0]
    found = structure.rows("kmeans", source, options, "float64")
    counts = w[w > 0]
    np.testing.assert_array_equal(found.X[found.weight > 0], X)
    np.testing.assert_array_equal(found.weight[found.weight > 0], counts)
    options.raw = False
    found = structure.rows("kmeans", source, options, "float64")
    apart = X - np.average(X, axis=0, weights=counts)
    Z = apart / np.sqrt(np.average(apart**2, axis=0, weights=counts))
    np.testing.assert_allclose(found.X[found.weight > 0], Z)
