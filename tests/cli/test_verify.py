import json
import re
import shutil

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file, save_file

from mlmath.cli.verify import Claim, Evidence, judge

_EPSILON = 2.0**-52


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    a, b, noise = rng.normal(size=(3, 60))
    number = 3 + 2 * a - b + noise
    return pl.DataFrame(
        {
            "a": a,
            "b": 50 + 10 * b,
            "kind": ["p", "q", "r"] * 20,
            "s": rng.integers(0, 3, 60),
            "number": number,
            "two": np.where(number > 3, "yes", "no"),
            "three": np.digitize(number, [2, 4]),
        }
    )


_TARGETS = {
    "ridge": "number", "least_squares": "number", "adaline": "number",
    "logistic_regression": "two", "perceptron": "two", "softmax_regression": "three",
}  # fmt: skip


def fit(shell, table, model, *more):
    """Fit to the table without the other targets, by weight."""
    target = _TARGETS[model]
    table.drop({*_TARGETS.values()} - {target}).write_csv("t.csv")
    words = ["--target", target, "--weight", "s", "--out", "run", *more]
    assert shell("fit", model, "t.csv", *words)[0] == 0


def tamper(change):
    params = load_file("run/params.safetensors")
    change(params)
    save_file(params, "run/params.safetensors")


def edit(change):
    with open("run/run.json") as file:
        record = json.load(file)
    change(record)
    with open("run/run.json", "w") as file:
        json.dump(record, file)


def verified(shell):
    code, shown, complaint = shell("verify", "run", "t.csv", "--json")
    return code, json.loads(shown), complaint


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("model", _TARGETS)
def test_the_claim_of_every_model_holds_and_a_changed_weight_is_caught(shell, table, model, dtype):
    fit(shell, table, model, "--dtype", dtype)
    code, found, complaint = verified(shell)
    assert (code, found["holds"], complaint) == (0, True, "")
    assert found["computed"]["gap"] >= found["computed"]["least_gap"]
    assert found["rows"] == (table["s"] > 0).sum()
    name = "model.model.weights"
    tamper(lambda p: p[name].__setitem__((..., 0), p[name][..., 0] * np.asarray(0.9, dtype) - 1))
    code, found, complaint = verified(shell)
    assert (code, found["holds"], complaint.count("\n")) == (1, False, 1)
    assert "run.json claims the objective" in complaint
    assert complaint == f"mlmath: {found['why']}\n"


def test_objective_gap_and_score_are_their_definition(shell, table):
    fit(shell, table, "ridge", "--l2", "3")
    tamper(lambda p: p["model.model.weights"].__iadd__(0.25))
    _, found, _ = verified(shell)
    saved = {k.rpartition(".")[2]: v for k, v in load_file("run/params.safetensors").items()}
    X = np.stack([table["a"], table["b"], *(table["kind"] == k for k in "pqr")], axis=1)
    s, y = table["s"].to_numpy().astype(float), table["number"].to_numpy()
    Z = (X - saved["center"]) / saved["scale"]

    def objective(w, b):
        return sum(s[i] * (y[i] - Z[i] @ w - b) ** 2 for i in range(60)) / 2 + 1.5 * w @ w

    # the minimiser by the normal equations, the bias as a column without a penalty
    A = np.hstack([Z, np.ones((60, 1))])
    best = np.linalg.solve(A.T @ (s[:, None] * A) + np.diag([3.0] * 5 + [0]), A.T @ (s * y))
    here = objective(saved["weights"], saved["bias"])
    null = objective(np.zeros(5), s @ y / s.sum())
    gap = (here - objective(best[:5], best[5])) / null
    assert found["computed"]["objective"] == pytest.approx(here, rel=1e-12)
    assert found["computed"]["null"] == pytest.approx(null, rel=1e-12)
    assert found["computed"]["least_gap"] == pytest.approx(gap, rel=1e-9)
    assert found["computed"]["gap"] == pytest.approx(gap, rel=1e-9)
    pull = s * (y - Z @ saved["weights"] - saved["bias"])
    rho = np.abs(pull) * (np.abs(Z) @ np.abs(saved["weights"]) + np.abs(y))
    rounding = np.sqrt((s > 0).sum()) * max(here, null) + 4 * np.sqrt(sum(rho**2))
    assert found["computed"]["rounding"] == pytest.approx(rounding)
    squares = s @ (y - Z @ saved["weights"] - saved["bias"]) ** 2
    assert found["score"]["r_squared"] == pytest.approx(1 - squares / (2 * null))


def test_a_weight_changed_with_the_claimed_objective_is_caught_by_the_gap(shell, table):
    fit(shell, table, "logistic_regression")
    tamper(lambda p: p["model.model.weights"].__iadd__(1e-6))
    code, found, _ = verified(shell)
    assert code == 1  # a change of 1e-12 of the objective
    edit(lambda r: r["certificate"].update(objective=found["computed"]["objective"]))
    code, _, complaint = verified(shell)
    assert code == 1
    assert "run.json claims a gap of" in complaint
    assert "at least" in complaint


def test_a_fit_that_stopped_early_claims_no_less_than_its_gap(shell, table):
    fit(shell, table, "logistic_regression", "--max-steps", "1")
    code, found, _ = verified(shell)
    assert (code, found["holds"]) == (0, True)
    assert 1e-6 < found["computed"]["least_gap"] <= found["claimed"]["gap"]
    edit(lambda r: r["certificate"].update(gap=found["computed"]["least_gap"] / 2))
    assert verified(shell)[0] == 1


def test_a_weight_beyond_all_bounds_is_caught(shell, table):
    fit(shell, table, "ridge")
    tamper(lambda p: p["model.model.weights"].__setitem__(0, 1e200))
    code, found, _ = verified(shell)
    assert (code, found["computed"]["objective"]) == (1, None)
    code, shown, complaint = shell("verify", "run", "t.csv")
    assert (code, complaint.count("\n")) == (1, 1)
    assert "does NOT hold" in shown


def test_of_another_table_the_score_is_given_and_nothing_is_verified(shell, table):
    fit(shell, table, "logistic_regression")
    table.head(30).write_csv("other.csv")
    code, shown, complaint = shell("verify", "run", "other.csv", "--json")
    found = json.loads(shown)
    assert (code, found["fitted_to_it"], found["holds"], found["computed"]) == (
        3, False, None, None,
    )  # fmt: skip
    assert complaint == f"mlmath: {found['why']}\n"
    assert found["why"].startswith(
        "not verified: 'other.csv' is not the table that was fitted (its"
    )
    shell("predict", "run", "other.csv", "--out", "p.csv")
    right = pl.read_csv("p.csv")["two"] == table.head(30)["two"]
    weight = table.head(30)["s"]
    share = (right * weight).sum() / weight.sum()
    assert found["score"]["accuracy"] == pytest.approx(share)
    code, shown, complaint = shell("verify", "run", "other.csv")
    assert (code, complaint.count("\n")) == (3, 1)
    assert (
        "claim                not verified: 'other.csv' is not the table that was fitted" in shown
    )
    assert "holds" not in shown


def test_help_says_what_each_exit_code_means(shell):
    code, shown, _ = shell("verify", "--help")
    words = re.sub(r"[\s│]+", " ", shown)
    assert code == 0
    for meaning in ("0, what run.json claims holds", "1, it does not", "2, RUN", "3, not verified"):
        assert meaning in words


@pytest.mark.parametrize("command", ["verify", "influence", "predict"])
def test_help_says_that_a_sweep_writes_a_run_too(shell, command):
    words = re.sub(r"[\s│]+", " ", shell(command, "--help")[1])
    assert "folder that `mlmath fit` or `mlmath sweep` wrote" in words


def test_the_run_and_the_table_may_have_moved(shell, table):
    fit(shell, table, "ridge")
    shutil.move("run", "moved")
    shutil.move("t.csv", "moved.csv")
    code, shown, _ = shell("verify", "moved", "moved.csv")
    assert code == 0
    assert "claim                holds" in shown


@pytest.mark.parametrize(
    ("claim", "evidence", "words"),
    [
        (Claim(2.0, 0.0), Evidence(2.0, 4.0, 0.0, 0.0, 12.0), ""),
        (Claim(2.0, 0.0), Evidence(2.0 + 28 * _EPSILON, 4.0, 0.0, 0.0, 12.0), ""),
        (Claim(2.0, 0.0), Evidence(2.0 + 30 * _EPSILON, 4.0, 0.0, 0.0, 12.0), "(6.7e-15 away)"),
        (Claim(2.0, 0.0), Evidence(2.0, 4.0, 0.0, 7 * _EPSILON, 12.0), ""),
        (Claim(2.0, 0.0), Evidence(2.0, 4.0, 0.0, 8 * _EPSILON, 12.0), "proves 1.8e-15 only"),
        (Claim(2.0, 0.0), Evidence(2.0, 4.0, 0.1, 0.2, 12.0), "is 1.0e-01 at least"),
        (Claim(2.0, 0.0), Evidence(float("nan"), 4.0, 0.0, 0.0, 12.0), "claims the objective"),
        (Claim(2.0, 0.0), Evidence(2.0, 4.0, 0.0, float("nan"), 12.0), "proves nan only"),
    ],
)
def test_the_verdict_is_equations_2_and_3(claim, evidence, words):
    why = judge(claim, evidence, _EPSILON)
    assert words in why
    assert bool(why) == bool(words)


def test_a_target_far_from_zero_is_no_false_alarm_and_lost_digits_are_in_the_claim(shell, table):
    table = table.with_columns(number=1e6 + pl.col("number"))
    fit(shell, table, "ridge")
    assert verified(shell)[0] == 0
    shutil.rmtree("run")
    fit(shell, table, "ridge", "--dtype", "float32")  # rounds the bias to 1/16
    code, found, complaint = verified(shell)
    assert (code, complaint) == (0, "")
    assert 1e-6 < found["computed"]["least_gap"] <= found["claimed"]["gap"]
    edit(lambda r: r["certificate"].update(gap=1e-9))
    code, _, complaint = verified(shell)
    assert code == 1
    assert "run.json claims a gap of" in complaint


def test_what_cannot_be_verified_is_one_sentence(shell, table):
    fit(shell, table, "ridge")
    table.with_columns(a=pl.lit(1.7e308)).write_csv("huge.csv")
    for words, sentence in [
        (["run"], "DATA is missing"),
        (["no", "t.csv"], "'no' holds no run of mlmath"),
        (["run", "no.csv"], "there is no file no.csv."),
        (["run", "t.csv", "--jsn"], "did you mean '--json'?"),
        (["run", "huge.csv"], "a prediction is not finite"),
        (["run", "iris"], "the table lacks column 'a'"),
    ]:
        code, shown, complaint = shell("verify", *words)
        assert (code, shown, complaint.count("\n")) == (2, "", 1)
        assert sentence in complaint
    edit(lambda r: r["certificate"].update(gap="0"))
    code, shown, complaint = shell("verify", "run", "t.csv")
    assert (code, shown) == (2, "")
    assert "'certificate' is not what a run holds" in complaint
