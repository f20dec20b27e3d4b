"""Columns of a table as a matrix of numbers, the same at every later table.

A column of numbers stays one. A column of text with the K texts seen when it was described
becomes one column of codes 0, …, K − 1 in the order of the alphabet, −1 for a text never seen
(``statistics.one_hot`` makes K indicators of it). A column with gaps may be filled: a number by
its weighted mean, a text by −1, with one more column that is 1 where the gap was.

>>> import polars as pl
>>> from mlmath.data import columns
>>> table = pl.DataFrame({"age": [1.0, None, 3.0], "sex": ["m", "f", "m"]})
>>> described = columns.fill(columns.describe(table), table)
>>> columns.encode(described, table).matrix
array([[1., 0., 1.],
       [2., 1., 0.],
       [3., 0., 1.]])
>>> columns.names(described)
['age', 'age is missing', 'sex = f', 'sex = m']
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from mlmath.data.errors import InputError, unknown

__all__ = [
    "Column", "Encoded", "describe", "encode", "fill", "gaps", "is_plain", "names", "numbers",
    "refuse_constant", "refuse_gaps", "refuse_same_names", "refuse_text_of_numbers", "sizes",
]  # fmt: skip

_IDENTIFIER = 20  # a column of more texts than this, and half as many as rows, names the rows

# A number as people write it: $5, (1,234.50), 1 234,5 €, 5 %
_WRITTEN = (
    r"^\s*\(?[+−-]?\s*\p{Sc}?\s*[+−-]?\s*"
    r"((\d{1,3}([,.'’\s_]\d{3})+|\d+)([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?"
    r"\s*[\p{Sc}%‰]?\s*\)?\s*$"
)


class Column(NamedTuple):
    """What is known of one column."""

    name: str
    categories: tuple[str, ...] | None = None  # texts by the alphabet; None for numbers
    filling: float = 0.0  # what stands for a gap: the mean of numbers, −1 for text
    filled: bool = False  # had gaps, which are marked by a column of their own


class Encoded(NamedTuple):
    """A table as numbers."""

    matrix: np.ndarray  # (n, d) float64, codes of text
    unseen: dict[str, int]  # column -> rows with a text that was not seen before
    missing: dict[str, int]  # column -> gaps in it


def describe(table: pl.DataFrame) -> tuple[Column, ...]:
    """Kinds and categories of the columns.

    Raises:
        InputError: if a column holds something else than numbers or a few texts.
    """
    return tuple(_described(column) for column in table)


def fill(
    described: Sequence[Column], table: pl.DataFrame, *, weight: np.ndarray | None = None
) -> tuple[Column, ...]:
    """Let gaps be filled: by the mean under ``weight``, marked where ``table`` has gaps.

    Raises:
        InputError: if there is nothing to take the mean of.
    """
    filled = []
    for column in described:
        values = table[column.name]
        present = values.is_not_null().to_numpy()
        s = present.astype(float) * (1 if weight is None else weight)
        if not s.any():
            raise InputError(_all_gaps(column.name))
        absent = present.size - present.sum() if weight is None else np.sum(~present & (weight > 0))
        mean = -1.0 if column.categories is not None else float(s @ numbers(values) / s.sum())
        filled.append(column._replace(filling=mean, filled=column.filled or bool(absent)))
    return tuple(filled)


def encode(described: Sequence[Column], table: pl.DataFrame) -> Encoded:
    """Matrix of the described columns, in their order, whatever the order in ``table``.

    Raises:
        InputError: if a column is not there, holds text instead of numbers, or an infinity.
    """
    columns, unseen, missing = [], {}, {}
    for column in described:
        if column.name not in table.columns:
            raise unknown("column", column.name, table.columns)
        values = table[column.name]
        gap = values.is_null().to_numpy()
        if column.categories is None:
            entries = numbers(values)
        else:
            entries = _codes(values, column.categories)
            if new := int(np.sum((entries < 0) & ~gap)):
                unseen[column.name] = new
        if gap.any():
            missing[column.name] = int(gap.sum())
        columns.append(np.where(gap, column.filling, entries))
        if column.filled:
            columns.append(gap.astype(float))
    matrix = np.stack(columns, axis=1) if columns else np.zeros((table.height, 0))
    return Encoded(matrix, unseen, missing)


def sizes(described: Sequence[Column]) -> tuple[int, ...]:
    """Numbers of categories of the columns of the matrix, 0 for a number."""
    counts = [(len(c.categories or ()), *((0,) if c.filled else ())) for c in described]
    return tuple(size for column in counts for size in column)


def names(described: Sequence[Column]) -> list[str]:
    """Names of the columns of the matrix after the one-hot step."""
    listed = []
    for c in described:
        listed += [c.name] if c.categories is None else [f"{c.name} = {t}" for t in c.categories]
        listed += [f"{c.name} is missing"] if c.filled else []
    return listed


def refuse_same_names(described: Sequence[Column]) -> None:
    """Raise InputError where two columns of the matrix would bear one name."""
    listed = names(described)
    for position, name in enumerate(listed):
        if name in listed[:position]:
            raise InputError(
                f"two columns of the model would be named '{name}', one of them made of a text "
                "or a gap; rename one in the file."
            )


def gaps(table: pl.DataFrame) -> np.ndarray:
    """Rows with a gap in some column, (n,) of truth values."""
    masks = [column.is_null().to_numpy() for column in table]
    return np.any([np.zeros(table.height, bool), *masks], axis=0)


def refuse_gaps(table: pl.DataFrame, counted: np.ndarray, remedy: str) -> None:
    """Raise InputError where an entry of a row that counts is missing, naming row and column."""
    for column in table:
        rows = np.flatnonzero(column.is_null().to_numpy() & counted)
        if rows.size:
            more = f" and in {rows.size - 1} more" if rows.size > 1 else ""
            raise InputError(
                f"column '{column.name}' is missing in row {rows[0] + 1}{more}; {remedy}."
            )


def refuse_constant(table: pl.DataFrame) -> None:
    """Raise InputError where a column holds the same entry in every row."""
    for column in table:
        entries = column.drop_nulls()
        if entries.n_unique() == 1:
            raise InputError(
                f"column '{column.name}' is constant ({entries[0]!r} in every row); "
                f"leave it out with --ignore '{column.name}'."
            )


def numbers(column: pl.Series) -> np.ndarray:
    """Column of numbers as float64, a gap as 0.

    Raises:
        InputError: if it holds text, an infinity or NaN; the message names the row.
    """
    if column.null_count() == len(column):
        return np.zeros(len(column))
    if not _is_numeric(column):
        if not is_plain(column):
            raise InputError(f"column '{column.name}' holds {column.dtype}, not numbers.")
        texts = column.cast(pl.String)
        parsed = texts.cast(pl.Float64, strict=False)
        _refuse_text(column.name, texts, texts.is_not_null() & parsed.is_null())
        column = parsed.alias(column.name)
    entries = column.cast(pl.Float64).fill_null(0).to_numpy()
    if not np.isfinite(entries).all():
        row = int(np.argmax(~np.isfinite(entries)))
        raise InputError(
            f"column '{column.name}' is {entries[row]} in row {row + 1}; numbers must be finite."
        )
    return entries


def refuse_text_of_numbers(column: pl.Series, *, otherwise: str = "") -> None:
    """Raise InputError where most texts of a column are numbers, plain or as people write them.

    Args:
        column: of text.
        otherwise: what else the person may do, to end the sentence.
    """
    texts = column.cast(pl.String)
    present = texts.is_not_null()
    plain = texts.cast(pl.Float64, strict=False).is_not_null()
    if 2 * (plain | texts.str.contains(_WRITTEN).fill_null(False)).sum() >= present.sum():
        _refuse_text(column.name, texts, present & ~plain, otherwise)


def is_plain(column: pl.Series) -> bool:
    """Whether each entry is one thing that has a text."""
    kind = column.dtype
    return not (kind.is_nested() or kind in (pl.Binary, pl.Object, pl.Null))


def _described(column):
    if column.null_count() == len(column):
        raise InputError(_all_gaps(column.name))
    if _is_numeric(column):
        numbers(column)
        return Column(column.name)
    if column.dtype != pl.String and not isinstance(column.dtype, pl.Categorical | pl.Enum):
        raise InputError(
            f"column '{column.name}' holds {column.dtype}, neither numbers nor text; "
            f"leave it out with --ignore '{column.name}'."
        )
    texts = column.cast(pl.String)
    otherwise = f", or leave the column out with --ignore '{column.name}'"
    refuse_text_of_numbers(texts, otherwise=otherwise)
    categories = tuple(texts.drop_nulls().unique().sort())
    rows = len(texts) - texts.null_count()
    if len(categories) > max(_IDENTIFIER, rows / 2):
        raise InputError(
            f"column '{column.name}' holds {len(categories)} texts in {rows} rows; "
            f"leave it out with --ignore '{column.name}'."
        )
    return Column(column.name, categories)


def _refuse_text(name, texts, wrong, otherwise=""):
    """Name the first text that is wrong, if one is."""
    if not wrong.any():
        return
    row = int(wrong.arg_max())
    if texts.str.contains(_WRITTEN)[row]:
        raise InputError(
            f"column '{name}' holds the number '{texts[row]}' as text in row {row + 1}; write "
            "numbers plainly, like 1234.5, without signs of currency, percent or thousands"
            f"{otherwise}."
        )
    raise InputError(
        f"column '{name}' holds the text '{texts[row]}' in row {row + 1}, where numbers belong; "
        f"correct it{otherwise}."
    )


def _codes(column, categories):
    """Codes of the texts as float64, −1 for a gap or a text that is not a category."""
    texts = column.cast(pl.String)
    known = pl.Series(categories, dtype=pl.String)
    order = pl.Series(range(len(known)), dtype=pl.Float64)
    codes = texts.replace_strict(known, order, default=-1.0, return_dtype=pl.Float64)
    if _is_numeric(column) and not (codes >= 0).any():
        raise InputError(f"column '{column.name}' holds numbers, where it held text in the fit.")
    return codes.fill_null(-1.0).to_numpy()


def _is_numeric(column):
    return column.dtype.is_numeric() or column.dtype == pl.Boolean


def _all_gaps(name):
    return f"column '{name}' is all gaps; leave it out with --ignore '{name}'."
