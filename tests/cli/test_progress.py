"""The folder of a run in progress belongs to one run."""

import json

import numpy as np
import pytest

from mlmath.cli import progress
from mlmath.cli.refusal import Refusal
from mlmath.scale import checkpoints

DESCRIPTION = {"model": "mlp", "hidden": (64, 64), "learning_rate": 0.001, "target": "y"}
ABOUT = {"mlmath": "1", "jax": "2"}


def begin(out, resume=None, description=DESCRIPTION, about=ABOUT):
    with progress.folder(out, resume, description, about, "mlmath fit mlp x") as (run, remarks):
        return run, remarks


def test_a_new_folder_says_what_is_fitted(tmp_path):
    made, remarks = begin(tmp_path / "run")
    assert (made, remarks) == (tmp_path / "run", [])
    told = json.loads((made / "training.json").read_text())
    assert (told["hidden"], told["command"], told["jax"]) == ([64, 64], "mlmath fit mlp x", "2")
    with pytest.raises(Refusal, match="is not empty; choose another folder with --out"):
        begin(made)


@pytest.mark.parametrize("there", [True, False])
def test_to_resume_nothing_is_to_begin(tmp_path, there):
    if there:
        (tmp_path / "run").mkdir()
    made, _ = begin(tmp_path / "unused", tmp_path / "run")
    assert [path.name for path in made.iterdir()] == ["training.json"]
    assert begin(tmp_path / "unused", made) == (made, [])
    assert not (tmp_path / "unused").exists()


def test_a_run_killed_before_its_first_file_had_a_name_begins(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".training.json.abc.partial").write_bytes(b"half")
    made, _ = begin(tmp_path / "unused", tmp_path / "run")
    assert [path.name for path in made.iterdir()] == ["training.json"]


def test_a_file_is_no_run(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(Refusal, match="is a file, and a run is a folder"):
        begin(tmp_path / "unused", tmp_path / "file")


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    made = progress.folder(tmp_path / "run", None, DESCRIPTION, ABOUT, "")
    another = pytest.raises(Refusal, match=r"another process is training in '.*run'; wait for it")
    with made as (run, _), another:
        begin(tmp_path / "unused", run)
    assert begin(tmp_path / "unused", run) == (run, [])


def test_a_run_under_another_version_goes_on_with_a_remark(tmp_path):
    made, _ = begin(tmp_path / "run")
    _, (remark,) = begin(tmp_path, made, about=ABOUT | {"jax": "3"})
    assert remark.startswith("the run began with jax 2 and goes on with 3: its last digits may")


def test_a_disk_that_fails_inside_is_a_refusal_that_says_how_to_go_on(tmp_path):
    def fail():
        with progress.folder(tmp_path / "run", None, DESCRIPTION, ABOUT, ""):
            raise OSError(28, "No space left on device")

    with pytest.raises(Refusal, match=r"No space left on device\); what is there is kept: give"):
        fail()


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
    made, _ = begin(tmp_path / "run")
    with pytest.raises(Refusal, match=sentence):
        begin(tmp_path, made, DESCRIPTION | change)


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
        begin(tmp_path / "unused", tmp_path)


def test_the_end_of_a_run_leaves_no_checkpoint(tmp_path):
    checkpoints.save(tmp_path, {"w": np.ones(1)}, 7)
    assert not progress.finished(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    progress.finish(tmp_path)
    assert progress.finished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_the_bar_is_drawn_on_a_terminal_only(capsys):
    with progress.bar(10) as draw:
        draw(5, lambda: pytest.fail("the text was made for nobody"))
    assert capsys.readouterr() == ("", "")
