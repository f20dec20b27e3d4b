"""A journal of losses: one JSON object per line and step, appended while a run goes on.

    {"step": 200, "loss": 0.31, "validation": 0.35}

A loss that is not finite is null. Lines are appended before the checkpoint of their step, so that a
checkpoint at step t finds all lines up to t; :func:`trim` removes those after it, and the
end of a line that a killed process did not finish.

>>> import tempfile
>>> from pathlib import Path
>>> from mlmath.scale import journal
>>> path = Path(tempfile.mkdtemp()) / "losses.jsonl"
>>> journal.append(path, [{"step": 1, "loss": 2.5}, {"step": 2, "loss": float("nan")}])
>>> journal.trim(path, 1)
>>> journal.read(path)
[{'step': 1, 'loss': 2.5}]
"""

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mlmath.scale import files

__all__ = ["append", "read", "trim"]


def append(path: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Add entries at the end and flush them to the disk.

    Raises:
        OSError: if they cannot be written; the file is as it was.
    """
    size = path.stat().st_size if path.exists() else 0
    try:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(map(_line, entries))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        if path.exists():
            os.truncate(path, size)  # once the file is closed, which writes what is left
        raise


def trim(path: Path, step: int) -> None:
    """Leave the entries up to ``step``.

    Raises:
        OSError: if the file cannot be written; it is as it was.
    """
    kept = [entry for entry in read(path) if entry["step"] <= step]
    files.write(path, "".join(map(_line, kept)).encode())


def read(path: Path) -> list[dict[str, Any]]:
    """Entries of a journal, whole lines only; none if there is no file."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [entry for entry in map(_entry, lines) if entry is not None]


def _line(entry):
    finite = {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in entry.items()
    }
    return json.dumps(finite, allow_nan=False) + "\n"


def _entry(line):
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(entry, dict) and type(entry.get("step")) is int and "loss" in entry
    return entry if whole else None
