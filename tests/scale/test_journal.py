"""The journal of losses: what is read is what whole lines say."""

import json
import os

import pytest

from mlmath.scale import journal


def entries(first, last):
    return [{"step": step, "loss": 1 / step} for step in range(first, last + 1)]


def test_appended_entries_are_read_in_order(tmp_path):
    path = tmp_path / "losses.jsonl"
    assert journal.read(path) == []
    journal.append(path, entries(1, 3))
    journal.append(path, entries(4, 5))
    assert journal.read(path) == entries(1, 5)
    assert [json.loads(line) for line in path.read_text().splitlines()] == entries(1, 5)


def test_a_loss_that_is_not_finite_is_null(tmp_path):
    path = tmp_path / "losses.jsonl"
    journal.append(path, [{"step": 1, "loss": float("nan"), "validation": float("inf")}])
    assert path.read_text() == '{"step": 1, "loss": null, "validation": null}\n'


def test_trimming_leaves_the_lines_up_to_a_step(tmp_path):
    path = tmp_path / "losses.jsonl"
    journal.append(path, entries(1, 5))
    journal.trim(path, 3)
    assert journal.read(path) == entries(1, 3)
    journal.trim(path, 0)
    assert path.read_bytes() == b""


def test_an_unfinished_line_vanishes(tmp_path):
    path = tmp_path / "losses.jsonl"
    journal.append(path, entries(1, 2))
    with path.open("ab") as file:
        file.write(b'{"step": 3, "lo')
    assert journal.read(path) == entries(1, 2)
    journal.trim(path, 9)
    journal.append(path, entries(3, 3))
    assert journal.read(path) == entries(1, 3)


@pytest.mark.parametrize("call", ["fsync", "write"])
def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path, monkeypatch, call):
    path = tmp_path / "losses.jsonl"
    journal.append(path, entries(1, 2))

    def full(*_):
        raise OSError(28, "No space left on device")

    def half():
        yield {"step": 3, "loss": 1.0}
        full()

    monkeypatch.setattr(os, "fsync", full if call == "fsync" else os.fsync)
    with pytest.raises(OSError, match="No space left"):
        journal.append(path, half() if call == "write" else entries(3, 4))
    monkeypatch.undo()
    journal.append(path, entries(3, 4))
    assert journal.read(path) == entries(1, 4)


def test_lines_that_are_no_entries_are_passed_over(tmp_path):
    path = tmp_path / "losses.jsonl"
    path.write_bytes(
        b'\xff\xfe\n[1]\n{"loss": 1}\n{"step": true, "loss": 1}\n{"step": 3}\n'
        b'{"step": 1, "loss": 2}\n'
    )
    assert journal.read(path) == [{"step": 1, "loss": 2}]


def test_appended_lines_are_whole_when_they_are_flushed_to_the_disk(tmp_path, monkeypatch):
    path, sizes = tmp_path / "losses.jsonl", []
    monkeypatch.setattr(os, "fsync", lambda handle: sizes.append(os.fstat(handle).st_size))
    journal.append(path, entries(1, 2))
    assert sizes == [path.stat().st_size]


def test_what_cannot_be_trimmed_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "losses.jsonl"
    journal.append(path, entries(1, 2))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        journal.trim(path, 1)
    assert journal.read(path) == entries(1, 2)
