"""Entry points: compiled, and at full precision of matrix products."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import jax

__all__ = ["compiled"]

P = ParamSpec("P")
R = TypeVar("R")


def compiled(*, static: tuple[str, ...] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate an entry point: ``jax.jit`` at full precision of matrix products.

    Args:
        static: names of the arguments that fix a shape or the program's structure.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        """Compile ``function``."""
        precise = jax.default_matmul_precision("highest")(function)
        return cast(Callable[P, R], jax.jit(precise, static_argnames=static))

    return decorate
