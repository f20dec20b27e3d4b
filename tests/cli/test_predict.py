import json
import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from mlmath.data import datasets


@pytest.fixture
def titanic(shell):
    words = ["fit", "logistic_regression", "titanic", "--missing", "mean", "--out", "run"]
    assert shell(*words)[0] == 0
    return shell


@pytest.fixture
def simple(shell):
    rng = np.random.default_rng(0)
    table = pl.DataFrame({"a": rng.normal(size=40), "kind": ["p", "q"] * 20})
    table = table.with_columns(y=3 * pl.col("a") + (pl.col("kind") == "q"))
    table.write_csv("t.csv")
    assert shell("fit", "ridge", "t.csv", "--l2", "1e-8", "--out", "run")[0] == 0
    return shell


def test_the_label_as_it_stood_and_a_probability_per_class(titanic):
    code, shown, _ = titanic("predict", "run", "titanic", "--out", "p.csv")
    assert code == 0
    assert "age: 177, embarked: 2" in shown
    predicted, table = pl.read_csv("p.csv"), datasets.load("titanic")
    assert predicted.columns == ["survived", "probability of 0", "probability of 1"]
    p = predicted["probability of 1"].to_numpy()
    np.testing.assert_allclose(p + predicted["probability of 0"].to_numpy(), 1)
    np.testing.assert_array_equal(predicted["survived"], (p > 0.5).astype(int))
    assert (predicted["survived"] == table["survived"]).mean() > 0.78
    with open("run/run.json") as file:
        found = json.load(file)["coefficients"]
    z = found["intercept"] + sum(
        slope * _column(table, name) for name, slope in found["slopes"].items()
    )
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-z)), rtol=1e-9)


def _column(table, name):
    """A column of the matrix by its name, from the table, in plain polars."""
    name, _, text = name.partition(" = ")
    if text:
        return (table[name] == text).fill_null(False).to_numpy().astype(float)
    if name.endswith(" is missing"):
        return table[name.removesuffix(" is missing")].is_null().to_numpy().astype(float)
    return table[name].fill_null(table[name].mean()).to_numpy()


@pytest.mark.parametrize(
    ("model", "data", "target", "kind"),
    [
        ("logistic_regression", "titanic", "survived", int),
        ("ridge", "penguins", "body_mass_g", float),
        ("softmax_regression", "penguins", "species", str),
    ],
)
def test_a_run_is_predicted_from_after_a_restart_and_elsewhere(tmp_path, model, data, target, kind):
    def mlmath(*words, cwd=tmp_path):
        code = f"import sys; from mlmath.cli.main import main; sys.exit(main({list(words)!r}))"
        done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    mlmath("fit", model, data, "--target", target, "--missing", "drop", "--out", "run")
    (tmp_path / "elsewhere").mkdir()
    os.rename(tmp_path / "run", tmp_path / "elsewhere" / "moved")
    table = datasets.load(data)
    features = table.drop(target)
    features.select(reversed(features.columns)).write_parquet(
        tmp_path / "elsewhere" / "new.parquet"
    )
    shown = mlmath(
        "predict", "moved", "new.parquet", "--out", "p.parquet", cwd=tmp_path / "elsewhere"
    )
    gaps = features.select(pl.any_horizontal(pl.all().is_null()).alias("gap"))["gap"]
    assert f"rows with gaps, not predicted  {gaps.sum()}" in shown
    predicted = pl.read_parquet(tmp_path / "elsewhere" / "p.parquet")
    assert predicted.height == table.height
    assert (predicted[target].is_null() == gaps).all()
    both = pl.DataFrame({"p": predicted[target], "y": table[target]}).drop_nulls()
    if kind is int:
        assert both["p"].dtype == pl.Int64
        assert (both["p"] == both["y"]).mean() > 0.78
    elif kind is str:
        assert (both["p"] == both["y"]).mean() > 0.99
        shares = predicted.select(
            pl.sum_horizontal(r"^probability of .*$", ignore_nulls=False).alias("sum")
        )["sum"]
        np.testing.assert_allclose(shares.drop_nulls(), 1)
    else:
        assert both.select(pl.corr("p", "y")).item() > 0.93


def test_an_unseen_text_is_zeros_and_counted(simple):
    pl.DataFrame({"kind": ["p", "never", "q"], "a": [1.0, 1.0, 1.0], "extra": [1, 2, 3]}).write_csv(
        "n.csv"
    )
    code, shown, _ = simple("predict", "run", "n.csv", "--out", "p.csv", "--json")
    facts = json.loads(shown)
    assert code == 0
    assert facts["rows with a text that the fit did not see"] == {"kind": 1}
    assert facts["columns not used"] == ["extra"]
    with open("run/run.json") as file:
        found = json.load(file)["coefficients"]
    expected = [
        found["intercept"] + found["slopes"]["a"] + found["slopes"].get(f"kind = {kind}", 0.0)
        for kind in ("p", "never", "q")
    ]
    np.testing.assert_allclose(pl.read_csv("p.csv")["y"], expected, rtol=1e-9)


def test_without_a_file_the_rows_go_to_the_output_and_the_facts_to_the_other(simple):
    code, shown, told = simple("predict", "run", "t.csv")
    assert code == 0
    assert shown.startswith("y\n")
    assert len(shown.splitlines()) == 41
    assert "rows  40" in told


def test_a_model_without_probabilities_claims_none(shell):
    found = json.loads(shell("fit", "perceptron", "breast_cancer", "--out", "run", "--json")[1])
    assert set(found["held_out"]) == {"accuracy", "baseline_accuracy"}
    assert shell("predict", "run", "breast_cancer", "--out", "p.csv")[0] == 0
    predicted = pl.read_csv("p.csv")
    assert predicted.columns == ["diagnosis"]
    assert (predicted["diagnosis"] == datasets.load("breast_cancer")["diagnosis"]).mean() > 0.95


_BAD = {
    "lacks a column": ("a\n1\n", "the table lacks column 'kind' of the fit"),
    "near name": ("A,kind\n1,p\n", "the table lacks column 'a' of the fit; did you mean 'A'?"),
    "text": ("a,kind\n1,p\nx,q\n", "column 'a' holds the text 'x' in row 2, where numbers belong"),
    "numbers": ("a,kind\n1,2\n", "column 'kind' holds numbers, where it held text in the fit"),
    "gap": ("a,kind\n1,p\n,q\n", "column 'a' is missing in row 2; fit again with --missing mean"),
    "too large": ("a,kind\n1,p\n1.7e308,p\n", "the prediction of row 2 is not finite"),
    "inf": ("a,kind\ninf,p\n", "column 'a' is inf in row 1"),
    "empty": ("", "n.csv is empty."),
}


@pytest.mark.parametrize("case", _BAD)
def test_a_table_that_does_not_fit_the_run_is_one_sentence(simple, case):
    contents, sentence = _BAD[case]
    with open("n.csv", "w") as file:
        file.write(contents)
    code, shown, complaint = simple("predict", "run", "n.csv", "--out", "p.csv")
    assert (code, shown, complaint.count("\n")) == (2, "", 1)
    assert sentence in complaint
    assert sorted(os.listdir()) == ["n.csv", "run", "t.csv"]


def test_what_cannot_be_written_or_read_is_one_sentence(simple):
    for words, sentence in [
        (["run", "t.csv", "--out", "t.csv/p.csv"], "cannot write 't.csv/p.csv'"),
        (["run", "t.csv", "--out", "p.xlsx"], "--out must end in .csv or .parquet"),
        (["run", "no.csv", "--out", "p.csv"], "there is no file no.csv."),
        (["no", "t.csv", "--out", "p.csv"], "'no' holds no run of mlmath"),
        (["run"], "DATA"),
    ]:
        code, shown, complaint = simple("predict", *words)
        assert (code, shown, complaint.count("\n")) == (2, "", 1)
        assert sentence in complaint
    assert sorted(os.listdir()) == ["run", "t.csv"]


_DAMAGE = {
    "model": (
        lambda r: r.update(model="rigde"),
        "there is no model 'rigde'; did you mean 'ridge'?",
    ),
    "dtype": (lambda r: r.update(dtype="object"), "'dtype' is not what a run holds"),
    "columns": (lambda r: r["columns"][0].update(name=3), "'columns' is not what a run holds"),
    "fields": (lambda r: r["columns"][0].pop("filled"), "'columns' is not what a run holds"),
    "none": (lambda r: r["columns"].clear(), "'columns' is not what a run holds"),
    "twice": (lambda r: r["columns"].append(r["columns"][0]), "'columns' is not what a run holds"),
    "labels": (lambda r: r.update(labels=["a", 1]), "'labels' is not what a run holds"),
    "type": (lambda r: r.update(label_type="Object"), "'label_type' is not what a run holds"),
    "options": (lambda r: r["hyperparameters"].update(run="x"), "'hyperparameters' is not what"),
    "rows": (lambda r: r.update(rows=-1), "'rows' is not what a run holds"),
    "more rows": (lambda r: r.update(rows=10**30), "'rows' is not what a run holds"),
    "huge penalty": (lambda r: r["hyperparameters"].update(l2=10**400), "'hyperparameters' is not"),
    "infinite penalty": (lambda r: r["hyperparameters"].update(l2=1e999), "'hyperparameters' is"),
    "missing": (lambda r: r.update(missing="bogus"), "'missing' is not what a run holds"),
    "filling": (lambda r: r["columns"][0].update(filling=float("nan")), "'columns' is not what"),
    "texts": (lambda r: r["columns"][1].update(categories=["x"] * 3), "'columns' is not what"),
    "classes": (lambda r: r.update(model="softmax_regression"), "'labels' is not what"),
    "equal labels": (lambda r: r.update(labels=[1, 1], label_type="Int64"), "'labels' is not what"),
    "steering": (lambda r: r.update(model="\x1b[31mridg"), "there is no model '[31mridg'"),
    "shapes": (
        lambda r: r["columns"][1].update(categories=["p"]),
        "does not fit run.json: 'model.transformation.center' is float64[3], not float64[2]",
    ),
}


@pytest.mark.parametrize("case", _DAMAGE)
def test_a_hostile_description_is_one_sentence(simple, case):
    change, sentence = _DAMAGE[case]
    with open("run/run.json") as file:
        record = json.load(file)
    change(record)
    with open("run/run.json", "w") as file:
        json.dump(record, file)
    code, shown, complaint = simple("predict", "run", "t.csv", "--out", "p.csv")
    assert (code, shown, complaint.count("\n")) == (2, "", 1)
    assert sentence in complaint
    assert not os.path.exists("p.csv")
