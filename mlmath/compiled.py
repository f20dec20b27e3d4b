"""Entry points: compiled, and at full precision of matrix products."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import jax
from jax.tree_util import Partial

from mlmath.arguments import ArgumentError
from mlmath.arrays import is_large, placed

__all__ = ["as_argument", "compiled"]

P = ParamSpec("P")
R = TypeVar("R")


def compiled(*, static: tuple[str, ...] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate an entry point: ``jax.jit`` at full precision of matrix products.

    A function that is given by name, and is not static, is passed by :func:`as_argument`.

    Args:
        static: names of the arguments that fix a shape or the program's structure.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        """Compile ``function``."""
        precise = jax.default_matmul_precision("highest")(function)
        program = jax.jit(precise, static_argnames=static)

        @functools.wraps(program, updated=())
        def entry(*args: P.args, **kwargs: P.kwargs) -> R:
            """Call the program."""
            for name, argument in kwargs.items():
                if name not in static and callable(argument):
                    kwargs[name] = as_argument(argument)
                if name in static and isinstance(argument, list):
                    where = f"{function.__module__}.{function.__name__}".removeprefix("mlmath.")
                    raise ArgumentError(f"{where}: {name} must be a tuple, got a list.")
            if not any(is_large(a) for a in (*args, *kwargs.values())):
                return cast(R, program(*args, **kwargs))
            named = {name: placed(a) for name, a in kwargs.items()}
            return cast(R, program(*map(placed, args), **named))

        entry.static = static  # type: ignore[attr-defined]
        # not ``lower`` and its like: ``jax.vmap`` and ``jax.grad`` would hand them on as their own
        for name in ("clear_cache", "_cache_size"):
            setattr(entry, name, getattr(program, name))
        return cast(Callable[P, R], entry)

    return decorate


def as_argument(function: Callable[..., Any]) -> Partial:
    """``function`` as an argument of a compiled program.

    It is told apart by identity, or by equality where its type has that; the numbers that a
    ``Partial`` carries are traced, so that new ones compile nothing.
    """
    return function if isinstance(function, Partial) else Partial(function)
