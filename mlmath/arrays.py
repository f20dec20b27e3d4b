"""Arrays as the signatures of mlmath name them, and the helpers that batch a function
and part the rows.

``Real`` is what a caller may pass (a JAX or a NumPy array), ``jax.Array`` what a function returns.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from jaxtyping import Key as Keys

__all__ = ["Count", "Key", "Label", "Labels", "Real", "Scalar", "parts", "rows"]

Real = jax.Array | np.ndarray
if TYPE_CHECKING:
    NumPyScalar: TypeAlias = float
else:
    NumPyScalar = np.generic
Scalar = float | int | NumPyScalar | Float[Real, ""] | Int[Real, ""]  # under jit an array
Count = int | NumPyScalar | Int[Real, ""]
Labels = Float[Real, " n"] | Int[Real, " n"] | Bool[Real, " n"]
Key: TypeAlias = Keys[Array, ""]  # typed, as jax.random.key makes
Label = Scalar | Bool[Real, ""]


_PARTS = 64  # most that need not be all devices


def parts(n: int) -> int:
    """Into how many equal parts n rows go, of which each of the devices holds whole ones.

    Any number of the devices may hold the rows; where that takes too many parts, all of them.
    """
    devices = jax.device_count()
    many = math.gcd(n, math.lcm(*range(1, devices + 1)))
    return many if many <= _PARTS else math.gcd(n, devices)


def rows(function: Callable[..., Any]) -> Callable[..., Any]:
    """Batch a function of ONE example over the rows of its data.

    ``rows(predict)(params, X)`` is ``jax.vmap(predict, (None, 0))(params, X)``; what follows
    ``params`` is data and shares its leading axis. With ``batch_size`` that many rows are
    computed at a time, so that memory stays bounded whatever the number of rows.

    >>> import jax.numpy as jnp, mlmath
    >>> print(mlmath.rows(jnp.vdot)(jnp.array([1.0, 2.0]), jnp.array([[1.0, 1.0], [0.0, 3.0]])))
    [3. 6.]
    """

    def batched(params: Any, *data: Any, batch_size: int | None = None) -> Any:
        """Apply the function to each row of ``data``."""
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        if batch_size is None:
            return jax.vmap(function, (None,) + (0,) * len(data))(params, *data)
        return jax.lax.map(lambda row: function(params, *row), data, batch_size=batch_size)

    return batched
