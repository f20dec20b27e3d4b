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
from typing import Any, Literal, NamedTuple

from mlmath.cli import display, fit, flags, methods, progress, report, runs, runtime, summary
from mlmath.cli.refusal import Refusal

__all__ = [
    "ACTIVATIONS",
    "OPTIMIZERS",
    "OPTIONS",
    "SCHEDULES",
    "TASKS",
    "Driven",
    "Trained",
    "defaults",
    "figures",
    "outcome",
    "part",
    "problem",
    "record",
    "run",
]

ACTIVATIONS = (
    "relu",
    "tanh",
    "sigmoid",
    "gelu",
    "silu",
    "elu",
    "leaky_relu",
    "softplus",
    "identity",
)
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
    flags.Option("chunk", int, "steps between two checkpoints", 100, "STEPS"),
    flags.Option("task", Literal[TASKS], "what to predict; auto takes text and few whole numbers "
                 "for classes", "auto"),
    flags.Option("resume", Path | None, "go on with the run in this folder, or begin one there",
                 None, "RUN"),
]  # fmt: skip

_ABOUT = "Train a network: held-out score, loss curve, a folder for `mlmath predict`."
_CHOSEN = ("activation", "optimizer", "learning_rate", "schedule", "patience", "chunk")


class Driven(NamedTuple):
    """A run at its end."""

    state: Any  # scale.training.State
    entries: list[dict[str, Any]]  # of the journal
    remarks: list[str]
    seconds: float  # for the steps of this process


class Trained(NamedTuple):
    """A network, how it came about, and how it does on rows that it did not see."""

    outcome: fit.Outcome
    gathered: Any  # examples.Examples, with fillings from the rows that were fitted
    held: Any  # mask of the rows that were held out
    driven: Driven
    rows: int  # how many were fitted


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
    weight = np.where(_validating(rows.y, kept, classes, seed, patience), 0, kept)
    network = networks.inner(params, known.record["raw"])
    padded = pipeline.padded(Z, networks.standard(network, rows.y), weight, "float64")
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
    stamp = time.strftime(f"{name}-{source.name}-%Y%m%d-%H%M%S")
    out = options.out or runs.unused(Path("runs") / stamp)
    folder = progress.folder(out, options.resume, _description(source, gathered, asked, dtype))
    if progress.finished(folder):
        print(f"'{folder}' is finished; `mlmath predict {folder} DATA` applies it.")
        return 0
    trained = outcome(gathered, options, values, dtype, folder)
    found = fit.heading(name, command, dtype, values)
    found |= record(source, trained, options, values)
    facts = summary.facts(found)
    title, formula = methods.title(method), methods.formula(method)
    section = report.Section(title, formula, facts, figures(trained))
    page = report.page(f"{name} on {source.name}", command, [section])
    runs.write_params(folder, trained.outcome.params)
    report.write(folder / "report.html", page)
    runs.write_record(folder, found)
    progress.finish(folder)
    if options.json:
        print(json.dumps({"run": str(folder), **found}, indent=2, ensure_ascii=False), flush=True)
    else:
        display.facts(title, facts | {"run": f"{folder} (open report.html)"})
    return 0


def record(source: Any, trained: Trained, options: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Return what ``run.json`` says of the data, the options and the training."""
    found = fit.record(source, methods.METHODS["mlp"], trained.gathered, options, trained.outcome)
    state, entries = trained.driven.state, trained.driven.entries
    taken = {"steps": int(state.run.step), "last_loss": _mean(entries[-100:])}
    if values["patience"] is not None:
        taken |= {"best_step": int(state.best.step), "validation_loss": float(state.best.loss)}
    rows = {"rows_fitted": trained.rows, "rows_held_out": int(trained.held.sum())}
    return found | rows | {"training": taken, "remarks": trained.driven.remarks}


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


def outcome(
    gathered: Any, options: Any, values: dict[str, Any], dtype: str, folder: Path | None
) -> Trained:
    """Train without the held-out rows, from the last checkpoint in ``folder``, and score."""
    import numpy as np

    from mlmath.cli import networks, scores
    from mlmath.data import columns as tables

    classes = len(gathered.labels)
    held = scores.held_out(gathered.y, classes, options.seed)
    kept = np.where(held, 0, gathered.weight)
    validating = _validating(gathered.y, kept, classes, options.seed, values["patience"])
    weight = np.where(validating, 0, kept)
    if options.missing == "mean":  # what fills a gap is learnt, so it may not see other rows
        filled = tables.fill(gathered.columns, gathered.features, weight=weight)
        gathered = gathered._replace(columns=filled)
    architecture = networks.Architecture(
        tuple(values["hidden"]), values["activation"], classes, options.seed
    )
    given = networks.prepared(architecture, gathered, weight, options.raw, dtype)
    training = networks.training(architecture, given, np.where(validating, kept, 0), values)
    began = time.perf_counter()
    driven = _drive(training, values, folder)
    seconds = [time.perf_counter() - began, driven.seconds]
    best = values["patience"] is not None
    net = driven.state.best.params if best else driven.state.run.params
    proof = training.certify(net, driven.state.run.optimizer.taken)
    certificate = {k: np.asarray(v).item() for k, v in proof._asdict().items()}
    params = networks.with_net(given.params, options.raw, net)
    rows: Any = None
    score: dict[str, float] = {}
    if held.any():
        rows, score = fit.judge(given.composed, params, gathered, held, dtype)
    found = fit.Outcome(params, certificate, score, rows, seconds)
    return Trained(found, gathered, held, driven, int((weight > 0).sum()))


def _validating(y, kept, classes, seed, patience):
    """A tenth of the rows that are kept, of each class alike, where there is something to wait for.

    Raises:
        Refusal: if there are too few.
    """
    import numpy as np

    from mlmath.cli import scores

    chosen = np.zeros(len(y), bool)
    if patience is None:
        return chosen
    rows = np.flatnonzero(kept > 0)
    if len(rows) < 20:
        raise Refusal(f"--patience needs 20 rows that are not held out, there are {len(rows)}.")
    chosen[rows[scores.held_out(y[rows], classes, seed + 1, share=10)]] = True
    return chosen


def _drive(training, values, folder):
    """Take the run to its end, with a bar; what cannot be read or written is a remark."""
    from mlmath.scale import journal
    from mlmath.scale import training as driver

    state, entries, seconds = driver.begin(training.state), [], 0.0
    remarks: list[str] = []
    if folder is not None:
        state, found = driver.resume(folder, training.state)
        entries = journal.read(folder / driver.JOURNAL)
        remarks += found
    patience, steps = values["patience"], values["steps"]
    validate = None if patience is None else training.validate
    options = {"chunk": values["chunk"], "validate": validate, "patience": patience}
    with progress.bar(steps) as draw:
        for chunk in driver.run(training.advance, state, steps=steps, folder=folder, **options):
            state, seconds = chunk.state, seconds + chunk.seconds
            entries, remarks = entries + chunk.entries, remarks + list(chunk.remarks)
            _refuse_divergence(chunk.entries)
            draw(int(state.run.step), _words(chunk, training.rate))
    for remark in remarks[:2]:
        print(f"mlmath: {remark}", file=sys.stderr)
    if len(remarks) > 2:
        print(f"mlmath: … and {len(remarks) - 2} more like that.", file=sys.stderr)
    return Driven(state, entries, remarks, seconds)


def _words(chunk, rate):
    """Loss, learning rate and speed, for the bar."""
    last, speed = chunk.entries[-1], len(chunk.entries) / chunk.seconds
    words = [f"loss {_mean(chunk.entries):.4g}"]
    if "validation" in last:
        words.append(f"validation {last['validation']:.4g}")
    words += [f"rate {rate(last['step'] - 1):.2g}", f"{speed:,.0f} steps/s"]
    return ", ".join(words)


def _mean(entries):
    losses = [entry["loss"] for entry in entries if entry["loss"] is not None]
    return sum(losses) / len(losses)


def _refuse_divergence(entries):
    if not any(math.isfinite(entry["loss"]) for entry in entries):
        raise Refusal(
            f"the loss left the finite numbers by step {entries[0]['step']}; lower --learning-rate."
        )


def figures(trained: Trained) -> dict[str, bytes]:
    """Loss curve, and what the kind of target is shown by."""
    from mlmath.cli import figures as shown

    try:
        from mlmath.plot import training
    except ImportError:
        return {}

    curve = training.losses(trained.driven.entries)
    drawn = {"Loss of each batch, and of the rows that validate": report.png(curve)}
    held = trained.outcome.held
    if held is None:
        return drawn
    draw = {0: shown.number, 2: shown.two}.get(len(held.labels), shown.several)
    return drawn | draw(held)
