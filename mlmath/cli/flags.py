"""Flags of a command: a list of options made into a dataclass for tyro; errors are one sentence."""

import contextlib
import dataclasses
import io
import operator
import shlex
from collections import deque
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from mlmath.cli.refusal import Refusal
from mlmath.nearest import hint

__all__ = ["Option", "parse"]

_REQUIRED: Any = dataclasses.MISSING
_NUMBERS = tuple[int, ...]  # one or more words


class Option(NamedTuple):
    """One field of a command."""

    name: str
    kind: Any  # its type
    help: str
    default: Any = _REQUIRED
    metavar: str | None = None
    positional: bool = False


def parse(prog: str, description: str, options: Sequence[Option], words: Sequence[str]) -> Any:
    """Read ``words`` into a record with one field per option.

    Raises:
        Refusal: if they do not fit; the message is one sentence.
        SystemExit: after ``--help``.
    """
    import tyro

    read = _read(words, options, prog)
    record = dataclasses.make_dataclass("Flags", [_field(option) for option in options])
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return tyro.cli(
                record, prog=prog, description=description, args=read,
                config=(tyro.conf.FlagCreatePairsOff,),
            )  # fmt: skip
    except SystemExit as stop:
        if not stop.code:
            raise
    raise Refusal(f"cannot read '{shlex.join(words)}'; see `{prog} --help`.")


def _field(option):
    import tyro

    described = tyro.conf.arg(help=option.help, metavar=option.metavar)
    marks = [tyro.conf.Positional] if option.positional else []
    marks += [tyro.conf.UseAppendAction] if option.kind == tuple[str, ...] else []
    kind: Any = operator.getitem(Annotated, (option.kind, described))
    for mark in marks:
        kind = mark[kind]
    if option.default is _REQUIRED:
        return option.name, kind
    return option.name, kind, dataclasses.field(default=option.default)


def _read(words, options, prog):
    """Words that fit, with ``--name value`` as ``--name=value``, for a value may be −1."""
    named = {_flag(o.name): o for o in options if not o.positional}
    found: list[str] = []
    lists: list[str] = []  # last, for tyro reads a list to its end
    following = deque(words)
    while following:
        word = following.popleft()
        name, equals, value = word.partition("=")
        name = name.replace("_", "-")
        if name in ("-h", "--help"):
            return ["--help"]
        if not word.startswith("-"):
            found.append(word)
        elif name not in named:
            nearest = hint(name, ["--help", *named], f"`{prog} --help` lists them.")
            raise Refusal(f"there is no option '{name}'; {nearest}")
        elif named[name].kind is bool:
            if equals:
                raise Refusal(f"{name} takes no value, got '{value}'.")
            found.append(name)
        else:
            value = value if equals else following.popleft() if following else "--"
            if not equals and value.startswith("--"):
                raise Refusal(f"{name} needs a value; see `{prog} --help`.")
            if needed := _needed(named[name].kind, value):
                raise Refusal(f"{name} must be {needed}, got '{value}'.")
            if named[name].kind == _NUMBERS:
                lists += [name, value]
                while following and _needed(int, following[0]) is None:
                    lists.append(following.popleft())
            else:
                found.append(f"{name}={value}")
    _refuse_count([word for word in found if not word.startswith("-")], options, prog)
    return [*found, *lists]


def _needed(kind, text):
    """What a value of this kind must be, where ``text`` is not."""
    if get_origin(kind) is Literal:
        return None if text in get_args(kind) else f"one of {', '.join(get_args(kind))}"
    for number, words in ((int, "a whole number"), (float, "a number")):
        if number in (kind, *get_args(kind)):
            try:
                number(text)
            except ValueError:
                return words
    return None


def _refuse_count(given, options, prog):
    places = [o for o in options if o.positional]
    if len(given) > len(places):
        raise Refusal(f"'{given[len(places)]}' is one word too many; see `{prog} --help`.")
    for option in places[len(given) :]:
        if option.default is _REQUIRED:
            raise Refusal(f"{option.metavar} is missing ({option.help}); see `{prog} --help`.")


def _flag(name):
    return "--" + name.replace("_", "-")
