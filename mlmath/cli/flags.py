"""Flags of a command: a list of options made into a dataclass for tyro; errors are one sentence."""

import contextlib
import dataclasses
import io
import operator
import re
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from mlmath.cli.refusal import Refusal
from mlmath.nearest import hint

__all__ = ["Option", "parse"]

_REQUIRED: Any = dataclasses.MISSING


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

    _refuse_unknown(words, options, prog)
    record = dataclasses.make_dataclass("Flags", [_field(option) for option in options])
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                record, prog=prog, description=description, args=_joined(words, options),
                config=(tyro.conf.FlagCreatePairsOff,),
            )  # fmt: skip
    except SystemExit as stop:
        if not stop.code:
            raise
    raise Refusal(_sentence(complaint.getvalue(), prog))


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


def _joined(words, options):
    """``--name value`` as ``--name=value``, so that a value may begin with a dash."""
    valued = {_flag(o.name) for o in options if o.kind is not bool and not o.positional}
    joined: list[str] = []
    waiting = False
    for word in words:
        if waiting and not word.startswith("--"):
            joined[-1] += f"={word}"
            waiting = False
        else:
            joined.append(word)
            waiting = word in valued
    return joined


def _refuse_unknown(words, options, prog):
    known = ["--help", *(_flag(o.name) for o in options if not o.positional)]
    for word in words:
        name = word.partition("=")[0].replace("_", "-")
        if name.startswith("--") and name not in known:
            listed = f"`{prog} --help` lists them."
            raise Refusal(f"there is no option '{name}'; {hint(name, known, listed)}")


def _sentence(complaint, prog):
    kept: list[str] = []
    for line in complaint.strip().split("\n")[1:]:  # the first is a heading
        frame = re.search(r"[─-]{3}|[╭╮╰╯]", line)
        if kept and (frame or "helptext" in line):
            break
        if not frame:
            kept += [line.strip("│| ")] if line.strip("│| ") else []
    text = re.sub(r"\s+", " ", " ".join(kept)).strip().rstrip(".")
    return f"{text[:1].lower()}{text[1:]}; see `{prog} --help`."


def _flag(name):
    return "--" + name.replace("_", "-")
