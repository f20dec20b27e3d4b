"""``mlmath fit MODEL DATA``: a table in, a model with its score and its certificate out."""

import json
import shlex
import time
from collections.abc import Collection, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mlmath.cli import display, flags, judging, methods, report, runs, runtime, summary
from mlmath.cli.refusal import Refusal

__all__ = ["Asked", "Outcome", "Plain", "ask", "dashed", "heading", "outcome", "record", "run"]

_OPTIONS = [
    flags.Option(
        "data", str, "a CSV, Parquet or .npz file, or a set of `mlmath datasets`",
        metavar="DATA", positional=True,
    ),
    flags.Option("target", str | None, "column to predict; embedded sets know theirs", None, "COL"),
    flags.Option("weight", str | None, "column of row weights: 2 is the row twice", None, "COL"),
    flags.Option("ignore", tuple[str, ...], "column to leave out", (), "COL"),
    flags.Option(
        "missing", Literal["error", "drop", "mean"],
        "gaps: refuse, leave the row out, or fill with the mean and mark in a column", "error",
    ),
    flags.Option("raw", bool, "do not standardise the features inside the model", False),
    flags.Option("wide", bool, "accept more feature columns than rows", False),
    flags.Option("seed", int, "of the choice of held-out rows", 0),
    flags.Option(
        "dtype", str, "float32 or float64; auto is float64 on a CPU, else float32", "auto", "DTYPE"
    ),
    flags.Option("out", Path | None, "run folder; a new one under runs/ if not given", None, "DIR"),
    flags.Option("json", bool, "print one JSON document instead of a table", False),
]  # fmt: skip

_ABOUT = (
    "Fit a model to a table: held-out score, certificate, coefficients, a folder for "
    "`mlmath predict`."
)

_HELP = """usage: mlmath {verb} MODEL DATA [OPTIONS]

{about}

models:
{models}

`mlmath {verb} MODEL --help` lists the options.
"""


class Asked(NamedTuple):
    """A command line ``mlmath VERB MODEL DATA …``, read and checked."""

    name: str  # of the model
    method: methods.Method
    options: Any
    values: dict[str, Any]  # of the hyperparameters
    command: str  # as it was written


class Plain(NamedTuple):
    """Options as they are where nothing is said."""

    target: str | None = None
    weight: str | None = None
    ignore: tuple[str, ...] = ()
    missing: str = "error"
    raw: bool = False
    wide: bool = False
    seed: int = 0


class Outcome(NamedTuple):
    """A model fitted to all rows, scored by its twin that did not see some."""

    params: Any
    certificate: dict[str, Any] | None  # None where nothing is minimised
    score: dict[str, float]
    held: Any  # figures.Held, or None where no row was held out
    seconds: list[float]  # of the first fit and of the next


def run(words: Sequence[str]) -> int:
    """Run ``mlmath fit`` with the words of the command line."""
    if words and (driver := methods.METHODS.get(words[0], methods.METHODS["ridge"]).driver):
        return int(import_module(driver).run(words))
    asked = ask("fit", _ABOUT, (), words)
    if asked is None:
        return 0

    from mlmath.data.errors import InputError

    try:
        return _fit(*asked)
    except InputError as error:
        raise Refusal(str(error)) from None


def ask(
    verb: str,
    about: str,
    more: Sequence[flags.Option],
    words: Sequence[str],
    *,
    without: Collection[str] = (),
) -> Asked | None:
    """Read the words after ``mlmath VERB``; None where the help that lists the models was shown.

    ``more`` are options beside those of a fit, or in the place of one of the same name; those
    named in ``without`` it has not.

    Raises:
        Refusal: if they do not fit; the message is one sentence.
        SystemExit: after the help of a model.
    """
    if words and words[0] in ("-h", "--help"):
        models = "\n".join(f"  {k:<22}{methods.title(m)}" for k, m in methods.METHODS.items())
        print(_HELP.format(verb=verb, about=about, models=models), end="")
        return None
    if not words or words[0].startswith("-"):
        raise Refusal(
            f"name a model first, as in `mlmath {verb} ridge diabetes`; `mlmath models` lists them."
        )
    name, *rest = words
    method = methods.find(name)
    hyperparameters = methods.flags(method)
    data, *usual = _OPTIONS
    usual = [option for option in usual if option.name not in {*without, *(o.name for o in more)}]
    options = flags.parse(
        f"mlmath {verb} {name}",
        f"{methods.title(method)}.",
        [data, *more, *usual, *map(_option, hyperparameters)],
        rest,
    )
    values = {f.name: getattr(options, f.name) for f in hyperparameters}
    for flag in hyperparameters:
        value = values[flag.name]
        if value is not None and (needed := methods.range_of(flag, value)):
            raise Refusal(f"--{dashed(flag.name)} must be {needed}, got {_shown(value)}.")
    return Asked(name, method, options, values, shlex.join(["mlmath", verb, *words]))


def dashed(name: str) -> str:
    """Name of a parameter as people write it after ``--``."""
    return name.replace("_", "-")


def _shown(value):
    return " ".join(map(str, value)) if isinstance(value, tuple) else f"{value:.12g}"


def _option(flag):
    kind = flag.kind | None if flag.default is None else flag.kind
    word = flag.kind.__name__.upper() if isinstance(flag.kind, type) else "INT ..."
    return flags.Option(flag.name, kind, flag.help, flag.default, word)


def _fit(name, method, options, values, command):
    from mlmath.cli import examples
    from mlmath.data import readers

    source = readers.read(options.data)
    gathered = examples.gather(source, method.task, options)
    stamp = time.strftime(f"{name}-{source.name}-%Y%m%d-%H%M%S")
    folder = options.out or runs.unused(Path("runs") / stamp)
    with runs.new_folder(folder) as temporary:
        dtype = runtime.prepare(options.dtype)
        fitted = outcome(method, gathered, options, values, dtype)
        found = heading(name, command, dtype, values)
        found |= record(source, method, gathered, options, fitted)
        runs.write_record(temporary, found)
        runs.write_params(temporary, fitted.params)
        facts = summary.facts(found)
        figures = (
            methods.load(method.figures)(fitted.held) if method.figures and fitted.held else {}
        )
        section = report.Section(methods.title(method), methods.formula(method), facts, figures)
        page = report.page(f"{name} on {source.name}", command, [section])
        report.write(temporary / "report.html", page)
    if options.json:
        print(json.dumps({"run": str(folder), **found}, indent=2, ensure_ascii=False), flush=True)
    else:
        display.facts(methods.title(method), facts | {"run": f"{folder} (open report.html)"})
    return 0


def heading(name: str, command: str, dtype: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return what ``run.json`` says of the model and the command."""
    from mlmath import __version__

    return {
        "format": 1, "mlmath": __version__, "model": name, "command": command, "dtype": dtype,
        "hyperparameters": values,
    }  # fmt: skip


def record(
    source: Any, method: methods.Method, gathered: Any, options: Any, fitted: Outcome
) -> dict[str, Any]:
    """Return what ``run.json`` says of the data, the options and the outcome."""
    from mlmath.statistics import padding

    return {
        "seed": options.seed,
        "data": {
            "name": source.name,
            "path": None if source.entry else str(Path(options.data).resolve()),
            "sha256": source.sha256,
        },
        "target": gathered.target,
        "labels": gathered.labels,
        "label_type": gathered.label_type,
        "weight": options.weight,
        "columns": [column._asdict() for column in gathered.columns],
        "raw": options.raw,
        "missing": options.missing,
        "rows": padding.bucket(len(gathered.y)),
        "rows_fitted": len(gathered.y),
        "rows_left_out": gathered.left_out,
        "certificate": fitted.certificate,
        "held_out": fitted.score,
        "coefficients": summary.coefficients(method, gathered, options.raw, fitted.params),
        "seconds": dict(zip(("first", "again"), fitted.seconds, strict=True)),
        "device": runtime.device(),
    }


def outcome(
    method: methods.Method,
    gathered: Any,
    options: Any,
    values: dict[str, Any],
    dtype: str,
    *,
    swept: Collection[str] = (),
    part: Any = None,
) -> Outcome:
    """Fit without the held-out rows and score, then fit to all: the same program twice.

    ``swept`` are the hyperparameters that a sweep chose, so that a refusal names its ranges;
    ``part`` is the method with its numbers, where they are not arguments of its fit.
    """
    import numpy as np

    from mlmath.cli import pipeline, scores
    from mlmath.data import columns as tables

    composed = pipeline.model(part or pipeline.part(method), gathered.columns, options.raw)
    values = {} if part else methods.arguments(method, values, gathered.labels)
    X = tables.encode(gathered.columns, gathered.features).matrix
    y, weight = gathered.y, gathered.weight
    rows = scores.held_out(y, len(gathered.labels), options.seed)
    seconds, held = [], None
    score: dict[str, float] = {}

    def fit(X, weight):
        start = time.perf_counter()
        X, y_padded, weight = pipeline.padded(X, y, weight, dtype)
        fitted = composed.fit(X, y_padded, sample_weight=weight, **values)
        proof = fitted.certificate
        certificate = proof and {k: np.asarray(v).item() for k, v in proof._asdict().items()}
        seconds.append(time.perf_counter() - start)
        return fitted.params, certificate

    kept = np.where(rows, 0, weight)
    described = gathered.columns
    if options.missing == "mean":  # what fills a gap is learnt, so it may not see the held-out rows
        described = tables.fill(described, gathered.features, weight=kept)
    params, certificate = fit(tables.encode(described, gathered.features).matrix, kept)
    _refuse_infinite(method, [params, certificate], swept)
    if rows.any():
        held, score = judging.judge(
            composed, params, gathered._replace(columns=described), rows, dtype
        )
        if method.task == "two sides":  # an answer without a probability has no log loss
            score = {k: v for k, v in score.items() if "log_loss" not in k}
        _refuse_infinite(method, score, swept)
    params, certificate = fit(X, weight)
    _refuse_infinite(method, [params, certificate], swept)
    return Outcome(params, certificate, score, held, seconds)


def _refuse_infinite(method, found, swept):
    import jax
    import numpy as np

    if all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found)):
        return
    names = [flag.name for flag in methods.flags(method)]
    remedies = [
        f"{verb} the values of --over {name}" if name in swept else f"{verb} --{dashed(name)}"
        for name, verb in (("l2", "raise"), ("learning_rate", "lower"))
        if name in names
    ]
    remedies += ["leave out with --ignore columns that are combinations of others, or very large"]
    raise Refusal(f"the fit has no finite solution; {', or '.join(remedies)}.")
