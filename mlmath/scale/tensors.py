"""Trees of arrays as safetensors: a file that holds numbers and names, and cannot act.

A leaf is stored under its path in the tree, a typed key as the numbers in it. A file may come from
anywhere: its size, names, shapes and dtypes are checked against the tree that is expected before
one number is used, and its checksum, where it has one, before the tree comes back.

>>> import tempfile
>>> from pathlib import Path
>>> import jax.numpy as jnp
>>> from mlmath.scale import files, tensors
>>> tree, path = {"w": jnp.arange(3.0), "b": (jnp.zeros(()),)}, Path(tempfile.mkdtemp(), "a")
>>> files.write(path, tensors.dump(tree))
>>> print(tensors.load(path, tree)["w"])
[0. 1. 2.]
"""

import hashlib
import struct
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["Damaged", "dump", "load"]

_LARGEST_HEADER = 1 << 20
_CHECKSUM = "sha256"


class Damaged(ValueError):  # noqa: N818
    """A file is not what was saved; the message is one sentence."""


def dump(tree: Any) -> bytes:
    """Content of a file that :func:`load` makes into the same tree."""
    from safetensors.numpy import save

    arrays = {name: np.array(_numbers(leaf), order="C") for name, leaf in _leaves(tree).items()}
    return save(arrays, {_CHECKSUM: _checksum(arrays)})


def load(path: Path, expected: Any, *, owner: str = "the run") -> Any:
    """Read a file into the structure, shapes and dtypes of ``expected``, as NumPy arrays.

    Args:
        path: the file.
        expected: a tree of arrays, or of their shapes and dtypes.
        owner: what the expectation comes from, for the message.

    Raises:
        Damaged: if the file cannot be read, is damaged or holds something else.
    """
    _check_header(path)
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise Damaged(f"{path} is damaged ({str(error).splitlines()[0][:80]}).") from None
    leaves = _leaves(expected)
    _check(path, arrays, leaves, owner)
    if metadata.get(_CHECKSUM, _checksum(arrays)) != _checksum(arrays):
        raise Damaged(f"{path} is damaged: its numbers do not have its checksum.")
    restored = [_restored(arrays[name], leaf) for name, leaf in leaves.items()]
    return jax.tree.unflatten(jax.tree.structure(expected), restored)


def _leaves(tree):
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path).lstrip("."): leaf for path, leaf in paths}


def _is_key(leaf):
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _numbers(leaf):
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _restored(array, leaf):
    return (
        jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf)) if _is_key(leaf) else array
    )


def _checksum(arrays):
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _check(path, arrays, leaves, owner):
    """Names, shapes and dtypes are the expected ones."""
    if arrays.keys() != leaves.keys():
        wrong = sorted(arrays.keys() ^ leaves.keys())[0]
        raise Damaged(f"{path} does not fit {owner}: '{wrong:.60}' is in one of them only.")
    for name, leaf in leaves.items():
        array, numbers = arrays[name], _numbers(leaf)
        shape, dtype = np.shape(numbers), np.dtype(numbers.dtype)
        if array.shape != shape or array.dtype != dtype:
            raise Damaged(
                f"{path} does not fit {owner}: '{name}' is {array.dtype}{list(array.shape)}, "
                f"not {dtype}{list(shape)}."
            )


def _check_header(path):
    """A safetensors file begins with the length of its header, and the header is a JSON object."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror}).") from None
    length = struct.unpack("<Q", start[:8])[0] if len(start) == 9 else 0
    if start[8:] != b"{":
        raise Damaged(f"{path} is not a safetensors file.")
    if length > min(_LARGEST_HEADER, size - 8):
        raise Damaged(f"{path} is damaged: its header claims {length} bytes, the file has {size}.")
