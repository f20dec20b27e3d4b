"""Train a network for the shell: which rows for what, the rounds of the driver, the score.

The rows are split once by the seed: a fifth is held out and scores, with a patience a tenth of the
others validates, the rest is fitted. What is learnt from the table before training, the fillings of
gaps and the standard units, is learnt from the rows that are fitted.
"""

import math
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from mlmath.cli import fit, judging, progress
from mlmath.cli.refusal import Refusal

__all__ = ["Driven", "Trained", "mean", "train", "validating"]


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


def train(
    gathered: Any, options: Any, values: dict[str, Any], dtype: str, folder: Path | None
) -> Trained:
    """Train without the held-out rows, from the last checkpoint in ``folder``, and score."""
    import numpy as np

    from mlmath.cli import networks, scores
    from mlmath.data import columns as tables

    classes = len(gathered.labels)
    held = scores.held_out(gathered.y, classes, options.seed)
    kept = np.where(held, 0, gathered.weight)
    early = validating(gathered.y, kept, classes, options.seed, values["patience"])
    weight = np.where(early, 0, kept)
    if options.missing == "mean":  # what fills a gap is learnt, so it may not see other rows
        filled = tables.fill(gathered.columns, gathered.features, weight=weight)
        gathered = gathered._replace(columns=filled)
    architecture = networks.Architecture(
        tuple(values["hidden"]), values["activation"], classes, options.seed
    )
    given = networks.prepared(architecture, gathered, weight, options.raw, dtype)
    begun = networks.training(architecture, given, np.where(early, kept, 0), values)
    began = time.perf_counter()
    driven = _drive(begun, values, folder)
    seconds = [time.perf_counter() - began, driven.seconds]
    best = values["patience"] is not None
    net = driven.state.best.params if best else driven.state.run.params
    proof = begun.certify(net, driven.state.run.optimizer.taken)
    certificate = {k: np.asarray(v).item() for k, v in proof._asdict().items()}
    params = networks.with_net(given.params, options.raw, net)
    rows: Any = None
    score: dict[str, float] = {}
    if held.any():
        rows, score = judging.judge(given.composed, params, gathered, held, dtype)
    found = fit.Outcome(params, certificate, score, rows, seconds)
    return Trained(found, gathered, held, driven, int((weight > 0).sum()))


def validating(y: Any, kept: Any, classes: int, seed: int, patience: int | None) -> Any:
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


def mean(entries: list[dict[str, Any]]) -> float:
    """Mean of the losses that are finite."""
    losses = [
        entry["loss"]
        for entry in entries
        if entry["loss"] is not None and math.isfinite(entry["loss"])
    ]
    return sum(losses) / len(losses)


def _drive(begun, values, folder):
    """Take the run to its end, with a bar; what cannot be read or written is a remark."""
    from mlmath.scale import journal
    from mlmath.scale import training as driver

    state, entries, seconds = driver.begin(begun.state), [], 0.0
    remarks: list[str] = []
    if folder is not None:
        state, found = _resumed(folder, begun.state)
        entries = journal.read(folder / driver.JOURNAL)
        remarks += found
    patience, steps = values["patience"], values["steps"]
    validate = None if patience is None else begun.validate
    options = {"chunk": values["chunk"], "validate": validate, "patience": patience}
    with progress.bar(steps) as draw:
        for chunk in driver.run(begun.advance, state, steps=steps, folder=folder, **options):
            state, seconds = chunk.state, seconds + chunk.seconds
            entries += chunk.entries
            remarks += chunk.remarks
            _refuse_divergence(chunk.entries[-100:])
            draw(int(state.run.step), _words(chunk, begun.rate))
    for remark in remarks[:2]:
        print(f"mlmath: {remark}", file=sys.stderr)
    if len(remarks) > 2:
        print(f"mlmath: … and {len(remarks) - 2} more like that.", file=sys.stderr)
    return Driven(state, entries, remarks, seconds)


def _resumed(folder, first):
    from mlmath.scale import training as driver

    try:
        return driver.resume(folder, first)
    except OSError as error:
        raise Refusal(f"cannot write to '{folder}' ({error.strerror}).") from None


def _words(chunk, rate):
    """Loss, learning rate and speed, for the bar."""
    last, speed = chunk.entries[-1], len(chunk.entries) / chunk.seconds
    words = [f"loss {mean(chunk.entries):.3g}"]
    if "validation" in last:
        words.append(f"validation {last['validation']:.3g}")
    words += [f"rate {rate(last['step'] - 1):.2g}", f"{speed:,.0f} steps/s"]
    return ", ".join(words)


def _refuse_divergence(entries):
    if not any(math.isfinite(entry["loss"]) for entry in entries):
        raise Refusal(
            f"the loss left the finite numbers by step {entries[0]['step']}; lower --learning-rate."
        )
