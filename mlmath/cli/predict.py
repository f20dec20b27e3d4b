"""``mlmath predict RUN DATA``: apply a saved run to a table, row by row."""

import contextlib
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlmath.cli import display, flags, methods, report, runs, runtime
from mlmath.cli.refusal import Refusal
from mlmath.nearest import hint

__all__ = ["run"]

_OPTIONS = [
    flags.Option("run", Path, "folder that `mlmath fit` wrote", metavar="RUN", positional=True),
    flags.Option(
        "data", str, "a CSV, Parquet or .npz file, or a set of `mlmath datasets`",
        metavar="DATA", positional=True,
    ),
    flags.Option("out", Path | None, ".csv or .parquet; else CSV on the terminal", None, "FILE"),
    flags.Option("json", bool, "print the report as JSON", False),
]  # fmt: skip

_MISSING = ("error", "drop", "mean")
_CLASSES = {"number": (0, 0), "two classes": (2, 2), "two sides": (2, 2), "classes": (2, 1 << 16)}
_LABELS = {"Int64": int, "Float64": float, "String": str, "Boolean": bool}


def run(words: Sequence[str]) -> int:
    """Run ``mlmath predict`` with the words of the command line."""
    description = (
        "Write the prediction for each row: a number, or the label and a probability per class."
    )
    options = flags.parse("mlmath predict", description, _OPTIONS, words)
    if options.out is not None and options.out.suffix not in (".csv", ".parquet"):
        raise Refusal(f"--out must end in .csv or .parquet, got '{options.out}'.")
    record = runs.read_record(options.run)
    method = methods.find(record["model"])
    from mlmath.data.errors import InputError

    try:
        predicted, facts = _predict(options, record, method)
    except InputError as error:
        raise Refusal(str(error)) from None
    _write(predicted, options.out)
    with contextlib.redirect_stdout(sys.stdout if options.out else sys.stderr):
        if options.json:
            print(json.dumps(facts, indent=2, ensure_ascii=False), flush=True)
        else:
            display.facts(
                f"{record['model']} of {options.run}", {k: _words(v) for k, v in facts.items()}
            )
    return 0


def _predict(options, record, method):
    import numpy as np

    from mlmath.data import columns as tables
    from mlmath.data import readers

    described, labels = _columns(options.run, record), _labels(options.run, record, method)
    if record["missing"] not in _MISSING:
        raise _damaged(options.run, "missing")
    source = readers.read(options.data)
    table = _features(source.table, described)
    empty = np.zeros(table.height, bool)
    if record["missing"] == "error":
        tables.refuse_gaps(table, ~empty, "fit again with --missing mean, or correct the table")
    elif record["missing"] == "drop":
        empty = tables.gaps(table)
    encoded = tables.encode(described, table)
    predicted = _values(options.run, record, method, described, encoded.matrix)
    _refuse_infinite(predicted, empty)
    columns = _output(predicted, record, labels, empty)
    if method.task == "two sides":
        columns = columns.select(record["target"])
    facts: dict[str, Any] = {"data": source.name, "rows": table.height}
    if empty.any():
        facts["rows with gaps, not predicted"] = int(empty.sum())
    elif encoded.missing:
        facts["gaps filled with the mean of the fit"] = encoded.missing
    if encoded.unseen:
        facts["rows with a text that the fit did not see"] = encoded.unseen
    if surplus := [
        c for c in source.table.columns if c not in table.columns and c != record["target"]
    ]:
        facts["columns not used"] = surplus
    if options.out:
        facts["written"] = str(options.out)
    return columns, facts


def _features(table, described):
    absent = [c.name for c in described if c.name not in table.columns]
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        has = f"it has {', '.join(table.columns[:8])}{', …' if table.width > 8 else ''}."
        nearest = hint(absent[0], table.columns, has)
        raise Refusal(f"the table lacks column '{absent[0]}'{more} of the fit; {nearest}")
    return table.select(c.name for c in described)


def _values(folder, record, method, described, matrix):
    """Predictions by the saved params, which must be what a fit of this model returns."""
    dtype = record["dtype"]
    if dtype not in runtime.DTYPES[1:]:
        raise _damaged(folder, "dtype")
    runtime.prepare(dtype)
    from mlmath.cli import pipeline

    known = {flag.name: flag for flag in methods.flags(method)}
    values = {k: v for k, v in record["hyperparameters"].items() if v is not None}
    for name, value in values.items():
        if name not in known or methods.range_of(known[name], value):
            raise _damaged(folder, "hyperparameters")
        values[name] = known[name].kind(value)
    values = methods.arguments(method, values, record["labels"])
    composed = pipeline.model(method, described, record["raw"])
    if not 0 < record["rows"] < 2**31:
        raise _damaged(folder, "rows")
    expected = pipeline.expected_params(composed, described, record["rows"], dtype, values)
    return pipeline.predict(composed, runs.read_params(folder, expected), matrix, dtype)


def _refuse_infinite(predicted, empty):
    import numpy as np

    infinite = ~np.isfinite(predicted.reshape(len(predicted), -1)).all(axis=1) & ~empty
    if infinite.any():
        more = f" and of {infinite.sum() - 1} more" if infinite.sum() > 1 else ""
        raise Refusal(
            f"the prediction of row {infinite.argmax() + 1}{more} is not finite: a number in it "
            "is too large for this model; correct it."
        )


def _output(predicted, record, labels, empty):
    """The target as it stood in the file and a probability per class."""
    import numpy as np
    import polars as pl

    from mlmath.cli import examples

    hidden = pl.Series(~empty)
    if not labels:
        columns = [pl.Series(record["target"], predicted.astype(float))]
    else:
        p = np.stack([1 - predicted, predicted], axis=1) if predicted.ndim == 1 else predicted
        kind = getattr(pl, record["label_type"])
        chosen = pl.Series(record["target"], labels, dtype=kind).gather(p.argmax(axis=1))
        names = examples.probability_names(labels)
        shares = [pl.Series(name, p[:, k]) for k, name in enumerate(names)]
        columns = [chosen, *shares]
    return pl.DataFrame(columns).select(pl.when(hidden).then(pl.all()))


def _write(table, out):
    if out is None:
        sys.stdout.write(display.printable(table.write_csv()))
        sys.stdout.flush()
        return
    buffer = io.BytesIO()
    (table.write_parquet if out.suffix == ".parquet" else table.write_csv)(buffer)
    report.write(out, buffer.getvalue())


def _columns(folder, record):
    """Columns of the record, each field checked."""
    from mlmath.data.columns import Column

    described = []
    for entry in record["columns"]:
        if not isinstance(entry, dict) or set(entry) != set(Column._fields):
            raise _damaged(folder, "columns")
        texts = entry["categories"]
        right = [
            isinstance(entry["name"], str),
            texts is None or _are_texts(texts),
            type(entry["filling"]) in (int, float) and abs(entry["filling"]) <= sys.float_info.max,
            type(entry["filled"]) is bool,
        ]
        if not all(right):
            raise _damaged(folder, "columns")
        described.append(Column(**entry | {"categories": None if texts is None else tuple(texts)}))
    names = [column.name for column in described]
    if not names or len(set(names)) < len(names):
        raise _damaged(folder, "columns")
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
        raise _damaged(folder, "labels")
    if not labels and kind not in (int, float):
        raise _damaged(folder, "label_type")
    return labels


def _damaged(folder, field):
    return Refusal(f"{folder / 'run.json'} is damaged: '{field}' is not what a run holds.")


def _words(value):
    if isinstance(value, dict):
        return ", ".join(f"{key}: {count}" for key, count in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
