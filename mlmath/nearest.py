"""The nearest name, for a person who mistyped one."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["hint"]


def hint(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return a question that suggests the nearest of ``known``, or else ``otherwise``.

    >>> hint("rigde", ["lasso", "ridge"], "`mlmath models` lists them.")
    "did you mean 'ridge'?"
    """
    folded = {candidate.casefold().lstrip("-"): candidate for candidate in known}
    near = get_close_matches(name.casefold().lstrip("-"), folded, n=1)
    return f"did you mean '{folded[near[0]]}'?" if near else otherwise
