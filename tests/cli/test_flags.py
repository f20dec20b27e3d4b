import pytest

from mlmath.cli import flags
from mlmath.cli.refusal import Refusal

_OPTIONS = [
    flags.Option("data", str, "a file", metavar="DATA", positional=True),
    flags.Option("target", str | None, "a column", None, "COL"),
    flags.Option("ignore", tuple[str, ...], "columns", (), "COL"),
    flags.Option("l2", float, "penalty, 5 % say", 1.0),
    flags.Option("max_steps", int, "steps", 100),
    flags.Option("raw", bool, "as they are", False),
]


def _parse(*words):
    return flags.parse("mlmath fit", "Fit.", _OPTIONS, words)


def test_words_become_a_record():
    found = _parse("a.csv", "--l2", "-3e-2", "--ignore", "-x", "--ignore=y", "--max-steps", "7")
    assert (found.data, found.target, found.ignore) == ("a.csv", None, ("-x", "y"))
    assert (found.l2, found.max_steps, found.raw) == (-0.03, 7, False)
    assert _parse("--raw", "a.csv").raw is True


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a.csv", "--l3", "4"], "there is no option '--l3'; did you mean '--l2'?"),
        (["a.csv", "--zzz"], "there is no option '--zzz'; `mlmath fit --help` lists them."),
        (["a.csv", "--l2", "x"], "could not convert string to float: 'x'"),
        (["a.csv", "--max-steps", "3.5"], "invalid literal for int() with base 10: '3.5'"),
        (["a.csv", "--l2"], "missing value for argument '--l2'"),
        (["a.csv", "b.csv"], "unrecognized options: b.csv"),
        ([], "DATA"),
    ],
)
def test_a_wrong_word_is_one_sentence(words, sentence, capsys):
    with pytest.raises(Refusal) as refused:
        _parse(*words)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "│" not in str(refused.value)
    assert capsys.readouterr().err == ""


def test_help_lists_every_option(capsys):
    with pytest.raises(SystemExit) as stop:
        _parse("--help")
    assert stop.value.code in (0, None)
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("DATA", "--target", "--max-steps", "penalty, 5 % say"))
