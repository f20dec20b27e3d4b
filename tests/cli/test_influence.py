import json
import os

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm

from mlmath.linear import ridge


@pytest.fixture
def table():
    rng = np.random.default_rng(1)
    a, b, noise = rng.normal(size=(3, 60))
    y = 3 + 2 * a - b + noise
    y[40] += 20
    a[7] = np.nan
    table = pl.DataFrame({"a": a, "b": 50 + 10 * b, "y": y}).fill_nan(None)
    table.write_csv("t.csv")
    return table


def listed(shell, *words):
    code, shown, complaint = shell("influence", "run", *words, "--json")
    assert (code, complaint) == (0, "")
    return json.loads(shown)


def test_least_squares_gives_the_distances_of_statsmodels_by_row_of_the_file(shell, table):
    shell("fit", "least_squares", "t.csv", "--missing", "drop", "--out", "run")
    most = listed(shell, "--most", 100)["most"]
    kept = table.drop_nulls()
    fitted = sm.OLS(kept["y"].to_numpy(), sm.add_constant(kept[["a", "b"]].to_numpy())).fit()
    distances = fitted.get_influence().cooks_distance[0]
    rows = np.delete(np.arange(60), 7) + 1
    order = np.argsort(-distances)
    assert [entry["row"] for entry in most] == rows[order].tolist()
    assert most[0]["row"] == 41
    np.testing.assert_allclose([e["distance"] for e in most], distances[order], rtol=1e-9)
    np.testing.assert_allclose([e["prediction"] for e in most], fitted.fittedvalues[order])
    np.testing.assert_allclose([e["target"] for e in most], kept["y"].to_numpy()[order])


def test_ridge_with_weights_moves_as_far_as_refitting_without_the_row(shell, table):
    table = table.drop_nulls().with_columns(s=pl.Series([1.0, 2.0, 0.0] * 19 + [1.0, 2.0]))
    table.write_csv("t.csv")
    shell("fit", "ridge", "t.csv", "--weight", "s", "--l2", "5", "--out", "run")
    found = listed(shell, "--most", 3)["most"]
    X, y, s = (table[c].to_numpy() for c in (["a", "b"], "y", "s"))
    center = s @ X / s.sum()
    Z = (X - center) / np.sqrt(s @ (X - center) ** 2 / s.sum())
    A = np.hstack([Z, np.ones((59, 1))])
    H = A.T @ (s[:, None] * A) + np.diag([5.0, 5.0, 0.0])

    def fit(s):
        params = ridge.fit(Z, y, sample_weight=s, l2=5.0).params
        return np.append(params.weights, params.bias)

    whole = fit(s)
    variance = s @ (y - A @ whole) ** 2 / (s.sum() - 3)
    for entry in found:
        without = s.copy()
        without[entry["row"] - 1] = 0
        moved = fit(without) - whole
        assert entry["distance"] == pytest.approx(moved @ H @ moved / (3 * variance), rel=1e-9)
    assert found[0]["distance"] >= found[1]["distance"] >= found[2]["distance"]
    assert len(listed(shell, "--most", 100)["most"]) == (s > 0).sum()


def test_labels_and_their_probabilities_are_listed_and_written(shell):
    shell("fit", "softmax_regression", "iris", "--dtype", "float32", "--out", "run")
    code, shown, _ = shell("influence", "run", "--most", "4", "--out", "all.csv")
    assert code == 0
    assert "row  species    probability of it  predicted  size" in shown
    assert len(shown.splitlines()) == 10
    written = pl.read_csv("all.csv")
    assert written.height == 150
    assert written.columns == ["row", "target", "probability of target", "prediction", "distance"]
    assert written["distance"].is_sorted(descending=True)
    shell("predict", "run", "iris", "--out", "p.csv")
    predicted = pl.read_csv("p.csv")
    first = written.row(0, named=True)
    again = predicted.row(first["row"] - 1, named=True)
    assert again["species"] == first["prediction"]
    share = again[f"probability of {first['target']}"]
    assert share == pytest.approx(first["probability of target"], rel=1e-5)


def test_a_figure_is_drawn(shell, table):
    shell("fit", "ridge", "t.csv", "--missing", "mean", "--out", "run")
    code, shown, _ = shell("influence", "run", "--out", "f.png")
    assert code == 0
    assert "written  f.png" in shown
    with open("f.png", "rb") as file:
        assert file.read(4) == b"\x89PNG"


def test_influence_is_of_the_rows_that_were_fitted(shell, table):
    shell("fit", "ridge", "t.csv", "--missing", "drop", "--out", "run")
    here = listed(shell)
    os.rename("t.csv", "moved.csv")
    code, shown, complaint = shell("influence", "run")
    assert (code, shown, complaint.count("\n")) == (2, "", 1)
    assert "the table that was fitted is no longer at" in complaint
    assert listed(shell, "moved.csv")["most"] == here["most"]
    table.head(50).write_csv("t.csv")
    code, shown, complaint = shell("influence", "run")
    assert (code, shown) == (2, "")
    assert "has changed since the fit (its SHA-256 differs)" in complaint
    code, shown, complaint = shell("influence", "run", "t.csv")
    assert (code, shown) == (2, "")
    assert "'t.csv' is not the table that was fitted (its SHA-256 differs)" in complaint
    assert listed(shell, "moved.csv")["most"] == here["most"]


def test_a_row_that_alone_determines_a_weight_is_named_apart(shell, table):
    alone = pl.Series([5.0] * 3 + [6.0] + [5.0] * 56)
    table.with_columns(alone=alone).write_csv("t.csv")
    shell("fit", "least_squares", "t.csv", "--missing", "drop", "--out", "run")
    found = listed(shell, "--most", 100)
    assert found["undetermined_without"] == [4]
    assert len(found["most"]) == 58
    assert "rows 4: without one of them" in shell("influence", "run")[1]


def test_what_has_no_influence_is_one_sentence(shell, table):
    shell("fit", "perceptron", "breast_cancer", "--out", "run")
    for words, sentence in [
        (["run"], "perceptron counts mistakes, and a count has no derivative"),
        ([], "RUN is missing"),
        (["no"], "'no' holds no run of mlmath"),
        (["run", "--most", "0"], "--most must be 1 or more, got 0."),
        (["run", "--most", "x"], "--most must be a whole number, got 'x'."),
        (["run", "--out", "f.pdf"], "--out must end in .png or .csv, got 'f.pdf'."),
        (["run", "--mst", "3"], "did you mean '--most'?"),
    ]:
        code, shown, complaint = shell("influence", *words)
        assert (code, shown, complaint.count("\n")) == (2, "", 1)
        assert sentence in complaint
    assert sorted(os.listdir()) == ["run", "t.csv"]


def test_without_a_residual_there_is_no_scale(shell):
    x = np.arange(12.0)
    pl.DataFrame({"x": x, "y": np.tile([0.0, 1.0], 6), "s": np.full(12, 0.1)}).write_csv("t.csv")
    shell("fit", "ridge", "t.csv", "--weight", "s", "--out", "run")
    code, shown, complaint = shell("influence", "run")
    assert (code, shown, complaint.count("\n")) == (2, "", 1)
    assert "weigh no more than the model has coefficients" in complaint
