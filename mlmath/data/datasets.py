"""Real data sets that come with the package, small enough to ship.

Beside each lies a note with its source and its licence.

>>> from mlmath.data import datasets
>>> datasets.load("diabetes").shape
(442, 11)
>>> X, y = datasets.arrays("breast_cancer")
>>> X.shape, y.shape, int(y.sum())
((569, 30), (569,), 212)
"""

from importlib.resources import files
from typing import NamedTuple

import numpy as np
import polars as pl

__all__ = ["CATALOGUE", "Entry", "arrays", "load", "note"]


class Entry(NamedTuple):
    """What is known of a data set."""

    title: str
    target: str  # column to predict
    positive: str | None = None  # label that counts as 1 where there are two


CATALOGUE = {
    "breast_cancer": Entry("tumours, benign or malignant", "diagnosis", "malignant"),
    "diabetes": Entry("disease progression after a year", "progression"),
}


def load(name: str) -> pl.DataFrame:
    """Return the table ``name``, one row per example.

    Raises:
        ValueError: if there is no such data set.
    """
    return pl.read_csv(_file(name, "csv.gz").read_bytes())


def note(name: str) -> str:
    """Return source and licence of a data set, as Markdown."""
    return _file(name, "md").read_text(encoding="utf-8")


def arrays(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return features (n, d) and target (n,) in float64; labels are numbered by the alphabet."""
    table, entry = load(name), CATALOGUE[name]
    target = table[entry.target]
    if target.dtype == pl.String:
        target = target.cast(pl.Enum(target.unique().sort())).to_physical()
    return table.drop(entry.target).to_numpy().astype(float), target.to_numpy().astype(float)


def _file(name, suffix):
    if name not in CATALOGUE:
        raise ValueError(f"there is no data set '{name}'; there are {', '.join(CATALOGUE)}.")
    return files("mlmath.data") / "embedded" / f"{name}.{suffix}"
