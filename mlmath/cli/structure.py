"""``mlmath fit pca DATA`` and its like: what describes the rows of a table, without a target."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from mlmath.cli import display, fit, flags, methods, report, runs, runtime
from mlmath.cli.refusal import Refusal

__all__ = [
    "COVARIANCES",
    "chosen",
    "columns",
    "defaults",
    "options",
    "part",
    "refuse_seeds",
    "rows",
    "run",
    "section",
]

COVARIANCES = ("full", "tied", "diagonal", "spherical")

_TARGET = flags.Option(
    "target", str | None,
    "column to leave out, and to color the rows by; embedded sets know theirs", None, "COL",
)  # fmt: skip
_DRAWN = [
    flags.Option("seeds", int, "starts that are tried; the best one counts", 10),
    flags.Option("seed", int, "of the starts", 0),
]
_COVARIANCE = flags.Option(
    "covariance", Literal[COVARIANCES],
    "a matrix of each component, one of all, variances of each, or one variance of each", "full",
)  # fmt: skip
_OWN = {"gaussian_mixture": [*_DRAWN, _COVARIANCE], "kmeans": _DRAWN}

_ABOUT = "Describe the rows of a table: certificate, figures, a folder for `mlmath predict`."


def run(words: Sequence[str]) -> int:
    """Run ``mlmath fit`` of a method without a target with the words of the command line."""
    own, without = options(words[0]), ("wide", "seed")
    asked = fit.ask("fit", _ABOUT, own, words, without=without)
    if asked is None:
        return 0
    refuse_seeds(asked.options)
    from mlmath.data.errors import InputError

    try:
        return _run(*asked)
    except InputError as error:
        raise Refusal(str(error)) from None


def refuse_seeds(options: Any) -> None:
    """Refuse numbers of starts, and seeds, that no run could take."""
    seeds, seed = getattr(options, "seeds", 1), getattr(options, "seed", 0)
    if not 1 <= seeds < 2**16:
        raise Refusal(f"--seeds must be a whole number from 1 to {2**16 - 1}, got {seeds}.")
    if not 0 <= seed < 2**31:
        raise Refusal(f"--seed must be from 0 to {2**31 - 1}, got {seed}.")


def chosen(name: str, options: Any) -> dict[str, Any]:
    """Values of the options that the method has beside the numbers of its fit."""
    return {option.name: getattr(options, option.name) for option in _OWN.get(name, [])}


def defaults(name: str, seed: int) -> dict[str, Any]:
    """Values of the method's own options where nothing but the seed is said."""
    own = {option.name: option.default for option in _OWN.get(name, [])}
    return own | ({"seed": seed} if own else {})


def options(name: str) -> list[flags.Option]:
    """Options of the method beside the numbers of its fit."""
    return [_TARGET, *_OWN.get(name, [])]


def part(record: dict[str, Any]) -> Any:
    """The structure of a saved run as a part of a model.

    Raises:
        Refusal: if the record does not describe one.
    """
    from mlmath.cli import structures

    name = record["model"]
    values: dict[str, Any] = {}
    known = {flag.name: flag for flag in methods.flags(methods.find(name))}
    own = {option.name: option for option in options(name)} if name in _OWN else {}
    for key, value in record["hyperparameters"].items():
        if key == "covariance" and key in own:
            right = value in COVARIANCES
        elif key in ("seed", "seeds") and key in own:
            right = type(value) is int and (key == "seeds") <= value < 2**31
        else:
            right = key in known and (value is None or not methods.range_of(known[key], value))
        if not right:
            raise Refusal("run.json is damaged: 'hyperparameters' is not what a run holds.")
        values |= {} if value is None else {key: value}
    return structures.STRUCTURES[name].bind(values)


def columns(record: dict[str, Any], applied: Any) -> Mapping[str, Any]:
    """What ``mlmath predict`` writes of each row, by the names of the columns."""
    from mlmath.cli import structures

    named = structures.STRUCTURES[record["model"]].columns(applied)
    measured = () if record["raw"] else ("distance", "log density")
    return {
        f"{name} in standard units" if name in measured else name: values
        for name, values in named.items()
    }


def _run(name, method, options, values, command):
    from mlmath.data import readers

    source = readers.read(options.data)
    values |= chosen(name, options)
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
        display.facts(shown.title, shown.facts | {"run": f"{folder} (open report.html)"})
    return 0


def section(
    name: str, source: Any, options: Any, values: dict[str, Any], dtype: str
) -> tuple[dict[str, Any], Any, report.Section]:
    """Fit the method to the table: what ``run.json`` says, parameters, section of the report."""
    import jax
    import numpy as np

    from mlmath.cli import examples, pipeline, structures
    from mlmath.cli.found import Found
    from mlmath.data import columns as tables

    method, structure = methods.find(name), structures.STRUCTURES[name]
    gathered = examples.gather(source, method.task, options)
    given = {key: value for key, value in values.items() if value is not None}
    _refuse_many(method, structure, given, gathered)
    composed = pipeline.model(structure.bind(given), gathered.columns, options.raw)
    X = tables.encode(gathered.columns, gathered.features).matrix
    rows = pipeline.padded(X, gathered.y, gathered.weight, dtype)
    start = time.perf_counter()
    fitted = composed.fit(rows.X, rows.y, sample_weight=rows.weight)
    certificate = {k: np.asarray(v).item() for k, v in fitted.certificate._asdict().items()}
    seconds = time.perf_counter() - start
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves([fitted.params, certificate])):
        raise _no_answer(name)
    center, scale = _units(fitted.params, options.raw)
    found = Found(
        fitted._replace(params=_inner(fitted.params, options.raw)),
        pipeline.predict(composed, fitted.params, X, dtype),
        _one_hot(gathered, X), tables.names(gathered.columns), gathered.weight, gathered.groups,
        center, scale, any(column.categories is not None for column in gathered.columns),
    )  # fmt: skip
    record = _record(source, gathered, options, certificate, seconds)
    facts = _facts(record | {"dtype": dtype}) | structure.facts(found)
    figures = dict(structure.figures(found))
    page = _page(method, values)
    shown = report.Section(methods.title(page), methods.formula(page), facts, figures)
    return record, fitted.params, shown


def _page(method, values):
    """The method with the module whose docstring tells of it."""
    kind = values.get("covariance")
    module = f"mlmath.latent.{kind}_mixture" if kind else method.fit.module
    return method._replace(fit=methods.Function(module, "fit"))


def _no_answer(name):
    more = "give --prior-rows 1, or " if name == "gaussian_mixture" else ""
    return Refusal(
        f"the fit has no finite answer; {more}leave out with --ignore columns that are "
        "combinations of others, or very large."
    )


def rows(name: str, source: Any, options: Any, dtype: str) -> Any:
    """Rows of the table as the method sees them, in standard units unless raw."""
    import jax
    import numpy as np

    from mlmath.cli import examples, pipeline
    from mlmath.data import columns as tables
    from mlmath.statistics import standardise

    gathered = examples.gather(source, methods.find(name).task, options)
    X = _one_hot(gathered, tables.encode(gathered.columns, gathered.features).matrix)
    made = pipeline.padded(X, gathered.y, gathered.weight, dtype)
    if options.raw:
        return made
    learnt = standardise.fit(made.X, sample_weight=made.weight).params
    Z = np.asarray(jax.vmap(standardise.transform, (None, 0))(learnt, made.X))
    return made._replace(X=Z)


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
        "seed": getattr(options, "seed", 0),
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
    apart = {"left out": record["target"]} if record["target"] else {}
    word = "converged" if certificate["converged"] else "NOT converged"
    return {
        "data": f"{record['data']['name']}: {record['rows_fitted']} rows{left_out}, "
        f"{len(record['columns'])} columns",
        **apart,
        "certificate": f"gap {certificate['gap']:.1e} ({word}, {certificate['steps']} steps)",
        "seconds": f"{record['seconds']['first']:.2f}",
        "device": f"{record['device']}, {record['dtype']}",
    }
