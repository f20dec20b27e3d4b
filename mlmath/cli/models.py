"""``mlmath models``: what can be fitted, from the source alone, so that it comes at once."""

import json
from collections.abc import Sequence
from importlib import import_module

from mlmath.cli import display, flags, methods

__all__ = ["run"]

_OPTIONS = [flags.Option("json", bool, "print JSON instead of a table", False)]


def run(words: Sequence[str]) -> int:
    """Run ``mlmath models`` with the words of the command line."""
    options = flags.parse("mlmath models", "List the models that can be fitted.", _OPTIONS, words)
    if options.json:
        print(
            json.dumps({name: _described(name, m) for name, m in methods.METHODS.items()}, indent=2)
        )
        return 0
    rows = [
        [
            name,
            methods.TASKS[m.task],
            " ".join(f"--{option.replace('_', '-')}" for option in _options(name, m)),
            _line(m),
        ]
        for name, m in methods.METHODS.items()
    ]
    display.table(["model", "predicts", "options", "what it is"], rows)
    return 0


def _described(name, method):
    return {
        "predicts": methods.TASKS[method.task],
        "title": _line(method),
        "objective": methods.formula(method),
        "options": _options(name, method),
    }


def _options(name, method):
    own = import_module(method.driver).options(name) if method.driver else []
    found = [*own, *methods.flags(method)]
    return {option.name: {"default": option.default, "help": option.help} for option in found}


def _line(method):
    title = methods.title(method)
    return title.partition(": ")[2] or title
