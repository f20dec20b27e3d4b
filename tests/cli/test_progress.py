"""The folder of a run in progress belongs to one run."""

import json

import pytest

from mlmath.cli import progress
from mlmath.cli.refusal import Refusal
from mlmath.scale import checkpoints

DESCRIPTION = {"model": "mlp", "hidden": (64, 64), "learning_rate": 0.001, "target": "y"}


def test_a_new_folder_says_what_is_fitted(tmp_path):
    made = progress.folder(tmp_path / "run", None, DESCRIPTION)
    assert made == tmp_path / "run"
    assert json.loads((made / "training.json").read_text())["hidden"] == [64, 64]
    with pytest.raises(Refusal, match="is not empty; choose another folder with --out"):
        progress.folder(made, None, DESCRIPTION)


@pytest.mark.parametrize("there", [True, False])
def test_to_resume_nothing_is_to_begin(tmp_path, there):
    if there:
        (tmp_path / "run").mkdir()
    made = progress.folder(tmp_path / "unused", tmp_path / "run", DESCRIPTION)
    assert [path.name for path in made.iterdir()] == ["training.json"]
    assert progress.folder(tmp_path / "unused", made, DESCRIPTION) == made
    assert not (tmp_path / "unused").exists()


def test_a_run_killed_before_its_first_file_had_a_name_begins(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".training.json.abc.partial").write_bytes(b"half")
    made = progress.folder(tmp_path / "unused", tmp_path / "run", DESCRIPTION)
    assert [path.name for path in made.iterdir()] == ["training.json"]


def test_a_file_is_no_run_to_resume(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(Refusal, match="holds no training to resume"):
        progress.folder(tmp_path / "unused", tmp_path / "file", DESCRIPTION)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"hidden": (64,)}, "its hidden is 64 64, not 64; give the options that it began with"),
        ({"learning_rate": 0.01}, "its learning rate is 0.001, not 0.01"),
        ({"more": 1}, "its more is None, not 1"),
    ],
    ids=["list", "number", "absent"],
)
def test_another_run_is_refused_by_what_differs(tmp_path, change, sentence):
    made = progress.folder(tmp_path / "run", None, DESCRIPTION)
    with pytest.raises(Refusal, match=sentence):
        progress.folder(tmp_path, made, DESCRIPTION | change)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, r"holds no training to resume \(training.json: No such file"),
        ("{", "is damaged: it is not JSON"),
        ("[1]", "its model is None, not mlp"),
    ],
    ids=["none", "damaged", "list"],
)
def test_a_folder_without_a_description_is_refused(tmp_path, text, sentence):
    (tmp_path / "other").write_text("x")
    if text is not None:
        (tmp_path / "training.json").write_text(text)
    with pytest.raises(Refusal, match=sentence):
        progress.folder(tmp_path / "unused", tmp_path, DESCRIPTION)


def test_the_end_of_a_run_leaves_no_checkpoint(tmp_path):
    checkpoints.save(tmp_path, {"w": 1.0}, 7)
    assert not progress.finished(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    progress.finish(tmp_path)
    assert progress.finished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_the_bar_is_drawn_on_a_terminal_only(capsys):
    with progress.bar(10) as draw:
        draw(5, "loss 0.1")
    assert capsys.readouterr() == ("", "")
