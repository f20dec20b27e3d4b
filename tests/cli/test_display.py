import io

import pytest

from mlmath.cli import display


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_text_off_a_terminal(capsys):
    display.facts("Title", {"a": "1", "long": "2"})
    assert capsys.readouterr().out == "Title\n  a     1\n  long  2\n"
    display.table(["name", "n"], [["x", "10"], ["longer", "2"]])
    assert capsys.readouterr().out == "name    n\nx       10\nlonger  2\n"


@pytest.mark.parametrize("text", ["[bold]", "a [/] b"])
def test_rich_on_a_terminal_shows_brackets_as_they_are(monkeypatch, text):
    monkeypatch.setattr("sys.stdout", terminal := _Terminal())
    display.facts("Title", {"label": text})
    display.table(["name"], [[text]])
    assert terminal.getvalue().count(text) == 2
