"""Training at the shell: which rows see what, and what a run says of itself."""

import math
import os
from contextlib import nullcontext

import numpy as np
import pytest

from mlmath.cli import examples, fit, network, scores, training
from mlmath.cli.refusal import Refusal
from mlmath.data import readers

OPTIONS = fit.Plain(seed=3)
VALUES = network.defaults() | {"hidden": (8,), "steps": 60, "chunk": 20}


def train(data="diabetes", folder=None, options=OPTIONS, dtype="float64", **values):
    gathered = examples.gather(readers.read(data), "any", options)
    ready = training.prepare(gathered, options, VALUES | values, dtype)
    return training.train(ready, options, VALUES | values, folder, []), gathered


def test_the_score_is_of_the_network_that_is_saved_on_rows_it_did_not_see():
    trained, gathered = train()
    held = scores.held_out(gathered.y, 0, 3)
    np.testing.assert_array_equal(trained.ready.held, held)
    assert (trained.ready.weight > 0).sum() == (~held).sum()
    network = trained.outcome.params.model.model
    assert network.target.center[0] == pytest.approx(gathered.y[~held].mean(), rel=1e-12)
    center = trained.outcome.params.model.transformation.center
    np.testing.assert_allclose(center, gathered.features.to_numpy()[~held].mean(axis=0), rtol=1e-9)
    assert [entry["step"] for entry in trained.driven.entries] == list(range(1, 61))


def test_rows_that_validate_are_a_tenth_of_those_that_are_kept():
    y, kept = np.arange(100) % 2.0, np.where(np.arange(100) < 80, 1.0, 0.0)
    chosen = training.validating(y, kept, 2, 0, 100)
    assert chosen.sum() == 8
    assert y[chosen].sum() == 4  # of each class alike
    assert not chosen[80:].any()
    assert not training.validating(y, kept, 2, 0, None).any()
    with pytest.raises(Refusal, match="--patience needs 20 rows that are not held out, there are"):
        training.validating(y[:15], kept[:15], 2, 0, 100)


def test_with_patience_the_best_parameters_are_saved():
    trained, gathered = train(patience=20, steps=400, learning_rate=0.05, schedule="constant")
    kept = np.where(trained.ready.held, 0, gathered.weight)
    chosen = training.validating(gathered.y, kept, 0, 3, 20)
    assert (trained.ready.weight > 0).sum() == (kept > 0).sum() - chosen.sum()
    state, entries = trained.driven.state, trained.driven.entries
    judged = [(entry["validation"], entry["step"]) for entry in entries if "validation" in entry]
    assert (float(state.best.loss), int(state.best.step)) == min(judged)
    assert entries[-1]["step"] == int(state.best.step) + 20 < 400
    saved = trained.outcome.params.model.model.net.layers[0].weights
    np.testing.assert_array_equal(saved, state.best.params.layers[0].weights)
    assert not np.array_equal(saved, state.run.params.layers[0].weights)


def test_what_fills_a_gap_does_not_see_the_held_out_rows(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=60), rng.normal(size=60)
    x[::7] = np.nan
    path = tmp_path / "a.csv"
    lines = [f"{'' if math.isnan(a) else a},{b},{c}" for a, b, c in zip(x, y, y + 1, strict=True)]
    path.write_text("x,z,y\n" + "\n".join(lines))
    trained, _ = train(str(path), options=OPTIONS._replace(missing="mean"))
    expected = np.nanmean(x[~trained.ready.held])
    assert trained.ready.gathered.columns[0].filling == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("chunk", [7, 200])
def test_a_loss_that_leaves_the_numbers_is_refused_whatever_the_chunk(chunk):
    with pytest.raises(
        Refusal, match="none of the last 100 losses is finite; lower --learning-rate"
    ):
        train(optimizer="sgd", learning_rate=1e160, steps=200, chunk=chunk)


def test_a_run_without_a_step_is_refused():
    with pytest.raises(Refusal, match="no step could be taken, for each would have left"):
        train(l2=1e308)


@pytest.mark.parametrize("rate", [1e300, 1e-300])
def test_a_rate_that_the_dtype_does_not_hold_is_refused(rate):
    with pytest.raises(Refusal, match="is 0 or infinite in float32"):
        train(learning_rate=rate, dtype="float32")


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (1e60, 1.0, "holds numbers that are too large for float32"),
        (1.0, 1e60, "holds numbers that are too large for float32"),
        (1.0, None, "float32 does not hold how the target 'y' varies beside its mean 1e[+]09"),
    ],
    ids=["column", "target", "offset"],
)
def test_numbers_that_the_dtype_does_not_hold_are_refused(tmp_path, x, y, sentence):
    rng = np.random.default_rng(0)
    target = 1e9 + rng.normal(size=60) if y is None else y * rng.normal(size=60)
    table = np.column_stack([x * rng.normal(size=60), target])
    path = tmp_path / "a.csv"
    path.write_text("x,y\n" + "\n".join(f"{a!r},{b!r}" for a, b in table.tolist()))
    with pytest.raises(Refusal, match=sentence):
        train(str(path), dtype="float32")
    if y is None:
        assert train(str(path))[0].outcome.certificate["objective"] > 0


def test_the_rows_that_validate_are_not_the_rows_that_are_fitted():
    """The validation loss, from the parameters and the rows of the table, in NumPy."""
    trained, gathered = train(patience=60, steps=20)
    kept = np.where(trained.ready.held, 0, gathered.weight)
    chosen = training.validating(gathered.y, kept, 0, 3, 60)
    rows, n = trained.ready.given.rows, len(gathered.y)
    assert not (rows.weight[:n][chosen] > 0).any()
    first, last = trained.driven.state.run.params.layers
    h = np.maximum(rows.X[:n] @ np.asarray(first.weights).T + np.asarray(first.bias), 0)
    z = h @ np.asarray(last.weights)[0] + np.asarray(last.bias)
    losses = (z - rows.y[:n]) ** 2 / 2
    expected = losses[chosen].mean()
    assert trained.driven.entries[-1]["validation"] == pytest.approx(expected, rel=1e-10)
    assert losses[kept > 0].mean() != pytest.approx(expected, rel=1e-3)


def test_a_full_disk_is_said_at_once_and_the_network_is_trained(tmp_path, monkeypatch, capsys):
    whole, _ = train(folder=None)
    written, said = os.fsync, []

    def full(handle):
        said.append(capsys.readouterr().err)
        if any(tmp_path.glob("step-*")):
            raise OSError(28, "No space left on device")
        written(handle)

    monkeypatch.setattr(os, "fsync", full)
    trained, _ = train(folder=tmp_path)
    said.append(capsys.readouterr().err)
    lines = "".join(said).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("mlmath: the checkpoint of step 20 could not be written (No space")
    assert lines[1].startswith("mlmath: the losses of step 40 could not be written (No space")
    assert len(trained.driven.remarks) == 3
    assert lines[0] in "".join(said[:-1])  # before the run went on
    np.testing.assert_array_equal(
        trained.driven.state.run.params.layers[0].weights,
        whole.driven.state.run.params.layers[0].weights,
    )


def test_the_mean_of_losses_is_of_the_finite_ones():
    losses = [1.0, None, 3.0, float("nan"), float("inf")]
    assert training.mean([{"loss": loss} for loss in losses]) == 2.0
    assert training.mean([{"loss": None}]) is None
    assert training.mean([]) is None


def test_the_bar_shows_loss_rate_and_speed(monkeypatch):
    shown = []
    noted = nullcontext(lambda done, text: shown.append((done, text())))
    monkeypatch.setattr(training.progress, "bar", lambda total: noted)
    train(patience=1000)
    assert [done for done, _ in shown] == [20, 40, 60]
    for part in ("loss ", "validation ", "rate ", "steps/s"):
        assert part in shown[-1][1]
