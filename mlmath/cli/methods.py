"""The table of methods: what the shell can fit, one line each.

Functions are named, not imported, so that help and refusals come without jax. The flags of a
method are read from the source of its ``fit`` and of what stands beside it: their keyword-only
numbers, with the defaults of the signature and the lines of the docstring. No flag is written
twice.
"""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from mlmath.cli.refusal import Refusal
from mlmath.nearest import hint

__all__ = [
    "METHODS", "TASKS", "Flag", "Function", "Method", "arguments", "find", "flags", "formula",
    "load", "range_of", "static", "title",
]  # fmt: skip


class Function(NamedTuple):
    """A function by name, so that naming it imports nothing."""

    module: str
    name: str


class Method(NamedTuple):
    """A model as the shell knows it."""

    task: str  # what is predicted: a key of TASKS
    also: Function | None  # whose numbers are flags too: where it starts, or how it predicts
    fit: Function
    predict: (
        Function  # of ONE example: a number, P(second class) or 0/1, or a probability per class
    )
    figures: Function | None  # of (held: figures.Held): caption -> PNG
    affine: Function | None = None  # of ONE example, affine in it: its slope is the coefficients
    driver: str | None = None  # module of the shell that fits it, where `fit` does not
    unjudged: str = ""  # why `verify`, `influence` and `sweep` do not take it


class Flag(NamedTuple):
    """A hyperparameter as a flag."""

    name: str
    kind: Any  # int, float or whole numbers, one or more
    default: Any
    help: str


def _linear(task, module, affine="predict"):
    module = f"mlmath.linear.{module}"
    drawn = {"number": "number", "two classes": "two", "two sides": "several", "classes": "several"}
    figures = Function("mlmath.cli.figures", drawn[task])
    fit, predict = Function(module, "fit"), Function(module, "predict")
    return Method(task, None, fit, predict, figures, Function(module, affine))


def _structure(module, predict, init=None):
    module = f"mlmath.latent.{module}"
    also = init and Function(f"mlmath.latent.{init[0]}", init[1])
    return Method(
        "structure", also, Function(module, "fit"), Function(module, predict), None,
        driver="mlmath.cli.structure", unjudged="describes rows and predicts no column",
    )  # fmt: skip


_CLASSES = "classes"
_DECIDED = (_CLASSES, "outputs")  # parameters that the labels of the data decide
_NUMBERS = tuple[int, ...]

_POSITIVE = (
    "batch_size",
    "epochs",
    "hidden",
    "k",
    "learning_rate",
    "steps",
    "votes",
)  # other hyperparameters may be 0
_EACH = ", one for all columns or one per column"  # a flag holds one
_LARGEST = 2**31 - 1  # a count that jax holds in either precision

TASKS = {
    "number": "a number",
    "two classes": "one of two classes",
    "two sides": "one of two classes, without a probability",
    "classes": "one of several classes",
    "any": "a number, or one of several classes",
    "structure": "nothing: it describes the rows",
}

METHODS = {
    "adaline": _linear("number", "adaline"),
    "gaussian_mixture": _structure("full_mixture", "predict", ("full_mixture", "init")),
    "kmeans": _structure("kmeans", "transform", ("seeding", "init_plus_plus")),
    "least_squares": _linear("number", "least_squares"),
    "logistic_regression": _linear("two classes", "logistic_regression", "log_odds"),
    "mlp": Method(
        "any",
        None,
        Function("mlmath.neural.mlp", "fit"),
        Function("mlmath.neural.mlp", "predict"),
        None,
        driver="mlmath.cli.network",
    ),
    "nearest_neighbors": Method(
        "any",
        Function("mlmath.kernels.nearest_neighbors", "predict"),
        Function("mlmath.kernels.nearest_neighbors", "init"),
        Function("mlmath.kernels.nearest_neighbors", "predict"),
        None,
        driver="mlmath.cli.neighbors",
        unjudged="remembers its rows and minimises nothing",
    ),
    "pca": _structure("pca", "transform"),
    "perceptron": _linear("two sides", "perceptron", "log_odds"),
    "ridge": _linear("number", "ridge"),
    "softmax_regression": _linear("classes", "softmax_regression", "log_odds"),
}


def find(name: str) -> Method:
    """Return the method of that name.

    Raises:
        Refusal: if there is none; the message suggests the nearest.
    """
    if name not in METHODS:
        nearest = hint(name, METHODS, "`mlmath models` lists them.")
        raise Refusal(f"there is no model '{name}'; {nearest}")
    return METHODS[name]


def load(function: Function) -> Any:
    """Import the function; this is where jax comes in."""
    return getattr(import_module(function.module), function.name)


def title(method: Method) -> str:
    """First line of the method's module, without the full stop."""
    return _docstring(method).split("\n")[0].rstrip(".")


def formula(method: Method) -> str:
    """Equation of the objective in the method's module, L(…) = …, or else its first one."""
    text = _docstring(method)
    found = re.search(r"^ +(L\(.*?=.*?)(?: {3,}|,? +\(\d+\)|$)", text, re.MULTILINE)
    found = found or re.search(r"^ +(.*?) +\(1\)$", text, re.MULTILINE)
    return found[1].strip(" ,") if found else ""


def flags(method: Method) -> list[Flag]:
    """Numeric keyword-only parameters of ``also`` and ``fit``, in their order."""
    return [flag for flag in _parameters(method) if flag.name not in _DECIDED]


def static(method: Method) -> set[str]:
    """Parameters that fix the compiled program, so that one program holds one value of each."""
    function = _function(method.fit)
    keywords = [a for a in function.args.kwonlyargs if a.annotation]
    names = {a.arg for a in keywords if "Callable" in ast.unparse(a.annotation)}
    for decorator in function.decorator_list:
        for keyword in getattr(decorator, "keywords", ()):
            names |= set(ast.literal_eval(keyword.value)) if keyword.arg == "static" else set()
    return names


def range_of(flag: Flag, value: Any) -> str | None:
    """Return what the values of the flag must be, where ``value`` is none of them.

    >>> range_of(Flag("epochs", int, 100, ""), 0)
    'a whole number from 1 to 2147483647'
    """
    if flag.kind == _NUMBERS:
        one = flag._replace(kind=int)
        wrong = [needed for v in value if (needed := range_of(one, v))]
        return f"one or more, each {wrong[0]}" if wrong else None
    if flag.kind is int:
        least = 1 if flag.name in _POSITIVE else 0
        right = type(value) is int and least <= value <= _LARGEST
        return None if right else f"a whole number from {least} to {_LARGEST}"
    right = type(value) in (int, float) and 0 <= value <= sys.float_info.max
    if flag.name in _POSITIVE:
        return None if right and value > 0 else "a finite number above 0"
    return None if right else "a finite number from 0 up"


def arguments(method: Method, values: dict[str, Any], labels: list[Any]) -> dict[str, Any]:
    """Keywords of ``fit``: the flags that were given, and the number of classes if it asks."""
    given = {name: value for name, value in values.items() if value is not None}
    asks = any(flag.name == _CLASSES for flag in _parameters(method))
    return given | ({_CLASSES: len(labels)} if asks else {})


def _parameters(method):
    named = {f.name: f for source in (method.also, method.fit) if source for f in _flags(source)}
    return list(named.values())


def _flags(function: Function) -> Iterator[Flag]:
    node = _function(function)
    lines = _arguments(ast.get_docstring(node) or "")
    for argument, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        words = {n.id for n in ast.walk(argument) if isinstance(n, ast.Name)}
        kind: Any = (
            int if words & {"Count", "int"} else float if words & {"Scalar", "float"} else None
        )
        kind = _NUMBERS if "tuple" in words else kind
        if kind is not None and value is not None:
            default = ast.literal_eval(value)
            yield Flag(argument.arg, kind, default, lines.get(argument.arg, ""))


def _function(function):
    return next(
        node
        for node in _tree(function.module).body
        if isinstance(node, ast.FunctionDef) and node.name == function.name
    )


def _arguments(docstring):
    """Lines of the Args section by name."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)*)", docstring, re.MULTILINE)
    found = re.findall(
        r"^ {4}(\w+): ((?:.*\n?)(?: {8,}.*\n?)*)", section[1] if section else "", re.MULTILINE
    )
    plain = ((name, " ".join(text.split()).rstrip(".")) for name, text in found)
    return {name: text.removesuffix(_EACH).removesuffix("; static") for name, text in plain}


def _docstring(method):
    return ast.get_docstring(_tree(method.fit.module)) or ""


@cache
def _tree(module: str) -> ast.Module:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
