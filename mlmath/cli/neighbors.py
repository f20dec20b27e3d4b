"""``mlmath fit nearest_neighbors DATA``: remember the rows, and score them by rows left out."""

import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mlmath.cli import display, fit, flags, methods, report, runs, runtime, summary
from mlmath.cli.refusal import Refusal

__all__ = [
    "OPTIONS",
    "TASKS",
    "WEIGHTINGS",
    "figures",
    "options",
    "outcome",
    "part",
    "record",
    "run",
]

WEIGHTINGS = ("uniform", "inverse_distance")
TASKS = ("auto", "number", "classes")

OPTIONS = [
    flags.Option("weighting", Literal[WEIGHTINGS], "how a neighbor's vote falls with its distance",
                 "uniform"),
    flags.Option("task", Literal[TASKS], "what to predict; auto takes text and few whole numbers "
                 "for classes", "auto"),
]  # fmt: skip

_ABOUT = "Remember the rows of a table: held-out score, a folder for `mlmath predict`."


class _Remembered(NamedTuple):
    """What a fit returns: nothing is minimised, so there is no certificate."""

    params: Any
    certificate: None = None


def run(words: Sequence[str]) -> int:
    """Run ``mlmath fit nearest_neighbors`` with the words of the command line."""
    asked = fit.ask("fit", _ABOUT, OPTIONS, words)
    if asked is None:
        return 0
    from mlmath.data.errors import InputError

    try:
        return _run(*asked)
    except InputError as error:
        raise Refusal(str(error)) from None


def options(name: str) -> list[flags.Option]:
    """Options of the method beside the numbers of its fit."""
    return OPTIONS


def part(record: dict[str, Any]) -> Any:
    """The neighbors of a saved run as a part of a model.

    Raises:
        Refusal: if the record does not describe them.
    """
    given = dict(record["hyperparameters"])
    weighting = given.pop("weighting", None)
    known = {flag.name: flag for flag in methods.flags(methods.METHODS["nearest_neighbors"])}
    for name, value in given.items():
        if name not in known or (value is not None and methods.range_of(known[name], value)):
            raise Refusal("run.json is damaged: 'hyperparameters' is not what a run holds.")
    k = given.get("k")
    if weighting not in WEIGHTINGS or type(k) is not int or k > record["rows"]:
        raise Refusal("run.json is damaged: 'hyperparameters' is not what a run holds.")
    return _part(given, weighting, len(record["labels"]))


def outcome(
    gathered: Any, options: Any, values: dict[str, Any], weighting: str, dtype: str
) -> fit.Outcome:
    """Remember the rows and score them.

    Raises:
        Refusal: if there are fewer rows than neighbors.
    """
    rows = len(gathered.y)  # all of them count
    if values["k"] > rows:
        raise Refusal(f"--k is {values['k']}, but there are {rows} rows that count; take fewer.")
    method = methods.METHODS["nearest_neighbors"]
    made = _part(values, weighting, len(gathered.labels))
    return fit.outcome(method, gathered, options, {}, dtype, part=made)


def record(
    source: Any, gathered: Any, options: Any, values: dict[str, Any], fitted: fit.Outcome
) -> dict[str, Any]:
    """Return what ``run.json`` says of the data, the options and the score."""
    return fit.record(source, methods.METHODS["nearest_neighbors"], gathered, options, fitted)


def _run(name, method, options, values, command):
    from mlmath.cli import examples
    from mlmath.data import readers

    source = readers.read(options.data)
    task = method.task if options.task == "auto" else options.task
    gathered = examples.gather(source, task, options)
    dtype = runtime.prepare(options.dtype)
    fitted = outcome(gathered, options, values, options.weighting, dtype)
    stamp = time.strftime(f"{name}-{source.name}-%Y%m%d-%H%M%S")
    folder = options.out or runs.unused(Path("runs") / stamp)
    with runs.new_folder(folder) as temporary:
        found = fit.heading(name, command, dtype, values | {"weighting": options.weighting})
        found |= record(source, gathered, options, values, fitted)
        facts = summary.facts(found)
        runs.write_record(temporary, found)
        runs.write_params(temporary, fitted.params)
        section = report.Section(
            methods.title(method), methods.formula(method), facts, figures(fitted.held)
        )
        report.write(
            temporary / "report.html", report.page(f"{name} on {source.name}", command, [section])
        )
    if options.json:
        print(json.dumps({"run": str(folder), **found}, indent=2, ensure_ascii=False), flush=True)
    else:
        display.facts(methods.title(method), facts | {"run": f"{folder} (open report.html)"})
    return 0


def _part(values, weighting, classes):
    """Neighbors with these hyperparameters; the same ones are the same object to ``compose``."""
    from mlmath.cli.pipeline import Part
    from mlmath.kernels import nearest_neighbors

    given = {k: v for k, v in values.items() if v is not None}
    given["weighting"] = getattr(nearest_neighbors, weighting)
    if classes:
        return Part(_remember, partial(nearest_neighbors.probabilities, classes=classes, **given))
    return Part(_remember, partial(nearest_neighbors.predict, **given))


def _remember(X, y, *, sample_weight=None):
    from mlmath.kernels import nearest_neighbors

    return _Remembered(nearest_neighbors.init(X, y, sample_weight=sample_weight))


def figures(held: Any) -> dict[str, bytes]:
    """Predicted and observed targets of the held-out rows."""
    from mlmath.cli import figures as shown

    if held is None:
        return {}
    return {0: shown.number, 2: shown.two}.get(len(held.labels), shown.several)(held)
