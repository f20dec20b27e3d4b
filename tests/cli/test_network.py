"""``mlmath fit mlp``: on any table, resumed where it was killed, applied and verified."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import get_args

import numpy as np
import polars as pl
import pytest

from mlmath.cli import network
from mlmath.neural import activations
from mlmath.optimize import first_order

SHORT = ["--hidden", "8", "--steps", "60", "--chunk", "20"]


def fitted(shell, data, *words, out="run"):
    code, shown, complaint = shell("fit", "mlp", data, *SHORT, *words, "--out", out, "--json")
    assert (code, complaint) == (0, "")
    return json.loads(shown)


def test_the_choices_are_functions_of_the_library():
    kinds = {option.name: get_args(option.kind) for option in network.OPTIONS}
    for name in network.ACTIVATIONS:
        assert callable(getattr(activations, name))
    for name in network.OPTIMIZERS:
        assert callable(getattr(first_order, name)(0.1).update)
    assert kinds["activation"] == network.ACTIVATIONS
    assert kinds["optimizer"] == network.OPTIMIZERS
    left = {"softmax"} | {n for n in activations.__all__ if n[0].isupper()}
    assert set(activations.__all__) - left == set(network.ACTIVATIONS)


@pytest.mark.parametrize(
    ("data", "labels", "score"),
    [("diabetes", 0, "r_squared"), ("titanic", 2, "accuracy"), ("digits", 10, "accuracy")],
)
def test_any_table_is_fitted_predicted_and_verified(shell, tmp_path, data, labels, score):
    found = fitted(shell, data, "--missing", "mean", "--l2", "1", "--learning-rate", "0.01")
    assert len(found["labels"]) == labels
    assert found["held_out"][score] > 0
    assert found["training"]["steps"] == 60
    assert found["rows_fitted"] + found["rows_held_out"] > 400
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files == {
        "run.json", "params.safetensors", "report.html", "losses.jsonl", "training.json",
    }  # fmt: skip
    code, _, _ = shell("predict", "run", data, "--out", "predicted.csv")
    assert code == 0
    predicted = pl.read_csv(tmp_path / "predicted.csv")
    assert predicted.width == 1 + labels
    code, shown, _ = shell("verify", "run", data, "--json")
    verified = json.loads(shown)
    assert (code, verified["holds"]) == (0, True)
    np.testing.assert_allclose(
        verified["computed"]["objective"], found["certificate"]["objective"], rtol=1e-12
    )


@pytest.mark.parametrize("claim", ["objective", "gap"])
def test_a_false_claim_does_not_hold(shell, tmp_path, claim):
    fitted(shell, "diabetes")
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text())
    record["certificate"][claim] /= 2
    path.write_text(json.dumps(record))
    code, _, complaint = shell("verify", "run", "diabetes")
    assert code == 1
    assert f"claims {'the objective' if claim == 'objective' else 'a gap'}" in complaint


@pytest.mark.parametrize(
    ("task", "labels"), [("auto", 3), ("classes", 3), ("number", 0)]
)  # fmt: skip
def test_few_whole_numbers_are_classes_unless_one_says_otherwise(shell, tmp_path, task, labels):
    rng = np.random.default_rng(0)
    table = pl.DataFrame({"x": rng.normal(size=90), "y": rng.integers(0, 3, size=90)})
    table.write_csv(tmp_path / "a.csv")
    assert len(fitted(shell, "a.csv", "--task", task)["labels"]) == labels


def test_the_facts_claim_no_bound_on_the_optimum(shell):
    _, shown, _ = shell("fit", "mlp", "diabetes", *SHORT, "--patience", "500")
    assert "without convexity no bound on the optimum" in shown
    assert "of the optimum (" not in shown
    assert "least validation loss" in shown
    assert "8" in shown


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--hidden", "0"], "--hidden must be one or more, each a whole number from 1"),
        (["--learning-rate", "0"], "--learning-rate must be a finite number above 0, got 0."),
        (["--learning-rate", "nan"], "--learning-rate must be a finite number above 0, got nan."),
        (["--patience", "0"], "--patience must be a whole number from 1, got 0."),
        (["--chunk", "-1"], "--chunk must be a whole number from 1, got -1."),
        (["--optimizer", "adm"], "--optimizer must be one of adam, adamw"),
        (["--resume", "a", "--out", "b"], "--resume names the folder already; leave out --out."),
        (["--resume", "."], "holds no training to resume"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_no_run_could_take_is_refused(shell, tmp_path, words, sentence):
    (tmp_path / "something").write_text("x")
    code, _, complaint = shell("fit", "mlp", "diabetes", *words)
    assert code == 2
    assert sentence in complaint
    assert complaint.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["something"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["sweep", "mlp", "diabetes", "--over", "l2=1:2:2"], "mlp is trained in steps"),
        (["influence", "run"], "is a network, not trained to a minimum"),
    ],
    ids=["sweep", "influence"],
)
def test_what_a_network_cannot_is_said(shell, words, sentence):
    fitted(shell, "diabetes")
    code, _, complaint = shell(*words)
    assert code == 2
    assert sentence in complaint


def test_a_run_is_resumed_with_its_own_options_only(shell, tmp_path):
    fitted(shell, "diabetes")
    words = ["fit", "mlp", "diabetes", *SHORT, "--resume", "run"]
    code, shown, _ = shell(*words)
    assert code == 0
    assert "60 steps" in shown  # a run that is finished shows what it came to
    for more, what in (
        (["--l2", "2"], "its l2 is 0.0, not 2.0"),
        (["--seed", "1"], "its seed is"),
        (["--dtype", "float32"], "its dtype is float64, not float32"),
    ):
        code, _, complaint = shell(*words, *more)
        assert code == 2
        assert what in complaint
    (tmp_path / "run" / "run.json").unlink()
    code, _, complaint = shell("predict", "run", "diabetes")
    assert code == 2
    assert "'run' is not finished; give the command that began it --resume run." in complaint


def test_another_task_is_another_run(shell, tmp_path):
    rng = np.random.default_rng(0)
    table = pl.DataFrame({"x": rng.normal(size=90), "y": rng.integers(0, 3, size=90)})
    table.write_csv(tmp_path / "a.csv")
    fitted(shell, "a.csv", "--task", "number")
    words = ["fit", "mlp", "a.csv", *SHORT, "--resume", "run"]
    code, _, complaint = shell(*words, "--task", "classes")
    assert code == 2
    assert "its classes is 0, not 3" in complaint
    assert shell(*words, "--task", "number")[0] == 0


def test_a_network_with_patience_is_verified_on_the_rows_that_were_fitted(shell):
    found = fitted(shell, "diabetes", "--patience", "40", "--learning-rate", "0.05")
    code, shown, _ = shell("verify", "run", "diabetes", "--json")
    verified = json.loads(shown)
    assert (code, verified["holds"]) == (0, True)
    assert verified["rows_of_the_fit"] == found["rows_fitted"] == 442 - 88 - 35
    np.testing.assert_allclose(
        verified["computed"]["objective"], found["certificate"]["objective"], rtol=1e-12
    )


def test_what_float32_rounds_is_verified_as_it_was_fitted(shell, tmp_path):
    rng = np.random.default_rng(0)
    table = pl.DataFrame({"x": (x := rng.normal(size=200)), "y": 1e4 + x})
    table.write_csv(tmp_path / "a.csv")
    fitted(shell, "a.csv", "--dtype", "float32")
    code, shown, _ = shell("verify", "run", "a.csv", "--json")
    assert (code, json.loads(shown)["holds"]) == (0, True)


def test_a_refused_run_leaves_no_folder(shell, tmp_path):
    for words in (["--seed", "-1"], ["--dtype", "float32", "--learning-rate", "1e300"]):
        assert shell("fit", "mlp", "diabetes", *words, "--out", "run")[0] == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [["--hidden", "9000000", "9000000"], ["--batch-size", "2147483647"]],
    ids=["net", "batch"],
)
def test_what_no_memory_holds_is_refused_before_anything_is_drawn(shell, tmp_path, words):
    code, _, complaint = shell("fit", "mlp", "diabetes", *words, "--out", "run")
    assert code == 2
    assert "training takes " in complaint
    assert complaint.endswith("; take smaller --hidden or --batch-size.\n")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_says_how_to_go_on(shell, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(network.training, "train", interrupted)
    code, _, complaint = shell("fit", "mlp", "diabetes", *SHORT, "--out", "run")
    assert code == 130
    assert "the same command with --resume run goes on from the last checkpoint" in complaint


def test_a_disk_that_is_full_at_the_end_is_one_sentence_and_the_run_is_resumed(shell, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as spoilt:
        spoilt.setattr(network.runs, "write_params", full)
        code, _, complaint = shell("fit", "mlp", "diabetes", *SHORT, "--out", "run")
    assert code == 2
    assert complaint.endswith("what is there is kept: give the command again with --resume run.\n")
    code, shown, _ = shell("fit", "mlp", "diabetes", *SHORT, "--resume", "run")
    assert code == 0
    assert "60 steps" in shown


def test_a_run_without_its_journal_is_finished_without_a_curve(shell, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as spoilt:
        spoilt.setattr(network, "_save", killed)
        assert shell("fit", "mlp", "diabetes", *SHORT, "--out", "run")[0] == 130
    (tmp_path / "run" / "losses.jsonl").unlink()
    code, shown, _ = shell("fit", "mlp", "diabetes", *SHORT, "--resume", "run")
    assert code == 0
    assert "60 steps\n" in shown


@pytest.mark.parametrize(
    ("field", "value"), [("hidden", [0]), ("hidden", "64"), ("activation", "exp"), ("l2", "1")]
)
def test_a_damaged_description_of_a_network_is_refused(shell, tmp_path, field, value):
    fitted(shell, "diabetes")
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text())
    record["hyperparameters"][field] = value
    path.write_text(json.dumps(record))
    code, _, complaint = shell("verify", "run", "diabetes")
    assert code == 2
    assert "is damaged: 'hyperparameters' is not what a run holds" in complaint


def test_a_killed_command_is_resumed_to_the_same_bits(tmp_path):
    """SIGKILL in the first file, by what the folder shows, and around the last files."""
    words = ["diabetes", "--hidden", "16", "16", "--steps", "4000", "--patience", "4000"]
    program = "from mlmath.cli.main import main; raise SystemExit(main())"
    died = "(lambda *_: os.kill(os.getpid(), 9))"

    def start(*more, spoilt=""):
        environment = os.environ | {"MLMATH_CACHE": str(tmp_path / "cache")}
        code = f"import os; from mlmath.cli import network, progress, runs; {spoilt}\n{program}"
        command = [sys.executable, "-c", code, "fit", "mlp", *words, *more]
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
        )

    def killed(**spoilt):
        assert start("--resume", "killed", **spoilt).wait() == -9

    whole = start("--out", "whole")
    assert whole.wait() == 0
    run = tmp_path / "killed"
    killed(spoilt=f"os.replace = {died}")
    assert [path.suffix for path in run.iterdir()] == [".partial"]
    for awaited in ("training.json", "losses.jsonl", "step-*.safetensors", "step-*[1-9]00.*"):
        process = start("--resume", "killed")
        before = set(run.glob(awaited))
        while process.poll() is None and not set(run.glob(awaited)) - before:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (run / "run.json").exists()
    killed(spoilt=f"network.runs.write_record = {died}")
    assert (run / "params.safetensors").exists()
    killed(spoilt=f"progress.finish = {died}")
    assert (run / "run.json").exists()
    last = start("--resume", "killed")
    assert last.wait() == 0
    assert not list(run.glob("step-*"))
    for name in ("params.safetensors", "losses.jsonl"):
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
