"""``mlmath influence RUN``: the rows that move a saved model most.

The size of a row is its distance of Cook, ``evaluate.influence`` eq. (3), in float64: how far the
parameters of the method move without the row. The saved transformation (mean and scale of each
column, filling) stays as it is. The dispersion of a model of a number is the residual variance
Σ sᵢ(yᵢ − ŷᵢ)²/(Σsᵢ − r − 1) with r the rank of the centred features; of classes it is 1.
"""

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlmath.cli import display, flags, report, saved
from mlmath.cli.refusal import Refusal

__all__ = ["run"]

_OPTIONS = [
    saved.FOLDER,
    flags.Option(
        "data", str | None, "the table it was fitted to, where that is no longer where it was",
        None, "DATA", positional=True,
    ),
    flags.Option("most", int, "how many rows to list", 10),
    flags.Option("out", Path | None, ".png for a figure, .csv for all rows", None, "FILE"),
    flags.Option("json", bool, "print one JSON document instead of a table", False),
]  # fmt: skip


def run(words: Sequence[str]) -> int:
    """Run ``mlmath influence`` with the words of the command line."""
    description = (
        "List the rows without which the model would move most, by Cook's distance; above 1 a "
        "row deserves a look."
    )
    options = flags.parse("mlmath influence", description, _OPTIONS, words)
    if options.most < 1:
        raise Refusal(f"--most must be 1 or more, got {options.most}.")
    if options.out is not None and options.out.suffix not in (".png", ".csv"):
        raise Refusal(f"--out must end in .png or .csv, got '{options.out}'.")
    known = saved.read(options.run)
    if known.method.unjudged:
        why = f"{known.record['model']} {known.method.unjudged}"
        raise Refusal(f"`mlmath influence` judges a prediction that was fitted, and {why}.")
    if known.method.driver:
        raise Refusal(
            f"'{options.run}' is a network, not trained to a minimum, so that the influence "
            "of a row on it is not defined."
        )
    if known.method.task == "two sides":
        raise Refusal(
            f"{known.record['model']} counts mistakes, and a count has no derivative in the "
            "parameters, so the influence of a row is not defined; take logistic_regression."
        )
    from mlmath.data.errors import InputError

    try:
        source = _source(known, options)
        table, height = _table(known, source)
    except InputError as error:
        raise Refusal(str(error)) from None
    if options.out is not None:
        report.write(options.out, _file(options, table, height))
    _show(options, known, source, table, height)
    return 0


def _source(known, options):
    """The table that was fitted; influence of any other is not defined."""
    from mlmath.data import readers
    from mlmath.data.errors import InputError

    data = known.record["data"]
    place = data.get("path") or data.get("name")
    if not isinstance(place, str):
        raise saved.damaged(known.folder, "data")
    try:
        source = readers.read(options.data or place)
    except InputError as error:
        if options.data:
            raise
        raise Refusal(
            f"the table that was fitted is no longer at '{place}' ({str(error).rstrip('.')}); "
            "say where it is, as in `mlmath influence RUN DATA`."
        ) from None
    if source.sha256 == data.get("sha256"):
        return source
    if options.data:
        raise Refusal(
            f"'{options.data}' is not the table that was fitted (its SHA-256 differs), and "
            "influence is of the rows that were fitted; fit to it first."
        )
    raise Refusal(
        f"'{place}' has changed since the fit (its SHA-256 differs); give the table that was "
        "fitted, as in `mlmath influence RUN DATA`, or fit again."
    )


def _table(known, source):
    """Row, target, prediction and distance of every row that counts, the largest first."""
    import numpy as np
    import polars as pl

    rows = saved.examples(known, source.table)
    problem = saved.problem(known, rows)
    columns: dict[str, Any] = {"row": rows.numbers}
    if known.labels:
        p = saved.probabilities(problem.predicted)
        kind = getattr(pl, known.record["label_type"])
        labels, codes = pl.Series(known.labels, dtype=kind), rows.y.astype(int)
        columns["target"] = labels.gather(codes)
        columns["probability of target"] = p[np.arange(len(codes)), codes]
        columns["prediction"] = labels.gather(p.argmax(axis=1))
    else:
        columns |= {"target": rows.y, "prediction": problem.predicted}
    columns["distance"] = _distances(known, problem, rows)
    table = pl.DataFrame(columns).with_columns(pl.col("distance").fill_nan(None))
    ordered = table.sort("distance", descending=True, nulls_last=True, maintain_order=True)
    return ordered, rows.height


def _distances(known, problem, rows):
    """Cook's distance of every row, NaN where the other rows do not determine the model."""
    import numpy as np

    from mlmath.evaluate import influence

    module, (X, y, weight) = problem.module, problem.rows
    dispersion = 1.0 if known.labels else _variance(problem, rows)
    found = influence.distance(
        module.loss, module.objective, problem.theta, X, y,
        dispersion=dispersion, sample_weight=weight, **problem.numbers,
    )  # fmt: skip
    return np.asarray(found)[: len(rows.y)]


def _variance(problem, rows):
    """Residual variance σ̂², whose degrees of freedom must be positive."""
    import numpy as np

    s, X = rows.weight, problem.rows.X[: len(rows.y)]
    centred = X - (s @ X / s.sum())[None]
    freedom = s.sum() - np.linalg.matrix_rank(np.sqrt(s)[:, None] * centred) - 1
    variance = s @ (rows.y - problem.predicted) ** 2 / freedom if freedom > 0 else 0.0
    if not (math.isfinite(variance) and variance > 0):
        raise Refusal(
            "the rows leave no residual, or weigh no more than the model has coefficients, so "
            "there is no scale to measure influence by."
        )
    return variance


def _file(options, table, height):
    """Bytes of the figure, or of a CSV of all rows."""
    if options.out.suffix == ".csv":
        buffer = io.BytesIO()
        table.write_csv(buffer)
        return buffer.getvalue()
    import numpy as np

    from mlmath.plot import diagnosis

    effects = np.full(height, np.nan)  # rows that did not count have no value
    effects[table["row"].to_numpy() - 1] = table["distance"].fill_null(np.nan).to_numpy()
    figure = diagnosis.influence(
        effects, names=[f"row {i + 1}" for i in range(height)], shown=min(options.most, 20),
        effect="Cook's distance",
    )  # fmt: skip
    axes = figure.axes[0]
    ticks = [tick for tick in axes.get_xticks() if 1 <= tick <= height]
    axes.set_xticks([tick - 1 for tick in ticks], [f"{tick:g}" for tick in ticks])
    axes.set_xlabel("row of the file, from 1")
    return report.png(figure)


def _show(options, known, source, table, height):
    lost = table.filter(table["distance"].is_null())["row"].to_list()
    most = table.head(min(options.most, table.height - len(lost)))
    converged = bool((known.record.get("certificate") or {}).get("converged"))
    if options.json:
        found = {
            "run": str(options.run), "data": source.name, "rows": table.height,
            "converged": converged, "most": most.to_dicts(), "undetermined_without": lost,
        }  # fmt: skip
        print(json.dumps(found, indent=2, ensure_ascii=False), flush=True)
        return
    left_out = f", {height - table.height} left out" if height > table.height else ""
    facts = {"data": f"{source.name}: {table.height} rows{left_out}", "size": "Cook's distance"}
    facts["above 1"] = f"{int((table['distance'] > 1).sum())} rows"
    if lost:
        shown = ", ".join(map(str, lost[:8])) + (", …" if len(lost) > 8 else "")
        facts["not listed"] = f"rows {shown}: without one of them the others determine no model"
    if not converged:
        facts["beware"] = "the fit is NOT converged, and the sizes take it to be"
    if options.out is not None:
        facts["written"] = str(options.out)
    display.facts(f"{known.record['model']} of {options.run}", facts)
    target = known.record["target"]
    header = ["row", target, *(["probability of it"] if known.labels else []), "predicted", "size"]
    display.table(header, [[_cell(v) for v in row] for row in most.rows()])


def _cell(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)
