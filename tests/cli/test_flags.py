import sys
from typing import Literal

import pytest
import tyro

from mlmath.cli import flags
from mlmath.cli.refusal import Refusal

_OPTIONS = [
    flags.Option("data", str, "a file", metavar="DATA", positional=True),
    flags.Option("target", str | None, "a column", None, "COL"),
    flags.Option("ignore", tuple[str, ...], "columns", (), "COL"),
    flags.Option("l2", float, "penalty, 5 % say", 1.0),
    flags.Option("max_steps", int, "steps", 100),
    flags.Option("missing", Literal["error", "drop"], "gaps", "error"),
    flags.Option("tolerance", float | None, "gap", None),
    flags.Option("raw", bool, "as they are", False),
    flags.Option("hidden", tuple[int, ...], "sizes", (64,)),
]


def _parse(*words):
    return flags.parse("mlmath fit", "Fit.", _OPTIONS, words)


def test_words_become_a_record():
    found = _parse("a.csv", "--l2", "-3e-2", "--ignore", "-x", "--ignore=y", "--max-steps", "7")
    assert (found.data, found.target, found.ignore) == ("a.csv", None, ("-x", "y"))
    assert (found.l2, found.max_steps, found.raw) == (-0.03, 7, False)
    assert _parse("--raw", "a.csv").raw is True


@pytest.mark.parametrize(
    ("words", "hidden"),
    [
        (["a.csv"], (64,)),
        (["a.csv", "--hidden", "8"], (8,)),
        (["--hidden", "8", "4", "a.csv"], (8, 4)),
        (["--hidden=8", "4", "a.csv", "--raw"], (8, 4)),
        (["a.csv", "--hidden", "8", "4", "--l2", "3"], (8, 4)),
    ],
    ids=["default", "one", "before", "equals", "between"],
)
def test_a_list_of_numbers_ends_where_no_number_follows(words, hidden):
    found = _parse(*words)
    assert (found.data, found.hidden) == ("a.csv", hidden)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a.csv", "--hidden", "x"], "--hidden must be a whole number, got 'x'."),
        (["a.csv", "--hidden"], "--hidden needs a value; see `mlmath fit --help`."),
        (["a.csv", "--targte", "4"], "there is no option '--targte'; did you mean '--target'?"),
        (["a.csv", "--zzz"], "there is no option '--zzz'; `mlmath fit --help` lists them."),
        (["a.csv", "--alpha"], "there is no option '--alpha'; `mlmath fit --help` lists them."),
        (["a.csv", "-l2", "4"], "there is no option '-l2'; did you mean '--l2'?"),
        (["a.csv", "--l2", "x"], "--l2 must be a number, got 'x'."),
        (["a.csv", "--l2=", "x"], "--l2 must be a number, got ''."),
        (["a.csv", "--tolerance", "1,5"], "--tolerance must be a number, got '1,5'."),
        (["a.csv", "--max_steps", "3.5"], "--max-steps must be a whole number, got '3.5'."),
        (["a.csv", "--missing", "all"], "--missing must be one of error, drop, got 'all'."),
        (["a.csv", "--l2"], "--l2 needs a value; see `mlmath fit --help`."),
        (["a.csv", "--target", "--raw"], "--target needs a value; see `mlmath fit --help`."),
        (["a.csv", "--raw=1"], "--raw takes no value, got '1'."),
        (["a.csv", "b.csv"], "'b.csv' is one word too many; see `mlmath fit --help`."),
        ([], "DATA is missing (a file); see `mlmath fit --help`."),
    ],
)
def test_a_wrong_word_is_one_sentence(words, sentence, capsys):
    with pytest.raises(Refusal) as refused:
        _parse(*words)
    assert str(refused.value) == sentence
    assert capsys.readouterr().err == ""


def test_what_tyro_alone_cannot_read_is_one_sentence(monkeypatch, capsys):
    def refuses(*_, **__):
        sys.stderr.write("╭─ a frame ─╮")
        raise SystemExit(2)

    monkeypatch.setattr(tyro, "cli", refuses)
    with pytest.raises(Refusal, match=r"^cannot read 'a\.csv --raw'; see `mlmath fit --help`\.$"):
        _parse("a.csv", "--raw")
    assert capsys.readouterr().err == ""


def test_help_lists_every_option(capsys):
    with pytest.raises(SystemExit) as stop:
        _parse("--help")
    assert stop.value.code in (0, None)
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("DATA", "--target", "--max-steps", "penalty, 5 % say"))
