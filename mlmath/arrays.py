"""Arrays as the signatures of mlmath name them, and the helpers that place them, batch a function
and part the rows.

``Real`` is what a caller may pass (a JAX or a NumPy array), ``jax.Array`` what a function returns.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int
from jaxtyping import Key as Keys

__all__ = [
    "Count",
    "Key",
    "Label",
    "Labels",
    "Real",
    "Scalar",
    "after",
    "by_blocks",
    "is_large",
    "owned",
    "parts",
    "placed",
    "rows",
]

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


def is_large(argument: Any) -> bool:
    """Whether it is a NumPy array that takes long to copy."""
    numbers = type(argument) is np.ndarray and argument.dtype.kind in "fiub"
    return numbers and argument.nbytes >= 2**20


def placed(argument: Any) -> Any:
    """Large NumPy array on a CPU, copied once to where XLA takes it as it is: 64-byte aligned."""
    if not is_large(argument) or jax.default_backend() != "cpu":
        return argument
    dtype = jax.dtypes.canonicalize_dtype(argument.dtype)  # of float64 mostly float32
    room = np.empty(argument.size * dtype.itemsize + 64, np.uint8)
    first = -room.ctypes.data % 64
    aligned = room[first : len(room) - 64 + first].view(dtype).reshape(argument.shape)
    with np.errstate(over="ignore"):
        np.copyto(aligned, argument, casting="same_kind")
    return jax.device_put(aligned)


def owned(argument: Any) -> Any:
    """Array that stays what it is when the caller changes a NumPy array afterwards.

    ``jnp.array`` may still read the caller's when it has returned.
    """
    return np.array(argument) if isinstance(argument, np.ndarray) else argument


def after(a: Any, first: Any) -> Any:
    """``a``, once ``first`` is known.

    Sums over devices that wait for nothing can stop a program for ever: each device may begin
    with another one.
    """
    return lax.optimization_barrier((a, first))[0]


def by_blocks(function: Callable[[Any], Any], X: Any, *, width: int, most: int) -> Any:
    """``function(X)`` of a function that acts on each row, a block of rows at a time.

    X may be several arrays with a common leading axis.

    Each shard goes through its own rows. The last block begins early enough to be whole.

    Args:
        function: takes m rows to arrays of m rows.
        X: rows.
        width: numbers that it makes of a row on the way.
        most: of these at a time.

    >>> import jax.numpy as jnp
    >>> print(by_blocks(lambda x: 2 * x, jnp.arange(6.0).reshape(3, 2), width=2, most=4))
    [[ 0.  2.]
     [ 4.  6.]
     [ 8. 10.]]
    """
    leaves = jax.tree.leaves(X)
    n = leaves[0].shape[0]
    width = max(width, *(math.prod(a.shape[1:]) for a in leaves))
    shards = parts(n)
    per_shard = n // shards
    steps = -(-per_shard // max(1, most // (shards * width)))
    if steps <= 1:
        return function(X)
    rows = -(-per_shard // steps)
    X = jax.tree.map(lambda a: a.reshape(shards, per_shard, *a.shape[1:]), X)

    def block(i: Any) -> Any:
        taken = jax.tree.map(lambda a: lax.dynamic_slice_in_dim(a, i * rows, rows, axis=1), X)
        found = function(jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), taken))
        return jax.tree.map(lambda a: a.reshape(shards, rows, *a.shape[1:]), found)

    def add(i: Any, found: Any) -> Any:
        return jax.tree.map(
            lambda a, b: lax.dynamic_update_slice_in_dim(a, b, i * rows, axis=1), found, block(i)
        )

    shapes = jax.eval_shape(block, 0)
    found = jax.tree.map(lambda a: jnp.zeros((shards, per_shard, *a.shape[2:]), a.dtype), shapes)
    found = lax.fori_loop(0, steps, add, found)
    return jax.tree.map(lambda a: a.reshape(n, *a.shape[2:]), found)


def rows(function: Callable[..., Any]) -> Callable[..., Any]:
    """Batch a function of ONE example over the rows of its data.

    ``rows(predict)(params, X)`` is ``jax.vmap(predict, (None, 0))(params, X)``; what follows
    ``params`` is data and shares its leading axis. With ``batch_size`` that many rows are
    computed at a time, so that memory stays bounded whatever the number of rows.

    >>> import jax.numpy as jnp, mlmath
    >>> print(mlmath.rows(jnp.vdot)(jnp.array([1.0, 2.0]), jnp.array([[1.0, 1.0], [0.0, 3.0]])))
    [3. 6.]
    """
    return partial(_batched, function)


def _batched(
    function: Callable[..., Any], params: Any, *data: Any, batch_size: int | None = None
) -> Any:
    """Apply the function to each row of ``data``."""
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    data = tuple(map(placed, data))
    if batch_size is None:
        return jax.vmap(function, (None,) + (0,) * len(data))(params, *data)
    return jax.lax.map(lambda row: function(params, *row), data, batch_size=batch_size)
