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

__all__ = ["CATALOGUE", "Entry", "arrays", "contents", "load", "note"]


class Entry(NamedTuple):
    """What is known of a data set."""

    title: str
    target: str  # column to predict
    positive: str | None = None  # label that counts as 1 where there are two
    ignored: tuple[str, ...] = ()  # columns that hold the same value in every row


CATALOGUE = {
    "breast_cancer": Entry("tumours, benign or malignant", "diagnosis", "malignant"),
    "diabetes": Entry("disease progression after a year", "progression"),
    "digits": Entry(
        "handwritten digits, 8 × 8 pixels",
        "digit",
        ignored=("pixel_0_0", "pixel_4_0", "pixel_4_7"),
    ),
    "iris": Entry("irises of three species", "species"),
    "mauna_loa_co2": Entry("weekly carbon dioxide in the air since 1958", "co2"),
    "old_faithful": Entry("eruptions of a geyser and the wait for the next", "waiting"),
    "penguins": Entry("penguins of three species, with gaps", "species"),
    "titanic": Entry("passengers who survived, with gaps", "survived", "1"),
    "wine": Entry("wines of three cultivars, analysed", "cultivar"),
}


def load(name: str) -> pl.DataFrame:
    """Return the table ``name``, one row per example; a gap is null.

    Raises:
        ValueError: if there is no such data set.
    """
    return pl.read_csv(contents(name), infer_schema_length=None)


def contents(name: str) -> bytes:
    """Return the file of a data set, a CSV under gzip."""
    return _file(name, "csv.gz").read_bytes()


def note(name: str) -> str:
    """Return source and licence of a data set, as Markdown."""
    return _file(name, "md").read_text(encoding="utf-8")


def arrays(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return features (n, d) and target (n,) in float64; labels are numbered by the alphabet.

    Raises:
        ValueError: if there is no such data set, or its features are not all numbers.
    """
    table, entry = load(name), _known(name)
    features, target = table.drop(entry.target), table[entry.target]
    texts = [column for column, kind in features.schema.items() if not kind.is_numeric()]
    if texts:
        raise ValueError(f"column '{texts[0]}' of {name} holds text; take the table with load.")
    if target.dtype == pl.String:
        target = target.cast(pl.Enum(target.unique().sort())).to_physical()
    return features.to_numpy().astype(float), target.to_numpy().astype(float)


def _known(name):
    if name not in CATALOGUE:
        raise ValueError(f"there is no data set '{name}'; there are {', '.join(CATALOGUE)}.")
    return CATALOGUE[name]


def _file(name, suffix):
    _known(name)
    return files("mlmath.data") / "embedded" / f"{name}.{suffix}"
