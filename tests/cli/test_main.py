"""The command itself: dispatch, refusals, exit codes."""

import subprocess
import sys

import pytest

import mlmath
from mlmath.cli import main as shell
from mlmath.cli import tour
from mlmath.cli.refusal import Refusal


def test_help_names_every_command(capsys):
    assert shell.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name}" in shown for name in shell.COMMANDS)


def test_version(capsys):
    assert shell.main(["--version"]) == 0
    assert capsys.readouterr().out == f"mlmath {mlmath.__version__}\n"


def test_an_interrupt_is_one_line(monkeypatch, capsys):
    def interrupted(words):
        raise KeyboardInterrupt

    monkeypatch.setattr(tour, "run", interrupted)
    assert shell.main([]) == 130
    assert capsys.readouterr().err == "mlmath: interrupted\n"


def test_a_refusal_is_one_line(monkeypatch, capsys):
    def refused(words):
        raise Refusal("the answer is no.")

    monkeypatch.setattr(tour, "run", refused)
    assert shell.main(["tour"]) == 2
    assert capsys.readouterr().err == "mlmath: the answer is no.\n"


@pytest.mark.parametrize("word", ["tuor", "xyzzy"])
def test_a_wrong_word_ends_with_two_and_no_traceback(word):
    command = "import sys; from mlmath.cli.main import main; sys.exit(main())"
    run = subprocess.run([sys.executable, "-c", command, word], capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert word in run.stderr


def test_a_reader_that_goes_away_is_no_error():
    command = "from mlmath.cli.main import main; import sys; sys.exit(main(['--help']))"
    run = subprocess.run(
        f'{sys.executable} -c "{command}" | true', shell=True, capture_output=True, text=True
    )
    assert run.stderr == ""
