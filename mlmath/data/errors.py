"""What a table, a file or a command line gets wrong, in one sentence that a person can act on."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["InputError", "unknown"]


class InputError(ValueError):
    """Something that came from outside cannot be used; the message is one sentence."""


def unknown(what: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for a name that is not there, with the nearest one that is.

    >>> print(unknown("column", "agee", ["age", "sex"]))
    there is no column 'agee'; did you mean 'age'?
    """
    known = list(known)
    folded = {candidate.casefold(): candidate for candidate in known}
    near = get_close_matches(name.casefold(), folded, n=1)
    if near:
        return InputError(f"there is no {what} '{name}'; did you mean '{folded[near[0]]}'?")
    listed = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return InputError(f"there is no {what} '{name}'; there are {listed}.")
