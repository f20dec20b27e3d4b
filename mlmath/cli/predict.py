"""``mlmath predict RUN DATA``: apply a saved run to a table, row by row."""

import contextlib
import io
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from mlmath.cli import display, flags, report, runtime, saved
from mlmath.cli.refusal import Refusal

__all__ = ["run"]

_OPTIONS = [
    saved.FOLDER,
    flags.Option(
        "data", str, "a CSV, Parquet or .npz file, or a set of `mlmath datasets`",
        metavar="DATA", positional=True,
    ),
    flags.Option("out", Path | None, ".csv or .parquet; else CSV on the terminal", None, "FILE"),
    flags.Option("json", bool, "print the report as JSON", False),
]  # fmt: skip


def run(words: Sequence[str]) -> int:
    """Run ``mlmath predict`` with the words of the command line."""
    description = (
        "Write the prediction for each row: a number, the label and a probability per class, or "
        "the scores or the cluster of a model that describes rows."
    )
    options = flags.parse("mlmath predict", description, _OPTIONS, words)
    if options.out is not None and options.out.suffix not in (".csv", ".parquet"):
        raise Refusal(f"--out must end in .csv or .parquet, got '{options.out}'.")
    known = saved.read(options.run)
    from mlmath.data.errors import InputError

    try:
        predicted, facts = _predict(options, known)
    except InputError as error:
        raise Refusal(str(error)) from None
    _write(predicted, options.out)
    with contextlib.redirect_stdout(sys.stdout if options.out else sys.stderr):
        if options.json:
            print(json.dumps(facts, indent=2, ensure_ascii=False), flush=True)
        else:
            title = f"{known.record['model']} of {options.run}"
            display.facts(title, {k: _words(v) for k, v in facts.items()})
    return 0


def _predict(options, known):
    import numpy as np

    from mlmath.data import columns as tables
    from mlmath.data import readers

    record = known.record
    source = readers.read(options.data)
    table = saved.features(known, source.table)
    empty = np.zeros(table.height, bool)
    if record["missing"] == "error":
        tables.refuse_gaps(table, ~empty, "fit again with --missing mean, or correct the table")
    elif record["missing"] == "drop":
        empty = tables.gaps(table)
    encoded = tables.encode(known.columns, table)
    predicted = _values(known, encoded.matrix)
    _refuse_infinite(predicted, empty)
    columns = _output(predicted, known, empty)
    if known.method.task == "two sides":
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


def _values(known, matrix):
    """Predictions by the saved params."""
    dtype = runtime.prepare(known.record["dtype"])
    from mlmath.cli import pipeline

    model = saved.model(known)
    return pipeline.predict(model.composed, model.params, matrix, dtype)


def _refuse_infinite(predicted, empty):
    import numpy as np

    infinite = ~np.isfinite(predicted.reshape(len(predicted), -1)).all(axis=1) & ~empty
    if infinite.any():
        more = f" and of {infinite.sum() - 1} more" if infinite.sum() > 1 else ""
        raise Refusal(
            f"the prediction of row {infinite.argmax() + 1}{more} is not finite: a number in it "
            "is too large for this model; correct it."
        )


def _output(predicted, known, empty):
    """The target as it stood in the file and a probability per class, or what describes rows."""
    import polars as pl

    from mlmath.cli import examples

    record, labels, hidden = known.record, known.labels, pl.Series(~empty)
    if known.method.task == "structure":
        described = import_module(known.method.driver).columns(record, predicted)
        columns = [pl.Series(name, values) for name, values in described.items()]
    elif not labels:
        columns = [pl.Series(record["target"], predicted.astype(float))]
    else:
        p = saved.probabilities(predicted)
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


def _words(value):
    if isinstance(value, dict):
        return ", ".join(f"{key}: {count}" for key, count in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
