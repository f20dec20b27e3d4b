"""The tour: every model on real data, with its mathematics, its score and its certificate.

Each stop is what ``mlmath fit`` does, with the defaults of the shell. Where a model
of a number or of two classes has a penalty, a hundred of them are then fitted in one call, and
the held-out loss is differentiated through the fit. Then a network is trained in steps, the
nearest neighbors of held-out rows vote, rows are described without a target, and the tour ends
with a search.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from mlmath.cli import display, examples, fit, flags, methods, report, runs, runtime, summary

__all__ = ["NEIGHBORS", "NETWORK", "STOPS", "STRUCTURES", "Stop", "run"]

_OPTIONS = [
    flags.Option("out", Path | None, "run folder; a new one under runs/ if not given", None, "DIR"),
    flags.Option("seed", int, "of the choice of held-out rows", 0),
    flags.Option(
        "dtype", str, "float32 or float64; auto is float64 on a CPU, else float32", "auto", "DTYPE"
    ),
    flags.Option("json", bool, "print one JSON document instead of tables", False),
]


class Stop(NamedTuple):
    """A model, the embedded set it is shown on, and what differs from its defaults."""

    model: str
    data: str
    numbers: dict[str, Any]


STOPS = [
    Stop("least_squares", "old_faithful", {}),
    Stop("ridge", "diabetes", {"l2": 10.0}),
    Stop("adaline", "old_faithful", {"learning_rate": 0.01, "decay": 1.0, "tolerance": 1e-3}),
    Stop("logistic_regression", "breast_cancer", {}),
    Stop("perceptron", "breast_cancer", {}),
    Stop("softmax_regression", "digits", {"l2": 10.0}),
]
NEIGHBORS = Stop("nearest_neighbors", "wine", {"k": 9})
STRUCTURES = [
    Stop("pca", "digits", {"k": 61}),
    Stop("kmeans", "iris", {"k": 3}),
    Stop("gaussian_mixture", "old_faithful", {"k": 2}),
]
NETWORK = {"hidden": (128,), "l2": 0.1, "steps": 1500}  # trained on the digits


def run(words: list[str]) -> int:
    """Run the tour with the words of the command line."""
    began = time.perf_counter()
    about = "Fit every model to real data; show score, certificate, time; write a report."
    options = flags.parse("mlmath tour", about, _OPTIONS, words)
    dtype = runtime.prepare(options.dtype)
    folder = options.out or runs.unused(Path("runs") / time.strftime("tour-%Y%m%d-%H%M%S"))
    with runs.new_folder(folder) as temporary:
        sections = []
        proved: dict[str, bool | None] = {}
        visits: list[Callable[..., Any]] = [
            *(partial(_visit, stop, proved) for stop in STOPS), partial(_train, proved),
            partial(_remember, proved), *(partial(_describe, stop, proved) for stop in STRUCTURES),
            _choose,
        ]  # fmt: skip
        for visit in visits:
            sections.append(visit(options.seed, dtype))
            if not options.json:
                display.facts(
                    sections[-1].title, {"mathematics": sections[-1].formula, **sections[-1].facts}
                )
        seconds = time.perf_counter() - began
        lead = f"{_lead(proved)}, in {seconds:.1f} s"
        _save(temporary, sections, lead)
    if options.json:
        *models, chosen = [{"title": s.title, "formula": s.formula, **s.facts} for s in sections]
        found = {"models": models, "search": chosen, "seconds": seconds, "run": str(folder)}
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print(f"{lead}; open {folder / 'report.html'}")
    return 0


def _visit(stop, proved, seed, dtype):
    from mlmath.data import readers

    method, source = methods.find(stop.model), readers.read(stop.data)
    options = fit.Plain(seed=seed)
    gathered = examples.gather(source, method.task, options)
    fitted = fit.outcome(method, gathered, options, stop.numbers, dtype)
    proved[stop.model] = _proved(fitted.certificate)
    found = fit.record(source, method, gathered, options, fitted)
    facts = summary.facts(found | {"dtype": dtype}, most=4)
    figures = methods.load(method.figures)(fitted.held) if method.figures else {}
    if method.task != "classes" and any(flag.name == "l2" for flag in methods.flags(method)):
        more, drawn = _sweep(method, gathered, stop, seed, dtype)
        facts, figures = facts | more, figures | drawn
    return report.Section(methods.title(method), methods.formula(method), facts, figures)


def _train(proved, seed, dtype):
    from mlmath.cli import network, training
    from mlmath.data import readers

    method, source = methods.find("mlp"), readers.read("digits")
    options, values = fit.Plain(seed=seed), network.defaults() | NETWORK
    gathered = examples.gather(source, method.task, options)
    ready = training.prepare(gathered, options, values, dtype)
    trained = training.train(ready, options, values, None, [])
    proved["mlp"] = _proved(trained.outcome.certificate)
    facts = summary.facts(network.record(source, trained, options, values) | {"dtype": dtype})
    return report.Section(
        methods.title(method), methods.formula(method), facts, network.figures(trained, False)
    )


def _remember(proved, seed, dtype):
    from mlmath.cli import neighbors
    from mlmath.data import readers

    method, source = methods.find(NEIGHBORS.model), readers.read(NEIGHBORS.data)
    options, values = fit.Plain(seed=seed), {"votes": None, **NEIGHBORS.numbers}
    gathered = examples.gather(source, method.task, options)
    fitted = neighbors.outcome(gathered, options, values, "inverse_distance", dtype)
    proved[NEIGHBORS.model] = _proved(fitted.certificate)
    found = fit.record(source, method, gathered, options, fitted)
    facts, figures = summary.facts(found | {"dtype": dtype}), neighbors.figures(fitted.held)
    return report.Section(methods.title(method), methods.formula(method), facts, figures)


def _describe(stop, proved, seed, dtype):
    from mlmath.cli import structure
    from mlmath.data import readers

    options, values = fit.Plain(seed=seed), stop.numbers | structure.defaults(stop.model, seed)
    found, _, section = structure.section(
        stop.model, readers.read(stop.data), options, values, dtype
    )
    proved[stop.model] = _proved(found["certificate"])
    return section


def _proved(certificate):
    """Whether the certificate proves the answer, None where there is none to prove."""
    return certificate and certificate["converged"]


def _choose(seed, dtype):
    from mlmath.cli import choosing

    return choosing.section(seed, dtype)


def _sweep(method, gathered, stop, seed, dtype):
    """A hundred penalties in one call, and the slope of the held-out loss through the fit."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from mlmath.cli import pipeline, scores
    from mlmath.data import columns as tables

    composed = pipeline.model(pipeline.part(method), gathered.columns, raw=False)
    matrix = tables.encode(gathered.columns, gathered.features).matrix
    held = scores.held_out(gathered.y, len(gathered.labels), seed)
    rows = pipeline.padded(matrix, gathered.y, np.where(held, 0, gathered.weight), dtype)
    values = methods.arguments(method, {}, gathered.labels)
    chosen = stop.numbers.get("l2", 1.0)
    penalties = jnp.logspace(-2, 4, 100, dtype=dtype)

    def fitted(l2):
        return composed.fit(rows.X, rows.y, sample_weight=rows.weight, l2=l2, **values)

    def held_out_loss(log_l2):
        """Half the mean squared error, or the mean log loss, of rows the fit did not see."""
        params = fitted(jnp.exp(log_l2)).params
        predicted = jax.vmap(composed.predict, (None, 0))(params, matrix[held].astype(dtype))
        y = gathered.y[held]
        if not gathered.labels:
            return jnp.mean((predicted - y) ** 2) / 2
        return -jnp.mean(jnp.log(jnp.where(y == 1, predicted, 1 - predicted)))

    sweep = jax.jit(jax.vmap(fitted))
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        path = jax.block_until_ready(sweep(penalties))
        seconds.append(time.perf_counter() - start)
    slope = jax.jit(jax.grad(held_out_loss))(jnp.log(jnp.asarray(chosen, dtype)))
    facts = {
        "100 penalties in one call": f"{seconds[0]:.2f} s the first time, {seconds[1]:.3f} again, "
        f"{int(path.certificate.converged.sum())} converged",
        "gradient through the fit": f"d(held-out loss)/d(log l2) = {slope:.3g} at l2 = {chosen:g}",
    }
    return facts, _drawn(path.params, penalties, gathered, chosen)


def _drawn(params, penalties, gathered, chosen):
    from mlmath.data import columns as tables
    from mlmath.plot import regression

    weights = params.model.model.weights
    names = tables.names(gathered.columns)
    figure = regression.coefficient_path(penalties, weights, names, chosen=chosen)
    return {"Every weight at 100 penalties, all fitted in one call": report.png(figure)}


def _lead(proved):
    """What the certificates say of all models.

    >>> _lead({"ridge": True, "perceptron": False})
    '2 models on real data, 1 proved by its certificate, not converged: perceptron'
    >>> _lead({"ridge": True, "pca": True, "nearest_neighbors": None})
    '3 models on real data, 2 proved by their certificates, nothing to prove: nearest_neighbors'
    """
    count = sum(converged is True for converged in proved.values())
    word = "all" if count == len(proved) else str(count)
    parts = [f"{word} proved by {'its certificate' if count == 1 else 'their certificates'}"]
    for state, what in ((False, "not converged"), (None, "nothing to prove")):
        if names := [name for name, converged in proved.items() if converged is state]:
            parts.append(f"{what}: {', '.join(names)}")
    return f"{len(proved)} models on real data, {', '.join(parts)}"


def _save(folder: Path, sections: list[Any], lead: str) -> None:
    for section in sections:
        for number, image in enumerate(section.figures.values(), 1):
            name = section.title.split(":")[0].lower().replace(" ", "_")
            report.write(folder / f"{name}_{number}.png", image)
    report.write(folder / "report.html", report.page("A tour of mlmath", f"{lead}.", sections))
