"""A refusal carries its sentence."""

from mlmath.cli.refusal import Refusal


def test_the_sentence_is_the_message():
    assert str(Refusal("no column 'agee'; did you mean 'age'?")).endswith("'age'?")
