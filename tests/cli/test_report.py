"""Reports and files: written whole or not at all."""

import os

import pytest
from matplotlib.figure import Figure

from mlmath.cli import report
from mlmath.cli.refusal import Refusal


def test_text_is_escaped():
    section = report.Section("a < b", "‖w‖ & more", {"<i>": "<script>"}, {})
    page = report.page("<t>", "<lead>", [section])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "a &lt; b" in page


def test_a_figure_becomes_a_png():
    assert report.png(Figure()).startswith(b"\x89PNG")


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def pull_the_plug(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", pull_the_plug)
    with pytest.raises(KeyboardInterrupt):
        report.write(tmp_path / "a.txt", "text")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_whole(tmp_path):
    report.write(tmp_path / "a.txt", "old")
    report.write(tmp_path / "a.txt", "new")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["new"]


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Refusal, match="No space left on device"):
        report.write(tmp_path / "a.txt", "text")
    assert list(tmp_path.iterdir()) == []


def test_a_run_needs_a_folder_of_its_own(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(Refusal, match="is not empty"):
        report.run_folder(tmp_path)
    with pytest.raises(Refusal, match="cannot write"):
        report.run_folder(tmp_path / "file" / "below")
    assert report.run_folder(tmp_path / "new" / "run").is_dir()
