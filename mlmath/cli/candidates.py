"""Candidates of a sweep: what ``--over`` says, as the values of each hyperparameter.

``name=low:high:count`` are ``count`` values from low to high, in equal ratios where low > 0 and
high/low ≥ 100, else in equal steps; ``name=v1,v2,…`` are these. Whole numbers are rounded, and
equal values are one. The candidates are all combinations, the last name fastest.

>>> from mlmath.cli import candidates, methods
>>> candidates.read(["l2=1:100:3"], "ridge", methods.find("ridge"))
{'l2': [1.0, 10.0, 100.0]}
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlmath.cli import methods
from mlmath.cli.refusal import Refusal
from mlmath.nearest import hint

__all__ = ["grid", "read", "simplest", "simplicity"]

_MOST = 10_000
_GEOMETRIC = 100  # high/low from which on a range is in equal ratios

_CLOSER = ("max_steps", "learning_rate")  # more of these follows the training rows closer


def read(texts: Sequence[str], model: str, method: methods.Method) -> dict[str, list[Any]]:
    """Values of each hyperparameter that is swept, rising.

    Raises:
        Refusal: if the texts say no such values; the message is one sentence.
    """
    names = [f.name for f in methods.flags(method) if f.name not in methods.static(method)]
    if not texts:
        raise Refusal(
            f"say what to sweep, as in --over {names[0]}=1e-4:1e4:50; {model} has "
            f"{', '.join(names)}."
        )
    values: dict[str, list[Any]] = {}
    for text in texts:
        written, equals, rest = text.partition("=")
        flag = _flag(written.strip().lstrip("-").replace("-", "_"), names, model, method)
        if not equals:
            raise _unreadable(text)
        if flag.name in values:
            raise Refusal(f"--over {flag.name} is said twice; say it once.")
        values[flag.name] = _values(flag, text, rest)
    if (count := math.prod(map(len, values.values()))) > _MOST:
        raise Refusal(f"--over makes {count} candidates, and {_MOST} are the most; take fewer.")
    return values


def grid(values: Mapping[str, Sequence[Any]]) -> dict[str, np.ndarray]:
    """Value of each hyperparameter in each candidate."""
    at = np.indices([len(v) for v in values.values()]).reshape(len(values), -1)
    return {name: np.asarray(v)[i] for (name, v), i in zip(values.items(), at, strict=True)}


def simplicity(values: Mapping[str, Sequence[Any]]) -> np.ndarray:
    """Rank of each candidate by how simple it is, the first hyperparameter first.

    Simpler is what follows the training rows less: a greater penalty, decay or tolerance, a
    smaller learning rate, fewer steps.
    """
    shape = [len(v) for v in values.values()]
    at = np.indices(shape).reshape(len(values), -1)
    rising = [n - 1 - i if k in _CLOSER else i for k, n, i in zip(values, shape, at, strict=True)]
    return np.ravel_multi_index(rising, shape).astype(float)


def simplest(values: Mapping[str, Sequence[Any]]) -> str:
    """What the simplest candidate has, in words.

    >>> simplest({"l2": [1, 2], "max_steps": [5, 6]})
    'the greatest l2, then the smallest max_steps'
    """
    names = [name for name, v in values.items() if len(v) > 1] or list(values)
    ends = {name: "smallest" if name in _CLOSER else "greatest" for name in names}
    return ", then ".join(f"the {end} {name}" for name, end in ends.items())


def _flag(name, names, model, method):
    for flag in methods.flags(method):
        if flag.name == name and name in names:
            return flag
        if flag.name == name:
            raise Refusal(
                f"'{name}' of {model} fixes the compiled program, and all candidates share one; "
                f"give one value with --{name.replace('_', '-')}."
            )
    if name in methods.static(method):
        raise Refusal(f"'{name}' of {model} is read from the data, so it cannot be swept.")
    listed = f"it has {', '.join(names)}."
    raise Refusal(f"{model} has no hyperparameter '{name}' to sweep; {hint(name, names, listed)}")


def _values(flag, text, rest):
    if ":" in rest:
        spaced = _range(text, rest.split(":"))
        spaced = sorted({round(v) for v in spaced}) if flag.kind is int else spaced
    else:
        spaced = sorted({_number(entry, text) for entry in rest.split(",")})
    for value in spaced:
        whole = flag.kind is int and value == value // 1 and abs(value) < math.inf
        if needed := methods.range_of(flag, int(value) if whole else value):
            raise Refusal(f"each value of --over {flag.name} must be {needed}, got {value:.12g}.")
    return [flag.kind(value) for value in spaced]


def _range(text, parts):
    if len(parts) != 3:
        raise _unreadable(text)
    low, high = _number(parts[0], text), _number(parts[1], text)
    count = parts[2].strip()
    if not (count.isdecimal() and 1 <= int(count) <= _MOST):
        raise Refusal(
            f"the count in --over {text} must be a whole number from 1 to {_MOST}, got '{count}'."
        )
    if low > high or (low == high and int(count) > 1):
        raise Refusal(f"the range in --over {text} is empty; write the smaller number first.")
    if low > 0 and high / _GEOMETRIC >= low:
        return np.geomspace(low, high, int(count)).tolist()
    return np.linspace(low, high, int(count)).tolist()


def _number(entry, text):
    try:
        number = float(entry)
    except ValueError:
        raise _unreadable(text) from None
    if not math.isfinite(number):
        raise Refusal(f"--over {text} must hold finite numbers.")
    return number


def _unreadable(text):
    return Refusal(
        f"cannot read --over '{text}'; write name=low:high:count, as in l2=1e-4:1e4:50, or "
        "name=v1,v2,v3."
    )
