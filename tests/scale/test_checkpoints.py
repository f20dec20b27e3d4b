"""Checkpoints: the newest sound one is found, whatever was done to the others."""

import os

import jax.numpy as jnp
import pytest

from mlmath.scale import checkpoints


def state(step):
    return {"weights": jnp.full(3, 1.0 * step)}


@pytest.fixture
def folder(tmp_path):
    for step in (100, 200, 300):
        checkpoints.save(tmp_path, state(step), step)
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_two_newest_are_kept(folder):
    assert names(folder) == ["step-000000000200.safetensors", "step-000000000300.safetensors"]
    found = checkpoints.latest(folder, state(0))
    assert (found.step, found.state["weights"][0], found.remarks) == (300, 300.0, ())


def test_the_newest_is_that_of_the_largest_step_however_many_digits_it_has(tmp_path):
    for step in (999_999_999_999, 1_000_000_000_000):
        checkpoints.save(tmp_path, state(step), step)
    assert checkpoints.latest(tmp_path, state(0)).step == 1_000_000_000_000


def test_without_one_there_is_nothing_to_say(tmp_path):
    (tmp_path / "step-last.safetensors").write_text("not a step")
    assert checkpoints.latest(tmp_path, state(0)) == (None, None, ())


@pytest.mark.parametrize("cut", [0, 40, -1])
def test_a_truncated_one_is_passed_over_with_a_sentence(folder, cut):
    newest = checkpoints.paths(folder)[-1]
    newest.write_bytes(newest.read_bytes()[:cut])
    found = checkpoints.latest(folder, state(0))
    assert (found.step, found.state["weights"][0]) == (200, 200.0)
    (remark,) = found.remarks
    assert remark.startswith(str(newest))
    assert remark.endswith("; passed over.")


def test_a_misnamed_one_is_passed_over_with_a_sentence(folder):
    newest = checkpoints.paths(folder)[-1]
    newest.rename(newest.with_name("step-000000000900.safetensors"))
    found = checkpoints.latest(folder, state(0))
    assert found.step == 200
    assert found.remarks[0].endswith("is damaged: it is of step 300; passed over.")


def test_other_files_are_no_checkpoints(folder):
    for name in ("300.bak.safetensors", "300.safetensors.bak", ".safetensors", "1e3.safetensors"):
        (folder / f"step-{name}").write_bytes(b"")
    assert checkpoints.latest(folder, state(0)).step == 300


def test_what_is_passed_over_does_not_push_out_a_sound_one(folder):
    newest = checkpoints.paths(folder)[-1]
    newest.write_bytes(b"")
    checkpoints.save(folder, state(250), 250)
    assert checkpoints.latest(folder, state(0)).step == 250
    checkpoints.save(folder, state(300), 300)
    assert checkpoints.latest(folder, state(0))[::2] == (300, ())
    assert len(checkpoints.paths(folder)) == 2


def test_damaged_ones_of_later_steps_do_not_push_out_a_new_one(folder):
    for path in checkpoints.paths(folder):
        path.write_bytes(b"")
    checkpoints.save(folder, state(150), 150)
    assert checkpoints.latest(folder, state(0)).step == 150


def test_all_damaged_are_as_many_sentences(folder):
    for path in checkpoints.paths(folder):
        path.write_bytes(b"")
    found = checkpoints.latest(folder, state(0))
    assert (found.step, found.state, len(found.remarks)) == (None, None, 2)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_earlier_ones(folder, monkeypatch, call):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(folder, state(400), 400)
    monkeypatch.undo()
    assert checkpoints.latest(folder, state(0)).step == 300
    assert len(names(folder)) == 2
