"""From a table to examples: which columns, which rows, which labels; every doubt is a sentence."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from mlmath.data import columns as tables
from mlmath.data.errors import InputError, unknown
from mlmath.data.readers import Source

__all__ = ["Examples", "gather", "probability_names", "weights"]

_TARGETS = ("target", "y")  # names that say so themselves
_MOST = 20  # whole numbers that may be names of classes


class Examples(NamedTuple):
    """What a model is fitted to."""

    features: pl.DataFrame  # rows that count
    columns: tuple[tables.Column, ...]
    y: np.ndarray  # numbers, or the positions of the labels
    weight: np.ndarray
    target: str
    labels: list[Any]  # classes as they stand in the file, in order; none for a number
    label_type: str  # polars type of the target
    left_out: int  # rows with gaps, or of weight 0
    groups: list[Any] | None = None  # entries of a target that is not learnt


def gather(source: Source, task: str, options: Any) -> Examples:
    """Examples of the table by the options of ``mlmath fit``.

    Raises:
        InputError: where the table cannot be what is asked for.
    """
    if task == "structure":
        return _gather_rows(source, options)
    target = _target(source, options.target)
    features, weight = _features(source, target, options)
    if not features.width:
        raise InputError(f"no column is left to predict '{target}' from.")
    counted = weight > 0
    observed = source.table[target].to_frame().select(pl.when(pl.Series(counted)).then(pl.all()))
    tables.describe(features)  # refuses by the row of the file
    if task == "number" and observed[target].dtype == pl.String:
        tables.refuse_text_of_numbers(observed[target])
    if options.missing == "drop":
        counted &= ~tables.gaps(features) & ~tables.gaps(observed)
    _refuse_few(counted)
    tables.refuse_gaps(observed, counted, "rows without a target are left out with --missing drop")
    features, described, weight = _kept(features, weight, counted, options)
    observed = _plain(observed[target].filter(pl.Series(counted)))
    y, labels = _labels(observed, _kind_of_task(observed) if task == "any" else task)
    _refuse_wide(described, len(y), options.wide)
    left_out = source.table.height - len(y)
    kind = str(observed.dtype)
    return Examples(features, described, y, weight, target, labels, kind, left_out)


def _gather_rows(source, options):
    """Rows without a target; a column that is named as one is left out and groups them."""
    target = options.target
    if target is None and source.entry is not None:  # classes; what is measured stays
        classes = _kind_of_task(source.table[source.entry.target]) == "classes"
        target = source.entry.target if classes else None
    if target is not None and target not in source.table.columns:
        raise unknown("column", target, source.table.columns)
    features, weight = _features(source, target, options)
    if not features.width:
        raise InputError("no column is left to describe.")
    counted = weight > 0
    tables.describe(features)
    if options.missing == "drop":
        counted &= ~tables.gaps(features)
    _refuse_few(counted)
    features, described, weight = _kept(features, weight, counted, options)
    groups = None
    if target is not None and tables.is_plain(source.table[target]):
        groups = source.table[target].filter(pl.Series(counted)).to_list()
    left_out = source.table.height - len(weight)
    y, name = np.zeros(len(weight)), target or ""
    return Examples(features, described, y, weight, name, [], "Float64", left_out, groups)


def _features(source, target, options):
    """Columns to learn from, rows of weight 0 cleared, and the weights."""
    table, ignored = (
        source.table,
        {*options.ignore, *(source.entry.ignored if source.entry else ())},
    )
    for name in [*options.ignore, *([options.weight] if options.weight else [])]:
        if name not in table.columns:
            raise unknown("column", name, table.columns)
    _refuse_twice(target, options)
    weight = weights(table, options.weight)
    features = table.drop({target, *ignored, options.weight} & set(table.columns))
    return features.select(pl.when(pl.Series(weight > 0)).then(pl.all())), weight


def _kept(features, weight, counted, options):
    """Features of the rows that count, how their columns are read, and the weights."""
    if options.missing == "error":
        tables.refuse_gaps(features, counted, "say --missing drop or --missing mean")
    features, weight = features.filter(pl.Series(counted)), weight[counted]
    tables.refuse_constant(features)
    described = tables.describe(features)
    if options.missing == "mean":
        described = tables.fill(described, features, weight=weight)
    tables.refuse_same_names(described)
    return features, described, weight


def probability_names(labels: Sequence[Any]) -> list[str]:
    """Names of the columns of probabilities that ``mlmath predict`` writes."""
    return [f"probability of {label}" for label in labels]


def weights(table: pl.DataFrame, name: str | None) -> np.ndarray:
    """Weights in the column of that name, ones if there is none.

    Raises:
        InputError: if one is missing, no number or negative, or all are 0.
    """
    if name is None:
        return np.ones(table.height)
    tables.refuse_gaps(
        table.select(name), np.ones(table.height, bool), "a weight is a number from 0 up"
    )
    weight = tables.numbers(table[name])
    if (weight < 0).any():
        row = int(np.argmax(weight < 0))
        raise InputError(
            f"column '{name}' is {weight[row]} in row {row + 1}; a weight is 0 or more."
        )
    if not weight.any():
        raise InputError(f"every weight in column '{name}' is 0.")
    return weight


def _target(source, name):
    columns = source.table.columns
    if name is None:
        if source.entry:
            return source.entry.target
        for candidate in columns:
            if candidate.lower() in _TARGETS:
                return candidate
        raise InputError(
            f"say which column to predict with --target; there are {_listed(columns)}."
        )
    if name not in columns:
        raise unknown("column", name, columns)
    return name


def _refuse_twice(target, options):
    """The target is neither left out nor a weight."""
    if target in options.ignore:
        raise InputError(f"column '{target}' is the target, so --ignore cannot leave it out.")
    if target is not None and target == options.weight:
        raise InputError(f"column '{target}' is the target, so it cannot be the --weight too.")


def _refuse_few(counted):
    """One row decides nothing; none are left where --missing drop finds a gap in each."""
    if not counted.any():
        raise InputError("every row has a gap, so --missing drop leaves none; try --missing mean.")
    if counted.sum() == 1:
        raise InputError("there is one row to learn from, and two at least are needed; add rows.")


def _plain(observed):
    """The target as numbers, truth values or text, which JSON can hold."""
    name = observed.name
    if observed.dtype.is_integer():
        whole = observed.cast(pl.Int64, strict=False)
        if whole.null_count() > observed.null_count():
            raise InputError(f"the target '{name}' holds numbers of 2^63 or more; scale them down.")
        return whole
    if not tables.is_plain(observed):
        raise InputError(f"the target '{name}' holds {observed.dtype}, neither numbers nor text.")
    if observed.dtype.is_numeric():
        return observed.cast(pl.Float64)
    return observed if observed.dtype == pl.Boolean else observed.cast(pl.String)


def _kind_of_task(observed):
    """Numbers that are not whole, or more than 20 of them, are measured; all else are classes."""
    if not observed.dtype.is_numeric():
        return "classes"
    return "classes" if observed.dtype.is_integer() and observed.n_unique() <= _MOST else "number"


def _labels(observed, task):
    name, distinct = observed.name, observed.unique().sort()
    numeric = observed.dtype.is_numeric()
    if task == "number":
        if not numeric:
            raise InputError(
                f"the target '{name}' holds {_kind(observed)}, and this model predicts a number; "
                f"take {'logistic' if len(distinct) == 2 else 'softmax'}_regression."
            )
        y = tables.numbers(observed)
        if len(distinct) == 1:
            raise InputError(
                f"the target '{name}' is {distinct[0]!r} in every row; nothing is left to learn."
            )
        return y, []
    if len(distinct) == 1:
        raise InputError(
            f"the target '{name}' has one class only, {distinct[0]!r}; two are needed."
        )
    if numeric and len(distinct) > max(_MOST, len(observed) / 2):
        raise InputError(
            f"the target '{name}' has {len(distinct)} different numbers, not classes; take ridge."
        )
    if task in ("two classes", "two sides") and len(distinct) > 2:
        raise InputError(
            f"the target '{name}' has {len(distinct)} classes ({_listed(distinct.to_list())}), "
            "and this model tells two apart; take softmax_regression."
        )
    labels = distinct.to_list()
    if name in probability_names(labels):
        raise InputError(
            f"the target '{name}' bears the name of a probability that predict writes; rename it."
        )
    codes = observed.cast(pl.String).replace_strict(
        distinct.cast(pl.String),
        pl.Series(range(len(labels)), dtype=pl.Float64),
        return_dtype=pl.Float64,
    )
    return codes.to_numpy(), labels


def _refuse_wide(described: Sequence[tables.Column], rows: int, wide: bool) -> None:
    width = len(tables.names(described))
    if width > rows and not wide:
        raise InputError(
            f"there are {width} feature columns but {rows} rows, so the penalty alone decides; "
            "leave columns out with --ignore, or accept it with --wide."
        )


def _kind(series):
    return "text" if series.dtype == pl.String else str(series.dtype)


def _listed(values):
    return ", ".join(map(str, values[:8])) + (", …" if len(values) > 8 else "")
