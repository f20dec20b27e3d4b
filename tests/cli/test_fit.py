import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import polars as pl
import pytest

from mlmath.cli import runs
from mlmath.data import datasets
from mlmath.linear import logistic_regression, ridge
from mlmath.statistics import one_hot


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 100))
    kind = rng.choice(["p", "q", "r"], size=100)
    y = 3 + 2 * a - 1e-3 * b + (kind == "q") + 0.1 * rng.normal(size=100)
    return pl.DataFrame({"a": a, "b": 1000 * b, "kind": kind, "s": rng.integers(0, 3, 100), "y": y})


def _write(table, name="t.csv"):
    table.write_csv(name)
    return name


def test_coefficients_are_in_the_units_of_the_file(shell, table):
    code, shown, _ = shell("fit", "ridge", _write(table), "--l2", 1e-9, "--ignore", "s", "--json")
    found = json.loads(shown)
    assert code == 0
    slopes = found["coefficients"]["slopes"]
    assert slopes["a"] == pytest.approx(2, abs=0.05)
    assert slopes["b"] == pytest.approx(-1e-6, abs=5e-5)
    assert slopes["kind = q"] - slopes["kind = p"] == pytest.approx(1, abs=0.1)
    assert found["certificate"]["converged"]
    assert found["held_out"]["r_squared"] > 0.95


@pytest.mark.parametrize("raw", [False, True])
def test_the_fit_is_that_of_the_library_with_weights(shell, table, raw):
    words = ["fit", "ridge", _write(table), "--weight", "s", "--l2", 3, "--json"]
    found = json.loads(shell(*words, *(["--raw"] if raw else []))[1])
    codes = table["kind"].replace_strict({"p": 0.0, "q": 1.0, "r": 2.0}).to_numpy()
    X = np.stack([table["a"], table["b"], codes], axis=1)
    Z = np.asarray(jax.vmap(lambda x: one_hot.transform(x, sizes=(0, 0, 3)))(X))
    s = table["s"].to_numpy().astype(float)
    scale = np.ones(5)
    if not raw:
        scale = np.sqrt(s @ (Z - s @ Z / s.sum()) ** 2 / s.sum())
    fitted = ridge.fit(Z / scale, table["y"].to_numpy(), l2=3.0, sample_weight=s)
    np.testing.assert_allclose(
        list(found["coefficients"]["slopes"].values()), fitted.params.weights / scale, rtol=1e-8
    )
    np.testing.assert_allclose(found["coefficients"]["intercept"], fitted.params.bias, rtol=1e-8)
    assert found["rows_fitted"] == (s > 0).sum()
    assert found["certificate"]["objective"] == pytest.approx(float(fitted.certificate.objective))


def test_the_held_out_score_is_of_rows_the_model_did_not_see(shell, table):
    found = json.loads(
        shell("fit", "ridge", _write(table), "--ignore", "s", "--seed", 4, "--json")[1]
    )
    order = np.random.default_rng(4).permutation(100)
    held = np.zeros(100, bool)
    held[order[4::5]] = True
    X = np.stack([table["a"], table["b"], *(table["kind"] == k for k in "pqr")], axis=1)
    center, scale = X[~held].mean(axis=0), X[~held].std(axis=0)
    Z, y = (X - center) / scale, table["y"].to_numpy()
    params = ridge.fit(Z[~held], y[~held], l2=1.0).params
    error = y[held] - (Z[held] @ np.asarray(params.weights) + params.bias)
    assert found["held_out"]["root_mean_square_error"] == pytest.approx(np.sqrt(np.mean(error**2)))


def test_a_run_folder_says_what_was_done(shell):
    code, shown, _ = shell("fit", "logistic_regression", "breast_cancer", "--out", "run")
    assert code == 0
    assert "held-out score" in shown
    assert "\x1b" not in shown  # plain text off a terminal
    with open("run/run.json") as file:
        record = json.load(file)
    assert record["command"] == "mlmath fit logistic_regression breast_cancer --out run"
    assert (
        record["data"]["sha256"] == hashlib.sha256(datasets.contents("breast_cancer")).hexdigest()
    )
    assert (record["labels"], record["dtype"], record["seed"]) == (
        ["benign", "malignant"],
        "float64",
        0,
    )
    assert record["held_out"]["accuracy"] > record["held_out"]["baseline_accuracy"] + 0.25
    with open("run/report.html") as file:
        page = file.read()
    assert page.count("data:image/png;base64,") == 2
    assert sorted(os.listdir()) == ["run"]
    assert sorted(os.listdir("run")) == ["params.safetensors", "report.html", "run.json"]


def test_dtype_is_changed_by_the_flag(shell):
    found = json.loads(shell("fit", "ridge", "diabetes", "--dtype", "float32", "--json")[1])
    assert found["dtype"] == "float32"
    precise = json.loads(shell("fit", "ridge", "diabetes", "--json")[1])
    assert precise["dtype"] == "float64"
    one, other = (f["coefficients"]["intercept"] for f in (found, precise))
    assert one == pytest.approx(other, rel=1e-3)
    assert one != other


def test_missing_drop_and_mean(shell):
    words = ["fit", "logistic_regression", "titanic", "--json"]
    dropped = json.loads(shell(*words, "--missing", "drop")[1])
    table = datasets.load("titanic")
    assert (dropped["rows_fitted"], dropped["rows_left_out"]) == (712, 179)
    filled = json.loads(shell(*words, "--missing", "mean", "--l2", "2")[1])
    assert filled["rows_fitted"] == 891
    age = next(column for column in filled["columns"] if column["name"] == "age")
    assert age["filling"] == pytest.approx(table["age"].mean())
    assert {"age is missing", "embarked is missing"} <= set(filled["coefficients"]["slopes"])
    assert filled["held_out"]["accuracy"] > 0.75
    assert filled["held_out"]["baseline_accuracy"] < 0.65


@pytest.mark.parametrize("model", ["logistic_regression", "softmax_regression"])
def test_a_fit_without_a_penalty_and_without_a_minimiser_says_which_flag_helps(shell, model):
    words = ["fit", model, "titanic", "--missing", "mean", "--l2"]
    code, shown, _ = shell(*words, "0", "--out", "flat")
    assert code == 0
    assert "NOT converged" in shown
    advice = re.search(r"(--l2) (0\.\d+) gives it a minimiser", shown)
    with open("flat/report.html") as file:
        assert "gives it a minimiser" in file.read()
    code, shown, _ = shell(*words, advice[2], "--out", "curved")
    assert "(converged, " in shown
    assert "minimiser" not in shown


@pytest.mark.parametrize("name", ["diabetes", "mauna_loa_co2", "old_faithful"])
def test_every_embedded_set_with_a_number_can_be_fitted(shell, name):
    found = json.loads(shell("fit", "ridge", name, "--json")[1])
    held = found["held_out"]
    assert held["root_mean_square_error"] < held["baseline_root_mean_square_error"]


def _compilations(function):
    """How often XLA compiled, or loaded, a program while the function ran."""
    seen = []

    def listen(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        function()
    finally:
        jax.monitoring.clear_event_listeners()
    return len(seen)


def test_a_table_of_another_length_in_the_bucket_compiles_nothing(shell, table):
    table = pl.concat([table, table.head(5)])
    for rows in (85, 90, 99, 105):
        table.head(rows).write_csv(f"{rows}.csv")

    def fit(rows, l2):
        assert shell("fit", "ridge", f"{rows}.csv", "--l2", l2, "--tolerance", 1e-9)[0] == 0

    jax.clear_caches()
    assert _compilations(lambda: fit(85, 1.0)) > 0
    assert _compilations(lambda: fit(90, 2.0)) == 0
    assert _compilations(lambda: fit(99, 3.0)) > 0  # 112 rows: another bucket
    assert _compilations(lambda: fit(105, 4.0)) == 0


def test_the_cache_outlives_the_process(tmp_path, table):
    environment = os.environ | {"MLMATH_CACHE": str(tmp_path / "cache")}
    sizes = []
    for rows in (98, 100):
        table.head(rows).write_csv(tmp_path / f"{rows}.csv")
        words = ["fit", "ridge", f"{rows}.csv", "--target", "y"]
        code = f"import sys; from mlmath.cli.main import main; sys.exit(main({words}))"
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        sizes.append(sorted(p.name for p in (tmp_path / "cache").rglob("*-cache")))
    assert len(sizes[0]) > 0
    assert sizes[0] == sizes[1]


_BAD = {
    "missing file": (None, ["no.csv"], "there is no file no.csv."),
    "empty file": ("", ["t.csv"], "t.csv is empty."),
    "header only": ("a,y\n", ["t.csv"], "t.csv has no rows."),
    "unknown column": ("a,y\n1,2\n2,3\n", ["t.csv", "--target", "Y1"], "did you mean 'y'?"),
    "text": ("a,y\n1,2\n2,3\nx,4\n", ["t.csv"], "column 'a' holds the text 'x' in row 3"),
    "currency": ("a,b,y\nx,$5,1\nz,$7,2\nx,$5,3\n", ["t.csv"], "the number '$5' as text in row 1"),
    "currency in the target": (
        "a,y\n1,$2\n2,\n3,$5\n", ["t.csv", "--missing", "drop"],
        "column 'y' holds the number '$2' as text in row 1; write numbers plainly, like 1234.5, "
        "without signs of currency, percent or thousands.",
    ),
    "text in the target": ("a,y\n1,2\n2,z\n3,4\n", ["t.csv"], "'y' holds the text 'z' in row 2"),
    "a target of texts": (
        "a,y\n1,u\n2,v\n3,u\n", ["t.csv"], "holds text, and this model predicts a number; take"
    ),
    "nan": ("a,y\n1,2\nNaN,3\n2,4\n", ["t.csv"], "'a' is missing in row 2; say --missing drop"),
    "inf": ("a,y\n1,2\n2,3\n-inf,4\n", ["t.csv"], "column 'a' is -inf in row 3"),
    "constant": ("a,b,y\n1,5,2\n2,5,3\n3,5,4\n", ["t.csv"], "column 'b' is constant (5 in every"),
    "wide": ("a,b,c,y\n1,2,3,1\n2,4,7,2\n", ["t.csv"], "there are 3 feature columns but 2 rows"),
    "gap in the target": ("a,y\n1,2\n2,\n3,4\n", ["t.csv"], "column 'y' is missing in row 2"),
    "no target": ("a,b\n1,2\n2,3\n", ["t.csv"], "say which column to predict with --target"),
    "out": ("a,y\n1,2\n2,3\n3,5\n", ["t.csv", "--out", "t.csv/run"], "cannot write to 't.csv/run'"),
    "occupied": ("a,y\n1,2\n2,3\n3,5\n", ["t.csv", "--out", "t.csv"], "is not empty; choose"),
    "infinite option": ("a,y\n1,2\n2,3\n", ["t.csv", "--l2", "nan"], "--l2 must be a finite"),
    "negative option": ("a,y\n1,2\n2,3\n", ["t.csv", "--l2", "-1"], "--l2 must be a finite number"),
    "negative seed": ("a,y\n1,2\n2,3\n3,5\n", ["t.csv", "--seed", "-1"], "--seed must be 0 or"),
    "not finite without the held-out rows": (
        "a,b,y\n" + "".join(f"{k**2 % 7},{k == 4},{k % 3}\n" for k in range(20)).replace(
            "True", "1").replace("False", "0"),
        ["t.csv", "--l2", "0", "--seed", "6"],
        "the fit has no finite solution; raise --l2",
    ),
    "dtype": ("a,y\n1,2\n2,3\n", ["t.csv", "--dtype", "int8"], "--dtype must be one of auto"),
    "collinear": (
        "a,b,y\n" + "".join(f"{k},{2 * k},{k % 3}\n" for k in range(20)),
        ["t.csv", "--l2", "0"],
        "the fit has no finite solution",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", _BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(shell, case):
    contents, words, sentence = _BAD[case]
    if contents is not None:
        with open("t.csv", "w") as file:
            file.write(contents)
    code, shown, complaint = shell("fit", "ridge", *words)
    assert (code, shown) == (2, "")
    assert complaint.startswith("mlmath: ")
    assert complaint.count("\n") == 1
    assert sentence in complaint
    assert os.listdir() in ([], ["t.csv"], ["t.csv", "runs"], ["runs", "t.csv"])
    assert not os.path.isdir("runs") or os.listdir("runs") == []


def test_one_class_and_many_classes_are_one_sentence(shell):
    with open("t.csv", "w") as file:
        file.write("a,y\n1,no\n2,no\n3,no\n")
    code, _, complaint = shell("fit", "logistic_regression", "t.csv")
    assert code == 2
    assert complaint == "mlmath: the target 'y' has one class only, 'no'; two are needed.\n"
    code, _, complaint = shell("fit", "logistic_regression", "iris")
    assert code == 2
    assert "has 3 classes (setosa, versicolor, virginica)" in complaint
    assert "take softmax_regression." in complaint


def test_a_model_is_needed(shell):
    assert "name a model first" in shell("fit")[2]
    assert "did you mean 'ridge'?" in shell("fit", "rigde", "diabetes")[2]


def test_more_columns_than_rows_are_fitted_on_request(shell):
    with open("t.csv", "w") as file:
        file.write("a,b,c,y\n1,2,3,1\n2,4,7,2\n")
    code, shown, _ = shell("fit", "ridge", "t.csv", "--wide")
    assert code == 0
    assert "not measured: fewer than ten rows" in shown


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_nothing(shell, monkeypatch, error):
    def fails(*_):
        raise error

    monkeypatch.setattr(runs, "write_params", fails)
    code, shown, complaint = shell("fit", "ridge", "diabetes", "--out", "run")
    assert (code, shown) == (130 if error is KeyboardInterrupt else 2, "")
    assert complaint.count("\n") == 1
    assert os.listdir() == []


def test_ctrl_c_ends_with_130_and_leaves_nothing(tmp_path):
    code = (
        "import signal, sys, time; from mlmath.cli import fit, main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored in the background
        "def slow(*_):\n"
        "    print('fitting', flush=True)\n"
        "    for _ in range(6000): time.sleep(0.01)\n"  # a signal before one sleep ends the next
        "fit.outcome = slow; sys.exit(main.main(['fit', 'ridge', 'diabetes', '--out', 'run']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == "fitting\n"
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=30)
    assert (process.returncode, complaint) == (130, "mlmath: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_gone_is_no_error(tmp_path):
    code = (
        "import sys, time; from mlmath.cli.main import main; "
        "sys.stdin.readline(); sys.exit(main(['models']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.close()
    time.sleep(0.1)
    process.stdin.write("go\n")
    process.stdin.close()
    complaint = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), complaint) == (141, "")


def test_logistic_labels_and_library_agree(shell):
    found = json.loads(shell("fit", "logistic_regression", "breast_cancer", "--json")[1])
    X, y = datasets.arrays("breast_cancer")
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    params = logistic_regression.fit(Z, y, l2=1.0).params
    np.testing.assert_allclose(
        list(found["coefficients"]["slopes"].values()), params.weights / X.std(axis=0), rtol=1e-6
    )
