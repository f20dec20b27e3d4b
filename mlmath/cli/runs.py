"""A saved run: a folder that holds all that ``predict`` needs, as data that cannot act.

``run.json`` says what was fitted to what, ``params.safetensors`` holds the parameters,
``report.html`` is for people. The folder is written under a temporary name and renamed when it
is complete. It may come from anywhere: sizes, names and shapes are checked before use.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import Any

from mlmath.cli.refusal import Refusal

__all__ = ["new_folder", "read_params", "read_record", "unused", "write_params", "write_record"]

_RECORD, _PARAMS = "run.json", "params.safetensors"
_LARGEST_RECORD = 1 << 26

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
    from mlmath.scale import files

    temporary = None
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise Refusal(f"'{out}' is not empty; choose another folder with --out.")
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        yield temporary
        temporary.chmod(0o755)
        files.flush_folder(temporary)
        os.rename(temporary, out)
        files.flush_folder(out.parent)
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
    from mlmath.scale import files

    try:
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise Refusal("the fit came to numbers that are not finite; scale the columns.") from None
    files.write(folder / _RECORD, text.encode())


def write_params(folder: Path, params: Any) -> None:
    """Write the arrays of ``params`` by their paths in the tree."""
    from mlmath.scale import files, tensors

    files.write(folder / _PARAMS, tensors.dump(params))


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
        if (folder / "training.json").exists():
            raise Refusal(
                f"'{folder}' is not finished; give the command that began it --resume {folder}."
            ) from None
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
    import numpy as np

    from mlmath.scale import tensors

    path = folder / _PARAMS
    try:
        params = tensors.load(path, expected, owner=_RECORD)
    except tensors.Damaged as error:
        raise Refusal(str(error)) from None
    for place, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not np.isfinite(leaf).all():
            name = jax.tree_util.keystr(place).lstrip(".")
            raise Refusal(f"{path} is damaged: '{name}' holds numbers that are not finite.")
    return params
