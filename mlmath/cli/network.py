"""``mlmath fit mlp DATA``: train a network in chunks of steps; a killed run is resumed bit for bit.

A fifth of the rows is held out and scores the network that is saved: it is not trained
again on all rows. With --patience a tenth of the others validates, and the parameters with
the least validation loss are kept. The run's folder is there from the beginning, with a journal of
losses and checkpoints, until ``run.json`` says that it is done.
"""

import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from mlmath.cli import (
    display,
    fit,
    flags,
    methods,
    progress,
    report,
    runs,
    runtime,
    summary,
    training,
)
from mlmath.cli.refusal import Refusal

__all__ = [
    "ACTIVATIONS", "OPTIMIZERS", "OPTIONS", "SCHEDULES", "TASKS", "defaults", "figures",
    "options", "part", "problem", "record", "run",
]  # fmt: skip

ACTIVATIONS = (
    "relu", "tanh", "sigmoid", "gelu", "silu", "elu", "leaky_relu", "softplus", "identity",
)  # fmt: skip
OPTIMIZERS = (
    "adam", "adamw", "sgd", "momentum", "nesterov", "rmsprop", "centred_rmsprop", "adagrad",
    "adadelta", "adamax", "nadam", "amsgrad", "lion",
)  # fmt: skip
SCHEDULES = ("cosine", "one_cycle", "constant")
TASKS = ("auto", "number", "classes")

OPTIONS = [
    flags.Option("optimizer", Literal[OPTIMIZERS], "first-order method", "adam"),
    flags.Option("learning_rate", float, "at its highest", 1e-3, "FLOAT"),
    flags.Option("schedule", Literal[SCHEDULES], "of the learning rate over the steps", "cosine"),
    flags.Option("activation", Literal[ACTIVATIONS], "of the hidden layers", "relu"),
    flags.Option("patience", int | None, "stop after so many steps without a lower validation loss",
                 None, "STEPS"),
    flags.Option("chunk", int, "steps between two checkpoints, and two looks at the validation",
                 100, "STEPS"),
    flags.Option("task", Literal[TASKS], "what to predict; auto takes text and few whole numbers "
                 "for classes", "auto"),
    flags.Option("seed", int, "of the held-out rows, the first parameters and the batches", 0),
    flags.Option("resume", Path | None, "go on with the run in this folder, or begin one there",
                 None, "RUN"),
]  # fmt: skip

_ABOUT = "Train a network: held-out score, loss curve, a folder for `mlmath predict`."
_CHOSEN = ("activation", "optimizer", "learning_rate", "schedule", "patience", "chunk")


def run(words: Sequence[str]) -> int:
    """Run ``mlmath fit mlp`` with the words of the command line."""
    asked = fit.ask("fit", _ABOUT, OPTIONS, words)
    if asked is None:
        return 0
    _refuse(asked.options)

    from mlmath.data.errors import InputError

    try:
        return _run(asked)
    except InputError as error:
        raise Refusal(str(error)) from None


def options(name: str) -> list[flags.Option]:
    """Options of the method beside the numbers of its fit."""
    return OPTIONS


def part(record: dict[str, Any]) -> Any:
    """The network of a saved run as a part of a model.

    Raises:
        Refusal: if the record does not describe one.
    """
    from mlmath.cli import networks

    asked, labels = record["hyperparameters"], record["labels"]
    hidden, activation = asked.get("hidden"), asked.get("activation")
    sizes = isinstance(hidden, list) and all(type(h) is int and 0 < h < 2**31 for h in hidden)
    if not sizes or activation not in ACTIVATIONS:
        raise Refusal("run.json is damaged: 'hyperparameters' is not what a run holds.")
    return networks.part(networks.Architecture(tuple(hidden), activation, len(labels), 0))


def problem(known: Any, rows: Any, params: Any, Z: Any, predicted: Any) -> Any:
    """What a saved network minimised, on the rows that it was fitted to.

    Raises:
        Refusal: if the record does not say enough.
    """
    import numpy as np

    from mlmath.cli import networks, pipeline, saved, scores
    from mlmath.neural import mlp

    asked, classes, seed = known.record["hyperparameters"], len(known.labels), known.record["seed"]
    l2, patience = asked.get("l2"), asked.get("patience")
    if type(l2) not in (int, float) or not l2 >= 0 or seed < 0:
        raise saved.damaged(known.folder, "hyperparameters")
    kept = np.where(scores.held_out(rows.y, classes, seed), 0, rows.weight)
    weight = np.where(training.validating(rows.y, kept, classes, seed, patience), 0, kept)
    network = networks.inner(params, known.record["raw"])
    y = networks.standard(network, rows.target).astype(known.record["dtype"])
    padded = pipeline.padded(Z, y, weight, "float64")
    numbers = networks.choices(asked["activation"], classes) | {"l2": float(l2)}
    return saved.Problem(mlp, network.net, padded, numbers, predicted)


def _refuse(options):
    """Refuse numbers that no run could take."""
    if not 0 < options.learning_rate < float("inf"):
        raise Refusal(
            f"--learning-rate must be a finite number above 0, got {options.learning_rate:.12g}."
        )
    for name in ("patience", "chunk"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise Refusal(f"--{name} must be a whole number from 1, got {value}.")
    if not 0 <= options.seed < 2**31:
        raise Refusal(f"--seed must be from 0 to {2**31 - 1}, got {options.seed}.")
    if options.resume is not None and options.out is not None:
        raise Refusal("--resume names the folder already; leave out --out.")


def _run(asked):
    from mlmath.cli import examples
    from mlmath.data import readers

    name, method, options, values, command = asked
    source = readers.read(options.data)
    task = method.task if options.task == "auto" else options.task
    gathered = examples.gather(source, task, options)
    dtype = runtime.prepare(options.dtype)
    values |= {key: getattr(options, key) for key in _CHOSEN}
    ready = training.prepare(gathered, options, values, dtype)
    stamp = time.strftime(f"{name}-{source.name}-%Y%m%d-%H%M%S")
    out = options.out or runs.unused(Path("runs") / stamp)
    told = _description(source, gathered, asked, dtype), _about(), command
    with progress.folder(out, options.resume, *told) as (folder, remarks):
        if not progress.finished(folder):
            try:
                trained = training.train(ready, options, values, folder, remarks)
            except KeyboardInterrupt:
                again = f"the same command with --resume {folder} goes on"
                print(f"mlmath: {again} from the last checkpoint", file=sys.stderr)
                raise
            found = fit.heading(name, command, dtype, values)
            _save(folder, found | record(source, trained, options, values), trained)
        progress.finish(folder)
    found = runs.read_record(folder)
    if options.json:
        print(json.dumps({"run": str(folder), **found}, indent=2, ensure_ascii=False), flush=True)
    else:
        facts = summary.facts(found) | {"run": f"{folder} (open report.html)"}
        display.facts(methods.title(method), facts)
    return 0


def _save(folder, found, trained):
    """``run.json`` comes last, for it says that all is there."""
    method, name = methods.find(found["model"]), found["data"]["name"]
    section = report.Section(
        methods.title(method), methods.formula(method), summary.facts(found),
        figures(trained, found["raw"]),
    )  # fmt: skip
    page = report.page(f"{found['model']} on {name}", found["command"], [section])
    runs.write_params(folder, trained.outcome.params)
    report.write(folder / "report.html", page)
    runs.write_record(folder, found)


def record(
    source: Any, trained: training.Trained, options: Any, values: dict[str, Any]
) -> dict[str, Any]:
    """Return what ``run.json`` says of the data, the options and the training."""
    ready, driven = trained.ready, trained.driven
    found = fit.record(source, methods.METHODS["mlp"], ready.gathered, options, trained.outcome)
    state = driven.state
    taken = {
        "steps": int(state.run.step), "taken": int(state.run.optimizer.taken),
        "last_loss": training.mean(driven.entries[-100:]),
    }  # fmt: skip
    if values["patience"] is not None:
        taken |= {"best_step": int(state.best.step), "validation_loss": float(state.best.loss)}
    rows = {"rows_fitted": int((ready.weight > 0).sum()), "rows_held_out": int(ready.held.sum())}
    seconds = dict(zip(("training", "steps"), trained.outcome.seconds, strict=True))
    return found | rows | {"training": taken, "seconds": seconds, "remarks": driven.remarks}


def _about():
    """What need not be alike, but may change the last digits."""
    import jax

    from mlmath import __version__

    return {"mlmath": __version__, "jax": jax.__version__, "device": runtime.device()}


def _description(source, gathered, asked, dtype):
    """What must be alike for a run to be resumed."""
    told = {
        key: getattr(asked.options, key) for key in ("seed", "weight", "ignore", "missing", "raw")
    }
    return {
        "format": 1, "model": asked.name, "data": source.sha256, "target": gathered.target,
        "classes": len(gathered.labels), "dtype": dtype, **told, **asked.values,
    }  # fmt: skip


def defaults() -> dict[str, Any]:
    """Values of the options where nothing is said."""
    own = {option.name: option.default for option in OPTIONS if option.name in _CHOSEN}
    return own | {flag.name: flag.default for flag in methods.flags(methods.METHODS["mlp"])}


def figures(trained: training.Trained, raw: Any) -> dict[str, bytes]:
    """Loss curve, what shows such a target, and pictures where the columns are pixels."""
    from mlmath.cli import figures as shown
    from mlmath.cli import pictures

    curve = _curve(trained.driven.entries)
    drawn = {"Loss of each batch": report.png(curve)} if curve else {}
    held = trained.outcome.held
    if held is not None:
        draw = {0: shown.number, 2: shown.two}.get(len(held.labels), shown.several)
        drawn |= draw(held)
    return drawn | pictures.figures(trained, raw)


def _curve(entries):
    import numpy as np

    from mlmath.plot import training as drawing

    if not entries:
        return None
    losses = [math.nan if entry["loss"] is None else entry["loss"] for entry in entries]
    judged = [(e["step"], e["validation"]) for e in entries if e.get("validation") is not None]
    if not judged:
        return drawing.curve(np.array(losses))
    steps, values = map(np.array, zip(*judged, strict=True))
    return drawing.curve(
        np.array(losses), validation=(steps, values), best=int(values.argmin()),
        score="validation loss (lower is better)",
    )  # fmt: skip
