"""A saved run: a folder that holds all that ``predict`` needs, as data that cannot act.

``run.json`` says what was fitted to what, ``params.safetensors`` holds the parameters,
``report.html`` is for people. The folder is written under a temporary name and renamed when it
is complete. It may come from anywhere: sizes, names and shapes are checked before use.
"""

import json
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np

from mlmath.cli.refusal import Refusal

__all__ = ["new_folder", "read_params", "read_record", "unused", "write_params", "write_record"]

_RECORD, _PARAMS = "run.json", "params.safetensors"
_LARGEST_RECORD = 1 << 26
_LARGEST_HEADER = 1 << 20

_FIELDS: dict[str, Any] = {
    "format": int, "mlmath": str, "model": str, "command": str, "seed": int, "dtype": str,
    "data": dict, "target": str, "labels": list, "label_type": str, "columns": list, "raw": bool,
    "missing": str, "hyperparameters": dict, "rows": int,
}  # fmt: skip


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes ``out`` when the block ends well, or else vanishes.

    Raises:
        Refusal: if ``out`` cannot be created or holds something.
    """
    temporary = None
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise Refusal(f"'{out}' is not empty; choose another folder with --out.")
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        yield temporary
        temporary.chmod(0o755)
        _flush_folder(temporary)
        os.rename(temporary, out)
        _flush_folder(out.parent)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise Refusal(
            f"cannot write to '{out}' ({error.strerror}); choose another with --out."
        ) from None
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


def unused(folder: Path) -> Path:
    """Return ``folder``, or where that is taken the next of folder-2, folder-3, …."""
    numbered = (folder.with_name(f"{folder.name}-{k}") for k in count(2))
    return next(path for path in chain([folder], numbered) if not path.exists())


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write ``run.json``.

    Raises:
        Refusal: if a number in it is not finite, which no fit should have come to.
    """
    try:
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise Refusal("the fit came to numbers that are not finite; scale the columns.") from None
    _write(folder / _RECORD, text.encode())


def write_params(folder: Path, params: Any) -> None:
    """Write the arrays of ``params`` by their paths in the tree."""
    from safetensors.numpy import save

    _write(folder / _PARAMS, save({k: np.array(v, order="C") for k, v in _leaves(params).items()}))


def read_record(folder: Path) -> dict[str, Any]:
    """Read ``run.json``.

    Raises:
        Refusal: if the folder holds no run, or one that is damaged or too new.
    """
    path = folder / _RECORD
    try:
        if path.stat().st_size > _LARGEST_RECORD:
            raise Refusal(f"{path} is too large for the description of a run.")
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refusal(f"'{folder}' holds no run of mlmath ({_RECORD}: {error.strerror}).") from None
    except (ValueError, RecursionError):
        raise Refusal(f"{path} is damaged: it is not JSON.") from None
    if not isinstance(record, dict):
        raise Refusal(f"{path} is damaged: it is not the description of a run.")
    if record.get("format") != 1:
        raise Refusal(
            f"{path} is of format {record.get('format')!r:.20}, this mlmath reads format 1."
        )
    for field, kind in _FIELDS.items():
        if type(record.get(field)) is not kind:
            raise Refusal(f"{path} is damaged: '{field}' is not there or not a {kind.__name__}.")
    return record


def read_params(folder: Path, expected: Any) -> Any:
    """Read the parameters into the structure, shapes and dtypes of ``expected``.

    Raises:
        Refusal: if the file is damaged or holds something else.
    """
    import jax

    path = folder / _PARAMS
    _check_header(path)
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise Refusal(f"{path} is damaged ({str(error).splitlines()[0][:80]}).") from None
    leaves = _leaves(expected)
    if arrays.keys() != leaves.keys():
        wrong = sorted(arrays.keys() ^ leaves.keys())[0]
        raise Refusal(f"{path} does not fit {_RECORD}: '{wrong:.60}' is in one of them only.")
    for name, leaf in leaves.items():
        array = arrays[name]
        if array.shape != leaf.shape or array.dtype != leaf.dtype:
            raise Refusal(
                f"{path} does not fit {_RECORD}: '{name}' is {array.dtype}{list(array.shape)}, "
                f"not {leaf.dtype}{list(leaf.shape)}."
            )
        if not np.isfinite(array).all():
            raise Refusal(f"{path} is damaged: '{name}' holds numbers that are not finite.")
    return jax.tree.unflatten(jax.tree.structure(expected), [arrays[name] for name in leaves])


def _leaves(tree):
    import jax

    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path).lstrip("."): leaf for path, leaf in paths}


def _check_header(path):
    """A safetensors file begins with the length of its header, and the header is a JSON object."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({error.strerror}).") from None
    length = struct.unpack("<Q", start[:8])[0] if len(start) == 9 else 0
    if start[8:] != b"{":
        raise Refusal(f"{path} is not a safetensors file.")
    if length > min(_LARGEST_HEADER, size - 8):
        raise Refusal(f"{path} is damaged: its header claims {length} bytes, the file has {size}.")


def _write(path, data):
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
