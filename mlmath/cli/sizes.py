"""``mlmath sweep kmeans DATA --over k=2:12``: how many clusters, or components of a mixture.

All sizes from all starts are one compiled call. Clusters are judged by the mean silhouette, by the
gap statistic or by the elbow of the inertia, mixtures by BIC or AIC; the size that is chosen is
fitted and saved as ``mlmath fit`` does.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mlmath.cli import display, fit, flags, report, runs, runtime, structure
from mlmath.cli.refusal import Refusal

__all__ = ["SIZED", "Judged", "read", "run"]

SIZED = {"gaussian_mixture": ("bic", "aic"), "kmeans": ("silhouette", "gap", "elbow")}

_MOST = 200

_ABOUT = "Fit every size from every start in one call, and save the one that is chosen."


class Judged(NamedTuple):
    """What was measured of each size, and the size that is chosen."""

    chosen: int
    columns: dict[str, Any]  # name -> numbers, one of each size
    quantity: str  # name of the axis of what chose
    curves: tuple[str, ...]  # columns that are drawn together
    error: Any  # standard errors of the first of them, or None


def run(words: Sequence[str]) -> int:
    """Run ``mlmath sweep`` of a number of clusters with the words of the command line."""
    name = words[0]
    asked = fit.ask("sweep", _ABOUT, _options(name), words, without=("wide", "seed"))
    if asked is None:
        return 0
    sizes = read(asked.options.over, name)
    if any(word.partition("=")[0] == "--k" for word in words):
        raise Refusal("k is swept by --over, so leave --k out.")
    if asked.options.by == "elbow" and len(sizes) < 3:
        raise Refusal("an elbow needs three sizes at least; name more with --over.")
    structure.refuse_seeds(asked.options)
    from mlmath.data.errors import InputError

    try:
        return _run(asked, sizes)
    except InputError as error:
        raise Refusal(str(error)) from None


def read(texts: Sequence[str], name: str) -> list[int]:
    """Sizes that ``--over`` names: k=2:12 is each from 2 to 12, k=2,3,5 are these.

    Raises:
        Refusal: if it names none; the message is one sentence.

    >>> read(["k=2:5"], "kmeans"), read(["k=8,2,2"], "kmeans")
    ([2, 3, 4, 5], [2, 8])
    """
    example = "write --over k=2:12 for each from 2 to 12, or --over k=2,3,5"
    if len(texts) != 1:
        raise Refusal(f"{name} is swept over the number k of clusters alone; {example}.")
    written, equals, rest = texts[0].partition("=")
    if written.strip().lstrip("-") != "k" or not equals:
        raise Refusal(f"{name} is swept over k, not '{texts[0]}'; {example}.")
    try:
        numbers = [int(entry) for entry in rest.replace(":", ",").split(",")]
    except ValueError:
        raise Refusal(f"cannot read --over {texts[0]}; {example}.") from None
    if ":" in rest:
        if len(numbers) != 2 or numbers[0] > numbers[1]:
            raise Refusal(f"cannot read --over {texts[0]}; {example}.")
        if numbers[1] - numbers[0] >= _MOST:
            raise Refusal(f"--over {texts[0]} makes more than {_MOST} sizes; take fewer.")
        numbers = list(range(numbers[0], numbers[1] + 1))
    if min(numbers) < 1:
        raise Refusal(f"each size of --over {texts[0]} must be 1 or more.")
    return sorted(set(numbers))


def _options(name):
    over = flags.Option(
        "over", tuple[str, ...], "sizes: k=2:12 is each from 2 to 12, k=2,3,5 are these", (),
        "k=VALUES",
    )  # fmt: skip
    by = flags.Option("by", Literal[SIZED[name]], "what chooses", SIZED[name][0])
    return [over, by, *structure.options(name)]


def _run(asked, sizes):
    from mlmath.data import readers

    name, options = asked.name, asked.options
    source = readers.read(options.data)
    dtype = runtime.prepare(options.dtype)
    stamp = time.strftime(f"sweep-{name}-{source.name}-%Y%m%d-%H%M%S")
    folder = options.out or runs.unused(Path("runs") / stamp)
    with runs.new_folder(folder) as temporary:
        given = {k: v for k, v in asked.values.items() if v is not None and k != "k"}
        given |= structure.chosen(name, options)
        start = time.perf_counter()
        judged = _judged(name, source, options, given, sizes, dtype)
        seconds = time.perf_counter() - start
        values = asked.values | given | {"k": judged.chosen}
        record, params, shown = structure.section(name, source, options, values, dtype)
        record = fit.heading(name, asked.command, dtype, values) | record
        record["sweep"] = _record(judged, sizes, options, seconds)
        title = f"Sweep of {name} on {source.name}"
        facts = _facts(judged, sizes, options, seconds)
        sections = [report.Section("Sizes", "", facts, _figures(judged, sizes)), shown]
        runs.write_record(temporary, record)
        runs.write_params(temporary, params)
        report.write(temporary / "sizes.csv", _csv(judged, sizes))
        report.write(temporary / "report.html", report.page(title, asked.command, sections))
    if options.json:
        print(json.dumps({"run": str(folder), **record}, indent=2, ensure_ascii=False), flush=True)
        return 0
    display.facts(title, facts)
    print()
    display.table(*_table(judged, sizes))
    print()
    display.facts(shown.title, shown.facts | {"run": f"{folder} (open report.html)"})
    return 0


def _judged(name, source, options, given, sizes, dtype):
    from mlmath.cli import clustering, densities

    rows = structure.rows(name, source, options, dtype)
    if max(sizes) > (count := int((rows.weight > 0).sum())):
        raise Refusal(f"--over names {max(sizes)} clusters, but {count} rows count; take fewer.")
    judge = {"gaussian_mixture": densities.sizes, "kmeans": clustering.sizes}[name]
    found = Judged(*judge(rows.X, rows.weight, tuple(sizes), options.by, given))
    if found.chosen < 1:
        more = "; raise --max-steps, or give --prior-rows 1" if name == "gaussian_mixture" else ""
        raise Refusal(f"no size has a finite {options.by}{more}.")
    return found


def _record(judged, sizes, options, seconds):
    columns = {name: [_json(v) for v in values] for name, values in judged.columns.items()}
    return {
        "over": {"k": sizes}, "by": options.by, "chosen": judged.chosen, "seconds": seconds,
        "fits": len(sizes) * options.seeds, **columns,
    }  # fmt: skip


def _json(value):
    number = value.item() if hasattr(value, "item") else value
    return number if number == number and abs(number) != float("inf") else None


def _facts(judged, sizes, options, seconds):
    fits = len(sizes) * options.seeds
    edge = judged.chosen in (sizes[0], sizes[-1]) and len(sizes) > 1
    facts = {
        "sizes": f"{len(sizes)}, from k = {sizes[0]} to {sizes[-1]}, {options.seeds} starts each",
        "chosen": f"k = {judged.chosen} by {options.by}",
        "fits": f"{fits} in {seconds:.2f} s with compilation",
    }
    return facts | (
        {"edge": "the choice is at the edge of the sizes; others may do better"} if edge else {}
    )


def _figures(judged, sizes):
    from mlmath.plot import clusters

    shown = {name: judged.columns[name] for name in judged.curves}
    errors = None if judged.error is None else {judged.curves[0]: judged.error}
    drawn = clusters.criterion(
        sizes, shown, errors=errors, chosen=judged.chosen, quantity=judged.quantity
    )
    return {"What chose the number of clusters": report.png(drawn)}


def _table(judged, sizes):
    rows = [
        [str(k), *(f"{values[i]:.6g}" for values in judged.columns.values()),
         "chosen" if k == judged.chosen else ""]
        for i, k in enumerate(sizes)
    ]  # fmt: skip
    return ["k", *judged.columns, ""], rows


def _csv(judged, sizes):
    import polars as pl

    return pl.DataFrame({"k": sizes, **judged.columns}).fill_nan(None).write_csv().encode()
