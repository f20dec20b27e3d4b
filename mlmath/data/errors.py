"""What a table, a file or a command line gets wrong, in one sentence that a person can act on."""

from collections.abc import Iterable

from mlmath.nearest import hint

__all__ = ["InputError", "unknown"]


class InputError(ValueError):
    """Something that came from outside cannot be used; the message is one sentence."""


def unknown(what: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for a name that is not there, with the nearest one that is.

    >>> print(unknown("column", "agee", ["age", "sex"]))
    there is no column 'agee'; did you mean 'age'?
    """
    known = list(known)
    listed = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return InputError(f"there is no {what} '{name}'; {hint(name, known, f'there are {listed}.')}")
