"""The mathematics behind machine learning as pure JAX functions.

``import mlmath`` loads no room of the house: ``mlmath.linear`` arrives on first use, and with
it the shape checks on every function that it holds.
"""

from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from jaxtyping import install_import_hook

from mlmath import arguments as arguments  # before the hook, which calls it
from mlmath.rooms import lazy

if TYPE_CHECKING:
    from mlmath.arrays import rows as rows

__version__ = "0.1.0"
__all__ = ["__version__", "rows"]

# The shell passes no arrays and must answer before jax, which the hook imports, is there.
_CHECKED = [
    module.name
    for module in iter_modules(__path__, "mlmath.")
    if module.name not in ("mlmath.cli", "mlmath.nearest", "mlmath.rooms")
]
install_import_hook(_CHECKED, "mlmath.arguments.checked")


_load, _list = lazy(__name__, __path__)


def __getattr__(name: str) -> Any:
    """Load a room, or ``rows``, on first use."""
    return _load("arrays").rows if name == "rows" else _load(name)


def __dir__() -> list[str]:
    """List the rooms."""
    return sorted({*__all__, *_list()})
