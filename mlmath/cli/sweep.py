"""``mlmath sweep MODEL DATA --over …``: candidates in folds, the best refitted and saved."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from mlmath.cli import (
    candidates,
    choices,
    display,
    fit,
    flags,
    methods,
    metrics,
    report,
    runs,
    runtime,
    sizes,
    summary,
)
from mlmath.cli.refusal import Refusal

__all__ = ["run"]

_OPTIONS = [
    flags.Option(
        "over", tuple[str, ...],
        "hyperparameter and its values: l2=1e-4:1e4:50 is from low to high so many, in equal "
        "ratios if low is above 0 and high at least 100 times low, else in equal steps; "
        "l2=0,1,10 is these; a second --over makes all combinations", (), "NAME=VALUES",
    ),
    flags.Option("folds", int, "parts of the rows, each held out once; classes alike in all", 5),
    flags.Option("repeats", int, "how often the folds are drawn", 1),
    flags.Option(
        "metric", str | None, f"what to judge by, {metrics.listed()}; the first of these that the "
        "model has if not given", None, "METRIC",
    ),
    flags.Option(
        "missing", Literal["error", "drop", "mean"],
        "gaps: refuse, leave the row out, or fill with the mean (in each fold that of its training "
        "rows) and mark in a column", "error",
    ),
    flags.Option("seed", int, "of the folds", 0),
]  # fmt: skip

_ABOUT = """Fit candidates in folds, show the best with standard errors, refit and save the winner,
as in `mlmath sweep ridge diabetes --over l2=1e-2:1e4:30`."""

_LARGEST_SEED = 2**31 - 1


def run(words: Sequence[str]) -> int:
    """Run ``mlmath sweep`` with the words of the command line."""
    if words and words[0] in sizes.SIZED:
        return sizes.run(words)
    _refuse_driven(words[0] if words else "")
    asked = fit.ask("sweep", _ABOUT, _OPTIONS, words)
    if asked is None:
        return 0
    values = candidates.read(asked.options.over, asked.name, asked.method)
    metric = metrics.find(asked.options.metric, asked.method.task)
    _refuse(asked.options, values, words)
    from mlmath.data.errors import InputError

    try:
        return _sweep(asked, values, metric)
    except InputError as error:
        raise Refusal(str(error)) from None


def _refuse_driven(name):
    """Refuse a model that is not solved by one call."""
    method = methods.METHODS.get(name)
    if method and method.driver:
        why = method.unjudged or "is trained in steps"
        raise Refusal(
            f"{name} {why}, and `mlmath sweep` takes models that are solved; `mlmath fit {name}` "
            "fits one."
        )


def _refuse(options, values, words):
    """Refuse what the words alone get wrong."""
    for name, least in (("folds", 2), ("repeats", 1)):
        if getattr(options, name) < least:
            raise Refusal(f"--{name} must be {least} or more, got {getattr(options, name)}.")
    if not 0 <= options.seed <= _LARGEST_SEED:
        raise Refusal(f"--seed must be from 0 to {_LARGEST_SEED}, got {options.seed}.")
    given = {word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")}
    for name in values:
        if f"--{fit.dashed(name)}" in given:
            raise Refusal(f"{name} is swept by --over, so leave --{fit.dashed(name)} out.")


def _sweep(asked, values, metric):
    from mlmath.cli import examples
    from mlmath.data import readers

    name, method, options = asked.name, asked.method, asked.options
    source = readers.read(options.data)
    gathered = examples.gather(source, method.task, options)
    _refuse_few(gathered, options.folds)
    stamp = time.strftime(f"sweep-{name}-{source.name}-%Y%m%d-%H%M%S")
    folder = options.out or runs.unused(Path("runs") / stamp)
    with runs.new_folder(folder) as temporary:
        dtype = runtime.prepare(options.dtype)
        from mlmath.cli import validation

        fixed = {k: v for k, v in asked.values.items() if k not in values}
        judged = validation.validate(method, gathered, options, fixed, values, metric, dtype)
        _refuse_unjudged(judged)
        chosen = asked.values | choices.numbers(judged, int(judged.choice.best))
        fitted = fit.outcome(method, gathered, options, chosen, dtype, swept=values)
        found = fit.heading(name, asked.command, dtype, chosen)
        found |= fit.record(source, method, gathered, options, fitted)
        found["sweep"] = choices.record(judged, values, options, metric)
        facts = choices.facts(judged, values, gathered, options, metric)
        refitted, title = _refitted(found), f"Sweep of {name} on {source.name}"
        figures = choices.figures(judged, metric, gathered.labels)
        page = _page(title, asked, facts, refitted, judged, figures)
        runs.write_record(temporary, found)
        runs.write_params(temporary, fitted.params)
        report.write(temporary / "candidates.csv", choices.every(judged))
        report.write(temporary / "report.html", page)
    if options.json:
        print(json.dumps({"run": str(folder), **found}, indent=2, ensure_ascii=False), flush=True)
        return 0
    display.facts(title, facts)
    print()
    display.table(*choices.table(judged, metric))
    print()
    display.facts(
        "The best, refitted to all rows", refitted | {"run": f"{folder} (open report.html)"}
    )
    return 0


def _refuse_few(gathered, folds):
    """Refuse rows, or rows of a class, that do not suffice for each fold to hold one."""
    rows = len(gathered.y)
    if rows < folds:
        raise Refusal(f"--folds {folds} are more than the {rows} rows; take fewer folds.")
    for k, label in enumerate(gathered.labels):
        count = int((gathered.y == k).sum())
        if count < folds:
            remedy = f"take --folds {count}" if count > 1 else "it cannot be learnt and tested"
            raise Refusal(
                f"class {label!r} has {count} row{'s' * (count > 1)}, and --folds {folds} need one "
                f"each; {remedy}."
            )


def _refuse_unjudged(judged):
    if judged.choice.failed == len(judged.choice.mean):
        raise Refusal(
            "no candidate has a finite score in every fold; take other values with --over, another "
            "--metric or fewer --folds."
        )


def _refitted(found):
    """Facts of the winner; its held-out rows took part in the choice, so they are no test."""
    facts = summary.facts(found)
    hidden = ("data", "target", "held-out score", "seconds")
    return {label: value for label, value in facts.items() if label not in hidden}


def _page(title, asked, facts, refitted, judged, figures):
    winner = f"The best, refitted to all rows. {methods.title(asked.method)}"
    sections = [
        report.Section("Candidates in folds", "", facts | choices.listed(judged), figures),
        report.Section(winner, methods.formula(asked.method), refitted, {}),
    ]
    return report.page(title, asked.command, sections)
