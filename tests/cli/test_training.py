"""Training at the shell: which rows see what, and what a run says of itself."""

import math
import os
from contextlib import nullcontext

import numpy as np
import pytest

from mlmath.cli import examples, fit, network, scores, training
from mlmath.cli.refusal import Refusal
from mlmath.data import readers
from mlmath.scale import training as driver

OPTIONS = fit.Plain(seed=3)
VALUES = network.defaults() | {"hidden": (8,), "steps": 60, "chunk": 20}


def train(data="diabetes", folder=None, options=OPTIONS, **values):
    gathered = examples.gather(readers.read(data), "any", options)
    return training.train(gathered, options, VALUES | values, "float64", folder), gathered


def test_the_score_is_of_the_network_that_is_saved_on_rows_it_did_not_see():
    trained, gathered = train()
    held = scores.held_out(gathered.y, 0, 3)
    np.testing.assert_array_equal(trained.held, held)
    assert trained.rows == (~held).sum()
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
    kept = np.where(trained.held, 0, gathered.weight)
    chosen = training.validating(gathered.y, kept, 0, 3, 20)
    assert trained.rows == (kept > 0).sum() - chosen.sum()
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
    expected = np.nanmean(x[~trained.held])
    assert trained.gathered.columns[0].filling == pytest.approx(expected, rel=1e-12)


def test_a_loss_that_leaves_the_numbers_is_refused():
    with pytest.raises(Refusal, match=r"left the finite numbers by step \d+; lower"):
        train(optimizer="sgd", learning_rate=1e200, steps=200)


def test_a_full_disk_is_said_once_and_the_network_is_trained(tmp_path, monkeypatch, capsys):
    whole, _ = train(folder=None)
    written = os.fsync

    def full(handle):
        if any(tmp_path.glob("step-*")):
            raise OSError(28, "No space left on device")
        written(handle)

    monkeypatch.setattr(os, "fsync", full)
    trained, _ = train(folder=tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("mlmath: the checkpoint of step 20 could not be written (No space")
    assert len(lines) == 3
    assert lines[-1].startswith("mlmath: … and ")
    np.testing.assert_array_equal(
        trained.driven.state.run.params.layers[0].weights,
        whole.driven.state.run.params.layers[0].weights,
    )


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(driver, "resume", fails)
    with pytest.raises(Refusal, match=r"cannot write to '.*' \(Read-only file system"):
        train(folder=tmp_path)


def test_the_mean_of_losses_is_of_the_finite_ones():
    losses = [1.0, None, 3.0, float("nan"), float("inf")]
    assert training.mean([{"loss": loss} for loss in losses]) == 2.0


def test_the_bar_shows_loss_rate_and_speed(monkeypatch):
    shown = []
    noted = nullcontext(lambda done, text: shown.append((done, text)))
    monkeypatch.setattr(training.progress, "bar", lambda total: noted)
    train(patience=1000)
    assert [done for done, _ in shown] == [20, 40, 60]
    for part in ("loss ", "validation ", "rate ", "steps/s"):
        assert part in shown[-1][1]
