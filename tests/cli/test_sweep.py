import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlmath.cli import examples, fit, methods, pipeline, runs, validation
from mlmath.data import datasets, readers


def _splits(name, task, options):
    """Folds of the sweep as scikit-learn takes them."""
    gathered = examples.gather(readers.read(name), task, options)
    parts = validation.drawn(gathered, options, length=len(gathered.y))
    pairs = zip(np.asarray(parts.train), np.asarray(parts.test), strict=True)
    return [tuple(map(np.flatnonzero, pair)) for pair in pairs]


def _options(**given):
    return SimpleNamespace(**fit.Plain()._asdict() | {"folds": 5, "repeats": 1} | given)


def _searched(model, name, X, y, scoring, splits):
    search = GridSearchCV(make_pipeline(StandardScaler(), model), name, scoring=scoring, cv=splits)
    found = search.fit(X, y).cv_results_
    return np.stack([found[f"split{k}_test_score"] for k in range(len(splits))])


def _folds(path):
    table = pl.read_csv(path)
    return np.stack([table[c] for c in table.columns if c.startswith("fold ")])


def test_scores_are_those_of_scikit_learn_and_the_winner_predicts(shell):
    code, shown, complaint = shell(
        "sweep", "ridge", "diabetes", "--over", "l2=1e-2:1e4:9", "--folds", 4, "--repeats", 2,
        "--seed", 3, "--out", "run", "--json",
    )  # fmt: skip
    assert (code, complaint) == (0, "")
    found = json.loads(shown)
    X, y = datasets.arrays("diabetes")
    splits = _splits("diabetes", "number", _options(folds=4, repeats=2, seed=3))
    l2 = np.geomspace(1e-2, 1e4, 9)
    np.testing.assert_allclose(found["sweep"]["over"]["l2"], l2)
    expected = _searched(Ridge(), {"ridge__alpha": l2}, X, y, "r2", splits)
    np.testing.assert_allclose(_folds("run/candidates.csv"), expected, rtol=1e-8)
    mean = expected.mean(axis=0)
    np.testing.assert_allclose(found["sweep"]["mean"], mean, rtol=1e-8)
    error = expected.std(axis=0, ddof=1) / np.sqrt(8)
    np.testing.assert_allclose(found["sweep"]["standard_error"], error, rtol=1e-8)
    best = mean.argmax()
    simplest = np.flatnonzero(mean >= mean[best] - error[best]).max()
    assert found["sweep"]["best"]["l2"] == pytest.approx(l2[best])
    assert found["sweep"]["one_standard_error"]["l2"] == pytest.approx(l2[simplest])
    assert (found["sweep"]["fits"], found["sweep"]["failed"]) == (72, 0)
    assert found["hyperparameters"]["l2"] == found["sweep"]["best"]["l2"]
    assert sorted(os.listdir("run")) == [
        "candidates.csv", "params.safetensors", "report.html", "run.json",
    ]  # fmt: skip
    assert shell("predict", "run", "diabetes", "--out", "p.csv")[0] == 0
    winner = make_pipeline(StandardScaler(), Ridge(alpha=l2[best])).fit(X, y).predict(X)
    np.testing.assert_allclose(pl.read_csv("p.csv")["progression"], winner, rtol=1e-8)
    with open("run/report.html") as file:
        page = file.read()
    assert page.count("data:image/png;base64,") == 1
    assert "one-standard-error choice" in page


def test_a_saved_winner_is_what_fit_saves(shell):
    words = ["logistic_regression", "breast_cancer", "--json"]
    code, shown, _ = shell("sweep", *words, "--over", "l2=0.1,1,10", "--out", "swept")
    swept = json.loads(shown)
    assert code == 0
    l2 = swept["hyperparameters"]["l2"]
    plain = json.loads(shell("fit", *words, "--l2", l2, "--out", "plain")[1])
    apart = {"run", "command", "seconds", "sweep"}
    assert swept.keys() - plain.keys() == {"sweep"}
    for field in plain.keys() - apart:
        assert swept[field] == plain[field], field
    with (
        open("swept/params.safetensors", "rb") as one,
        open("plain/params.safetensors", "rb") as other,
    ):
        assert one.read() == other.read()
    X, y = datasets.arrays("breast_cancer")
    splits = _splits("breast_cancer", "two classes", _options())
    model = LogisticRegression(solver="newton-cholesky", tol=1e-10)
    grid = {"logisticregression__C": [10.0, 1.0, 0.1]}
    expected = -_searched(model, grid, X, y, "neg_log_loss", splits)
    np.testing.assert_allclose(_folds("swept/candidates.csv"), expected, rtol=1e-6)
    assert swept["sweep"]["metric"] == "log_loss"
    assert swept["sweep"]["best"]["mean"] == pytest.approx(expected.mean(axis=0).min(), rel=1e-6)


@pytest.mark.parametrize(
    ("words", "figures"),
    [
        (["softmax_regression", "iris", "--over", "l2=0.1,1", "--metric", "balanced-accuracy"], 1),
        (["perceptron", "breast_cancer", "--over", "max-steps=1:20:3", "--folds", 3], 1),
        (
            ["adaline", "old_faithful", "--over", "learning_rate=0.001:0.01:2", "--over",
             "decay=0,1", "--epochs", 5],
            3,
        ),
    ],
)  # fmt: skip
def test_every_kind_of_model_is_swept_and_shown_as_plain_text(shell, words, figures):
    code, shown, complaint = shell("sweep", *words, "--out", "run")
    assert (code, complaint) == (0, "")
    assert "\x1b" not in shown
    for part in ("metric", "best", "one-standard-error choice", "per second", "rank  ", "run/"):
        assert part.strip("/") in shown
    with open("run/report.html") as file:
        assert file.read().count("data:image/png;base64,") == figures
    with open("run/run.json") as file:
        record = json.load(file)
    for name in record["sweep"]["over"]:
        kind = {flag.name: flag.kind for flag in methods.flags(methods.find(record["model"]))}[name]
        assert type(record["hyperparameters"][name]) is kind
    assert shell("predict", "run", words[1], "--out", "p.csv")[0] == 0


def test_missing_mean_is_learnt_in_each_fold(shell):
    words = ["logistic_regression", "titanic", "--over", "l2=1", "--missing", "mean", "--json"]
    found = json.loads(shell("sweep", *words, "--out", "run")[1])
    assert found["rows_fitted"] == 891
    assert found["sweep"]["converged"] == [5]
    assert shell("predict", "run", "titanic", "--out", "p.csv")[0] == 0


def test_the_held_out_score_of_the_winner_is_not_shown_as_a_test(shell):
    code, shown, _ = shell("sweep", "ridge", "old_faithful", "--over", "l2=1,2", "--out", "run")
    assert code == 0
    assert "held-out score" not in shown
    with open("run/run.json") as file:
        assert "took part in the choice" in json.load(file)["sweep"]["note"]


def test_a_bar_is_drawn_on_a_terminal_and_nowhere_else(shell, monkeypatch, capsys):
    words = ["sweep", "ridge", "old_faithful", "--over", "l2=1,2", "--json"]
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    code, shown, drawn = shell(*words)
    assert code == 0
    assert "folds × candidates" in drawn
    json.loads(shown)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert shell(*words)[2] == ""


_ROWS = "a,y\n" + "".join(f"{k % 5},{k % 3}\n" for k in range(12))
_KINDS = "a,y\n" + "".join(f"{k},{'uv'[k > 9]}\n" for k in range(12))
_ONE = "a,y\n" + "".join(f"{k},{'uv'[k > 10]}\n" for k in range(12))
_OVER = ["--over", "l2=1,2"]

_BAD = {
    "no model": ([], "", "name a model first, as in `mlmath sweep ridge diabetes`"),
    "model": (["rigde", "t.csv"], _ROWS, "did you mean 'ridge'?"),
    "nothing over": (["ridge", "t.csv"], _ROWS, "say what to sweep, as in --over l2=1e-4:1e4:50;"),
    "name": (["ridge", "t.csv", "--over", "l3=1,2"], _ROWS, "no hyperparameter 'l3'"),
    "static": (["adaline", "t.csv", "--over", "epochs=1,2"], _ROWS, "fixes the compiled program"),
    "empty range": (["ridge", "t.csv", "--over", "l2=2:1:3"], _ROWS, "is empty"),
    "count": (["ridge", "t.csv", "--over", "l2=1:2:0"], _ROWS, "must be a whole number from 1"),
    "metric": (["ridge", "t.csv", *_OVER, "--metric", "r_squard"], _ROWS, "you mean 'r_squared'?"),
    "one fold": (["ridge", "t.csv", *_OVER, "--folds", "1"], _ROWS, "--folds must be 2 or more, g"),
    "repeats": (["ridge", "t.csv", *_OVER, "--repeats", "0"], _ROWS, "--repeats must be 1 or more"),
    "seed": (["ridge", "t.csv", *_OVER, "--seed", "-1"], _ROWS, "--seed must be from 0 to"),
    "large seed": (["ridge", "t.csv", *_OVER, "--seed", "9" * 30], _ROWS, "--seed must be from 0"),
    "few rows": (
        ["ridge", "t.csv", *_OVER, "--folds", "13"], _ROWS, "--folds 13 are more than the 12 rows",
    ),
    "rare class": (
        ["logistic_regression", "t.csv", *_OVER], _KINDS,
        "class 'v' has 2 rows, and --folds 5 need one each; take --folds 2.",
    ),
    "single class": (
        ["logistic_regression", "t.csv", *_OVER], _ONE,
        "class 'v' has 1 row, and --folds 5 need one each; it cannot be learnt and tested.",
    ),
    "both": (["ridge", "t.csv", *_OVER, "--l2=3"], _ROWS, "swept by --over, so leave --l2 out."),
    "no score": (
        ["ridge", "t.csv", *_OVER, "--folds", "12"], _ROWS,
        "no candidate has a finite score in every fold; take other values with --over, another",
    ),
    "occupied": (["ridge", "t.csv", *_OVER, "--out", "."], _ROWS, "is not empty; choose another"),
    "no file": (["ridge", "no.csv", *_OVER], _ROWS, "there is no file no.csv."),
    "gap": (["ridge", "t.csv", *_OVER], "a,y\n1,2\n,3\n2,4\n", "say --missing drop or --missing"),
    "dtype": (["ridge", "t.csv", *_OVER, "--dtype", "int8"], _ROWS, "--dtype must be one of auto"),
}  # fmt: skip


@pytest.mark.parametrize("case", _BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(shell, case):
    words, contents, sentence = _BAD[case]
    with open("t.csv", "w") as file:
        file.write(contents)
    code, shown, complaint = shell("sweep", *words)
    assert (code, shown) == (2, "")
    assert complaint.startswith("mlmath: ")
    assert complaint.count("\n") == 1
    assert sentence in complaint
    assert os.listdir() in (["t.csv"], ["t.csv", "runs"], ["runs", "t.csv"])
    assert not os.path.isdir("runs") or os.listdir("runs") == []


@pytest.mark.parametrize(
    ("over", "remedy"),
    [("l2", "raise the values of --over l2, or leave"), ("tolerance", "raise --l2, or leave")],
)
def test_a_winner_without_a_solution_is_told_what_the_shell_accepts(
    shell, monkeypatch, over, remedy
):
    monkeypatch.setattr(pipeline, "predict", lambda *_: np.full(88, np.nan))
    code, shown, complaint = shell("sweep", "ridge", "diabetes", "--over", f"{over}=1,2")
    assert (code, shown, complaint.count("\n")) == (2, "", 1)
    assert f"the fit has no finite solution; {remedy} out with --ignore" in complaint


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_sweep_leaves_nothing(shell, monkeypatch, error):
    def fails(*_):
        raise error

    monkeypatch.setattr(runs, "write_params", fails)
    code, shown, complaint = shell(
        "sweep", "ridge", "old_faithful", "--over", "l2=1,2", "--out", "run"
    )
    assert (code, shown) == (130 if error is KeyboardInterrupt else 2, "")
    assert complaint.count("\n") == 1
    assert os.listdir() == []


def test_help_explains_the_grid_and_lists_the_metrics(shell):
    code, shown, _ = shell("sweep", "--help")
    assert code == 0
    assert "usage: mlmath sweep MODEL DATA" in shown
    assert "softmax_regression" in shown
    code, shown, _ = shell("sweep", "ridge", "--help")
    words = re.sub(r"[\s│]+", " ", shown)
    assert code == 0
    assert "in equal ratios if low is above 0 and high at least 100 times low" in words
    for part in ("--folds", "--repeats", "mean_absolute_error", "roc_auc", "--tolerance"):
        assert part in words


def test_help_and_refusals_import_no_jax():
    code = (
        "import sys; from mlmath.cli.main import main\n"
        "assert main(['sweep', 'ridge', 'diabetes', '--over', 'l2=1:2']) == 2\n"
        "assert main(['sweep', 'ridge', 'diabetes', '--over', 'l2=1', '--metric', 'x']) == 2\n"
        "assert 'jax' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
