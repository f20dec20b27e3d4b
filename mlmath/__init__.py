"""The mathematics behind machine learning as pure JAX functions.

``import mlmath`` loads no room of the house: ``mlmath.linear`` arrives on first use, and with
it the shape checks on every function that it holds.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from jaxtyping import install_import_hook

from mlmath import arguments as arguments  # before the hook, which calls it

if TYPE_CHECKING:
    from mlmath.arrays import rows as rows

__version__ = "0.1.0"
__all__ = ["__version__", "rows"]

# The shell passes no arrays and must answer before jax, which the hook imports, is there.
_CHECKED = [
    module.name for module in iter_modules(__path__, "mlmath.") if module.name != "mlmath.cli"
]
install_import_hook(_CHECKED, "mlmath.arguments.checked")


def __getattr__(name: str) -> Any:
    """Load a room, or ``rows``, on first use."""
    if name == "rows":
        return import_module("mlmath.arrays").rows
    if name in __dir__():
        return import_module(f"mlmath.{name}")
    raise AttributeError(
        f"module 'mlmath' has no attribute '{name}'; it has {', '.join(__dir__())}"
    )


def __dir__() -> list[str]:
    """List the rooms."""
    return sorted({*__all__, *(module.name for module in iter_modules(__path__))})
