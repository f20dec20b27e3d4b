"""Rooms that arrive on first use: a package loads its modules when somebody names them."""

from collections.abc import Callable, Iterable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

__all__ = ["lazy"]


def lazy(package: str, path: Iterable[str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and the ``__dir__`` of a package whose modules load on first use.

    Args:
        package: its name.
        path: its ``__path__``.
    """
    names = sorted(module.name for module in iter_modules(path))

    def load(name: str) -> Any:
        """Import the module ``name`` of the package."""
        if name in names:
            return import_module(f"{package}.{name}")
        raise AttributeError(
            f"module '{package}' has no attribute '{name}'; it has {', '.join(names)}"
        )

    return load, lambda: names
