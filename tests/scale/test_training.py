"""The training driver: what a run comes to does not depend on who killed it, when and how often."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.optimize import first_order, stochastic
from mlmath.scale import checkpoints, journal, training

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = X @ np.array([1.0, -2.0, 0.5])
OPTIMIZER = first_order.adam(0.05)
FIRST = stochastic.init(jax.random.key(4), jnp.zeros(3), OPTIMIZER)


def loss(params, x, y):
    return (params @ x - y) ** 2


def advance(state, steps):
    return stochastic.run(loss, OPTIMIZER, state, X, Y, batch_size=8, steps=steps)


def counted(values):
    """A run that only counts, and a validation loss that takes the given values in turn."""
    values = iter(values)
    first = SimpleNamespace(params=jnp.zeros(()), step=jnp.zeros((), jnp.int32))

    def advance(state, steps):
        return SimpleNamespace(params=state.params + steps, step=state.step + steps), jnp.ones(
            steps
        )

    return advance, training.begin(first), lambda params: next(values)


def run(state=None, steps=100, **options):
    return list(training.run(advance, state or training.begin(FIRST), steps=steps, **options))


def bits(state):
    state = state._replace(run=state.run._replace(key=jax.random.key_data(state.run.key)))
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]


def test_chunks_are_one_run():
    chunks = run(steps=100, chunk=30)
    state, losses = advance(FIRST, 100)
    assert [len(chunk.entries) for chunk in chunks] == [30, 30, 30, 10]
    entries = [entry for chunk in chunks for entry in chunk.entries]
    assert entries == [{"step": k, "loss": float(v)} for k, v in enumerate(losses, 1)]
    np.testing.assert_array_equal(chunks[-1].state.run.params, state.params)
    assert all(chunk.seconds > 0 for chunk in chunks)


def test_the_best_parameters_are_kept():
    """Eq. (2): the least of 3, 1, 2, 1, NaN comes first at step 20."""
    advance, state, validate = counted([3.0, 1.0, 2.0, 1.0, float("nan")])
    chunks = list(training.run(advance, state, steps=50, chunk=10, validate=validate))
    best = chunks[-1].state.best
    assert (float(best.params), float(best.loss), int(best.step)) == (20.0, 1.0, 20)
    np.testing.assert_array_equal(
        [c.entries[-1]["validation"] for c in chunks], [3, 1, 2, 1, np.nan]
    )


@pytest.mark.parametrize(("patience", "last"), [(10, 30), (20, 40), (25, 50), (None, 60)])
def test_it_stops_when_the_validation_loss_has_not_fallen_for_a_while(patience, last):
    """Eq. (2) with the least loss at step 20, looked at every 10 steps."""
    advance, state, validate = counted([3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    options = {"steps": 60, "chunk": 10, "validate": validate, "patience": patience}
    chunks = list(training.run(advance, state, **options))
    assert int(chunks[-1].state.run.step) == last
    again = training.run(advance, chunks[-1].state, **options)
    assert list(again) == []  # what has ended has ended, also when resumed


def test_the_first_validation_loss_is_a_record_however_large_it_is():
    advance, state, validate = counted([1e30])
    (chunk,) = training.run(advance, state, steps=10, chunk=10, validate=validate)
    assert int(chunk.state.best.step) == 10


def test_without_a_validation_loss_nothing_stops_it():
    assert int(run(steps=50, chunk=10, patience=10)[-1].state.run.step) == 50


def test_the_seconds_are_those_of_the_steps_alone(monkeypatch):
    """Three for the call, two until the losses are there; judging them takes seven."""
    clock, (_, state, _) = [0.0], counted([])

    def passing(seconds, value):
        clock[0] += seconds
        return value

    class Losses:
        def __array__(self, dtype=None, copy=None):
            return passing(2.0, np.ones(1))

    def advance(state, steps):
        return passing(3.0, (SimpleNamespace(params=state.params, step=state.step + 1), Losses()))

    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    (chunk,) = training.run(advance, state, steps=1, validate=lambda params: passing(7.0, 1.0))
    assert chunk.seconds == 5.0


def test_without_a_checkpoint_a_run_begins_again(tmp_path):
    (tmp_path / ".step-1.abc.partial").write_bytes(b"what a killed process left")
    state, remarks = training.resume(tmp_path, FIRST)
    assert bits(state) == bits(training.begin(FIRST))
    assert remarks == ()
    assert [path.name for path in tmp_path.iterdir()] == [training.JOURNAL]


@pytest.mark.parametrize("whole", [1, 3, 4])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, whole):
    options = {"chunk": 25, "validate": lambda w: jnp.sum((w - 1) ** 2), "patience": 1000}
    uninterrupted = run(**options)[-1].state
    chunks = training.run(
        advance, training.begin(FIRST), steps=100, folder=tmp_path, **options
    )  # fmt: skip
    for _ in range(whole):
        next(chunks)
    state, remarks = training.resume(tmp_path, FIRST)
    assert int(state.run.step) == 25 * whole
    rest = run(state, folder=tmp_path, **options)
    assert bits(rest[-1].state if rest else state) == bits(uninterrupted)
    assert remarks == ()
    entries = journal.read(tmp_path / training.JOURNAL)
    assert [entry["step"] for entry in entries] == list(range(1, 101))
    assert [k for k, entry in enumerate(entries, 1) if "validation" in entry] == [25, 50, 75, 100]


def test_a_truncated_checkpoint_is_passed_over_with_a_sentence(tmp_path):
    uninterrupted = run(chunk=25, folder=tmp_path)[-1].state
    newest = checkpoints.paths(tmp_path)[-1]
    newest.write_bytes(newest.read_bytes()[:-9])
    state, (remark,) = training.resume(tmp_path, FIRST)
    assert int(state.run.step) == 75
    assert remark.endswith("; passed over.")
    assert bits(run(state, chunk=25, folder=tmp_path)[-1].state) == bits(uninterrupted)


def test_with_no_sound_checkpoint_it_begins_again_and_says_so(tmp_path):
    run(chunk=25, folder=tmp_path)
    for path in checkpoints.paths(tmp_path):
        path.write_bytes(b"")
    state, remarks = training.resume(tmp_path, FIRST)
    assert int(state.run.step) == 0
    assert len(remarks) == 3
    assert remarks[-1] == "no checkpoint could be used; the run begins again."
    assert journal.read(tmp_path / training.JOURNAL) == []


def test_a_full_disk_is_a_remark_and_the_run_goes_on(tmp_path, monkeypatch):
    uninterrupted = run(chunk=25)[-1].state
    chunks = training.run(advance, training.begin(FIRST), steps=100, chunk=25, folder=tmp_path)
    next(chunks)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    *_, last = chunks
    monkeypatch.undo()
    assert bits(last.state) == bits(uninterrupted)
    assert last.remarks == (
        "the losses of step 100 could not be written (No space left on device).",
    )
    state, _ = training.resume(tmp_path, FIRST)
    assert int(state.run.step) == 25
    assert bits(run(state, chunk=25, folder=tmp_path)[-1].state) == bits(uninterrupted)


def test_losses_that_could_not_be_written_are_written_with_the_next(tmp_path, monkeypatch):
    """And no checkpoint goes before its losses."""
    chunks = training.run(advance, training.begin(FIRST), steps=100, chunk=25, folder=tmp_path)
    next(chunks)
    append = journal.append

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal, "append", full)
    next(chunks)
    assert [checkpoints.latest(tmp_path, training.begin(FIRST)).step] == [25]
    monkeypatch.setattr(journal, "append", append)
    assert next(chunks).remarks == ()
    steps = [entry["step"] for entry in journal.read(tmp_path / training.JOURNAL)]
    assert steps == list(range(1, 76))
    assert checkpoints.latest(tmp_path, training.begin(FIRST)).step == 75


@pytest.mark.parametrize("name", ["chunk", "patience"])
def test_a_length_below_one_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        run(**{name: 0})


MOMENTS = [
    "start", "trace", "trace:2", "timer:30", "timer:150", "timer:400", "before a chunk",
    "in a chunk", "in a chunk:3", "before a chunk:3", "half a line", "flush:1", "flush:2",
    "flushed:2", "rename:2", "rename:3", "renamed:2", "renamed:3", "flush:4", "prune", "clear",
    "saved:2", "timer:700", "timer:900",
]  # fmt: skip


@pytest.mark.bits
def test_a_run_killed_at_every_moment_ends_in_the_same_bits(tmp_path):
    """SIGKILL at 24 moments of one run, one after another, resumed each time."""

    def start(folder, moment):
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "tests.scale.killed", str(folder), moment]
        root = Path(__file__).parents[2]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)

    uninterrupted = start(tmp_path / "whole", "never")
    reached = []
    for moment in MOMENTS:
        done = start(tmp_path / "killed", moment)
        assert done.returncode == -9, f"{moment}: {done.stdout}{done.stderr}"
        found = checkpoints.paths(tmp_path / "killed")
        reached.append(int(found[-1].stem.removeprefix("step-")) if found else 0)
    assert reached == sorted(reached)
    assert 0 < reached[-1] < 3000, json.dumps(reached)
    resumed = start(tmp_path / "killed", "never")
    assert resumed.stderr == uninterrupted.stderr == ""
    assert resumed.stdout == uninterrupted.stdout
    assert resumed.stdout.startswith("3000 ")
