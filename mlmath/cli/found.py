"""What a method without a target found in the rows of a table, and what the shell asks of it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from mlmath.cli.pipeline import Part

__all__ = ["Found", "Structure", "groups", "standard"]


class Found(NamedTuple):
    """A fitted structure and the rows it describes."""

    fitted: Any  # Fit of the method
    applied: np.ndarray  # what its part makes of the rows
    rows: np.ndarray  # in the units of the file, one-hot
    names: list[str]  # of their columns
    weight: np.ndarray
    groups: list[Any] | None  # entry of the target column in each row
    center: np.ndarray  # of the standard units; zeros if raw
    scale: np.ndarray  # ones if raw
    texts: bool  # whether a column was text


class Structure(NamedTuple):
    """How a method without a target is fitted, applied and shown."""

    bind: Callable[[Mapping[str, Any]], Part]  # the part of a model with these numbers
    most: Callable[[int, int], int]  # (rows, columns) -> the largest k
    columns: Callable[[np.ndarray], Mapping[str, np.ndarray]]  # what predict writes
    facts: Callable[[Found], Mapping[str, str]]
    figures: Callable[[Found], Mapping[str, bytes]]


def groups(found: Found, most: int = 20) -> tuple[np.ndarray | None, list[str] | None]:
    """Position and names of the groups of the rows, if they are few."""
    if found.groups is None:
        return None, None
    texts = ["missing" if g is None else str(g) for g in found.groups]
    names, codes = np.unique(texts, return_inverse=True)
    return (codes, names.tolist()) if 1 < len(names) <= most else (None, None)


def standard(found: Found) -> np.ndarray:
    """Rows as the method saw them."""
    return (found.rows - found.center) / found.scale
