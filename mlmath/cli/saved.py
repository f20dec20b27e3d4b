"""A saved run as a model, and a table as the examples that it was, or could be, fitted to.

A run may come from anywhere: every field of ``run.json`` is checked before it is used.
"""

import inspect
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from mlmath.cli import flags, methods, runs, runtime
from mlmath.cli.refusal import Refusal
from mlmath.nearest import hint

__all__ = [
    "FOLDER", "Model", "Problem", "Rows", "Saved", "damaged", "examples", "features", "model",
    "probabilities", "problem", "read",
]  # fmt: skip

FOLDER = flags.Option(
    "run", Path, "folder that `mlmath fit` or `mlmath sweep` wrote", metavar="RUN", positional=True
)

_MISSING = ("error", "drop", "mean")
_CLASSES = {"number": (0, 0), "two classes": (2, 2), "two sides": (2, 2), "classes": (2, 1 << 16)}
_CLASSES |= {"any": (0, 1 << 16), "structure": (0, 0)}
_LABELS = {"Int64": int, "Float64": float, "String": str, "Boolean": bool}


class Saved(NamedTuple):
    """The description of a run, each field checked."""

    folder: Path
    record: dict[str, Any]
    method: methods.Method
    columns: tuple[Any, ...]  # data.columns.Column
    labels: list[Any]
    values: dict[str, Any]  # keywords of the method's fit


class Model(NamedTuple):
    """A composed method and its saved parameters."""

    composed: Any
    params: Any  # in the dtype of the run


class Rows(NamedTuple):
    """Rows of a table that count, as the run takes them, rounded to its dtype."""

    X: Any  # (n, d) numbers and codes, before the one-hot step, float64
    y: Any  # (n,) numbers, or positions of the labels
    weight: Any  # (n,)
    numbers: Any  # (n,) of the rows in the file, from 1
    height: int  # rows of the file
    target: Any  # (n,) y before it was rounded


class Problem(NamedTuple):
    """What the method minimised: its examples in float64, and the saved answer."""

    module: Any  # of the method, with loss and objective
    theta: Any  # parameters of the method alone
    rows: Any  # pipeline.Rows: features as the saved transformation makes them, padded
    numbers: dict[str, Any]  # hyperparameters of the objective
    predicted: Any  # of the rows, without the padding


def read(folder: Path) -> Saved:
    """Read and check ``run.json``; jax is not needed for it.

    Raises:
        Refusal: if the folder holds no run, or one that is damaged.
    """
    record = runs.read_record(folder)
    method = methods.find(record["model"])
    columns, labels = _columns(folder, record), _labels(folder, record, method)
    if record["missing"] not in _MISSING:
        raise damaged(folder, "missing")
    if record["dtype"] not in runtime.DTYPES[1:]:
        raise damaged(folder, "dtype")
    if not 0 < record["rows"] < 2**31:
        raise damaged(folder, "rows")
    values = {} if method.driver else _values(folder, record, method, labels)
    return Saved(folder, record, method, columns, labels, values)


def model(saved: Saved) -> Model:
    """Read the parameters, which must be what a fit of this model returns.

    Raises:
        Refusal: if they are not.
    """
    from mlmath.cli import pipeline

    record, values = saved.record, saved.values
    if saved.method.driver:
        part, values = import_module(saved.method.driver).part(record), {}
    else:
        part = pipeline.part(saved.method)
    composed = pipeline.model(part, saved.columns, record["raw"])
    try:
        expected = pipeline.expected_params(
            composed, saved.columns, record["rows"], record["dtype"], values
        )
    except ValueError:  # sizes that no fit takes
        raise damaged(saved.folder, "hyperparameters") from None
    return Model(composed, runs.read_params(saved.folder, expected))


def features(saved: Saved, table: Any) -> Any:
    """Columns of the table that the run predicts from.

    Raises:
        Refusal: if one is not there.
    """
    absent = [c.name for c in saved.columns if c.name not in table.columns]
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        has = f"it has {', '.join(table.columns[:8])}{', …' if table.width > 8 else ''}."
        nearest = hint(absent[0], table.columns, has)
        raise Refusal(f"the table lacks column '{absent[0]}'{more} of the fit; {nearest}")
    return table.select(c.name for c in saved.columns)


def examples(saved: Saved, table: Any) -> Rows:
    """Rows of the table with targets and weights, by the options of the run.

    Raises:
        Refusal: if a column is not there.
        InputError: where the table cannot be what the run takes.
    """
    import numpy as np
    import polars as pl

    from mlmath.cli.examples import weights
    from mlmath.data import columns as tables

    record, chosen = saved.record, features(saved, table)
    target, weighing = record["target"], record.get("weight")
    for name in [target, *([weighing] if weighing is not None else [])]:
        if name not in table.columns:
            raise Refusal(f"the table lacks column '{name:.60}' of the fit.")
    weight = weights(table, weighing)
    counted = weight > 0
    present = pl.Series(counted)
    chosen = chosen.select(pl.when(present).then(pl.all()))
    observed = table.select(target).select(pl.when(present).then(pl.all()))
    if record["missing"] == "drop":
        counted &= ~tables.gaps(chosen) & ~tables.gaps(observed)
    tables.refuse_gaps(observed, counted, "a row without a target has no score")
    if record["missing"] == "error":
        tables.refuse_gaps(chosen, counted, "fit again with --missing mean, or correct the table")
    if not counted.any():
        raise Refusal("every row has a gap, so there is nothing to score.")
    kept = pl.Series(counted)
    exact = _targets(saved, observed[target], counted)[counted]
    X = tables.encode(saved.columns, chosen.filter(kept)).matrix
    X, y, weight = (a.astype(record["dtype"]).astype(float) for a in (X, exact, weight[counted]))
    return Rows(X, y, weight, np.flatnonzero(counted) + 1, table.height, exact)


def problem(saved: Saved, rows: Rows) -> Problem:
    """Put saved parameters and rows in float64 before the method.

    Raises:
        Refusal: if the parameters are not what a fit of this model returns.
    """
    import jax
    import numpy as np

    from mlmath.cli import pipeline

    raw, dtype = saved.record["raw"], runtime.prepare("float64")
    composed, params = model(saved)
    params = jax.tree.map(lambda a: np.asarray(a, float), params)
    Z = pipeline.features(saved.method, saved.columns, raw, params, rows.X, dtype)
    predicted = pipeline.predict(composed, params, rows.X, dtype)
    if saved.method.driver:
        return import_module(saved.method.driver).problem(saved, rows, params, Z, predicted)
    module = import_module(saved.method.fit.module)
    taken = inspect.signature(module.objective).parameters
    numbers = {name: value for name, value in saved.values.items() if name in taken}
    theta = params.model if raw else params.model.model
    return Problem(
        module, theta, pipeline.padded(Z, rows.y, rows.weight, dtype), numbers, predicted
    )


def probabilities(predicted: Any) -> Any:
    """One probability per class, also where the model gives that of the second alone."""
    import numpy as np

    return np.stack([1 - predicted, predicted], axis=1) if predicted.ndim == 1 else predicted


def damaged(folder: Path, field: str) -> Refusal:
    """Return the refusal of a run whose ``field`` is not what a run holds."""
    return Refusal(f"{folder / 'run.json'} is damaged: '{field}' is not what a run holds.")


def _values(folder, record, method, labels):
    """Keywords of the fit, each in its range."""
    known = {flag.name: flag for flag in methods.flags(method)}
    values = {k: v for k, v in record["hyperparameters"].items() if v is not None}
    for name, value in values.items():
        if name not in known or methods.range_of(known[name], value):
            raise damaged(folder, "hyperparameters")
        values[name] = known[name].kind(value)
    return methods.arguments(method, values, labels)


def _targets(saved, observed, counted):
    """Numbers, or positions of the labels of the run."""
    import polars as pl

    from mlmath.data import columns as tables

    if not saved.labels:
        return tables.numbers(observed)
    if not tables.is_plain(observed):
        raise Refusal(f"the target '{observed.name}' holds {observed.dtype}, not classes.")
    if not (observed.dtype.is_numeric() or observed.dtype == pl.Boolean):
        observed = observed.cast(pl.String)
    kind = getattr(pl, saved.record["label_type"])
    same = observed.cast(kind, strict=False)
    same = same.set(~(same.cast(observed.dtype, strict=False) == observed).fill_null(False), None)
    codes = same.cast(pl.String).replace_strict(
        pl.Series(saved.labels, dtype=kind).cast(pl.String),
        pl.Series(range(len(saved.labels)), dtype=pl.Float64),
        default=None,
        return_dtype=pl.Float64,
    )
    unknown = codes.is_null().to_numpy() & counted
    if unknown.any():
        row = int(unknown.argmax())
        raise Refusal(
            f"the target '{observed.name}' is {observed[row]!r:.60} in row {row + 1}, a class that "
            "the fit did not see."
        )
    return codes.fill_null(0).to_numpy()


def _columns(folder, record):
    """Columns of the record, each field checked."""
    from mlmath.data.columns import Column

    described = []
    for entry in record["columns"]:
        if not isinstance(entry, dict) or set(entry) != set(Column._fields):
            raise damaged(folder, "columns")
        texts = entry["categories"]
        right = [
            isinstance(entry["name"], str),
            texts is None or _are_texts(texts),
            type(entry["filling"]) in (int, float) and abs(entry["filling"]) <= sys.float_info.max,
            type(entry["filled"]) is bool,
        ]
        if not all(right):
            raise damaged(folder, "columns")
        described.append(Column(**entry | {"categories": None if texts is None else tuple(texts)}))
    names = [column.name for column in described]
    if not names or len(set(names)) < len(names):
        raise damaged(folder, "columns")
    return tuple(described)


def _are_texts(entries):
    """A list of different texts, at least one."""
    texts = isinstance(entries, list) and all(type(entry) is str for entry in entries)
    return texts and len(set(entries)) == len(entries) > 0


def _labels(folder, record, method):
    from mlmath.cli.examples import probability_names

    kind, labels = _LABELS.get(record["label_type"]), record["labels"]
    least, most = _CLASSES[method.task]
    fits = all(type(label) is kind for label in labels) and least <= len(labels) <= most
    names = [record["target"], *probability_names(labels)]
    if (
        not fits
        or len(set(names)) < len(names)
        or (kind is int and any(abs(label) >= 2**63 for label in labels))
    ):
        raise damaged(folder, "labels")
    if not labels and kind not in (int, float):
        raise damaged(folder, "label_type")
    return labels
