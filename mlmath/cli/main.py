"""The command ``mlmath``: finds the subcommand, turns refusals into one sentence and exit code 2.

jax is imported by the subcommand that needs it, so help and refusals come at once.
"""

import os
import sys
from importlib import import_module

from mlmath.cli import display
from mlmath.cli.refusal import Refusal
from mlmath.nearest import hint

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "tour": "fit real models to real data and write a report (what `mlmath` alone does)",
    "fit": "fit a model to a table: score, certificate, coefficients, a run folder",
    "sweep": "fit candidates in folds, choose the best, refit it: score, figure, a run folder",
    "predict": "apply a saved run to a table",
    "verify": "compute certificate and score of a saved run again, in float64",
    "influence": "list the rows that move a saved run most",
    "models": "list the models that can be fitted",
    "datasets": "list the data sets that come with mlmath, or show one",
    "doctor": "show versions, devices, precision and the cache of compiled programs",
}

_HELP = """mlmath: the mathematics behind machine learning, with certificates.

usage: mlmath [COMMAND] [OPTIONS]

{commands}

`mlmath COMMAND --help` explains a command; `mlmath --version` prints the version.
"""


def main(argv: list[str] | None = None) -> int:
    """Run ``mlmath`` with the arguments ``argv`` and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    try:
        return _dispatch(words)
    except Refusal as refusal:
        print("mlmath:", *display.printable(str(refusal)).split(), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mlmath: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone: nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _dispatch(words: list[str]) -> int:
    if words and words[0] in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        commands = "\n".join(f"  {name:<{width}}  {line}" for name, line in COMMANDS.items())
        print(_HELP.format(commands=commands), end="")
        return 0
    if words and words[0] == "--version":
        from mlmath import __version__

        print(f"mlmath {__version__}")
        return 0
    if not words or words[0].startswith("-"):
        words = ["tour", *words]
    name, *rest = words
    if name not in COMMANDS:
        nearest = hint(name, COMMANDS, "`mlmath --help` lists them.")
        raise Refusal(f"there is no command '{name}'; {nearest}")
    return import_module(f"mlmath.cli.{name}").run(rest)
