"""``mlmath fit pca DATA`` and its like: what describes the rows of a table, without a target."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlmath.cli import display, fit, flags, methods, report, runs, runtime
from mlmath.cli.refusal import Refusal

__all__ = ["OPTIONS", "columns", "part", "run", "section"]

OPTIONS = [
    flags.Option(
        "target", str | None,
        "column to leave out, and to color the rows by; embedded sets know theirs", None, "COL",
    ),
    flags.Option("seed", int, "of the starts, where some are drawn", 0),
]  # fmt: skip

_ABOUT = "Describe the rows of a table: certificate, figures, a folder for `mlmath predict`."


def run(words: Sequence[str]) -> int:
    """Run ``mlmath fit`` of a method without a target with the words of the command line."""
    asked = fit.ask("fit", _ABOUT, OPTIONS, words, without=("wide",))
    if asked is None:
        return 0
    from mlmath.data.errors import InputError

    try:
        return _run(*asked)
    except InputError as error:
        raise Refusal(str(error)) from None


def part(record: dict[str, Any]) -> Any:
    """The structure of a saved run as a part of a model.

    Raises:
        Refusal: if the record does not describe one.
    """
    from functools import partial

    from mlmath.cli import pipeline, structures

    method, values = methods.find(record["model"]), {}
    known = {flag.name: flag for flag in methods.flags(method)}
    for name, value in record["hyperparameters"].items():
        if value is None:
            continue
        if name not in known or methods.range_of(known[name], value):
            raise Refusal("run.json is damaged: 'hyperparameters' is not what a run holds.")
        values[name] = value
    structure = structures.STRUCTURES[record["model"]]
    return pipeline.Part(partial(structure.fit, **values), structure.predict)


def columns(record: dict[str, Any], applied: Any) -> Mapping[str, Any]:
    """What ``mlmath predict`` writes of each row, by the names of the columns."""
    from mlmath.cli import structures

    return structures.STRUCTURES[record["model"]].columns(applied)


def _run(name, method, options, values, command):
    from mlmath.data import readers

    source = readers.read(options.data)
    dtype = runtime.prepare(options.dtype)
    stamp = time.strftime(f"{name}-{source.name}-%Y%m%d-%H%M%S")
    folder = options.out or runs.unused(Path("runs") / stamp)
    with runs.new_folder(folder) as temporary:
        record, params, shown = section(name, source, options, values, dtype)
        record = fit.heading(name, command, dtype, values) | record
        runs.write_record(temporary, record)
        runs.write_params(temporary, params)
        page = report.page(f"{name} on {source.name}", command, [shown])
        report.write(temporary / "report.html", page)
    if options.json:
        print(json.dumps({"run": str(folder), **record}, indent=2, ensure_ascii=False), flush=True)
    else:
        display.facts(methods.title(method), shown.facts | {"run": f"{folder} (open report.html)"})
    return 0


def section(
    name: str, source: Any, options: Any, values: dict[str, Any], dtype: str
) -> tuple[dict[str, Any], Any, report.Section]:
    """Fit the method to the table: what ``run.json`` says, parameters, section of the report."""
    import jax
    import numpy as np

    from mlmath.cli import examples, pipeline, structures
    from mlmath.data import columns as tables

    method, structure = methods.find(name), structures.STRUCTURES[name]
    gathered = examples.gather(source, method.task, options)
    given = {key: value for key, value in values.items() if value is not None}
    _refuse_many(method, structure, given, gathered)
    composed = pipeline.model(
        pipeline.Part(structure.fit, structure.predict), gathered.columns, options.raw
    )
    X = tables.encode(gathered.columns, gathered.features).matrix
    rows = pipeline.padded(X, gathered.y, gathered.weight, dtype)
    start = time.perf_counter()
    fitted = composed.fit(rows.X, rows.y, sample_weight=rows.weight, **given)
    certificate = {k: np.asarray(v).item() for k, v in fitted.certificate._asdict().items()}
    seconds = time.perf_counter() - start
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves([fitted.params, certificate])):
        raise Refusal("the fit has no finite answer; leave very large columns out with --ignore.")
    center, scale = _units(fitted.params, options.raw)
    found = structures.Found(
        fitted._replace(params=_inner(fitted.params, options.raw)),
        pipeline.predict(composed, fitted.params, X, dtype),
        _one_hot(gathered, X), tables.names(gathered.columns), gathered.weight, gathered.groups,
        center, scale, any(column.categories is not None for column in gathered.columns),
    )  # fmt: skip
    record = _record(source, gathered, options, certificate, seconds)
    facts = _facts(record | {"dtype": dtype}) | structure.facts(found)
    figures = dict(structure.figures(found))
    shown = report.Section(methods.title(method), methods.formula(method), facts, figures)
    return record, fitted.params, shown


def _refuse_many(method, structure, given, gathered):
    """As many components as there are columns, or rows, are the most."""
    from mlmath.data import columns as tables

    k = given.get("k", next(f.default for f in methods.flags(method) if f.name == "k"))
    rows, width = len(gathered.y), len(tables.names(gathered.columns))
    if k > structure.most(rows, width):
        have = f"{rows} rows that count and {width} feature columns"
        raise Refusal(f"--k is {k}, too many for {have}; take fewer.")


def _inner(params, raw):
    return params.model if raw else params.model.model


def _units(params, raw):
    import numpy as np

    if raw:
        return np.zeros(1), np.ones(1)
    standard = params.model.transformation
    return np.asarray(standard.center), np.asarray(standard.scale)


def _one_hot(gathered, X):
    import jax
    import numpy as np

    from mlmath.data import columns as tables
    from mlmath.statistics import one_hot

    sizes = tables.sizes(gathered.columns)
    return np.asarray(jax.vmap(lambda x: one_hot.transform(x, sizes=sizes))(X))


def _record(source, gathered, options, certificate, seconds):
    from mlmath.statistics import padding

    return {
        "seed": options.seed,
        "data": {
            "name": source.name,
            "path": None if source.entry else str(Path(options.data).resolve()),
            "sha256": source.sha256,
        },
        "target": gathered.target, "labels": [], "label_type": "Float64",
        "weight": options.weight, "columns": [c._asdict() for c in gathered.columns],
        "raw": options.raw, "missing": options.missing,
        "rows": padding.bucket(len(gathered.y)), "rows_fitted": len(gathered.y),
        "rows_left_out": gathered.left_out, "certificate": certificate,
        "seconds": {"first": seconds}, "device": runtime.device(),
    }  # fmt: skip


def _facts(record):
    certificate = record["certificate"]
    left_out = f", {record['rows_left_out']} left out" if record["rows_left_out"] else ""
    apart = {"left out": f"{record['target']}, which colors the rows"} if record["target"] else {}
    word = "converged" if certificate["converged"] else "NOT converged"
    return {
        "data": f"{record['data']['name']}: {record['rows_fitted']} rows{left_out}, "
        f"{len(record['columns'])} columns",
        **apart,
        "certificate": f"gap {certificate['gap']:.1e} ({word}, {certificate['steps']} steps)",
        "seconds": f"{record['seconds']['first']:.2f}",
        "device": f"{record['device']}, {record['dtype']}",
    }
